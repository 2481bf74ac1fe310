"""Numbers that change over a run: from a start to an end, as its progress goes from 0 to 1."""

from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[float], float]


@dataclass(frozen=True)
class Linear:
    """In even steps from `start` to `end`.

    Arguments:
        until: the progress in [0, 1] at which the end is reached and kept
    """

    start: float
    end: float = 1.0
    until: float = 1.0

    def __call__(self, progress: float) -> float:
        """Return the number at `progress` in [0, 1]."""
        part = passed(progress, self.until)
        return (1 - part) * self.start + part * self.end


@dataclass(frozen=True)
class Geometric:
    """By even factors from `start` to `end`, both above 0.

    Arguments:
        until: the progress in [0, 1] at which the end is reached and kept
    """

    start: float
    end: float = 1.0
    until: float = 1.0

    def __post_init__(self) -> None:
        if not (self.start > 0 and self.end > 0):
            raise ValueError(f"geometric schedules are above 0, not {self.start} to {self.end}")

    def __call__(self, progress: float) -> float:
        """Return the number at `progress` in [0, 1]."""
        part = passed(progress, self.until)
        return self.end * (self.start / self.end) ** (1 - part)


def passed(progress: float, until: float) -> float:
    """Return how much of the way to `until` has been gone, in [0, 1]."""
    return min(1.0, progress / until) if until > 0 else 1.0
