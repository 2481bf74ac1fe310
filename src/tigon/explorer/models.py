"""Load the model behind the pages: the newest checkpoint's learner, and its images."""

import torch

from tigon.data.images import ImageSet
from tigon.errors import TigonError
from tigon.explorer.panels import panels_named
from tigon.explorer.panels.base import Model
from tigon.learners.base import Learner
from tigon.runs.run import Run
from tigon.training.checkpoint_folder import latest_checkpoint


def newest_checkpoint(run: Run) -> int | None:
    """Return the iteration of the newest checkpoint according to its name, complete or not."""
    if not run.checkpoints.is_dir():
        return None
    names = [path.name for path in run.checkpoints.iterdir()]
    return max((int(name) for name in names if name.isdecimal()), default=None)


def load_model(run: Run, device: torch.device, images: ImageSet | str | None) -> Model:
    """Return the model of a run's newest complete checkpoint.

    Arguments:
        images: images of the run, or the reason why there are none; None to read them
    Raises:
        TigonError: if there is no checkpoint, it is damaged, or the model cannot do what a panel
            of its recipe shows
    """
    learner, iteration = _newest_learner(run)
    if images is None:
        images = _images_of(run)
    learner.requires_grad_(False)
    found, note = (None, images) if isinstance(images, str) else (images, "")
    recipe = run.experiment.recipe
    size, channels = recipe.image_size, recipe.channels
    panels = panels_named(recipe.panels)
    learner = learner.to(device).eval()
    model = Model(iteration, learner, size, channels, panels, found, note)
    _ = model.message
    return model


def _newest_learner(run: Run) -> tuple[Learner, int]:
    """Return a learner and its iteration; try again if training replaced the checkpoint."""
    for _ in range(5):
        before = latest_checkpoint(run.checkpoints)
        learner = run.learner()
        after = latest_checkpoint(run.checkpoints)
        if before is not None and before == after:
            return learner, int(before.name)
    raise TigonError(f"run {run.folder}: its checkpoints change faster than they can be read")


def _images_of(run: Run) -> ImageSet | str:
    try:
        return run.images()
    except TigonError as error:
        return str(error)
