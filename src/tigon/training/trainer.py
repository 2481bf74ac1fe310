"""The trainer: batch, chains, loss, one optimizer step, again and again.

Everything in an iteration is a function of the state and of (seed, iteration), so a run that
stopped between two iterations continues as if it had not. A trainer is ordinary PyTorch:

    trainer = Trainer(learner, images, torch.optim.SGD(learner.parameters(), 0.01), clip=1.0)
    records = trainer.fit()
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tigon.data.batches import Batch, ImageData
from tigon.data.datasets import as_data
from tigon.distributed import all_objects, all_sum, any_of, in_all_processes, world
from tigon.errors import CAUSES, DivergenceError, diverged
from tigon.learners.base import Learner, Metrics, Optimizers, Record
from tigon.random.streams import RowRng, global_stream
from tigon.training.average import AveragedWeights
from tigon.training.checkpoint import load_checkpoint
from tigon.training.checkpoint_folder import find_checkpoint
from tigon.training.guard import Guard, GuardRunner, Snapshot
from tigon.training.optimizers import OptimizerSet, Scheduler
from tigon.training.settings import Budget


class Callback:
    """Hooks called between iterations; override those you need."""

    def on_begin(self, trainer: "Trainer") -> None:
        """Prepare, when `fit` begins."""

    def on_iteration(self, trainer: "Trainer", record: Record) -> None:
        """Do something after an iteration, with its record."""

    def on_event(self, trainer: "Trainer", event: Record) -> None:
        """Do something after the guard acts: `event["event"]` is rollback, restart or stopped.

        After a rollback the trainer is back in the state of `event["iteration"]`. `stopped` is the
        last event, before the error is raised; if `event["restored"]`, the trainer is in its last
        good state.
        """

    def on_end(self, trainer: "Trainer", error: BaseException | None) -> None:
        """Clean up, when `fit` ends.

        Arguments:
            error: the error that ended it; None if the run is over or was stopped
        """


class Trainer:
    """Trains a learner with its optimizers, one iteration at a time.

    Arguments:
        learner: the learner; its chains match `data`, row by row
        data: images from `load_images`, a tensor, or a PyTorch data set (`as_data`)
        optimizer: any from `torch.optim`, or several by name; all take a step at each iteration.
            By default Adam with a learning rate of 1e-3
        scheduler: for learning rates: any from `torch.optim.lr_scheduler`, stepped after each
            iteration; or a function of the iteration (0, 1, ...) and the progress in [0, 1] that
            returns a factor for each group's rate, such as `WarmUp` and `Cosine`; or a list of
            these, applied one after another
        clip: largest gradient norm, > 0; larger ones are scaled down to it
        callbacks: each a `Callback`, or a function that is called with the trainer and the record
            after each iteration; called in order
        guard: watches over the run, if given
        budget: when the run ends
        batch_size: examples in a batch
        seed: seed for chain noise and data order
        average: decay of a running average of the weights, in [0, 1); see `training.average`

    Attributes:
        rate_factor, step_factor: the guard's factors on all learning rates and on the chains'
            step size, in addition to any scheduler
        attempts, rollbacks: the guard's rollbacks since it last gave up, and in all
    """

    def __init__(
        self,
        learner: Learner,
        data: ImageData | torch.utils.data.Dataset[Any] | Tensor,
        optimizer: Optimizers | None = None,
        scheduler: Scheduler | Sequence[Scheduler] | None = None,
        clip: float | None = None,
        callbacks: Sequence["Callback | Callable[[Trainer, Record], object]"] = (),
        guard: Guard | None = None,
        budget: Budget = Budget(),  # noqa: B008
        batch_size: int = 64,
        seed: int = 0,
        average: float | None = None,
    ) -> None:
        self.data = as_data(data)
        if self.data.incomplete and not learner.masks:
            raise ValueError(
                f"values of the images are missing, and a {type(learner).__name__} learns from "
                "complete images alone"
            )
        self.learner, self.budget, self.clip, self.seed = learner, budget, clip, seed
        self.callbacks = list(callbacks)
        self.like = next(learner.parameters()).detach()
        self.device = self.like.device
        self.module = in_all_processes(learner)
        self.order = self.data.order(batch_size, seed)
        self.optimizer = optimizer or torch.optim.Adam(learner.parameters(), 1e-3)
        self.optimizers = OptimizerSet(self.optimizer, scheduler, learner.measure)
        self.guard = GuardRunner(guard, self.order.batches) if guard and guard.enabled else None
        self.average = None if average is None else AveragedWeights(learner, average)
        self.iteration = 0
        self.seconds = 0.0
        self.rate_factor = self.step_factor = 1.0
        self.attempts = self.rollbacks = 0
        if clip is not None and not clip > 0:
            raise ValueError(f"clip must be above 0, not {clip}")
        if self.finished:
            raise ValueError(
                f"gradient_evaluations {budget.gradient_evaluations} is less than one iteration "
                f"takes ({self._cost():g})"
            )

    @property
    def evaluations(self) -> float:
        """Gradient evaluations so far, in passes over the whole set; for a stream, in batches."""
        return self.learner.gradient_evaluations / self.order.unit

    @property
    def progress(self) -> float:
        """Progress of the run, in [0, 1]."""
        return self.budget.progress(self.iteration, self.evaluations, self.seconds)

    @property
    def finished(self) -> bool:
        """Whether the run is over."""
        return self.budget.over(self.iteration, self.evaluations, self.seconds, self._cost())

    def fit(self, stop: Callable[[], bool] = lambda: False) -> list[Record]:
        """Train until the run is over, or `stop()` returns True between two iterations.

        Returns:
            the records of these iterations, and the guard's events, in order
        Raises:
            DivergenceError: if training fails and the guard cannot repair it, or there is no guard
        """
        callbacks = [one if isinstance(one, Callback) else _Each(one) for one in self.callbacks]
        records = []
        error: BaseException | None = None
        try:
            for callback in callbacks:
                callback.on_begin(self)
            while not self.finished and not any_of(stop()):
                for record in self.guard.step(self) if self.guard else [self.step()]:
                    records.append(record)
                    for callback in callbacks:
                        if "event" in record:
                            callback.on_event(self, record)
                        else:
                            callback.on_iteration(self, record)
            self.learner.complete_model()
        except DivergenceError as stopped:
            error = stopped
            for callback in callbacks:
                callback.on_event(self, self._stopped(stopped))
            raise
        except BaseException as other:
            error = other
            raise
        finally:
            for callback in callbacks:
                callback.on_end(self, error)
        return records

    def step(self) -> Record:
        """Run one iteration, without guard or callbacks, and return its record.

        Raises:
            DivergenceError: if the loss or its gradient is not finite; parameters are not updated
        """
        began = time.perf_counter()
        batch = self.order.read(self.data, self.iteration, self.like)
        rng = RowRng(self.seed, self.iteration, batch.index)
        rates = self.optimizers.rates(self.iteration, self.progress, self.rate_factor)
        self.learner.begin(self.progress)
        samples = self.learner.run_chains(batch, rng)
        with global_stream(self.device, "loss", self.seed, self.iteration, world().rank):
            loss, metrics = self.module(batch, samples)
        self.learner.zero_grad(set_to_none=True)
        (loss * world().size).backward()
        loss = all_sum(loss.detach())
        gradients = [p.grad for p in self.learner.parameters() if p.grad is not None]
        metrics["gradient_norm"] = torch.nn.utils.get_total_norm(gradients)
        self._refuse_non_finite(batch, samples, loss, metrics)
        self._update(rates, metrics["gradient_norm"])
        self.iteration += 1
        record = {name: _number(value) for name, value in metrics.items()}
        self.optimizers.step_schedulers(record)
        self.seconds += self._taken(time.perf_counter() - began)
        rate = rates if len(rates) > 1 else rates[0]
        return self._stamp() | record | {"learning_rate": rate}

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to continue; all processes take part, as each has chains.

        Tensors are not copied, and neither is `files`: chains in files. Optimizers are by name if
        they were given by name.
        """
        learner = self.learner
        return {
            "weights": learner.state_dict(),
            "chains": learner.chain_tensors(),
            "files": learner.files,
            **self.optimizers.state_dict(),
            "average": self.average and self.average.state_dict(),
            "guard": self.guard and self.guard.state_dict(),
            "iteration": self.iteration,
            "seconds": self.seconds,
            "gradient_evaluations": learner.gradient_evaluations,
            "rate_factor": self.rate_factor,
            "step_factor": self.step_factor,
            "attempts": self.attempts,
            "rollbacks": self.rollbacks,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of a trainer that was made in the same way.

        Learning rates come from the state, unless all schedules are functions: then from the
        given optimizer.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, RuntimeError: if it does not fit
        """
        _refuse_other_counters(state)
        self.learner.load_chains(state["chains"], state["files"])
        self.learner.load_state_dict(state["weights"])
        self.optimizers.load_state_dict(state)
        if self.average:
            self.average.load_state_dict(state["average"])
        if self.guard:
            self.guard.load_state_dict(state["guard"])
        self.iteration, self.seconds = state["iteration"], state["seconds"]
        self.learner.gradient_evaluations = state["gradient_evaluations"]
        self.rate_factor, self.step_factor = state["rate_factor"], state["step_factor"]
        self.attempts, self.rollbacks = state["attempts"], state["rollbacks"]

    def restore(self, folder: str | os.PathLike[str], checkpoint: str = "last") -> "Trainer":
        """Continue from a checkpoint; return the trainer.

        For the run of a recipe, `Run(folder).trainer()` makes the trainer too.

        Arguments:
            folder: a run folder, or the folder given to `callbacks.Checkpoints`
            checkpoint: last, best, or an iteration
        Raises:
            TigonError: if there is no such checkpoint, it is damaged, or does not fit
        """
        inside = Path(folder) / "checkpoints"
        path = find_checkpoint(inside if inside.is_dir() else Path(folder), checkpoint)
        load_checkpoint(path, self)
        return self

    def snapshot(self) -> Snapshot:
        """Copy everything that an iteration changes, on the same device or disk."""
        state, files = self.state_dict(), self.learner.files
        held = {name: deepcopy(state[name]) for name in ("optimizer", "scheduler", "average")}
        for name in ("weights", "chains"):
            held[name] = {key: value.clone() for key, value in state[name].items()}
        copied = files.copied() if files else None
        return Snapshot(
            **held, iteration=self.iteration, step_factor=self.step_factor, files=copied
        )

    def put_back(self, snapshot: Snapshot) -> None:
        """Return to a snapshot; work done since stays counted, and step sizes stay reduced."""
        self.learner.load_state_dict(snapshot.weights)
        chains = {name: value.clone() for name, value in snapshot.chains.items()}
        self.learner.load_chains(chains, snapshot.files)
        self.scale_steps(self.step_factor / snapshot.step_factor)
        held = {"optimizer": snapshot.optimizer, "scheduler": snapshot.scheduler}
        self.optimizers.load_state_dict(deepcopy(held), check=False)
        if self.average:
            self.average.load_state_dict(snapshot.average)
        self.iteration = snapshot.iteration

    def scale_steps(self, factor: float) -> None:
        """Multiply the step sizes of the learner's chains, those of the averaged model too."""
        self.learner.scale_steps(factor)
        if self.average:
            self.average.copy_unaveraged()

    @contextmanager
    def averaged(self) -> Iterator[Learner]:
        """Yield the learner with its averaged weights if there are any; otherwise as it is."""
        if self.average is None:
            yield self.learner
            return
        with self.average.applied():
            yield self.learner

    def _taken(self, seconds: float) -> float:
        """Return an iteration's seconds; processes agree on them if the budget is in minutes."""
        return seconds if self.budget.minutes is None else all_objects(seconds)[0]

    def _update(self, rates: list[float], norm: Tensor) -> None:
        """Update the weights, and everything that depends on them."""
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.learner.parameters(), self.clip, norm)
        self.optimizers.step(rates)
        self.learner.after_update(self.optimizer)
        if self.average:
            self.average.update()

    def _cost(self) -> float:
        """Return the most gradient evaluations of the next iteration, in the same unit."""
        examples = self.order.size(self.iteration)
        each = self.learner.evaluations_at(self.progress)
        return each * examples / self.order.unit

    def _stamp(self) -> Record:
        return {
            "iteration": self.iteration,
            "seconds": round(self.seconds, 4),
            "gradient_evaluations": round(self.evaluations, 4),
        }

    def _stopped(self, error: DivergenceError) -> Record:
        event = {"iteration": self.iteration, "event": "stopped", "cause": error.cause}
        return event | {"message": str(error), "remedy": error.remedy, "restored": error.restored}

    def _refuse_non_finite(
        self, batch: Batch, samples: Tensor, loss: Tensor, metrics: Metrics
    ) -> None:
        if torch.isfinite(loss) and torch.isfinite(metrics["gradient_norm"]):
            return
        rng = RowRng(self.seed, self.iteration, batch.index)
        bad = batch.index[~batch.images.isfinite().flatten(1).all(1)].tolist()
        names = sum(all_objects([self.data.name(row) for row in bad]), [])
        broken = any_of(not self.learner.chains_finite(samples))
        away = broken and any_of(self.learner.ran_away(batch, rng))
        cause = "images" if names else "chains" if away else "network"
        where = f": {', '.join(names[:5])}" + (" and others" if names[5:] else "") if names else ""
        shown = ", ".join(f"{name} {_number(value)}" for name, value in metrics.items())
        what, remedy = CAUSES[cause]
        said = f"{what}{where} (loss {loss.item():g}, {shown})"
        raise DivergenceError(diverged(self.iteration + 1, said, remedy), cause, remedy=remedy)


class _Each(Callback):
    """Calls a function after each iteration."""

    def __init__(self, function: Callable[[Trainer, Record], object]) -> None:
        self.function = function

    def on_iteration(self, trainer: Trainer, record: Record) -> None:
        self.function(trainer, record)


def _number(value: Tensor) -> float | list[float]:
    """Return a tensor as a number, or a list of numbers, with nine digits."""
    digits = [float(f"{number:.9g}") for number in value.flatten().tolist()]
    return digits if value.dim() else digits[0]


def _refuse_other_counters(state: dict[str, Any]) -> None:
    """Refuse counters that are not counts, and factors that are not numbers.

    Raises:
        ValueError, KeyError, AttributeError: if there are any
    """
    for name in ("iteration", "attempts", "rollbacks"):
        if type(state[name]) is not int or state[name] < 0:
            raise ValueError(f"{name} is not a count")
    for name in ("gradient_evaluations", "seconds", "rate_factor", "step_factor"):
        if type(state[name]) not in (int, float) or not 0 <= state[name] < math.inf:
            raise ValueError(f"{name} is not a number")
