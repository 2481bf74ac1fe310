r"""Parameter expansion: give the inferred latents the prior's moments without changing f(z).

The likelihood fixes latents only up to an affine map that the first layer can absorb. With the
mean m and covariance C = S S^T of all inferred latents,

.. math:: z \leftarrow S^{-1}(z - m), \qquad A \leftarrow A S, \qquad b \leftarrow b + A m

leaves A z + b, so every image, as it was, while the prior term grows, and latents drawn from the
prior are where the learned ones are.

References:
    Liu, Rubin and Wu, "Parameter expansion to accelerate EM: the PX-EM algorithm",
    Biometrika 1998.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tigon.distributed import all_sum


class Affine(NamedTuple):
    """The map z -> S^-1 (z - m): mean m (d,) and lower-triangular S (d, d)."""

    mean: Tensor
    root: Tensor

    def apply(self, z: Tensor) -> Tensor:
        """Map latents (N, d) to the new coordinates."""
        return torch.linalg.solve_triangular(self.root, (z - self.mean).T, upper=False).T

    def shrink(self, step_size: Tensor) -> Tensor:
        """Map step sizes (N,): a length in the old coordinates is det(S)^(-1/d) of it in new."""
        return step_size / self.root.diagonal().log().mean().exp()


def mean_and_covariance(z: Tensor, everywhere: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Return how many latents (N, d) there are, their mean (d,) and their covariance (d, d).

    Arguments:
        everywhere: whether those of other processes count too
    """
    total = all_sum if everywhere else (lambda part: part)
    count = total(z.new_tensor(len(z)))
    mean = total(z.sum(0)) / count
    return count, mean, total((z - mean).T @ (z - mean)) / count


def moments(z: Tensor, everywhere: bool = True) -> Affine:
    """Return the mean and a root of the covariance of latents (N, d).

    The root is Cholesky's where n > 2 d, and diagonal where fewer latents say too little about
    the correlations. An axis on which latents do not vary keeps its scale.
    """
    count, mean, covariance = mean_and_covariance(z, everywhere)
    variance = covariance.diagonal()
    still = variance < 1e-8
    if count > 2 * len(mean) and not still.any():
        root, failed = torch.linalg.cholesky_ex(covariance)
        if not failed:
            return Affine(mean, root)
    return Affine(mean, torch.where(still, torch.ones_like(variance), variance).sqrt().diag())


@torch.no_grad()
def absorb(affine: Affine, layer: nn.Linear, optimizer: torch.optim.Optimizer | None) -> None:
    """Let the first layer undo the map, so that layer(apply(z)) is what layer(z) was.

    Adam's moments follow: the gradient for A S is that for A times S^-T, less the outer product
    of the bias's gradient and S^-1 m. Squares transform as if gradients were uncorrelated.
    """
    mean, root = affine
    inverse = torch.linalg.inv(root)
    shift = inverse @ mean
    layer.bias.add_(layer.weight @ mean)
    layer.weight.copy_(layer.weight @ root)
    of_weight = optimizer.state.get(layer.weight, {}) if optimizer else {}
    of_bias = optimizer.state.get(layer.bias, {}) if optimizer else {}
    if "exp_avg" in of_weight:
        first, second = of_weight["exp_avg"], of_weight["exp_avg_sq"]
        first.copy_(first @ inverse.T - torch.outer(of_bias["exp_avg"], shift))
        second.copy_(second @ (inverse**2).T + torch.outer(of_bias["exp_avg_sq"], shift**2))
