r"""Compose log-densities: sums and differences, that is products and quotients, and mixtures.

.. math:: \log p(x) = \frac{1}{T} \sum_i w_i \log p_i(x) + c, \qquad
    \log p(x) = \frac{1}{T} \log \sum_i w_i \, p_i(x) + c

A product is high where all parts are; a negative weight avoids what a part likes, and may have no
normalising constant. A mixture is high where any part is. Parts that are known up to a constant
leave a product known up to one. In a mixture the constants count: without them, part i weighs
:math:`w_i Z_i`, and the weights are not the shares of what is drawn.

References:
    Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation
    2002. Du, Li and Mordatch, "Compositional visual generation with energy based models", NeurIPS
    2020.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tigon.densities.log_density import LogDensity


@dataclass(frozen=True)
class Product:
    """The weighted sum of log-densities, over T.

    Arguments:
        parts: log-densities of the same points, one or more
        weights: w_i of each, finite; negative ones divide
        temperature: T > 0

    Example:
        density = tigon.Product([tigon.Gaussian(0.0), tigon.Gaussian(2.0)], [0.5, 0.5])
        trace = tigon.MCMC(tigon.MALA(0.5), 100).run(density, torch.zeros(64, 2), rng)
    """

    parts: Sequence[LogDensity]
    weights: Sequence[float]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check(self.parts, self.weights, self.temperature)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the log-density of points (B, *), (B,), up to a constant."""
        terms = [w * part(x) for part, w in zip(self.parts, self.weights, strict=True)]
        return torch.stack(terms).sum(0) / self.temperature


@dataclass(frozen=True)
class Mixture:
    """The logarithm of the weighted sum of densities, over T.

    Arguments:
        parts: log-densities of the same points, one or more; weights are shares if they are
            normalised
        weights: w_i > 0 of each
        temperature: T > 0
    """

    parts: Sequence[LogDensity]
    weights: Sequence[float]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check(self.parts, self.weights, self.temperature)
        if not all(weight > 0 for weight in self.weights):
            raise ValueError(f"weights of a mixture must be above 0, not {list(self.weights)}")

    def __call__(self, x: Tensor) -> Tensor:
        """Return the log-density of points (B, *), (B,), up to a constant."""
        terms = [math.log(w) + part(x) for part, w in zip(self.parts, self.weights, strict=True)]
        return torch.stack(terms).logsumexp(0) / self.temperature


def _check(parts: Sequence[LogDensity], weights: Sequence[float], temperature: float) -> None:
    if not parts or len(parts) != len(weights):
        raise ValueError(f"{len(parts)} log-densities and {len(weights)} weights: need as many")
    if not all(math.isfinite(weight) for weight in weights) or not any(weights):
        raise ValueError(f"weights must be finite, and not all 0: {list(weights)}")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0 and finite, not {temperature}")
