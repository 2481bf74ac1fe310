"""What a model achieves on its training images, relative to how much these differ."""

from typing import NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import MOST as LOOKED_AT
from tigon.data.batches import Batch, ImageData, chunks, even_rows
from tigon.data.pixels import mean_observed
from tigon.learners.abilities import InfersLatents
from tigon.learners.agreement import energy_distance
from tigon.precision import wide

MOST = 256  # images that are used, at most


class Reconstructions(NamedTuple):
    """Errors of f(z) at the inferred latents, relative to the images' variance.

    Attributes:
        images: number of images used
        variance: mean over observed values of these images' variance, on [-1, 1]; 0 for a
            single image
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
    errors = mean_observed(wide(shown - batch.images).square(), batch.mask)
    variance = _variance(wide(batch.images), batch.observed)
    return Reconstructions(len(errors), variance, errors / (variance or 1.0))


def _variance(images: Tensor, mask: Tensor | None) -> float:
    """Return the mean variance of the observed values over images (N, C, H, W)."""
    if mask is None:
        return images.var(0, unbiased=False).mean().item()
    mean = (images * mask).sum(0) / mask.sum(0).clamp(min=1)
    return (((images - mean) ** 2 * mask).sum() / mask.sum()).item()


class Missing(NamedTuple):
    """How much of images is missing, as parts of their values.

    Attributes:
        images: number of images looked at
        mean: over all of them
        least, most: of one image
        never: part of the places where no image was observed
    """

    images: int
    mean: float
    least: float
    most: float
    never: float


def missing(images: ImageData) -> Missing | None:
    """Return how much of images is missing; None if nothing is.

    Of more than 4096 images, 4096 evenly spaced ones are looked at.
    """
    if not images.incomplete:
        return None
    shares, seen = [], torch.zeros(())
    for rows in chunks(even_rows(len(images), LOOKED_AT).tolist()):
        mask = images.batch(rows).observed
        assert mask is not None
        shares.append(1 - mask.flatten(1).mean(1))
        seen = seen + mask.sum(0)
    each = torch.cat(shares)
    never = (seen == 0).double().mean().item()
    return Missing(len(each), each.mean().item(), each.min().item(), each.max().item(), never)


@torch.no_grad()
def mean_image_distance(batch: Batch) -> float:
    """Return the energy distance between images and as many copies of their mean image.

    See `learners.agreement.energy_distance`; 0 if all images are equal.
    """
    copies = batch.images.mean(0, keepdim=True).expand_as(batch.images)
    return energy_distance(copies, batch.images, batch).item() if len(batch.index) > 1 else 0.0
