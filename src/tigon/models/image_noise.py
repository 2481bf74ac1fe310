r"""How images lie about f(z), or about their mean: as white noise, or with a covariance.

Real residuals x - f(z) are larger in some places than in others, and neighbours err alike. So,
with a diagonal D, of about their standard deviations, and C the discrete cosine transform over
channels, height and width, which nearly diagonalises the covariance of what looks alike
everywhere,

.. math:: S = D C^\top \mathrm{diag}(v) \, C D, \qquad v = E[(C D^{-1} r)^2]

with D such that the diagonal of S is E[r^2], which takes two numbers for each value of an image.
`models.residuals` measures them.

References:
    Ahmed, Natarajan and Rao, "Discrete cosine transform", IEEE Transactions on Computers 1974.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from tigon.densities.conjugate_gradients import LinearMap, conjugate_gradients
from tigon.random.streams import Rng, normal

ROUGH = 0.05  # how precise the completion of an image is, while learning
MOST = 60  # iterations for it


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
        deviations: the diagonal of D, (C, H, W), > 0
        variances: v, those of the frequencies, (C, H, W), > 0
    """

    deviations: Tensor
    variances: Tensor
    measured: ClassVar[bool] = True
    precise: ClassVar[float] = 1e-3

    @property
    def variance(self) -> float:
        """The mean variance of a value."""
        return (self.deviations.square() * diagonal(self.variances)).mean().item()

    def nearly(self) -> tuple[Tensor, Tensor]:
        """Return D^2 and v, the same for all images, (1, C, H, W)."""
        return self.deviations.square()[None], self.variances[None]

    def product(self, x: Tensor) -> Tensor:
        """Return S x for images (B, C, H, W)."""
        deviations, variances = self.deviations.to(x), self.variances.to(x)
        return deviations * transformed(variances * transformed(deviations * x), back=True)

    def draws(self, normals: Callable[[], Tensor]) -> Tensor:
        """Return draws of N(0, S), (B, C, H, W), made of what gives draws of N(0, I)."""
        noise = normals()
        deviations, variances = self.deviations.to(noise), self.variances.to(noise)
        return deviations * transformed(variances.sqrt() * noise, back=True)

    @torch.no_grad()
    def completed(self, values: Tensor, mask: Tensor, rng: Rng) -> Tensor:
        """Draw r of N(0, S) given some of its values: of what was not observed.

        By Matheron's rule: r is drawn, and corrected by what it lacks of the values.

        Arguments:
            values: r (B, C, H, W), where `mask` is 1; what is elsewhere says nothing
            mask: 1 where a value is known and 0 elsewhere, (B, C, H, W)
            rng: one generator, or streams of B rows
        """
        if len(values) == 0:  # another process has them all
            return values
        drawn = self.draws(lambda: normal(rng, values))
        squares, spectrum = (same.to(values) for same in self.nearly())
        one = values.new_ones(len(values), 1, 1, 1)
        near = preconditioner(squares, spectrum, one, 0 * one, mask)
        lacks = mask * torch.where(mask > 0, values - drawn, 0)
        found = conjugate_gradients(
            lambda r: mask * self.product(mask * r), lacks, ROUGH, near, MOST
        )
        return torch.where(mask > 0, values, drawn + self.product(found.solution))


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

    def nearly(self) -> tuple[Tensor, Tensor]:
        """Return about D^2 and v for each image, (B, C, H, W)."""
        (squares, v), (others, w) = self.first.nearly(), self.second.nearly()
        share = self._shares(self.share)
        middle = squares.lerp(others, share)
        spectrum = (squares.mean() * v).lerp(others.mean() * w, share)
        return middle, spectrum / squares.mean().lerp(others.mean(), share)

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


def preconditioner(
    squares: Tensor, spectrum: Tensor, scale: Tensor, ridge: Tensor, seen: Tensor
) -> LinearMap:
    """Return about (scale D C^T diag(v) C D + ridge I)^-1, where something is observed.

    Arguments:
        squares, spectrum: D^2 and v, of each image (B, C, H, W), or of all (1, C, H, W)
        scale, ridge: of each row, (B * S, 1, 1, 1)
        seen: 1 where something is observed, (B, C, H, W)
    """
    squares, spectrum, seen = (
        values.repeat_interleave(len(scale) // len(values), 0)
        for values in (squares, spectrum, seen)
    )
    middle = scale * squares.mean((1, 2, 3), keepdim=True)
    variances = (middle * spectrum + ridge) / (middle + ridge)
    inverse = seen / (scale * squares + ridge).sqrt()
    return lambda r: inverse * transformed(transformed(inverse * r) / variances, back=True)


def smooth(values: Tensor) -> Tensor:
    """Average values (B, C, H, W) over 3 x 3 neighbours."""
    padded = functional.pad(values, (1, 1, 1, 1), mode="replicate")
    return functional.avg_pool2d(padded, 3, 1)


def transformed(x: Tensor, back: bool = False) -> Tensor:
    """Return the orthonormal cosine transform (DCT-II) of images (B, C, H, W), or its inverse."""
    channels, height, width = (cosines(side, back, x.dtype, x.device) for side in x.shape[1:])
    return torch.einsum("dc,bchw->bdhw", channels, height @ x @ width.mT)


def diagonal(variances: Tensor) -> Tensor:
    """Return the diagonal of C^T diag(v) C, for v (C, H, W), likewise."""
    sides, kind, device = variances.shape, variances.dtype, variances.device
    channels, height, width = (cosines(side, True, kind, device).square() for side in sides)
    return torch.einsum("dc,chw->dhw", channels, height @ variances @ width.mT)


@cache
def cosines(count: int, back: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix (n, n) of the orthonormal DCT-II, or its transpose."""
    places = torch.arange(count, dtype=torch.float64)
    frequencies = places[:, None]
    matrix = torch.cos(math.pi * (2 * places + 1) * frequencies / (2 * count))
    matrix *= math.sqrt(2 / count)
    matrix[0] /= math.sqrt(2)
    return (matrix.mT.contiguous() if back else matrix).to(device, dtype)
