"""Errors as the user should see them: one line that names the problem and the remedy."""

import sys


class TigonError(Exception):
    """The request cannot be done; the message is one line. The command line exits with 2."""


def install(extra: str) -> str:
    """Return the command that installs one of tigon's extras in the current environment."""
    return f"{sys.executable} -m pip install 'tigon[{extra}]'"


class DivergenceError(TigonError):
    """Training diverged beyond repair; the command line exits with 3.

    Attributes:
        cause: one of `CAUSES`, or a guard's own
        restored: whether the trainer is back in its last good state
        remedy: what to do about it
    """

    def __init__(self, message: str, cause: str, restored: bool = False, remedy: str = "") -> None:
        super().__init__(message)
        self.cause, self.restored, self.remedy = cause, restored, remedy


def diverged(iteration: int, said: str, remedy: str) -> str:
    """Return the line that ends a run: when, what happened, and what to do."""
    return f"training diverged at iteration {iteration}: {said}; {remedy}"


CAUSES = {
    "images": (
        "training images hold values that are not finite",
        "remove these images from the data, or repair them",
    ),
    "network": (
        "the network returned values, or gradients, that are not finite",
        "lower the learning rate (--optimizer.learning-rate), or if chains synthesise images, "
        "their step size (--chains.step-size); if that does not help, the network itself "
        "overflows: look for exponentials, divisions and missing normalisation in it",
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
        "the network is dead: its parameters no longer get a gradient",
        "lower the learning rate (--optimizer.learning-rate) and start again, with another seed",
    ),
}
