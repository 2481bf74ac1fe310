"""The guard: notices trouble, goes back to the last good state, and goes on more carefully.

Never in silence: every event is a record with `event` among the metrics. What it does is a
function of the state, so a run with events is as reproducible as one without.

| cause | what is noticed | what is halved |
|---|---|---|
| network | a loss or gradient that is not finite | learning rate |
| gap, gradient | beyond `Guard.gap`; beyond `Guard.gradient` times its median | learning rate |
| dead | no gradient for `patience` iterations | learning rate |
| chains | points not finite, or saturated beyond `Guard.saturation` | learning rate, step size |
| collapse | chains keep less than `Guard.collapse` of their starts' differences | step size |
| images | a training image that is not finite | nothing: it gives up at once |

Single chains of a persistent store that are lost start anew, without going back.
"""

import math
from collections import deque
from statistics import median
from typing import Any

import torch

from tigon.errors import CAUSES, DivergenceError, diverged
from tigon.learners.base import RECENT, SILENCE
from tigon.random.streams import RowRng
from tigon.training.iteration import Record, Training
from tigon.training.settings import Guard
from tigon.training.snapshot import Snapshot, put_back, take

HISTORY = 10
KEPT = 2


class Watch:
    """Takes a training's steps under a guard.

    Arguments:
        guard: its numbers
        training: in a good state, the first to return to, unless its checkpoint has others
    """

    def __init__(self, guard: Guard, training: Training) -> None:
        self.guard = guard
        self.every = max(guard.every, training.order.batches // 10)
        before = training.remembered or {}
        self.good = [Snapshot(**state) for state in before.get("good", [])] or [take(training)]
        self.gradients: deque[float] = deque(before.get("gradients", []), RECENT)
        self.suspicion = before.get("suspicion", {"collapse": 0, "dead": 0})
        training.memory = self.state

    def state(self) -> dict[str, Any]:
        """Return all that the guard remembers, for a checkpoint."""
        return {
            "good": [state._asdict() for state in self.good],
            "gradients": list(self.gradients),
            "suspicion": dict(self.suspicion),
        }

    def step(self, training: Training) -> list[Record]:
        """Take one iteration; returns its record, or the event that came of it.

        Raises:
            DivergenceError: if no attempt is left, or none would help; the training is back in
                its last good state
        """
        try:
            record = training.step()
        except DivergenceError as error:
            said, failed = str(error), training.iteration + 1
            return [self._go_back(training, error.cause, said, said, failed)]
        cause = self.trouble(record)
        if cause is not None:
            said = f"{CAUSES[cause][0]} ({shown(record)})"
            last = diverged(training.iteration, said, cause)
            return [self._go_back(training, cause, said, last, training.iteration)]
        return [*self._keep(training), record]

    def trouble(self, record: Record) -> str | None:
        """Return the cause of trouble that a record shows, or None."""
        guard, gradient = self.guard, record["gradient_norm"]
        usual = median(self.gradients) if len(self.gradients) >= HISTORY else math.inf
        start_spread = record.get("start_spread", 0.0)
        collapsed = record.get("spread", 1.0) < guard.collapse * start_spread
        if abs(record.get("gap", 0.0)) > guard.gap:
            return "gap"
        if gradient > guard.gradient * usual:
            return "gradient"
        if record.get("saturation", 0.0) > guard.saturation:
            return "chains"
        for cause, seen in (("collapse", collapsed), ("dead", gradient < SILENCE)):
            self.suspicion[cause] = self.suspicion[cause] + 1 if seen else 0
            if self.suspicion[cause] >= guard.patience:
                return cause
        self.gradients.append(gradient)
        return None

    def _keep(self, training: Training) -> list[Record]:
        """Keep a good state now and then; restart chains that are lost."""
        if training.iteration % self.every:
            return []
        lost = training.learner.bad_chains()
        events = [self._restart(training, lost)] if len(lost) else []
        if not any(self.suspicion.values()):
            self.good = [*self.good, take(training)][-KEPT:]
        return events

    def _restart(self, training: Training, lost: torch.Tensor) -> Record:
        rng = RowRng(training.seed, training.iteration, lost, "restart")
        training.learner.restart_chains(lost, rng)
        rows = lost.tolist()
        return {
            "iteration": training.iteration,
            "event": "restart",
            "cause": "lost chains",
            "message": f"{len(rows)} chains were lost and start anew: rows {rows[:20]}",
        }

    def _go_back(
        self, training: Training, cause: str, message: str, last: str, failed: int
    ) -> Record:
        """Return to a good state, and halve what the cause says; `last` is said on giving up."""
        put_back(training, self.good[-1])
        self.good = self.good[:-1] or self.good
        self.suspicion = dict.fromkeys(self.suspicion, 0)
        self.gradients.clear()
        attempts = self.guard.attempts
        if cause == "images" or training.attempts >= attempts:
            tried = f"given up after {training.attempts} attempts: " if training.attempts else ""
            training.attempts = 0
            raise DivergenceError(f"{tried}{last}", cause, restored=True)
        training.attempts += 1
        training.rollbacks += 1
        changes = self._slow_down(training, cause)
        return {
            "iteration": training.iteration,
            "event": "rollback",
            "cause": cause,
            "failed_at": failed,
            "attempt": training.attempts,
            "number": training.rollbacks,
            "rate_factor": training.rate_factor,
            "step_factor": training.step_factor,
            "message": f"iteration {failed}: {message}. Back to iteration {training.iteration}, "
            f"{changes} (attempt {training.attempts} of {attempts})",
        }

    def _slow_down(self, training: Training, cause: str) -> str:
        changes = []
        if cause != "collapse":
            training.rate_factor /= 2
            changes.append(f"learning rate halved to {training.rate_factor:g} times its schedule")
        if cause in ("chains", "collapse"):
            training.step_factor /= 2
            training.learner.scale_steps(0.5)
            changes.append(f"chains' step size halved to {training.step_factor:g} times its own")
        return ", ".join(changes)


def shown(record: Record) -> str:
    """Return a record's numbers that trouble is told from."""
    names = ("gap", "gradient_norm", "saturation", "spread")
    return ", ".join(f"{name} {record[name]:.3g}" for name in names if name in record)
