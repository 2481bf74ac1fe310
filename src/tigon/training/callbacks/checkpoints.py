"""Checkpoints during a run, and which of them is the best."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tigon.distributed import world
from tigon.files import writing
from tigon.learners.base import Record
from tigon.learners.metrics import optional_names
from tigon.training.callbacks.metrics import read_metrics
from tigon.training.checkpoint import save_checkpoint
from tigon.training.checkpoint_folder import tidy
from tigon.training.trainer import Callback, Trainer


class Checkpoints(Callback):
    """Saves the state periodically, when the guard has rolled back, and at the end.

    A run that is stopped saves its state. One that diverges leaves the last good state of its
    guard, or without a guard its last checkpoint. `Trainer.restore` continues from it.

    Arguments:
        folder: of the checkpoints, made if it is not there
        every: iterations between two checkpoints, >= 1
        keep: number of last checkpoints to keep, >= 1, in addition to the best one
        metrics: metrics.jsonl of a resumed run, which has the measure of earlier iterations;
            unknown if not given
        also: called with the trainer in the first process after each checkpoint
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int = 100,
        keep: int = 2,
        metrics: str | os.PathLike[str] | None = None,
        also: Sequence[Callable[[Trainer], None]] = (),
    ) -> None:
        self.folder, self.every, self.keep = Path(folder), every, keep
        self.metrics, self.also = metrics, also
        self.values: dict[int, float] = {}

    def on_begin(self, trainer: Trainer) -> None:
        """Delete what lies beyond the state from which the run continues."""
        if world().rank == 0:
            with writing(self.folder.parent):
                tidy(self.folder, self.keep, trainer.iteration)
            optional = optional_names(trainer.learner.metrics)
            for record in read_metrics(Path(self.metrics), optional) if self.metrics else []:
                self._note(trainer, record)

    def on_iteration(self, trainer: Trainer, record: Record) -> None:
        """Save the state if that is due."""
        self._note(trainer, record)
        if trainer.finished or trainer.iteration % self.every == 0:
            self.save(trainer)

    def on_event(self, trainer: Trainer, event: Record) -> None:
        """Save the state that the guard has restored, and drop what lies beyond it."""
        if event["event"] == "rollback" or event.get("restored"):
            self.save(trainer)

    def on_end(self, trainer: Trainer, error: BaseException | None) -> None:
        """Save the state of a run that was stopped."""
        if error is None and not trainer.finished:
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint."""
        with writing(self.folder.parent):
            save_checkpoint(self.folder, trainer, self.keep, self.measure(trainer))
            for function in self.also if world().rank == 0 else ():
                function(trainer)

    def measure(self, trainer: Trainer) -> dict[str, float]:
        """Return the mean of the learner's measure since the previous checkpoint, by its name.

        Only scheduled checkpoints have one, over the iterations since the previous scheduled one.
        So the best checkpoint does not depend on where a run is stopped and resumed, nor on
        iterations that were rolled back, whose records are replaced.
        """
        last = trainer.iteration
        if last % self.every and not trainer.finished:
            return {}
        due = range((last - 1) // self.every * self.every + 1, last + 1)
        values = [self.values[iteration] for iteration in due if iteration in self.values]
        mean = math.fsum(values) / len(values) if values else math.nan
        return {trainer.learner.measure: mean} if math.isfinite(mean) else {}

    def _note(self, trainer: Trainer, record: Record) -> None:
        if trainer.learner.measure in record:
            self.values[record["iteration"]] = float(record[trainer.learner.measure])
