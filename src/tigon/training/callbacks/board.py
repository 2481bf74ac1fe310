"""TensorBoard alongside metrics.jsonl: the same numbers and events, and the snapshots."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from tigon.distributed import world
from tigon.learners.base import Learner, Record
from tigon.learners.metrics import optional_names
from tigon.training.callbacks.metrics import read_events, read_metrics
from tigon.training.callbacks.snapshots import read_snapshots
from tigon.training.callbacks.tensorboard import TensorBoard
from tigon.training.trainer import Callback, Trainer


class Board(Callback):
    """Writes what the callbacks before it have written for TensorBoard, too.

    Arguments:
        folder: folder of the event files
        metrics: metrics.jsonl, from which a resumed run writes events that are missing
        snapshots: folder of snapshots, for the same purpose
        histograms: returns the tensors of a learner whose distribution is shown, by name
    """

    def __init__(
        self,
        folder: Path,
        metrics: Path,
        snapshots: Path,
        histograms: Callable[[Learner], Mapping[str, Tensor]] = lambda learner: {},
    ) -> None:
        self.folder, self.metrics, self.snapshots = folder, metrics, snapshots
        self.histograms = histograms
        self.board: TensorBoard | None = None

    def on_begin(self, trainer: Trainer) -> None:
        """Open the folder, in the first process."""
        if world().rank == 0:
            may = optional_names(trainer.learner.metrics)
            logged = read_metrics(self.metrics, may), read_events(self.metrics, may)
            self.board = TensorBoard(self.folder, *logged, read_snapshots(self.snapshots))

    def on_iteration(self, trainer: Trainer, record: Record) -> None:
        """Write a record."""
        if self.board:
            self.board(record)

    def on_event(self, trainer: Trainer, event: Record) -> None:
        """Write an event, and hide iterations that it rolled back."""
        if self.board:
            self.board(event)

    def on_end(self, trainer: Trainer, error: BaseException | None) -> None:
        """Close the file."""
        if self.board:
            self.board.close()
            self.board = None

    def show(self, trainer: Trainer, pixels: np.ndarray) -> None:
        """Write a snapshot and the histograms; one of `Snapshots.also`."""
        if self.board:
            self.board.images(trainer.iteration, pixels)
            self.board.histograms(trainer.iteration, self.histograms(trainer.learner))

    def flush(self, trainer: Trainer) -> None:
        """Flush everything to disk; one of `Checkpoints.also`."""
        if self.board:
            self.board.flush()
