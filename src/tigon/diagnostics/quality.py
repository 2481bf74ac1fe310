"""What a model shows of the images that it learned from, held against how these differ."""

from typing import NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import Batch
from tigon.learners.abilities import InfersLatents
from tigon.learners.agreement import energy_distance
from tigon.precision import wide

MOST = 256  # images that are looked at


class Reconstructions(NamedTuple):
    """Errors of f(z) at the inferred latents, over the images' variance.

    Attributes:
        images: how many were looked at
        variance: mean over pixels of these images' variance, on [-1, 1]; 0 of one image alone
        errors: mean squared error of each image's reconstruction over that variance, (N,): 0 is
            perfect, 1 as bad as the images' mean; over 1 where there is no variance
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
        """The part of the images' variance that reconstructions explain: 1 is all of it."""
        return 1 - self.errors.mean().item()


@torch.no_grad()
def reconstructions(learner: InfersLatents, batch: Batch) -> Reconstructions:
    """Hold reconstructions of a batch, from latents as they are, against its images."""
    shown = learner.decode(learner.store.read(batch.index))
    errors = wide(shown - batch.images).square().flatten(1).mean(1)
    variance = wide(batch.images).var(0, unbiased=False).mean().item()
    return Reconstructions(len(errors), variance, errors / (variance or 1.0))


@torch.no_grad()
def mean_image_distance(batch: Batch) -> float:
    """Return the energy distance between images and as many copies of their mean image.

    See `learners.agreement.energy_distance`; 0 where all images are the same.
    """
    copies = batch.images.mean(0, keepdim=True).expand_as(batch.images)
    return energy_distance(copies, batch.images, batch).item() if len(batch.index) > 1 else 0.0
