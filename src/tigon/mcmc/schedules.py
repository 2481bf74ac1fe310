"""A number that changes over a run, from a start to an end value."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometric:
    """Geometric interpolation from `start` to `end`, both above 0.

    Arguments:
        until: progress in [0, 1] at which `end` is reached; it stays there
    """

    start: float
    end: float = 1.0
    until: float = 1.0

    def __post_init__(self) -> None:
        if not (self.start > 0 and self.end > 0):
            raise ValueError(
                f"geometric schedules must be above 0, not {self.start} to {self.end}"
            )

    def __call__(self, progress: float) -> float:
        """Return the number at `progress` in [0, 1]."""
        part = min(1.0, progress / self.until) if self.until > 0 else 1.0
        return self.end * (self.start / self.end) ** (1 - part)
