"""What can go wrong, as the user should hear it: one line that names the thing and the remedy."""

import sys


class TigonError(Exception):
    """What was asked cannot be done; the message is one line. The command line ends with 2."""


def install(extra: str) -> str:
    """Return the command that adds one of tigon's extras to the environment that runs now."""
    return f"{sys.executable} -m pip install 'tigon[{extra}]'"


class DivergenceError(TigonError):
    """Training left what can be learned from; the command line ends with 3.

    Attributes:
        cause: one of `CAUSES`, or of a guard's own
        restored: whether the trainer is back in its last good state
        remedy: what to do about it
    """

    def __init__(self, message: str, cause: str, restored: bool = False, remedy: str = "") -> None:
        super().__init__(message)
        self.cause, self.restored, self.remedy = cause, restored, remedy


def diverged(iteration: int, said: str, remedy: str) -> str:
    """Return the line that ends a run: when, what was seen, and what to do."""
    return f"training diverged at iteration {iteration}: {said}; {remedy}"


CAUSES = {
    "images": (
        "training images hold values that are not finite",
        "take these images out of the data, or repair them",
    ),
    "network": (
        "the network returned values, or gradients, that are not finite",
        "lower the learning rate (--optimizer.learning-rate), or where chains synthesise images "
        "their step size (--chains.step-size); if it stays, the network overflows by itself: look "
        "for exponentials, divisions and missing normalisation in it",
    ),
    "chains": (
        "chains ran away: their points are not finite, or most lie outside the images' range",
        "lower the chains' step size (--chains.step-size) or the learning rate",
    ),
    "gap": (
        "the gap exploded: the network changes faster than its chains can follow",
        "lower the learning rate (--optimizer.learning-rate), or take more chain steps",
    ),
    "gradient": (
        "the gradient exploded",
        "lower the learning rate (--optimizer.learning-rate)",
    ),
    "collapse": (
        "chains from all starts collapsed onto one image: their steps are too large to stay apart",
        "lower the chains' step size (--chains.step-size)",
    ),
    "dead": (
        "the network is dead: its parameters get no gradient any more",
        "lower the learning rate (--optimizer.learning-rate) and start again, with another seed",
    ),
}
