"""What a run leaves on the disk as it goes: metrics, snapshots, checkpoints, its machine."""

import json
import math
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tigon import __version__
from tigon.data.pixels import to_uint8
from tigon.distributed import world
from tigon.errors import DivergenceError, TigonError
from tigon.files import refusal, replace_file, subfolder
from tigon.memory import peak_memory
from tigon.runs.run import Run, describe_images
from tigon.training.checkpoint import save_checkpoint
from tigon.training.iteration import Record, Training
from tigon.training.kept import tidy
from tigon.training.logs import MetricsLog
from tigon.training.tensorboard import TensorBoard

SNAPSHOTS = (0.05, 0.15, 0.4, 1.0)
SHOWN = 12


@contextmanager
def writing(run: Run) -> Iterator[None]:
    """Say which file of a run the disk refused, and that its checkpoints are whole."""
    try:
        yield
    except OSError as error:
        raise TigonError(
            f"run {run.folder}: cannot be written ({refusal(error)}); "
            "the last checkpoint is intact"
        ) from error


class Recorder:
    """Writes what a run leaves on the disk as it goes; a watcher of `fit`."""

    def __init__(
        self,
        run: Run,
        training: Training,
        device: torch.device,
        checkpoint_every: int,
        keep: int,
        tensorboard: bool,
    ) -> None:
        self.run, self.every, self.keep = run, checkpoint_every, keep
        self.writes = world().rank == 0
        self.name = training.learner.measure
        self.values: dict[int, float] = {}
        self.board: TensorBoard | None = None
        if self.writes:
            for name in ("snapshots", "figures", "checkpoints", "tensorboard"):
                subfolder(run.folder, name)
            tidy(run.checkpoints, keep, training.iteration)
            self.log = MetricsLog(run.metrics, training.iteration, training.rollbacks)
            records = run.records()
            for record in records:
                self._note(record)
            if tensorboard:
                told = records, run.events(), run.snapshots()
                self.board = TensorBoard(run.folder / "tensorboard", *told)
        self.environment = describe_machine(device) | {"images": describe_images(training.images)}
        self.passed = training.progress

    def __call__(self, training: Training, record: Record) -> None:
        with writing(self.run):
            self._record(training, record)

    def _record(self, training: Training, record: Record) -> None:
        self._log(training, record)
        if "event" in record:
            if record["event"] == "rollback":
                self.went_back(training)
            return
        self._note(record)
        progress = 1.0 if training.finished else training.progress
        if any(self.passed < mark <= progress for mark in SNAPSHOTS):
            shown = to_uint8(training.learner.show(min(SHOWN, len(training.images))))
            if self.writes:
                self.run.save_snapshot(training.iteration, shown)
            if self.board:
                self.board.images(training.iteration, shown)
                recipe = self.run.experiment.recipe
                self.board.histograms(training.iteration, recipe.histograms(training.learner))
        self.passed = progress
        if training.finished or training.iteration % self.every == 0:
            self.save(training)

    def _log(self, training: Training, record: Record) -> None:
        if self.writes:
            self.log(training, record)
        if self.board:
            self.board(record)

    def close(self) -> None:
        """Close what is open."""
        if self.board:
            self.board.close()

    def went_back(self, training: Training) -> None:
        """Save the state that the guard has made, and drop what lies beyond it."""
        self.passed = training.progress
        self.save(training)
        if self.writes:
            self.run.drop_after(training.iteration)

    def stopped(self, training: Training, error: DivergenceError) -> None:
        """Log why a run ended, and save its last good state where the guard has one."""
        event = {"iteration": training.iteration, "event": "stopped", "cause": error.cause}
        with writing(self.run):
            self._log(training, event | {"message": str(error)})
            if error.restored:
                self.went_back(training)

    def measure(self, training: Training) -> dict[str, float]:
        """Return the mean of the learner's measure since the checkpoint before, by its name.

        Only a checkpoint that is due has one, over the iterations since the one that was due
        before: so where a run is stopped and continued does not change which is the best, nor do
        iterations that were taken back, whose records are replaced.
        """
        last = training.iteration
        if last % self.every and not training.finished:
            return {}
        due = range((last - 1) // self.every * self.every + 1, last + 1)
        values = [self.values[iteration] for iteration in due if iteration in self.values]
        mean = math.fsum(values) / len(values) if values else math.nan
        return {self.name: mean} if math.isfinite(mean) else {}

    def _note(self, record: Record) -> None:
        if self.name in record:
            self.values[record["iteration"]] = float(record[self.name])

    def save(self, training: Training) -> None:
        """Write a checkpoint and what is known of the machine."""
        save_checkpoint(self.run.checkpoints, training, self.keep, self.measure(training))
        if not self.writes:
            return
        measured = {
            "iteration": training.iteration,
            "training_seconds": round(training.seconds, 2),
        }
        if (peak := peak_memory()) is not None:
            measured["peak_memory_mb"] = round(peak / 2**20)
        text = json.dumps(self.environment | measured, indent=1)
        replace_file(self.run.folder / "environment.json", text)
        if self.board:
            self.board.flush()


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return what figures measured here depend on: hardware and versions."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "tigon": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": gpu or _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "processes": world().size,
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()
