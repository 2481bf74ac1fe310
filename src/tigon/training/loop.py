"""The only loop over iterations: batch, chains, loss, one step of Adam.

All that an iteration does is a function of the state and of (seed, iteration), so a run that
stopped between two iterations goes on as if it had not.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tigon.data.batches import BatchOrder
from tigon.data.images import ImageSet
from tigon.errors import DivergenceError
from tigon.learners.base import Learner, Metrics
from tigon.streams import Streams

Record = dict[str, Any]


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


class Training:
    """A learner, its data and its optimizer, between two iterations.

    Arguments:
        learner: what learns; its chains belong to `images`, row by row
        images: the data set
        length: when the run ends
        optimizer: Adam's settings
        batch_size: examples in a batch
        seed: of chain noise and data order
    """

    def __init__(
        self,
        learner: Learner,
        images: ImageSet,
        length: Length,
        optimizer: Optimizer,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        self.learner, self.images, self.length, self.settings = learner, images, length, optimizer
        self.seed = seed
        self.device = next(learner.parameters()).device
        self.order = BatchOrder(len(images), batch_size, seed)
        self.optimizer = torch.optim.Adam(
            learner.parameters(), lr=optimizer.learning_rate, betas=optimizer.betas
        )
        self.iteration = 0
        self.seconds = 0.0
        if self.finished:
            raise ValueError(
                f"gradient_evaluations {length.gradient_evaluations} is less than one iteration "
                f"takes ({self._cost():g})"
            )

    @property
    def evaluations(self) -> float:
        """Gradient evaluations so far, in passes over the whole set."""
        return self.learner.gradient_evaluations / len(self.images)

    @property
    def progress(self) -> float:
        """How far through the run, in [0, 1]."""
        return self.length.progress(self.iteration, self.evaluations)

    @property
    def finished(self) -> bool:
        """Whether the run is over."""
        return self.length.over(self.iteration, self.evaluations, self._cost())

    def step(self) -> Record:
        """Take one iteration and return its record.

        Raises:
            DivergenceError: if the loss or its gradient is not finite; parameters are those
                before the update
        """
        began = time.perf_counter()
        batch = self.order.read(self.images, self.iteration, self.device)
        rng = Streams(self.seed, self.iteration, batch.index, device=self.device)
        rate = self.settings.rate(self.iteration, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.learner.begin(self.progress)
        samples = self.learner.run_chains(batch, rng)
        loss, metrics = self.learner(batch, samples)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        metrics["gradient_norm"] = self._gradient_norm()
        self._refuse_non_finite(loss, metrics)
        self.optimizer.step()
        self.learner.after_update(self.optimizer)
        self.iteration += 1
        record = {name: _number(value) for name, value in metrics.items()}
        self.seconds += time.perf_counter() - began
        return self._stamp() | record | {"learning_rate": rate}

    def _cost(self) -> float:
        """Return the gradient evaluations of the next iteration, in passes over the whole set."""
        examples = len(self.order.index(self.iteration))
        return self.learner.evaluations_per_example * examples / len(self.images)

    def _stamp(self) -> Record:
        return {
            "iteration": self.iteration,
            "seconds": round(self.seconds, 4),
            "gradient_evaluations": round(self.evaluations, 4),
        }

    def _gradient_norm(self) -> Tensor:
        gradients = [p.grad for p in self.learner.parameters() if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def _refuse_non_finite(self, loss: Tensor, metrics: Metrics) -> None:
        if torch.isfinite(loss) and torch.isfinite(metrics["gradient_norm"]):
            return
        shown = ", ".join(f"{name} {_number(value)}" for name, value in metrics.items())
        raise DivergenceError(
            f"training diverged at iteration {self.iteration + 1}: loss {loss.item():g} "
            f"({shown}); lower the learning rate or the chains' step size"
        )


Watcher = Callable[[Training, Record], None]


def fit(
    training: Training,
    watchers: Sequence[Watcher] = (),
    stop: Callable[[], bool] = lambda: False,
) -> list[Record]:
    """Learn until the run is over, or `stop()` says so between two iterations.

    Arguments:
        watchers: called after each iteration with the training and its record, in order
    Returns:
        the records of the iterations taken now
    """
    records = []
    while not training.finished and not stop():
        record = training.step()
        records.append(record)
        for watch in watchers:
            watch(training, record)
    return records


def _number(value: Tensor) -> float | list[float]:
    """Return a tensor as a number, or a list of numbers, with six digits."""
    digits = [float(f"{number:.6g}") for number in value.flatten().tolist()]
    return digits if value.dim() else digits[0]
