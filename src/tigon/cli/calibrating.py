"""The images that `tigon score` holds others against, and which of them it must not."""

from pathlib import Path

from tigon.cli.progress import SLOW, busy, tell
from tigon.data.images import ImageSet
from tigon.diagnostics.shared_images import require_unseen, shared_with
from tigon.errors import TigonError
from tigon.models.folder import is_model_folder
from tigon.runs.run import Run


def training_of(folder: Path, checkpoint: str) -> ImageSet:
    """Return the images that a run learned from.

    Raises:
        TigonError: if they cannot be read again, or have changed
    """
    # Named as if by --data, so that an error does not advise to give them by it.
    return Run(folder, checkpoint, Run(folder, checkpoint).experiment.data).images()


def complete_training_of(folder: Path, checkpoint: str) -> ImageSet:
    """Return the images that a run learned from.

    Raises:
        TigonError: as `training_of`, and if values of them are missing
    """
    images = training_of(folder, checkpoint)
    if images.incomplete:
        raise TigonError(
            f"run {folder}: its images have missing values, beside which whole ones cannot be "
            "judged; give whole ones with --calibrate, or ask for scores alone with --raw"
        )
    return images


def refuse_training_images(images: ImageSet, whose: str, folder: Path, checkpoint: str) -> None:
    """Refuse a calibration by images that a run has learned from.

    Arguments:
        whose: the option that gave the images
        folder: the run; a model folder does not know what it learned from
    Raises:
        TigonError: if some are training images
    """
    if is_model_folder(folder):
        return
    try:
        training = training_of(folder, checkpoint)
    except TigonError as error:
        tell(f"{whose}: not compared with the run's training images ({error})")
        return
    with busy("comparing images", log=True, after=SLOW):
        shared = shared_with(images.read(), training)
    require_unseen(shared, whose, "calibration")


def tell_of_shared(images: ImageSet, calibrating: ImageSet) -> None:
    """Say how many images of the calibration are also to be scored, if there are any."""
    shared = int(shared_with(calibrating.read(), images).sum())
    if shared:
        tell(
            f"{shared} of {len(calibrating)} calibration images are also to be scored: "
            "percentiles are meant for images that are not among those of the calibration"
        )
