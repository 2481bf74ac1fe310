"""Snapshots: what chains show at some points of a run, each in a file N.npz."""

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tigon.data.arrays import read_images
from tigon.data.pixels import to_uint8
from tigon.distributed import any_of, world
from tigon.errors import TigonError
from tigon.files import open_regular, replace_file, writing
from tigon.learners.base import Record
from tigon.training.checkpoint_folder import remove
from tigon.training.trainer import Callback, Trainer

MARKS = (0.05, 0.15, 0.4, 1.0)
SHOWN = 12
Also = Callable[[Trainer, np.ndarray], None]


class Snapshots(Callback):
    """Saves what the first chains show, at 5, 15, 40 and 100 % of a run.

    Arguments:
        folder: folder of the files, created if necessary
        also: called with the trainer and the images, uint8 (N, H, W, C), in the first process
    """

    def __init__(self, folder: str | os.PathLike[str], also: Sequence[Also] = ()) -> None:
        self.folder, self.also = Path(folder), also
        self.passed = 0.0

    def on_begin(self, trainer: Trainer) -> None:
        """Continue from the current point of the run; later snapshots were of another course."""
        self._go_on(trainer)

    def on_iteration(self, trainer: Trainer, record: Record) -> None:
        """Save a snapshot if the run has passed a mark."""
        progress = 1.0 if trainer.finished else trainer.progress
        if any(self.passed < mark <= progress for mark in MARKS):
            with trainer.averaged() as learner:
                images = learner.show(min(SHOWN, len(trainer.data)))
            if any_of(not bool(images.isfinite().all())) and not trainer.finished:
                return  # the guard goes back, or ends the run, at the next iteration
            shown = to_uint8(images)
            if world().rank == 0:
                with writing(self.folder.parent):
                    save_snapshot(self.folder, trainer.iteration, shown)
                for function in self.also:
                    function(trainer, shown)
        self.passed = progress

    def on_event(self, trainer: Trainer, event: Record) -> None:
        """Delete the snapshots of iterations that were rolled back."""
        if event["event"] == "rollback" or event.get("restored"):
            self._go_on(trainer)

    def _go_on(self, trainer: Trainer) -> None:
        """Go on from where the run is, and delete the snapshots of later iterations."""
        self.passed = trainer.progress
        if world().rank == 0:
            with writing(self.folder.parent):
                drop_snapshots(self.folder, trainer.iteration)


def save_snapshot(folder: Path, iteration: int, pixels: np.ndarray) -> None:
    """Write what chains show after an iteration, uint8 (N, H, W, C), to N.npz in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    np.savez_compressed(stream, images=pixels)
    replace_file(folder / f"{iteration}.npz", stream.getvalue())


def drop_snapshots(folder: Path, iteration: int) -> None:
    """Delete the snapshots of later iterations."""
    for path in folder.glob("*.npz"):
        if path.stem.isdecimal() and int(path.stem) > iteration:
            remove(path)


def read_snapshots(folder: Path) -> list[tuple[int, np.ndarray]]:
    """Return all snapshots in a folder: iteration and images, uint8 (N, H, W, C).

    Raises:
        TigonError: if one is damaged
    """
    found = sorted(
        (path for path in folder.glob("*.npz") if path.stem.isdecimal()),
        key=lambda path: int(path.stem),
    )
    pairs = []
    for path in found:
        try:
            open_regular(path).close()
            pixels = read_images(path)
            pairs.append((int(path.stem), pixels if pixels.ndim == 4 else pixels[..., None]))
        except (TigonError, OSError) as error:
            raise TigonError(f"snapshot {path}: is damaged; delete it ({error})") from error
    return pairs
