"""One iteration: batch, chains, loss, one step of Adam.

All that an iteration does is a function of the state and of (seed, iteration), so a run that
stopped between two iterations goes on as if it had not.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tigon.data.batches import Batch, ImageData
from tigon.distributed import all_objects, all_sum, any_of, in_all_processes, world
from tigon.errors import CAUSES, DivergenceError, diverged
from tigon.learners.base import Learner, Metrics
from tigon.random.streams import RowRng
from tigon.training.settings import Guard, Length, Optimizer

Record = dict[str, Any]


class Training:
    """A learner, its data and its optimizer, between two iterations.

    Arguments:
        learner: what learns; its chains belong to `images`, row by row
        images: the data set
        length: when the run ends
        optimizer: Adam's settings
        batch_size: examples in a batch
        seed: of chain noise and data order
        guard: what watches over the run, if anything

    Attributes:
        rate_factor, step_factor: what the guard has multiplied the learning rate and the chains'
            step size with
        attempts, rollbacks: how often it has gone back, since it last gave up and in all
        remembered: what the guard knew when the checkpoint that this goes on from was written
        memory: returns what it knows now
    """

    def __init__(
        self,
        learner: Learner,
        images: ImageData,
        length: Length,
        optimizer: Optimizer,
        batch_size: int = 64,
        seed: int = 0,
        guard: Guard | None = None,
    ) -> None:
        self.guard = guard
        self.learner, self.images, self.length, self.settings = learner, images, length, optimizer
        self.seed = seed
        self.like = next(learner.parameters()).detach()
        self.device = self.like.device
        self.module = in_all_processes(learner)
        self.order = images.order(batch_size, seed)
        self.optimizer = torch.optim.Adam(
            learner.parameters(), lr=optimizer.learning_rate, betas=optimizer.betas
        )
        self.iteration = 0
        self.seconds = 0.0
        self.rate_factor = self.step_factor = 1.0
        self.attempts = self.rollbacks = 0
        self.remembered: dict[str, Any] | None = None
        self.memory: Callable[[], dict[str, Any] | None] = lambda: self.remembered
        if self.finished:
            raise ValueError(
                f"gradient_evaluations {length.gradient_evaluations} is less than one iteration "
                f"takes ({self._cost():g})"
            )

    @property
    def evaluations(self) -> float:
        """Gradient evaluations so far, in passes over the whole set; of a stream, over a batch."""
        return self.learner.gradient_evaluations / self.order.unit

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
        batch = self.order.read(self.images, self.iteration, self.like)
        rng = RowRng(self.seed, self.iteration, batch.index)
        rate = self.rate_factor * self.settings.rate(self.iteration, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.learner.begin(self.progress)
        samples = self.learner.run_chains(batch, rng)
        loss, metrics = self.module(batch, samples)
        self.optimizer.zero_grad(set_to_none=True)
        (loss * world().size).backward()
        loss = all_sum(loss.detach())
        metrics["gradient_norm"] = self._gradient_norm()
        self._refuse_non_finite(batch, samples, loss, metrics)
        self.optimizer.step()
        self.learner.after_update(self.optimizer)
        self.iteration += 1
        record = {name: _number(value) for name, value in metrics.items()}
        self.seconds += time.perf_counter() - began
        return self._stamp() | record | {"learning_rate": rate}

    def _cost(self) -> float:
        """Return the gradient evaluations of the next iteration, in the same unit, at most."""
        examples = self.order.size(self.iteration)
        return self.learner.evaluations_per_example * examples / self.order.unit

    def _stamp(self) -> Record:
        return {
            "iteration": self.iteration,
            "seconds": round(self.seconds, 4),
            "gradient_evaluations": round(self.evaluations, 4),
        }

    def _gradient_norm(self) -> Tensor:
        gradients = [p.grad for p in self.learner.parameters() if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def _refuse_non_finite(
        self, batch: Batch, samples: Tensor, loss: Tensor, metrics: Metrics
    ) -> None:
        if torch.isfinite(loss) and torch.isfinite(metrics["gradient_norm"]):
            return
        rng = RowRng(self.seed, self.iteration, batch.index)
        bad = batch.index[~batch.images.isfinite().flatten(1).all(1)].tolist()
        names = sum(all_objects([self.images.name(row) for row in bad]), [])
        broken = any_of(not bool(samples.isfinite().all()))
        away = broken and any_of(self.learner.ran_away(batch, rng))
        cause = "images" if names else "chains" if away else "network"
        where = f": {', '.join(names[:5])}" + (" and others" if names[5:] else "") if names else ""
        shown = ", ".join(f"{name} {_number(value)}" for name, value in metrics.items())
        said = f"{CAUSES[cause][0]}{where} (loss {loss.item():g}, {shown})"
        raise DivergenceError(diverged(self.iteration + 1, said, cause), cause)


def _number(value: Tensor) -> float | list[float]:
    """Return a tensor as a number, or a list of numbers, with nine digits."""
    digits = [float(f"{number:.9g}") for number in value.flatten().tolist()]
    return digits if value.dim() else digits[0]
