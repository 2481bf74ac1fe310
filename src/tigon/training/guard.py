"""The guard: detects trouble, returns to the last good state, and continues more carefully.

Every event is recorded among the metrics, with a key `event`. What the guard does is a
function of the state, so a run with events is as reproducible as one without.

| cause | what is detected | what is halved |
|---|---|---|
| network | a loss or gradient that is not finite | learning rate |
| gradient | a norm beyond `Guard.gradient` times its median | learning rate |
| dead | no gradient for `patience` iterations | learning rate |
| chains | points that are not finite | learning rate, step size |
| images | a training image that is not finite | nothing: it gives up at once |

A kind of model with other symptoms extends `Guard`. Individual chains of a persistent store that
are lost are restarted without a rollback.
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
    """What counts as trouble, and how often the guard rolls back before it gives up.

    Trouble is a loss, gradient or chain that is not finite, a gradient that explodes, or a network
    without a gradient. The guard then returns to the last good state, and halves the learning
    rate, the chains' step size, or both. A subclass adds its own symptoms in `trouble` and
    `suspicions`, with their meaning in `causes` and what they halve in `slowed`.

    Arguments:
        enabled: whether the guard is active; without it, a loss that is not finite ends the run
        attempts: number of rollbacks before it gives up, >= 0
        every: iterations between saved good states, and between checks of all individual chains;
            at least a tenth of an epoch
        gradient: multiple of the median norm of the last 50 iterations that is an explosion, > 1
        patience: iterations in a row before a suspicion, such as a dead network, counts, >= 1

    Attributes:
        causes: what is wrong and what to do, by the name of a cause
        slowed: which of `rate` and `steps` are halved, by the name of a cause; the rate by default
        shown: metrics from which trouble is detected
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
            raise ValueError("guard: gradient must be above 1")

    def trouble(self, record: Record, usual_gradient: float) -> str | None:
        """Return the cause of trouble that a single record shows, or None.

        Arguments:
            usual_gradient: median norm of recent iterations; infinite if there are too few
        """
        return "gradient" if record["gradient_norm"] > self.gradient * usual_gradient else None

    def suspicions(self, record: Record) -> dict[str, bool]:
        """Return, by cause, whether a record is suspicious; `patience` in a row are trouble."""
        return {"dead": record["gradient_norm"] < SILENCE}


class Snapshot(NamedTuple):
    """A copy of a trainer's complete state between iterations; see `Trainer.snapshot`.

    Noise and data order are functions of the iteration. Chains in files are copied to files, and
    are in `files`.
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
    """What a guard needs from a trainer."""

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

    def scale_steps(self, factor: float) -> None:
        """Multiply the chains' step sizes."""


class GuardRunner:
    """Takes a trainer's steps under a guard.

    Arguments:
        guard: its settings
        batches: number of batches in an epoch
    """

    def __init__(self, guard: Guard, batches: int = 1) -> None:
        self.guard = guard
        self.every = max(guard.every, batches // 10)
        self.good: list[Snapshot] = []
        self.gradients: deque[float] = deque(maxlen=RECENT)
        self.suspicion: dict[str, int] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the guard's state, for a checkpoint."""
        return {
            "good": [state._asdict() for state in self.good],
            "gradients": list(self.gradients),
            "suspicion": dict(self.suspicion),
        }

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Continue from a guard's state, or from an empty one if it is None.

        Raises:
            TypeError, KeyError: if it is not a guard's state
        """
        found = state or {"good": [], "gradients": [], "suspicion": {}}
        self.good = [Snapshot(**held) for held in found["good"]]
        self.gradients = deque(map(float, found["gradients"]), RECENT)
        self.suspicion = {str(cause): int(n) for cause, n in found["suspicion"].items()}

    def step(self, trainer: Guarded) -> list[Record]:
        """Take one iteration; return its record, or the resulting event.

        Raises:
            DivergenceError: if no attempt is left, or none would help; the trainer is then back in
                its last good state
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
        """Return the cause of trouble that a record shows, given earlier ones, or None."""
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
        """Save a good state if one is due, and restart chains that are lost."""
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
            "message": f"{len(rows)} chains were lost and are restarted: rows {rows[:20]}",
        }

    def _go_back(
        self, trainer: Guarded, cause: str, message: str, last: str, failed: int
    ) -> Record:
        """Return to a good state, and halve what the cause requires; `last` is the final error."""
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
            trainer.scale_steps(0.5)
            changes.append(f"chains' step size halved to {trainer.step_factor:g} times its own")
        return ", ".join(changes)


def shown(record: Record, names: tuple[str, ...]) -> str:
    """Return the numbers of a record from which trouble is detected."""
    return ", ".join(f"{name} {record[name]:.3g}" for name in names if name in record)
