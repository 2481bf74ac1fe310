"""Normal densities, and the protocol for priors of latents."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from tigon.densities.log_density import sum_event
from tigon.random.streams import Rng, normal


@runtime_checkable
class Prior(Protocol):
    """A density of latents: it has `sample`, and `log_prob`, (B, d) to (B,), which is normalised,
    or `log_density`, which need not be.
    """

    def sample(self, like: Tensor, rng: Rng) -> Tensor:
        """Draw points with the shape, type and device of `like` (B, d)."""


def density_of(prior: Prior) -> Callable[[Tensor], Tensor]:
    """Return the log-density of a prior, (B, d) to (B,).

    Raises:
        ValueError: if it has none, or nothing to draw with
    """
    density = getattr(prior, "log_density", None) or getattr(prior, "log_prob", None)
    if density is None or not hasattr(prior, "sample"):
        raise ValueError(
            f"a prior needs log_prob or log_density, and sample(like, rng); "
            f"{type(prior).__name__} lacks them"
        )
    return density


@dataclass(frozen=True)
class Gaussian:
    """N(loc, scale^2 I): a normalised density over events of any shape.

    Arguments:
        loc: a number or a tensor that broadcasts to an event
        scale: standard deviation > 0, likewise
    """

    loc: float | Tensor = 0.0
    scale: float | Tensor = 1.0

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log N(x; loc, scale^2) of each row, (B, *) to (B,)."""
        return self._log_prob((x - self.loc) / self._scale(x))

    __call__ = log_prob

    @torch.no_grad()
    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the same, and its gradient (loc - x) / scale^2, (B, *), without autograd."""
        scale = self._scale(x)
        residual = (x - self.loc) / scale
        return self._log_prob(residual), -residual / scale

    def _scale(self, x: Tensor) -> float | Tensor:
        return self.scale.to(x) if isinstance(self.scale, Tensor) else self.scale

    def _log_prob(self, residual: Tensor) -> Tensor:
        event, scale = residual.shape[1:], self._scale(residual)
        at_loc = -0.5 * math.log(2 * math.pi) * event.numel() - (
            scale.log().expand(event).sum()
            if isinstance(scale, Tensor)
            else math.log(scale) * event.numel()
        )
        return at_loc - 0.5 * sum_event(residual * residual)

    def sample(self, like: Tensor, rng: Rng) -> Tensor:
        """Draw points of the shape, type and device of `like` (B, *)."""
        return self.loc + self.scale * normal(rng, like)


def reach(dim: int) -> float:
    """Return a squared length that draws of N(0, I) in so many dimensions stay below.

    It is the mean of |z|^2, d, and ten of its standard deviations.
    """
    return dim + 10 * (2 * dim) ** 0.5


@dataclass(frozen=True)
class StandardNormal:
    """N(0, I), the prior of a `GeneratorModel` that is given none."""

    def log_density(self, z: Tensor) -> Tensor:
        """Return -|z|^2 / 2 of each row, (B, *) to (B,): up to a constant."""
        return -sum_event(z**2) / 2

    __call__ = log_density

    def sample(self, like: Tensor, rng: Rng) -> Tensor:
        """Draw points of the shape, type and device of `like` (B, *)."""
        return normal(rng, like)
