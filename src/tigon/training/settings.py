"""Training settings: Adam, its learning rate schedule, and the budget of the run."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from tigon.choices import require_choices

Schedule = Callable[[int, float], float]
"""Maps the iteration (0, 1, ...) and the progress in [0, 1] to a factor on the learning rate."""


@dataclass(frozen=True)
class WarmUp:
    """Raise the learning rate linearly over the first iterations; a schedule.

    Arguments:
        iterations: number of iterations until the full rate, >= 0
    """

    iterations: int = 0

    def __call__(self, iteration: int, progress: float) -> float:
        """Return the factor of this iteration, in (0, 1]."""
        return min(1.0, (iteration + 1) / self.iterations) if self.iterations else 1.0


@dataclass(frozen=True)
class Cosine:
    """Lower the learning rate along half a cosine over the run; a schedule.

    Arguments:
        floor: factor at the end, in [0, 1]
    """

    floor: float = 0.0

    def __call__(self, iteration: int, progress: float) -> float:
        """Return the factor at `progress` in [0, 1] through the run."""
        return self.floor + (1 - self.floor) * ((1 + math.cos(math.pi * progress)) / 2)


@dataclass(frozen=True)
class AdamSettings:
    """Adam and the schedule of its learning rate.

    Arguments:
        learning_rate: learning rate of Adam, > 0
        betas: decay rates of Adam's two moments, each in [0, 1)
        schedule: `cosine` lowers the rate over the run, `constant` keeps it
        floor: final rate of the cosine schedule as a fraction of the learning rate, in [0, 1]
        warm_up: number of iterations over which the rate rises from 0, >= 0
        clip: maximum gradient norm, > 0, to which larger gradients are scaled; none if not given
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "constant"] = "cosine"
    floor: float = 0.0
    warm_up: int = 0
    clip: float | None = None

    def __post_init__(self) -> None:
        require_choices(self)
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be in [0, 1), not {self.betas}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor must be in [0, 1], not {self.floor}")
        if self.warm_up < 0:
            raise ValueError(f"warm_up must be at least 0, not {self.warm_up}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be above 0, not {self.clip}")

    def build(
        self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]]
    ) -> torch.optim.Adam:
        """Return Adam for these parameters, or groups of them with their own numbers."""
        return torch.optim.Adam(parameters, lr=self.learning_rate, betas=self.betas)

    def build_apart(
        self,
        parameters: Iterable[nn.Parameter],
        own: Iterable[nn.Parameter],
        **numbers: Any,  # noqa: ANN401
    ) -> torch.optim.Adam:
        """Return Adam for these parameters, with other `numbers` for `own`, which are some."""
        own = list(own)
        apart = set(own)
        rest = [parameter for parameter in parameters if parameter not in apart]
        return self.build([{"params": rest}, {"params": own, **numbers}])

    def schedules(self) -> list[Schedule]:
        """Return the factors on the learning rate: the warm-up, and the schedule of the run."""
        return [WarmUp(self.warm_up), *([Cosine(self.floor)] if self.schedule == "cosine" else [])]


@dataclass(frozen=True)
class Budget:
    """When a run ends: after iterations, within gradient evaluations, or after minutes.

    A run by the clock depends on the machine: another run with its seed takes other iterations.

    Arguments:
        iterations: number of parameter updates; ignored if another budget is given
        gradient_evaluations: forward and backward passes of the network over the whole set
        minutes: time of training, without what is done between iterations, > 0; the iteration
            that is under way ends
    """

    iterations: int = 300
    gradient_evaluations: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {self.iterations}")
        if self.gradient_evaluations is not None and self.gradient_evaluations < 1:
            raise ValueError(
                f"gradient_evaluations must be at least 1, not {self.gradient_evaluations}"
            )
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ValueError(f"minutes must be above 0, not {self.minutes}")
        if self.minutes is not None and self.gradient_evaluations is not None:
            raise ValueError("gradient_evaluations and minutes: give one of them")

    @property
    def by_iterations(self) -> bool:
        """Whether the number of iterations ends the run."""
        return self.gradient_evaluations is None and self.minutes is None

    def progress(self, iteration: int, evaluations: float, seconds: float) -> float:
        """Return the progress in [0, 1] through the run at the start of an iteration."""
        if self.gradient_evaluations is not None:
            return min(1.0, evaluations / self.gradient_evaluations)
        if self.minutes is not None:
            return min(1.0, seconds / (60 * self.minutes))
        return min(1.0, iteration / self.iterations)

    def over(self, iteration: int, evaluations: float, seconds: float, cost: float) -> bool:
        """Return whether one more iteration, with `cost` gradient evaluations, is too many."""
        if self.gradient_evaluations is not None:
            return evaluations + cost > self.gradient_evaluations + 1e-6
        return self.progress(iteration, evaluations, seconds) >= 1
