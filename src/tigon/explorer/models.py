"""The model behind the pages: a checkpoint's learner with what is shown around it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.errors import TigonError
from tigon.explorer.frames import pack, thumbnails
from tigon.inference.interpolation import latent_plane
from tigon.learners.base import Learner
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner
from tigon.mcmc.adaptation import StepSizeDecay
from tigon.runs.run import Run
from tigon.sizes import ImageSize
from tigon.training.kept import latest_checkpoint

SHOWN, FEW = 300, 100  # training images that are shown; up to so many, larger
MEASURED = 20_000  # latents that the principal directions are found from


@dataclass(frozen=True)
class Model:
    """A learner that is looked at, and nothing else: its parameters ask for no gradient.

    Arguments:
        iteration: of the checkpoint
        learner: a generator's or a descriptor's
        image_size: height and width of its images in pixels; one number for a square
        channels: of its images, 1 or 3
        images: what it learned from, where they can still be read
        note: why they cannot
    """

    iteration: int
    learner: GeneratorLearner | DescriptorLearner
    image_size: ImageSize
    channels: int
    images: ImageSet | None
    note: str

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.learner.parameters()).device

    @cached_property
    def mean_image(self) -> Tensor:
        """The mean of the training images, (1, C, H, W).

        Raises:
            TigonError: if they cannot be read
        """
        if self.images is None:
            raise TigonError(f"there is no mean image: {self.note}")
        return self.images.mean_image()[None].to(self.device)

    @cached_property
    def message(self) -> bytes:
        """What a page is told of this model: its numbers, thumbnails and latents."""
        if isinstance(self.learner, GeneratorLearner):
            return _generator_message(self, self.learner)
        return _descriptor_message(self, self.learner)


def newest_checkpoint(run: Run) -> int | None:
    """Return the iteration of the newest checkpoint by its name, whole or not."""
    if not run.checkpoints.is_dir():
        return None
    names = [path.name for path in run.checkpoints.iterdir()]
    return max((int(name) for name in names if name.isdecimal()), default=None)


def load_model(run: Run, device: torch.device, images: ImageSet | str | None) -> Model:
    """Return the model of a run's newest whole checkpoint.

    Arguments:
        images: of the run, or why there are none; None to read them
    Raises:
        TigonError: if there is no checkpoint, it is damaged, or its learner is of another kind
    """
    learner, iteration = _newest_learner(run)
    if not isinstance(learner, GeneratorLearner | DescriptorLearner):
        raise TigonError(f"run {run.folder}: explore knows generators and descriptors only")
    if images is None:
        images = _images_of(run)
    learner.requires_grad_(False)
    found, note = (None, images) if isinstance(images, str) else (images, "")
    recipe = run.experiment.recipe
    size, channels = recipe.image_size, recipe.channels
    return Model(iteration, learner.to(device).eval(), size, channels, found, note)


def generator_of(model: Model | None) -> GeneratorLearner:
    """Return the model's generator.

    Raises:
        TigonError: if there is no model, or it has no latents
    """
    if model is None:
        raise TigonError("there is no checkpoint yet")
    if not isinstance(model.learner, GeneratorLearner):
        raise TigonError("this run is a descriptor, which has no latents")
    return model.learner


def descriptor_model(model: Model | None) -> Model:
    """Return the model, if it is a descriptor's.

    Raises:
        TigonError: if there is none, or it is a generator's
    """
    if model is None:
        raise TigonError("there is no checkpoint yet")
    if not isinstance(model.learner, DescriptorLearner):
        raise TigonError("this run is a generator, which has no chains of images")
    return model


def _newest_learner(run: Run) -> tuple[Learner, int]:
    """Return a learner and its iteration; again, where training replaced the checkpoint."""
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


def _chosen(count: int) -> np.ndarray:
    """Return the rows that are shown: all, or so many in even steps."""
    return np.unique(np.linspace(0, count - 1, min(count, SHOWN)).round().astype(np.int64))


def _seen(model: Model, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return thumbnails (n, s, s, 4) and names of training images."""
    if model.images is None:
        return np.zeros((0, 1, 1, 4), np.uint8), [f"image {row + 1}" for row in rows]
    side = 64 if len(rows) <= FEW else 32
    pixels = np.stack([model.images.pixels[row] for row in rows])
    return thumbnails(pixels, side), [model.images.names[row] for row in rows]


def _generator_message(model: Model, learner: GeneratorLearner) -> bytes:
    points = learner.store.points
    rows = _chosen(len(points))
    small, names = _seen(model, rows)
    latents = points[torch.from_numpy(rows).to(points.device)].float().cpu().numpy()
    every = max(1, len(points) // MEASURED)
    plane = latent_plane(points[::every])
    header = {
        "type": "model",
        "kind": "generator",
        "iteration": model.iteration,
        "dim": points.shape[1],
        "count": len(points),
        "names": names,
        "plane": list(plane.names),
        "note": model.note,
    }
    directions = plane.directions.float().cpu().numpy()
    return pack(header, thumbnails=small, latents=latents, directions=directions)


def _descriptor_message(model: Model, learner: DescriptorLearner) -> bytes:
    starts, chains = learner.starts, learner.chains
    count = len(model.images) if model.images is not None else len(starts)
    rows = _chosen(count)
    small, names = _seen(model, rows)
    if model.images is None:
        shown = learner.start(torch.from_numpy(rows).to(starts.device))
        small = thumbnails(to_uint8(shown), 32)
    header = {
        "type": "model",
        "kind": "descriptor",
        "iteration": model.iteration,
        "count": count,
        "names": names,
        "rows": rows.tolist(),
        "shared": len(starts) == 1,
        "note": model.note,
        "chain": {
            "steps": chains.steps,
            "step_size": first_step_size(learner),
            "temperature": chains.kernel.temperature,  # type: ignore[attr-defined]
            "shrink": shrink(learner),
        },
    }
    return pack(header, thumbnails=small)


def first_step_size(learner: DescriptorLearner) -> float:
    """Return s of the sampler's first step."""
    return learner.step_factor * learner.chains.kernel.step_size


def shrink(learner: DescriptorLearner) -> float:
    """Return s of the sampler's last step over that of its first."""
    decay = learner.chains.adaptation
    factor = decay.factor if isinstance(decay, StepSizeDecay) else 1.0
    return factor ** max(1, learner.chains.steps - 1)
