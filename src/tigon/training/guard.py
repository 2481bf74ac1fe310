"""The guard: notices trouble, goes back to the last good state, and goes on more carefully.

Never in silence: every event is a record with `event` among the metrics. What it does is a
function of the state, so a run with events is as reproducible as one without.

| cause | what is noticed | what is halved |
|---|---|---|
| network | a loss or gradient that is not finite | learning rate |
| gradient | a norm beyond `Guard.gradient` times its median | learning rate |
| dead | no gradient for `patience` iterations | learning rate |
| chains | points that are not finite | learning rate, step size |
| images | a training image that is not finite | nothing: it gives up at once |

A kind of model with signs of its own extends `Guard`. Single chains of a persistent store that are
lost start anew, without going back.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from tigon.errors import CAUSES, DivergenceError, diverged
from tigon.learners.base import RECENT, SILENCE, Learner, Record
from tigon.mcmc.store import ChainStore
from tigon.random.streams import RowRng

HISTORY = 10
KEPT = 2
SLOWED = {"chains": ("rate", "steps")}


@dataclass(frozen=True)
class Guard:
    """What counts as trouble, and how often the guard goes back before it gives up.

    Trouble is a loss, gradient or chain that is not finite, a gradient that explodes, or a network
    without a gradient. The guard then returns to the last good state, and halves the learning
    rate, the chains' step size, or both. A subclass adds signs of its own in `trouble` and
    `suspicions`, with what they mean in `causes` and what they halve in `slowed`.

    Arguments:
        enabled: whether it watches at all; without it a loss that is not finite ends the run
        attempts: how often it goes back before it gives up, >= 0
        every: iterations between the good states it keeps, and between looks at all single
            chains; at least a tenth of an epoch
        gradient: times the median norm of the last 50 iterations is an explosion, > 1
        patience: iterations in a row before a suspicion, as of a dead network, counts, >= 1

    Attributes:
        causes: by the name of a cause: what is wrong, and what to do
        slowed: by the name of a cause, which of `rate` and `steps` are halved; the rate, if it is
            not there
        shown: metrics that trouble is told from
    """

    causes: ClassVar[Mapping[str, tuple[str, str]]] = CAUSES
    slowed: ClassVar[Mapping[str, tuple[str, ...]]] = SLOWED
    shown: ClassVar[tuple[str, ...]] = ("gradient_norm",)

    enabled: bool = True
    attempts: int = 6
    every: int = 20
    gradient: float = 100.0
    patience: int = 5

    def __post_init__(self) -> None:
        if self.attempts < 0 or self.every < 1 or self.patience < 1:
            raise ValueError("guard: attempts must be at least 0, every and patience at least 1")
        if not self.gradient > 1:
            raise ValueError("guard: gradient is above 1")

    def trouble(self, record: Record, usual_gradient: float) -> str | None:
        """Return the cause of trouble that a record shows by itself, or None.

        Arguments:
            usual_gradient: median norm of recent iterations; infinite where there are too few
        """
        return "gradient" if record["gradient_norm"] > self.gradient * usual_gradient else None

    def suspicions(self, record: Record) -> dict[str, bool]:
        """Return by cause whether a record is suspicious: trouble, if `patience` in a row are."""
        return {"dead": record["gradient_norm"] < SILENCE}


class Snapshot(NamedTuple):
    """All that a trainer carries from iteration to iteration, copied; see `Trainer.snapshot`.

    Noise and data order are functions of the iteration. Chains that are in files are copied there,
    and are `files`.
    """

    weights: dict[str, Tensor]
    chains: dict[str, Tensor]
    optimizer: dict[str, Any]
    scheduler: list[dict[str, Any]]
    average: dict[str, Any] | None
    iteration: int
    step_factor: float
    files: ChainStore | None = None


class Guarded(Protocol):
    """What a guard needs of a trainer."""

    learner: Learner
    seed: int
    iteration: int
    rate_factor: float
    step_factor: float
    attempts: int
    rollbacks: int

    def step(self) -> Record:
        """Take one iteration."""

    def snapshot(self) -> Snapshot:
        """Copy the state."""

    def put_back(self, snapshot: Snapshot) -> None:
        """Return to a state."""


class GuardRunner:
    """Takes a trainer's steps under a guard.

    Arguments:
        guard: its numbers
        batches: in an epoch
    """

    def __init__(self, guard: Guard, batches: int = 1) -> None:
        self.guard = guard
        self.every = max(guard.every, batches // 10)
        self.good: list[Snapshot] = []
        self.gradients: deque[float] = deque(maxlen=RECENT)
        self.suspicion: dict[str, int] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return all that the guard remembers, for a checkpoint."""
        return {
            "good": [state._asdict() for state in self.good],
            "gradients": list(self.gradients),
            "suspicion": dict(self.suspicion),
        }

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Go on from what a guard remembered; from nothing, if there is none.

        Raises:
            TypeError, KeyError: if it is something else
        """
        found = state or {"good": [], "gradients": [], "suspicion": {}}
        self.good = [Snapshot(**held) for held in found["good"]]
        self.gradients = deque(map(float, found["gradients"]), RECENT)
        self.suspicion = {str(cause): int(n) for cause, n in found["suspicion"].items()}

    def step(self, trainer: Guarded) -> list[Record]:
        """Take one iteration; returns its record, or the event that came of it.

        Raises:
            DivergenceError: if no attempt is left, or none would help; the trainer is back in its
                last good state
        """
        self.good = self.good or [trainer.snapshot()]
        try:
            record = trainer.step()
        except DivergenceError as error:
            said, failed = str(error), trainer.iteration + 1
            return [self._go_back(trainer, error.cause, said, said, failed)]
        cause = self.trouble(record)
        if cause is not None:
            what, remedy = self.guard.causes[cause]
            said = f"{what} ({shown(record, self.guard.shown)})"
            last = diverged(trainer.iteration, said, remedy)
            return [self._go_back(trainer, cause, said, last, trainer.iteration)]
        return [*self._keep(trainer), record]

    def trouble(self, record: Record) -> str | None:
        """Return the cause of trouble that a record shows, with those before it, or None."""
        usual = median(self.gradients) if len(self.gradients) >= HISTORY else math.inf
        cause = self.guard.trouble(record, usual)
        if cause is not None:
            return cause
        for cause, seen in self.guard.suspicions(record).items():
            self.suspicion[cause] = self.suspicion.get(cause, 0) + 1 if seen else 0
            if self.suspicion[cause] >= self.guard.patience:
                return cause
        self.gradients.append(record["gradient_norm"])
        return None

    def _keep(self, trainer: Guarded) -> list[Record]:
        """Keep a good state now and then; restart chains that are lost."""
        if trainer.iteration % self.every:
            return []
        lost = trainer.learner.bad_chains()
        events = [self._restart(trainer, lost)] if len(lost) else []
        if not any(self.suspicion.values()):
            self.good = [*self.good, trainer.snapshot()][-KEPT:]
        return events

    def _restart(self, trainer: Guarded, lost: Tensor) -> Record:
        rng = RowRng(trainer.seed, trainer.iteration, lost, "restart")
        trainer.learner.restart_chains(lost, rng)
        rows = lost.tolist()
        return {
            "iteration": trainer.iteration,
            "event": "restart",
            "cause": "lost chains",
            "message": f"{len(rows)} chains were lost and start anew: rows {rows[:20]}",
        }

    def _go_back(
        self, trainer: Guarded, cause: str, message: str, last: str, failed: int
    ) -> Record:
        """Return to a good state, and halve what the cause says; `last` is said on giving up."""
        trainer.put_back(self.good[-1])
        self.good = self.good[:-1] or self.good
        self.suspicion = {}
        self.gradients.clear()
        attempts = self.guard.attempts
        if cause == "images" or trainer.attempts >= attempts:
            tried = f"given up after {trainer.attempts} attempts: " if trainer.attempts else ""
            trainer.attempts = 0
            remedy = self.guard.causes[cause][1]
            raise DivergenceError(f"{tried}{last}", cause, restored=True, remedy=remedy)
        trainer.attempts += 1
        trainer.rollbacks += 1
        changes = self._slow_down(trainer, cause)
        return {
            "iteration": trainer.iteration,
            "event": "rollback",
            "cause": cause,
            "failed_at": failed,
            "attempt": trainer.attempts,
            "number": trainer.rollbacks,
            "rate_factor": trainer.rate_factor,
            "step_factor": trainer.step_factor,
            "message": f"iteration {failed}: {message}. Back to iteration {trainer.iteration}, "
            f"{changes} (attempt {trainer.attempts} of {attempts})",
            "what": self.guard.causes[cause][0],
            "remedy": self.guard.causes[cause][1],
        }

    def _slow_down(self, trainer: Guarded, cause: str) -> str:
        changes, halved = [], self.guard.slowed.get(cause, ("rate",))
        if "rate" in halved:
            trainer.rate_factor /= 2
            changes.append(f"learning rate halved to {trainer.rate_factor:g} times its schedule")
        if "steps" in halved:
            trainer.step_factor /= 2
            trainer.learner.scale_steps(0.5)
            changes.append(f"chains' step size halved to {trainer.step_factor:g} times its own")
        return ", ".join(changes)


def shown(record: Record, names: tuple[str, ...]) -> str:
    """Return a record's numbers that trouble is told from."""
    return ", ".join(f"{name} {record[name]:.3g}" for name in names if name in record)
