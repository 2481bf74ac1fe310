"""What a model achieves on its training images, relative to how much these differ."""

from typing import NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import Batch
from tigon.learners.abilities import InfersLatents
from tigon.learners.agreement import energy_distance
from tigon.precision import wide

MOST = 256  # images that are used, at most


class Reconstructions(NamedTuple):
    """Errors of f(z) at the inferred latents, relative to the images' variance.

    Attributes:
        images: number of images used
        variance: mean over pixels of these images' variance, on [-1, 1]; 0 for a single image
        errors: mean squared error of each image's reconstruction divided by that variance, (N,):
            0 is perfect, 1 is as bad as the images' mean; divided by 1 if there is no variance
    """

    images: int
    variance: float
    errors: Tensor

    @property
    def residual(self) -> float:
        """Root of the mean squared error over images and pixels, on the scale of [-1, 1]."""
        return (self.errors.mean().item() * (self.variance or 1.0)) ** 0.5

    @property
    def explained(self) -> float:
        """The fraction of the images' variance that reconstructions explain: 1 is all of it."""
        return 1 - self.errors.mean().item()


@torch.no_grad()
def reconstructions(learner: InfersLatents, batch: Batch) -> Reconstructions:
    """Compare reconstructions of a batch, from the current latents, with its images."""
    shown = learner.decode(learner.store.read(batch.index))
    errors = wide(shown - batch.images).square().flatten(1).mean(1)
    variance = wide(batch.images).var(0, unbiased=False).mean().item()
    return Reconstructions(len(errors), variance, errors / (variance or 1.0))


@torch.no_grad()
def mean_image_distance(batch: Batch) -> float:
    """Return the energy distance between images and as many copies of their mean image.

    See `learners.agreement.energy_distance`; 0 if all images are equal.
    """
    copies = batch.images.mean(0, keepdim=True).expand_as(batch.images)
    return energy_distance(copies, batch.images, batch).item() if len(batch.index) > 1 else 0.0
