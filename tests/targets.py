"""Known densities for tests of samplers."""

from dataclasses import dataclass

import torch
from torch import Tensor


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

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw exactly."""
        root = torch.linalg.cholesky(self.covariance)
        noise = torch.randn(count, len(self.mean), generator=rng, dtype=self.mean.dtype)
        return self.mean + noise @ root.T


def correlated_gaussian() -> CorrelatedGaussian:
    """Three dimensions, scales from 0.7 to 1.4, correlations up to 0.5."""
    scales = torch.tensor([0.7, 1.0, 1.4], dtype=torch.float64)
    correlations = torch.tensor(
        [[1.0, 0.5, -0.3], [0.5, 1.0, 0.1], [-0.3, 0.1, 1.0]], dtype=torch.float64
    )
    mean = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    return CorrelatedGaussian(mean, scales[:, None] * correlations * scales)
