r"""What a generator leaves out of images: the covariance of the residuals r = x - f(z).

And, beside it, how the images themselves lie about their mean, as if f(z) were that.

The model's noise is white, :math:`\sigma^2 I`, and learning needs no more. Real residuals are
not: how they lie, and what is measured of it here, see `models.image_noise`. Averages over
neighbours make up for few images.

Where values are missing, residuals are completed first: by draws of what is missing given what was
observed, with the covariance that was measured so far. This is Monte Carlo EM for the covariance
(Wei and Tanner 1990), by a few images of each batch, since completing one costs more than a step
of its chain.

References:
    Wei and Tanner, "A Monte Carlo implementation of the EM algorithm and the poor man's data
    augmentation algorithms", Journal of the American Statistical Association 1990.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tigon.data.batches import Batch
from tigon.distributed import all_sum
from tigon.models.config import register_part
from tigon.models.image_noise import Correlated, diagonal, smooth, transformed
from tigon.random.streams import RowRng

DECAY = 0.98  # of the running averages over updates
FEW = 30  # images of which the mean over neighbours says as much as a value of its own
DEVIATION = 0.02  # the least standard deviation: that of a picture's own noise, such as rounding
VARIANCE = 1e-4  # the least variance of a frequency, whose mean is 1
SOME = 4  # images of a batch that are completed, about


class Spread(nn.Module):
    """Running averages of squares, and of those of frequencies, of images about some centre.

    Arguments:
        shape: channels, height and width of the images
    """

    UNAVERAGED: ClassVar[tuple[str, ...]] = ("squares", "spectrum", "updates", "images")
    squares: Tensor
    spectrum: Tensor
    updates: Tensor
    images: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("squares", torch.zeros(tuple(shape)))
        self.register_buffer("spectrum", torch.zeros(tuple(shape)))
        self.register_buffer("updates", torch.zeros(()))
        self.register_buffer("images", torch.zeros(()))

    @torch.no_grad()
    def add(self, residuals: Tensor, size: int, count: int) -> None:
        """Add residuals (B, C, H, W) of a batch.

        Arguments:
            size: number of images of the batch over all processes; count: of the data set
        """
        self.images.fill_(count)
        residuals = residuals.detach().to(self.squares)
        self.updates += 1
        share = self.share(self.updates)
        self.squares.lerp_(all_sum(residuals.square().sum(0)) / size, share)
        frequencies = transformed(residuals / self.deviations())
        self.spectrum.lerp_(all_sum(frequencies.square().sum(0)) / size, share)

    def completed(self, residuals: Tensor, mask: Tensor, rng: RowRng) -> Tensor:
        """Draw what is missing of residuals (B, C, H, W), given what was observed (mask 1)."""
        residuals = torch.where(mask > 0, residuals, 0).to(self.squares)
        mask = mask.to(residuals)
        if not self.measured:
            square = all_sum(residuals.square().sum()) / all_sum(mask.sum())
            level = torch.full_like(self.squares, square.sqrt().clamp(min=DEVIATION).item())
            return Correlated(level, torch.ones_like(level)).completed(residuals, mask, rng)
        return self.noise().completed(residuals, mask, rng)

    @staticmethod
    def share(updates: Tensor) -> float:
        """Return the weight of the last of so many batches in the averages."""
        return (1 - DECAY) / (1 - DECAY ** updates.item())

    def deviations(self) -> Tensor:
        """Return D."""
        return self.noise().deviations

    def _steadied(self, values: Tensor) -> Tensor:
        """Return values (C, H, W), the fewer images there are the nearer to neighbours' means."""
        own = self.images / (self.images + FEW)
        return own * values + (1 - own) * smooth(values[None])[0]

    @property
    def measured(self) -> bool:
        """Whether there were any."""
        return bool(self.updates > 0)

    def noise(self) -> Correlated:
        """Return their distribution about the centre: the diagonal of S are the squares.

        Before the first were measured, all frequencies are alike.
        """
        variances = self._steadied(self.spectrum)
        if variances.any():
            variances = (variances / variances.mean()).clamp(min=VARIANCE)
        else:
            variances = torch.ones_like(variances)
        squares = self._steadied(self.squares) / diagonal(variances)
        return Correlated(squares.sqrt().clamp(min=DEVIATION), variances)


class Whole(Spread):
    """Running averages of images, and of how they lie about their mean.

    Arguments:
        shape: channels, height and width of the images
    """

    UNAVERAGED: ClassVar[tuple[str, ...]] = ("mean", *Spread.UNAVERAGED)
    mean: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__(shape)
        self.register_buffer("mean", torch.zeros(tuple(shape)))

    @torch.no_grad()
    def add(self, images: Tensor, size: int, count: int) -> None:
        """Add images (B, C, H, W) of a batch, as `Spread.add`."""
        images = images.detach().to(self.mean)
        self.mean.lerp_(all_sum(images.sum(0)) / size, self.share(self.updates + 1))
        super().add(images - self.mean, size, count)

    def completed(self, images: Tensor, mask: Tensor, rng: RowRng) -> Tensor:
        """Draw what is missing of images, likewise."""
        mean = self.mean
        if not self.measured:
            seen = torch.where(mask > 0, images, 0).to(mean)
            totals = all_sum(seen.sum((0, 2, 3))) / all_sum(mask.to(mean).sum((0, 2, 3)))
            mean = totals.view(-1, 1, 1).expand_as(mean)
        return mean + super().completed(images - mean, mask, rng)


@register_part
class Residuals(Spread):
    """What a generator leaves out of images, and how they lie about their mean, while learning.

    Arguments:
        shape: channels, height and width of the images
    Attributes:
        whole: the images without f(z)
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__(shape)
        self.whole = Whole(shape)

    @torch.no_grad()
    def update(self, batch: Batch, decoded: Tensor, count: int) -> None:
        """Add images of a batch and what was decoded for them.

        Arguments:
            decoded: (B, C, H, W)
            count: number of images of the data set
        """
        images, mask = batch.images, batch.observed
        if mask is None or not all_sum((mask == 0).sum()):
            self.add(images - decoded, batch.size, count)
            self.whole.add(images, batch.size, count)
            return
        updates = int(self.updates)
        rows = ((batch.index + updates) % -(-batch.size // SOME) == 0).nonzero()[:, 0]
        size = int(all_sum(torch.tensor(len(rows), device=images.device)))
        if size == 0:
            return
        rng = RowRng(0, updates, batch.index[rows], "missing residuals")
        rows = rows.to(images.device)
        images, mask, decoded = images[rows], mask[rows], decoded[rows]
        kept = min(count, round(SOME / (1 - DECAY)))  # as many images as the averages are of
        self.add(self.completed(images - decoded, mask, rng), size, kept)
        self.whole.add(self.whole.completed(images, mask, rng), size, kept)

    def config(self) -> dict[str, Any]:
        """Return the arguments of this part."""
        return {"shape": list(self.squares.shape)}
