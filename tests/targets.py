"""Known densities for tests of samplers.

Each has a log-density, an exact sampler, `at(temperature)`, the target that is p^(1/T), and
`whiten`, which maps its draws to independent standard normals, so that one check of those covers
means, covariances, quantiles and dependence.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

QUANTILES = torch.tensor([0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995], dtype=torch.float64)


def standard(count: int, dim: int, rng: torch.Generator) -> Tensor:
    """Draw standard normals, (count, dim)."""
    return torch.randn(count, dim, generator=rng, dtype=torch.float64)


def assert_standard_normal(z: Tensor, errors: float = 4.5) -> None:
    """Check that rows (N, d) are independent draws of N(0, I), within so many standard errors.

    Hermite polynomials of degree 1 and 2, and their products over pairs of coordinates, have mean
    0 and variance 1; so many draws lie below each quantile. Rows must be independent.
    """
    bound = errors / len(z) ** 0.5
    dim = z.shape[1]
    basis = torch.cat([z, (z**2 - 1) / 2**0.5], 1)
    means = basis.mean(0)
    assert means.abs().max() < bound, f"mean, variance: {means / bound * errors} standard errors"
    other = ~torch.eye(dim, dtype=torch.bool).repeat(2, 2)
    products = (basis.T @ basis / len(z))[other]
    if dim > 1:
        assert products.abs().max() < bound, f"dependence: {products / bound * errors}"
    below = (z[:, :, None] < torch.special.ndtri(QUANTILES)).double().mean(0)
    off = (below - QUANTILES) / (QUANTILES * (1 - QUANTILES)).sqrt()
    assert off.abs().max() < bound, f"quantiles: {off / bound * errors} standard errors"


@dataclass
class CorrelatedGaussian:
    """N(mean, covariance) up to a constant, and a count of its evaluations."""

    mean: Tensor
    covariance: Tensor
    calls: int = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        away = x - self.mean
        return -0.5 * torch.einsum("bi,ij,bj->b", away, torch.linalg.inv(self.covariance), away)

    def at(self, temperature: float) -> "CorrelatedGaussian":
        """Return p^(1/T)."""
        return CorrelatedGaussian(self.mean, self.covariance * temperature)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw exactly."""
        root = torch.linalg.cholesky(self.covariance)
        noise = torch.randn(count, len(self.mean), generator=rng, dtype=self.mean.dtype)
        return self.mean + noise @ root.T

    def whiten(self, x: Tensor) -> Tensor:
        """Map draws to standard normals."""
        root = torch.linalg.cholesky(self.covariance)
        return torch.linalg.solve_triangular(root, (x - self.mean).T, upper=False).T


def correlated_gaussian() -> CorrelatedGaussian:
    """Three dimensions, scales from 0.7 to 1.4, correlations up to 0.5."""
    scales = torch.tensor([0.7, 1.0, 1.4], dtype=torch.float64)
    correlations = torch.tensor(
        [[1.0, 0.5, -0.3], [0.5, 1.0, 0.1], [-0.3, 0.1, 1.0]], dtype=torch.float64
    )
    mean = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    return CorrelatedGaussian(mean, scales[:, None] * correlations * scales)


@dataclass(frozen=True)
class Funnel:
    """Neal's funnel: v ~ N(mean, scale^2), x_i given v ~ N(0, width^2 e^v); points (v, x)."""

    dim: int = 3
    mean: float = 0.0
    scale: float = 1.5
    width: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        v, rest = x[:, 0], x[:, 1:]
        narrow = (rest**2).sum(1) / (2 * self.width**2) * (-v).exp()
        return -((v - self.mean) ** 2) / (2 * self.scale**2) - narrow - (self.dim - 1) / 2 * v

    def at(self, temperature: float) -> "Funnel":
        """Return p^(1/T): another funnel, whose neck is rarer where T > 1."""
        shift = self.scale**2 * (self.dim - 1) / 2 * (temperature - 1)
        root = temperature**0.5
        return Funnel(self.dim, self.mean + shift, self.scale * root, self.width * root)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw exactly."""
        z = standard(count, self.dim, rng)
        v = self.mean + self.scale * z[:, :1]
        return torch.cat([v, self.width * (v / 2).exp() * z[:, 1:]], 1)

    def whiten(self, x: Tensor) -> Tensor:
        """Map draws to standard normals."""
        v = x[:, :1]
        return torch.cat([(v - self.mean) / self.scale, x[:, 1:] / self.width / (v / 2).exp()], 1)


@dataclass(frozen=True)
class Banana:
    """A bent Gaussian: x_0 ~ N(0, length^2), x_1 given x_0 ~ N(bend (x_0^2 - 1), width^2)."""

    length: float = 1.0
    width: float = 0.5
    bend: float = 0.7

    def __call__(self, x: Tensor) -> Tensor:
        return -(self.whiten(x) ** 2).sum(1) / 2

    def at(self, temperature: float) -> "Banana":
        """Return p^(1/T)."""
        root = temperature**0.5
        return replace(self, length=self.length * root, width=self.width * root)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw exactly."""
        z = standard(count, 2, rng)
        along = self.length * z[:, :1]
        return torch.cat([along, self.bend * (along**2 - 1) + self.width * z[:, 1:]], 1)

    def whiten(self, x: Tensor) -> Tensor:
        """Map draws to standard normals."""
        along, across = x[:, :1], x[:, 1:]
        off = across - self.bend * (along**2 - 1)
        return torch.cat([along / self.length, off / self.width], 1)


@dataclass(frozen=True)
class Bimodal:
    """A mixture of N(reach a, I) and N(-reach a, I) in the plane; a = (0.6, 0.8)."""

    weight: float = 0.7
    reach: float = 2.0

    def turned(self, x: Tensor) -> Tensor:
        """Return points (B, 2) along a and across it; the same once more turns them back."""
        turn = torch.tensor([[0.6, 0.8], [0.8, -0.6]], dtype=x.dtype)
        return x @ turn

    def __call__(self, x: Tensor) -> Tensor:
        along, across = self.turned(x).unbind(1)
        weights = torch.tensor([self.weight, 1 - self.weight], dtype=x.dtype)
        modes = torch.tensor([self.reach, -self.reach], dtype=x.dtype)
        parts = weights.log() - (along[:, None] - modes) ** 2 / 2
        return parts.logsumexp(1) - across**2 / 2

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw exactly."""
        z = standard(count, 2, rng)
        first = torch.rand(count, generator=rng, dtype=z.dtype) < self.weight
        z[:, 0] += torch.where(first, self.reach, -self.reach)
        return self.turned(z)

    def whiten(self, x: Tensor) -> Tensor:
        """Map draws to standard normals."""
        along, across = self.turned(x).unbind(1)
        first = torch.special.ndtr(along - self.reach)
        second = torch.special.ndtr(along + self.reach)
        below = self.weight * first + (1 - self.weight) * second
        return torch.stack([torch.special.ndtri(below), across], 1)


@dataclass(frozen=True)
class NarrowAndWide:
    """Half N(0, narrow^2), half N(0, 1), on the line: each half needs a different step size."""

    narrow: float = 0.1

    @property
    def variance(self) -> float:
        """Of the mixture."""
        return (1 + self.narrow**2) / 2

    def __call__(self, x: Tensor) -> Tensor:
        inner = -0.5 * (x[:, 0] / self.narrow) ** 2 - np.log(self.narrow)
        return torch.logaddexp(inner, -0.5 * x[:, 0] ** 2)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw exactly."""
        z = standard(count, 1, rng)
        inner = torch.rand(count, 1, generator=rng, dtype=z.dtype) < 0.5
        return torch.where(inner, self.narrow * z, z)


class Line:
    """A density on the line, known by its cumulative sum over a fine grid.

    Arguments:
        function: log-density of numbers, (N,) to (N,)
        reach: the grid goes from -reach to reach
        temperature: the density is that of the function over it
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], reach: float, temperature: float = 1.0
    ) -> None:
        self.function, self.reach, self.temperature = function, reach, temperature
        self.grid = np.linspace(-reach, reach, 20001)
        values = function(torch.from_numpy(self.grid)).numpy() / temperature
        mass = np.exp(values - values.max())
        steps = (mass[1:] + mass[:-1]) / 2
        self.below = np.concatenate([[0.0], np.cumsum(steps) / steps.sum()])

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x[:, 0]) / self.temperature

    def at(self, temperature: float) -> "Line":
        """Return p^(1/T)."""
        return Line(self.function, self.reach, self.temperature * temperature)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw exactly."""
        uniform = torch.rand(count, generator=rng, dtype=torch.float64).numpy()
        return torch.from_numpy(np.interp(uniform, self.below, self.grid))[:, None]

    def cumulative(self, x: Tensor) -> Tensor:
        """Return how much of the density is below each point, (B, 1) to (B,)."""
        return torch.from_numpy(np.interp(x[:, 0].numpy(), self.grid, self.below))

    def whiten(self, x: Tensor) -> Tensor:
        """Map draws to standard normals."""
        return torch.special.ndtri(self.cumulative(x))[:, None]


def normal_line() -> Line:
    """N(0, 1)."""
    return Line(lambda x: -(x**2) / 2, 12.0)


def two_wells() -> Line:
    """Two wells of different depth and width; at T = 1 chains cross between them."""
    return Line(lambda x: -(x**4) / 4 + x**2 + x / 3 + 0.3 * torch.sin(3 * x), 6.0)


def refuses_to_compile(x):
    """The correlated Gaussian, of which torch.compile makes nothing."""
    if torch.compiler.is_compiling():
        raise NotImplementedError("no kernel for this")
    return correlated_gaussian()(x)
