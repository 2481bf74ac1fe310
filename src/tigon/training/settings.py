"""The numbers of a training: its optimizer, its length, and what its guard goes by."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Optimizer:
    """Adam and the schedule of its rate.

    Arguments:
        learning_rate: of Adam, > 0
        betas: decay of Adam's two moments, each in [0, 1)
        schedule: `cosine` lowers the rate over the run, `constant` keeps it
        floor: part of the rate that the cosine schedule ends with, in [0, 1]
        warm_up: iterations over which the rate rises from 0, >= 0
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "constant"] = "cosine"
    floor: float = 0.0
    warm_up: int = 0

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is above 0, not {self.learning_rate}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are in [0, 1), not {self.betas}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is in [0, 1], not {self.floor}")
        if self.warm_up < 0:
            raise ValueError(f"warm_up is at least 0, not {self.warm_up}")

    def rate(self, iteration: int, progress: float) -> float:
        """Return the rate of this iteration, at `progress` in [0, 1] through the run."""
        warmth = min(1.0, (iteration + 1) / self.warm_up) if self.warm_up else 1.0
        height = (1 + math.cos(math.pi * progress)) / 2 if self.schedule == "cosine" else 1.0
        return self.learning_rate * warmth * (self.floor + (1 - self.floor) * height)


@dataclass(frozen=True)
class Length:
    """When a run ends: after so many iterations, or within a budget of gradient evaluations.

    Arguments:
        iterations: parameter updates; ignored where there is a budget
        gradient_evaluations: forward and backward passes of the network over the whole set
    """

    iterations: int = 300
    gradient_evaluations: int | None = None

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations are at least 1, not {self.iterations}")
        if self.gradient_evaluations is not None and self.gradient_evaluations < 1:
            raise ValueError(
                f"gradient_evaluations are at least 1, not {self.gradient_evaluations}"
            )

    def progress(self, iteration: int, evaluations: float) -> float:
        """Return how far through the run an iteration begins, in [0, 1]."""
        if self.gradient_evaluations is not None:
            return min(1.0, evaluations / self.gradient_evaluations)
        return min(1.0, iteration / self.iterations)

    def over(self, iteration: int, evaluations: float, cost: float) -> bool:
        """Return whether one more iteration, of `cost` gradient evaluations, would be too many."""
        if self.gradient_evaluations is None:
            return iteration >= self.iterations
        return evaluations + cost > self.gradient_evaluations + 1e-6


@dataclass(frozen=True)
class Guard:
    """What counts as trouble, and how often the guard goes back before it gives up.

    Trouble is a loss, gradient or chain that is not finite; a gap or a gradient that explodes;
    chains that run away or collapse onto one image; a network without a gradient. The guard then
    returns to the last good state, and halves the learning rate (network, gap, gradient, dead,
    chains), the chains' step size (chains, collapse), or both.

    Arguments:
        enabled: whether it watches at all; without it a loss that is not finite ends the run
        attempts: how often it goes back before it gives up, >= 0
        every: iterations between the good states it keeps, and between looks at all single
            chains; at least a tenth of an epoch
        gap: a gap, mean f(synthesised) - mean f(observed), further from 0 than this is an
            explosion, in nats per dimension, > 0
        gradient: times the median norm of the last 50 iterations is an explosion, > 1
        saturation: part of the chains' values far outside the images' range that is too much
        collapse: chains that keep less of the differences between their starts have collapsed
        patience: iterations in a row before a collapse or a dead network counts, >= 1
    """

    enabled: bool = True
    attempts: int = 6
    every: int = 20
    gap: float = 10.0
    gradient: float = 100.0
    saturation: float = 0.5
    collapse: float = 0.1
    patience: int = 5

    def __post_init__(self) -> None:
        if self.attempts < 0 or self.every < 1 or self.patience < 1:
            raise ValueError("guard: attempts are at least 0, every and patience at least 1")
        if not (self.gap > 0 and self.gradient > 1):
            raise ValueError("guard: gap is above 0 and gradient above 1")
        if not (0 < self.saturation <= 1 and 0 <= self.collapse < 1):
            raise ValueError("guard: saturation is in (0, 1] and collapse in [0, 1)")
