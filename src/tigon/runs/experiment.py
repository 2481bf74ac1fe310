"""Run an experiment: a folder that fills with checkpoints, metrics, snapshots; or goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tigon.data.images import ImageSet
from tigon.data.sources import is_pattern
from tigon.distributed import first_process_first, own_device, wait_for_all, world
from tigon.errors import DivergenceError, TigonError
from tigon.files import is_utf8, printable, refusal
from tigon.runs.config import differences
from tigon.runs.recorder import Recorder, writing
from tigon.runs.run import Experiment, Run
from tigon.training.checkpoint import load_training
from tigon.training.iteration import Training
from tigon.training.kept import latest_checkpoint
from tigon.training.loop import Watcher, fit
from tigon.training.tensorboard import require_tensorboard


def train(
    experiment: Experiment,
    out: Path,
    device: str = "auto",
    checkpoint_every: int = 100,
    watchers: Sequence[Watcher] = (),
    stop: Callable[[], bool] = lambda: False,
    images: ImageSet | None = None,
    changed: bool = False,
    keep: int = 2,
    tensorboard: bool = False,
    begun: Callable[[Training], None] = lambda training: None,
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
        keep: how many of the last checkpoints stay, >= 1; the best one stays too
        tensorboard: write RUN/tensorboard too; it changes nothing else
        begun: called once before the first iteration here, or where there is none to take
    Raises:
        TigonError: if `out` holds another experiment, or data or checkpoint cannot be read
        DivergenceError: if there is trouble that the guard cannot repair, or no guard
    """
    _require(checkpoint_every, keep, tensorboard)
    run = Run(out)
    place = own_device(choose_device(device))
    training = _begin(run, experiment, place, images, changed)
    begun(training)
    if training.finished:
        return training
    with writing(run):
        recorder = Recorder(run, training, place, checkpoint_every, keep, tensorboard)
    try:
        fit(training, [*watchers, recorder], stop)
    except DivergenceError as error:
        recorder.stopped(training, error)
        raise
    else:
        if not training.finished:
            with writing(run):
                recorder.save(training)
    finally:
        recorder.close()
    return training


def _require(checkpoint_every: int, keep: int, tensorboard: bool) -> None:
    """Refuse what cannot be written."""
    for option, number in (("checkpoint-every", checkpoint_every), ("keep", keep)):
        if number < 1:
            raise TigonError(f"--{option} {number}: is at least 1")
    if tensorboard:
        require_tensorboard()


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


def _refuse_other(run: Run, experiment: Experiment, changed: bool) -> None:
    """Refuse a folder that holds another experiment, or something that is no run."""
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
        raise TigonError(f"--out {run.folder}: cannot be written ({refusal(error)})") from error
