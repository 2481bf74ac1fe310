"""Run or continue an experiment: fill a folder with checkpoints, metrics and snapshots."""

import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tigon import __version__
from tigon.data.images import ImageSet
from tigon.data.sources import is_pattern
from tigon.distributed import all_objects, first_process_first, own_device, wait_for_all, world
from tigon.errors import TigonError
from tigon.files import is_utf8, printable, refusal, replace_file, subfolder, writing
from tigon.learners.base import Learner, Record
from tigon.memory import peak_memory
from tigon.runs.config import differences
from tigon.runs.images import describe_images
from tigon.runs.lock import NAME, alone
from tigon.runs.run import Experiment, Run
from tigon.training.callbacks import Board, Callback, Checkpoints, MetricsLog, Snapshots
from tigon.training.callbacks.tensorboard import require_tensorboard
from tigon.training.checkpoint import load_checkpoint
from tigon.training.checkpoint_folder import latest_checkpoint
from tigon.training.trainer import Trainer

LEFT = {NAME, ".new-config.toml"}  # left by a run that was killed while starting


def train(
    experiment: Experiment,
    out: str | os.PathLike[str],
    device: str = "auto",
    checkpoint_every: int = 100,
    callbacks: Sequence[Callback | Callable[[Trainer, Record], object]] = (),
    stop: Callable[[], bool] = lambda: False,
    images: ImageSet | None = None,
    changed: bool = False,
    keep: int = 2,
    tensorboard: bool = False,
) -> Trainer:
    """Start the run in `out`, or continue it from its newest checkpoint.

    Arguments:
        device: auto, cpu, cuda, cuda:N or mps
        checkpoint_every: iterations between checkpoints, >= 1
        callbacks: called before those that write the folder; if the run is already finished, only
            at its beginning and end
        stop: called between iterations; True stops the run
        images: the training images, as `load` returns them, if already loaded
        changed: continue with different settings, which then become the run's
        keep: how many of the latest checkpoints to keep, >= 1; the best is kept too
        tensorboard: write RUN/tensorboard too; it changes nothing else
    Raises:
        TigonError: if `out` holds another experiment, or data or checkpoint cannot be read
        DivergenceError: if training fails and the guard cannot repair it, or there is no guard
    """
    _require(checkpoint_every, keep, tensorboard)
    run = Run(out)
    place = own_device(choose_device(device))
    with ExitStack() as holding:
        trainer = _begin(run, experiment, place, images, changed, holding)
        trainer.callbacks = list(callbacks)
        if not trainer.finished:
            trainer.callbacks += recording(run, checkpoint_every, keep, tensorboard)
        trainer.fit(stop)
    return trainer


def recording(
    run: Run, every: int = 100, keep: int = 2, tensorboard: bool = False
) -> list[Callback]:
    """Return the callbacks that write a run's folder.

    Arguments:
        every, keep: see `Checkpoints`
        tensorboard: write RUN/tensorboard too
    Raises:
        TigonError: if a subfolder leads outside the run
    """
    if world().rank == 0:
        with writing(run.folder):
            for name in ("snapshots", "figures", "checkpoints", "tensorboard"):
                subfolder(run.folder, name)
    environment = Environment(run.folder / "environment.json")
    log, snapshots = MetricsLog(run.metrics), run.folder / "snapshots"
    if not tensorboard:
        saving = Checkpoints(run.checkpoints, every, keep, run.metrics, [environment.write])
        return [environment, log, Snapshots(snapshots), saving]
    histograms = run.experiment.recipe.histograms
    board = Board(run.folder / "tensorboard", run.metrics, snapshots, histograms)
    also = [environment.write, board.flush]
    saving = Checkpoints(run.checkpoints, every, keep, run.metrics, also)
    return [environment, log, board, Snapshots(snapshots, [board.show]), saving]


class Environment(Callback):
    """Records what measurements here depend on, and writes it whenever a checkpoint is saved.

    Arguments:
        path: path of environment.json
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.machine: dict[str, Any] = {}

    def on_begin(self, trainer: Trainer) -> None:
        """Record hardware, versions and data."""
        images = describe_images(trainer.data)
        self.machine = describe_machine(trainer.device) | {"images": images}

    def write(self, trainer: Trainer) -> None:
        """Write these, with the run's time and memory; one of `Checkpoints.also`."""
        measured = {
            "iteration": trainer.iteration,
            "training_seconds": round(trainer.seconds, 2),
        }
        if (peak := peak_memory()) is not None:
            measured["peak_memory_mb"] = round(peak / 2**20)
        replace_file(self.path, json.dumps(self.machine | measured, indent=1))


def _require(checkpoint_every: int, keep: int, tensorboard: bool) -> None:
    """Refuse impossible options for checkpoints and TensorBoard."""
    for option, number in (("checkpoint-every", checkpoint_every), ("keep", keep)):
        if number < 1:
            raise TigonError(f"--{option} {number}: must be at least 1")
    if tensorboard:
        require_tensorboard()


def _begin(
    run: Run,
    experiment: Experiment,
    place: torch.device,
    images: ImageSet | None,
    changed: bool,
    holding: ExitStack,
) -> Trainer:
    """Return the experiment's trainer at the run's newest checkpoint, and write its config.

    By the time it returns, `holding` keeps other processes out of the run.
    """
    try:
        Experiment.from_plain(experiment.to_plain())
    except ValueError as error:
        raise TigonError(f"{error}") from error
    if place.type == "mps" and experiment.recipe.precision != "float32":
        raise TigonError(f"--precision {experiment.recipe.precision}: on mps it is float32")
    begun = all_objects(run.config.exists())[0]
    if begun:
        _hold(run, begun, holding)
    experiment = run.as_begun(experiment)
    other = _refuse_other(run, experiment, changed)
    images = images or load(experiment)
    experiment = experiment.resolved(images)
    if run.config.exists():
        moved = replace(run, data=experiment.data)
        (moved if moved.moved_from() else run).refuse_other_images(images)
    path = latest_checkpoint(run.checkpoints)
    try:
        origin = None if path is not None else _origin(experiment, images)
        trainer = experiment.recipe.trainer(images, place, origin=origin)
    except ValueError as error:
        raise TigonError(f"{error}") from error
    if path is not None:
        try:
            load_checkpoint(path, trainer)
        except TigonError as error:
            if not other:
                raise
            raise TigonError(
                f"run {run.folder}: cannot go on from {path.name} iterations with these settings "
                f"({'; '.join(other)}); give another folder with --out"
            ) from error
        _refuse_past_end(run, experiment, trainer)
    wait_for_all()
    if not begun:
        _hold(run, begun, holding)
    if world().rank == 0:
        _open(run, experiment, images)
    wait_for_all()
    return trainer


def _refuse_past_end(run: Run, experiment: Experiment, trainer: Trainer) -> None:
    """Refuse another end of a run than it had, if more has been done already.

    Raises:
        TigonError: it names the option
    """
    recipe, option = experiment.recipe, experiment.recipe.ends_by
    name = option.replace("-", "_")
    end, old = (getattr(one, name) for one in (recipe, run.experiment.recipe))
    done = {
        "iterations": trainer.iteration,
        "gradient_evaluations": trainer.evaluations,
        "minutes": trainer.seconds / 60,
    }[name]
    if end != old and end < done:
        raise TigonError(f"--{option} {end:g}: run {run.folder} has already done {done:g}")


def _origin(experiment: Experiment, images: ImageSet) -> Learner | None:
    """Return the learner where an experiment begins, if it does not begin anew.

    Raises:
        TigonError: if it learned from other images, or its run has no checkpoint
    """
    if experiment.origin is None:
        return None
    source = Run(experiment.origin, data=experiment.data)
    source.refuse_other_images(images)
    return source.learner()


def _hold(run: Run, begun: bool, holding: ExitStack) -> None:
    """Reserve the folder for this run: only its first process writes in it.

    Arguments:
        begun: whether the folder held a run when it was checked
    Raises:
        TigonError: in all of the run's processes, if another process writes in it
    """
    said = None
    if world().rank == 0:
        try:
            _make_folder(run.folder)
            holding.enter_context(alone(run.folder))
            if run.config.exists() != begun:
                raise TigonError(f"run {run.folder}: another process has begun it meanwhile")
        except TigonError as error:
            said = str(error)
    said = all_objects(said)[0]
    if said is not None:
        raise TigonError(said)


def load(experiment: Experiment) -> ImageSet:
    """Load an experiment's images; the first process decodes them for all that share a cache.

    Shards are decoded by their owners, in parallel.
    """
    if is_pattern(experiment.data):
        return experiment.load()
    with first_process_first():
        return experiment.load()


def choose_device(name: str) -> torch.device:
    """Return the device of this name; `auto` is the GPU if there is one.

    Raises:
        TigonError: if this machine has no such device
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError(f"no support for {device.type}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TigonError(
            f"--device {name}: is not available on this machine; use auto, cpu, cuda, cuda:N, or "
            "mps"
        ) from error
    if device.type == "mps":
        said = "device mps: tigon is not tested on it, and supports only float32 there"
        warnings.warn(said, RuntimeWarning, stacklevel=2)
    return device


def _refuse_other(run: Run, experiment: Experiment, changed: bool) -> list[str]:
    """Refuse a folder that holds another experiment, or something other than a run.

    Returns:
        what differs from the run's settings, which may only be if it is `changed`
    """
    folder = run.folder
    if not is_utf8(str(folder.absolute())):
        raise TigonError(f"--out {printable(str(folder))}: is not valid UTF-8; give another name")
    if folder.exists() and not folder.is_dir():
        raise TigonError(f"--out {folder}: is a file, not a folder")
    if run.config.exists():
        before = run.experiment.name
        if before != experiment.name:
            raise TigonError(
                f"--out {folder}: holds a run of {before}, not of {experiment.name}; give another "
                "folder"
            )
        known, asked = run.experiment.to_plain(), experiment.to_plain()
        if replace(run, data=experiment.data).moved_from():
            known["data"] = asked["data"]  # the images matter, not where they are
        other = differences(known, asked)
        if other and not changed:
            raise TigonError(
                f"--out {folder}: holds a run with other settings ({'; '.join(other)}); "
                "give another folder, or --continue-with to go on with these"
            )
        form = [line for line in other if line.split()[0] in experiment.recipe.form]
        if form:
            raise TigonError(
                f"--out {folder}: holds a run that learns from other images ({'; '.join(form)}); "
                "give another folder"
            )
        return other
    if folder.exists() and {path.name for path in folder.iterdir()} - LEFT:
        raise TigonError(f"--out {folder}: is not empty and not a run; give another folder")
    return []


def _open(run: Run, experiment: Experiment, images: ImageSet) -> None:
    if run.config.exists() and run.plain_config() == experiment.to_plain():
        return
    try:
        run.write_config(experiment)
        if images.held_out is not None:
            replace_file(run.held_out, "".join(f"{name}\n" for name in images.held_out.names))
    except OSError as error:
        raise TigonError(f"--out {run.folder}: cannot be written ({refusal(error)})") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TigonError(f"--out {folder}: cannot be written ({refusal(error)})") from error


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return what measurements here depend on: hardware and versions."""
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
