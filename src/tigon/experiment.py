"""Run an experiment: a folder that fills with checkpoints, metrics, snapshots; or goes on."""

import json
import os
import platform
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from tigon import __version__
from tigon.config import differences
from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.data.sources import is_pattern
from tigon.distributed import first_process_first, own_device, wait_for_all, world
from tigon.errors import DivergenceError, TigonError
from tigon.files import is_utf8, printable, replace_file
from tigon.runs import Experiment, Run, describe_images
from tigon.training.checkpoint import latest_checkpoint, load_training, save_checkpoint
from tigon.training.iteration import Record, Training
from tigon.training.logs import MetricsLog
from tigon.training.loop import Watcher, fit

SNAPSHOTS = (0.05, 0.15, 0.4, 1.0)
SHOWN = 12


def train(
    experiment: Experiment,
    out: Path,
    device: str = "auto",
    checkpoint_every: int = 100,
    watchers: Sequence[Watcher] = (),
    stop: Callable[[], bool] = lambda: False,
    images: ImageSet | None = None,
    changed: bool = False,
) -> Training:
    """Start the run in `out`, or continue it from its newest checkpoint.

    A run that ends or is stopped leaves its state behind; one that diverges, the last good state
    that its guard kept, or without a guard its last checkpoint.

    Arguments:
        device: auto, cpu, cuda or cuda:N
        checkpoint_every: iterations between checkpoints, >= 1
        watchers: called after each iteration
        stop: asked between iterations
        images: the experiment's data, if they are loaded already
        changed: go on with other settings than the run's, which then become the run's
    Raises:
        TigonError: if `out` holds another experiment, or data or checkpoint cannot be read
        DivergenceError: if there is trouble that the guard cannot repair, or no guard
    """
    if checkpoint_every < 1:
        raise TigonError(f"--checkpoint-every {checkpoint_every}: is at least 1")
    run = Run(out)
    place = own_device(choose_device(device))
    training = _begin(run, experiment, place, images, changed)
    if training.finished:
        return training
    recorder = _Recorder(run, training, place, checkpoint_every)
    try:
        fit(training, [*watchers, recorder], stop)
    except DivergenceError as error:
        recorder.stopped(training, error)
        raise
    if not training.finished:
        recorder.save(training)
    return training


def _begin(
    run: Run,
    experiment: Experiment,
    place: torch.device,
    images: ImageSet | None,
    changed: bool,
) -> Training:
    """Return the experiment's training, at the run's newest checkpoint, and write its config."""
    try:
        Experiment.from_plain(experiment.to_plain())
    except ValueError as error:
        raise TigonError(f"{error}") from error
    _refuse_other(run, experiment, changed)
    images = images or load(experiment)
    if run.config.exists():
        run.refuse_other_images(images)
    try:
        training = experiment.recipe.training(images, place)
    except ValueError as error:
        raise TigonError(f"{error}") from error
    path = latest_checkpoint(run.checkpoints)
    if path is not None:
        load_training(path, training)
    wait_for_all()
    if world().rank == 0:
        _open(run, experiment)
    wait_for_all()
    return training


def load(experiment: Experiment) -> ImageSet:
    """Load an experiment's images; the first process decodes them where several share a cache.

    Shards are decoded by their owners, all at once.
    """
    if is_pattern(experiment.data):
        return experiment.recipe.load(experiment.data)
    with first_process_first():
        return experiment.recipe.load(experiment.data)


def choose_device(name: str) -> torch.device:
    """Return the device of this name; `auto` is the GPU where there is one.

    Raises:
        TigonError: if this machine has none of that name
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError(f"no support for {device.type}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TigonError(
            f"--device {name}: is not to be had here; use auto, cpu, cuda or cuda:N"
        ) from error
    return device


class _Recorder:
    """Writes what a run leaves on the disk as it goes; a watcher of `fit`."""

    def __init__(
        self, run: Run, training: Training, device: torch.device, checkpoint_every: int
    ) -> None:
        self.run, self.every, self.writes = run, checkpoint_every, world().rank == 0
        if self.writes:
            self.log = MetricsLog(run.metrics, training.iteration, training.rollbacks)
        self.environment = describe_machine(device) | {"images": describe_images(training.images)}
        self.passed = training.progress

    def __call__(self, training: Training, record: Record) -> None:
        try:
            self._record(training, record)
        except OSError as error:
            raise TigonError(
                f"run {self.run.folder}: cannot be written ({error}); "
                "the last checkpoint is intact"
            ) from error

    def _record(self, training: Training, record: Record) -> None:
        if self.writes:
            self.log(training, record)
        if "event" in record:
            self.went_back(training)
            return
        progress = 1.0 if training.finished else training.progress
        if any(self.passed < mark <= progress for mark in SNAPSHOTS):
            shown = to_uint8(training.learner.show(min(SHOWN, len(training.images))))
            if self.writes:
                self.run.save_snapshot(training.iteration, shown)
        self.passed = progress
        if training.finished or training.iteration % self.every == 0:
            self.save(training)

    def went_back(self, training: Training) -> None:
        """Save the state that the guard has made, and drop what lies beyond it."""
        self.passed = training.progress
        self.save(training)
        if self.writes:
            self.run.drop_after(training.iteration)

    def stopped(self, training: Training, error: DivergenceError) -> None:
        """Log why a run ended, and save its last good state where the guard has one."""
        event = {"iteration": training.iteration, "event": "stopped", "cause": error.cause}
        if self.writes:
            self.log(training, event | {"message": str(error)})
        if error.restored:
            self.went_back(training)

    def save(self, training: Training) -> None:
        """Write a checkpoint and what is known of the machine."""
        save_checkpoint(self.run.checkpoints, training)
        if not self.writes:
            return
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        measured = {
            "iteration": training.iteration,
            "training_seconds": round(training.seconds, 2),
            "peak_memory_mb": round(peak / 1024),
        }
        text = json.dumps(self.environment | measured, indent=1)
        replace_file(self.run.folder / "environment.json", text)


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


def _refuse_other(run: Run, experiment: Experiment, changed: bool) -> None:
    """Refuse a folder that holds another experiment, or something that is no run."""
    folder = run.folder
    if not is_utf8(str(folder.absolute())):
        raise TigonError(f"--out {printable(str(folder))}: is not valid UTF-8; give another name")
    if folder.exists() and not folder.is_dir():
        raise TigonError(f"--out {folder}: is a file, not a folder")
    if run.config.exists():
        other = differences(run.experiment.to_plain(), experiment.to_plain())
        if other and not changed:
            raise TigonError(
                f"--out {folder}: holds a run with other settings ({'; '.join(other)}); "
                "give another folder, or --continue-with to go on with these"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise TigonError(f"--out {folder}: is not empty and no run; give another folder")


def _open(run: Run, experiment: Experiment) -> None:
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        run.write_config(experiment)
    except OSError as error:
        raise TigonError(f"--out {run.folder}: cannot be written ({error})") from error
