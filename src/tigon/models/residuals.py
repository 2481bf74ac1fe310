r"""What a generator leaves out of images: the covariance of the residuals r = x - f(z).

And, beside it, how the images themselves lie about their mean, as if f(z) were that.

The model's noise is white, :math:`\sigma^2 I`, and learning needs no more. Real residuals are
not: they are larger in some places than in others, and neighbours err alike. So, with D the
diagonal of their standard deviations and C the discrete cosine transform over channels, height and
width, which nearly diagonalises the covariance of what looks alike everywhere,

.. math:: S = D C^\top \mathrm{diag}(v) \, C D, \qquad D^2 = E[r^2], \qquad v = E[(C D^{-1} r)^2]

which takes two numbers for each value of an image. Averages over neighbours make up for few
images.

References:
    Ahmed, Natarajan and Rao, "Discrete cosine transform", IEEE Transactions on Computers 1974.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from tigon.distributed import all_sum
from tigon.models.config import register_part

DECAY = 0.98  # of the running averages over updates
FEW = 30  # images of which the mean over neighbours says as much as a value of its own
DEVIATION = 0.02  # the least standard deviation: that of a picture's own noise, such as rounding
VARIANCE = 0.01  # the least variance of a frequency, whose mean is 1


class ImageNoise(Protocol):
    """The distribution of images about f(z): N(0, S).

    Attributes:
        measured: whether it is that of other images' residuals, rather than the model's own noise
        precise: how precise solutions with a covariance need be, relative to the right side
    """

    measured: ClassVar[bool]
    precise: ClassVar[float]

    @property
    def variance(self) -> float:
        """The mean variance of a value."""

    def product(self, x: Tensor) -> Tensor:
        """Return S x for images (B, C, H, W)."""

    def draws(self, normals: Callable[[], Tensor]) -> Tensor:
        """Return draws of N(0, S), (B, C, H, W), made of what gives draws of N(0, I)."""


@dataclass(frozen=True)
class White:
    """S = sigma^2 I.

    Arguments:
        sigma: standard deviation, > 0
    """

    sigma: float
    measured: ClassVar[bool] = False
    precise: ClassVar[float] = 1e-5

    @property
    def variance(self) -> float:
        """The variance of each value."""
        return self.sigma**2

    def product(self, x: Tensor) -> Tensor:
        """Return S x for images (B, C, H, W)."""
        return self.variance * x

    def draws(self, normals: Callable[[], Tensor]) -> Tensor:
        """Return draws of N(0, S), (B, C, H, W), made of what gives draws of N(0, I)."""
        return self.sigma * normals()


@dataclass(frozen=True)
class Correlated:
    """S = D C^T diag(v) C D.

    Arguments:
        deviations: D, (C, H, W), > 0
        variances: v, those of the frequencies, (C, H, W), > 0
    """

    deviations: Tensor
    variances: Tensor
    measured: ClassVar[bool] = True
    precise: ClassVar[float] = 1e-3

    @property
    def variance(self) -> float:
        """The mean variance of a value."""
        return self.deviations.square().mean().item()

    def nearly(self, count: int) -> tuple[Tensor, Tensor]:
        """Return D^2 and v for each of so many images, (count, C, H, W)."""
        same = self.deviations.square(), self.variances
        return same[0].expand(count, -1, -1, -1), same[1].expand(count, -1, -1, -1)

    def product(self, x: Tensor) -> Tensor:
        """Return S x for images (B, C, H, W)."""
        deviations, variances = self.deviations.to(x), self.variances.to(x)
        return deviations * transformed(variances * transformed(deviations * x), back=True)

    def draws(self, normals: Callable[[], Tensor]) -> Tensor:
        """Return draws of N(0, S), (B, C, H, W), made of what gives draws of N(0, I)."""
        noise = normals()
        deviations, variances = self.deviations.to(noise), self.variances.to(noise)
        return deviations * transformed(variances.sqrt() * noise, back=True)


@dataclass(frozen=True)
class Blended:
    """S = (1 - w) S_1 + w S_2, with a share w for each image.

    Arguments:
        first, second: S_1 and S_2
        share: w, (B,), in [0, 1], for rows (B * S) of which those of an image are adjacent
    """

    first: Correlated
    second: Correlated
    share: Tensor
    measured: ClassVar[bool] = True
    precise: ClassVar[float] = Correlated.precise

    @property
    def variance(self) -> float:
        """The mean variance of a value."""
        share = self.share.mean().item()
        return (1 - share) * self.first.variance + share * self.second.variance

    def nearly(self, count: int) -> tuple[Tensor, Tensor]:
        """Return about D^2 and v for each of so many images, (count, C, H, W)."""
        share = self.share.view(-1, 1, 1, 1).repeat_interleave(count // len(self.share), 0)
        (squares, v), (others, w) = self.first.nearly(count), self.second.nearly(count)
        middle = squares.lerp(others, share)
        means = [values.mean((1, 2, 3), keepdim=True) for values in (squares, others)]
        spectrum = (means[0] * v).lerp(means[1] * w, share) / means[0].lerp(means[1], share)
        return middle, spectrum

    def product(self, x: Tensor) -> Tensor:
        """Return S x for images (B * S, C, H, W)."""
        return self.first.product(x).lerp(self.second.product(x), self._shares(x))

    def draws(self, normals: Callable[[], Tensor]) -> Tensor:
        """Return draws of N(0, S), (B * S, C, H, W), made of what gives draws of N(0, I)."""
        first, second = self.first.draws(normals), self.second.draws(normals)
        share = self._shares(first)
        return (1 - share).sqrt() * first + share.sqrt() * second

    def _shares(self, rows: Tensor) -> Tensor:
        """Return the share of each row, (B * S, 1, 1, 1)."""
        repeated = self.share.to(rows).repeat_interleave(len(rows) // len(self.share))
        return repeated.view(-1, 1, 1, 1)


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

    @staticmethod
    def share(updates: Tensor) -> float:
        """Return the weight of the last of so many batches in the averages."""
        return (1 - DECAY) / (1 - DECAY ** updates.item())

    def deviations(self) -> Tensor:
        """Return D."""
        return self._steadied(self.squares).sqrt().clamp(min=DEVIATION)

    def _steadied(self, values: Tensor) -> Tensor:
        """Return values (C, H, W), the fewer images there are the nearer to neighbours' means."""
        own = self.images / (self.images + FEW)
        return own * values + (1 - own) * smooth(values[None])[0]

    @property
    def measured(self) -> bool:
        """Whether there were any."""
        return bool(self.updates > 0)

    def noise(self) -> Correlated:
        """Return their distribution about the centre."""
        return Correlated(self.deviations(), self._steadied(self.spectrum).clamp(min=VARIANCE))


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

    def update(self, images: Tensor, decoded: Tensor, size: int, count: int) -> None:
        """Add images of a batch and what was decoded for them, (B, C, H, W).

        Arguments:
            size: number of images of the batch over all processes; count: of the data set
        """
        self.add(images - decoded.detach(), size, count)
        self.whole.add(images, size, count)

    def config(self) -> dict[str, Any]:
        """Return the arguments of this part."""
        return {"shape": list(self.squares.shape)}


def smooth(values: Tensor) -> Tensor:
    """Average values (B, C, H, W) over 3 x 3 neighbours."""
    padded = functional.pad(values, (1, 1, 1, 1), mode="replicate")
    return functional.avg_pool2d(padded, 3, 1)


def transformed(x: Tensor, back: bool = False) -> Tensor:
    """Return the orthonormal cosine transform (DCT-II) of images (B, C, H, W), or its inverse."""
    channels, height, width = (cosines(side, back, x.dtype, x.device) for side in x.shape[1:])
    return torch.einsum("dc,bchw->bdhw", channels, height @ x @ width.mT)


@cache
def cosines(count: int, back: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix (n, n) of the orthonormal DCT-II, or its transpose."""
    places = torch.arange(count, dtype=torch.float64)
    frequencies = places[:, None]
    matrix = torch.cos(math.pi * (2 * places + 1) * frequencies / (2 * count))
    matrix *= math.sqrt(2 / count)
    matrix[0] /= math.sqrt(2)
    return (matrix.mT.contiguous() if back else matrix).to(device, dtype)
