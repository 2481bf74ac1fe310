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

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tigon.distributed import all_sum

LARGEST = 1e15  # of Adam's mean gradient; its square is within float32


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


class Moments(NamedTuple):
    """Of all latents: how many there are, their mean (d,) and their covariance (d, d)."""

    number: Tensor
    mean: Tensor
    covariance: Tensor

    @property
    def affine(self) -> Affine:
        """The map that gives the latents mean 0 and covariance I.

        The root is Cholesky's where n > 2 d, and diagonal where fewer latents say too little
        about the correlations. An axis on which latents do not vary keeps its scale.
        """
        variance = self.covariance.diagonal()
        still = variance < 1e-8
        if self.number > 2 * len(self.mean) and not still.any():
            root, failed = torch.linalg.cholesky_ex(self.covariance)
            if not failed:
                return Affine(self.mean, root)
        scale = torch.where(still, torch.ones_like(variance), variance).sqrt()
        return Affine(self.mean, scale.diag())


def moments(parts: Callable[[], Iterable[Tensor]], everywhere: bool = True) -> Moments:
    """Return the moments of latents that come some rows (B, d) at a time.

    Arguments:
        parts: yields them all; called twice
        everywhere: whether those of other processes count too
    """
    total = all_sum if everywhere else (lambda part: part)
    count, sums = 0, torch.zeros(())
    for z in parts():
        first = count == 0
        count, sums = count + len(z), z.sum(0) if first else sums + z.sum(0)
    number = total(sums.new_tensor(count))
    mean = total(sums) / number
    squares = sums.new_zeros(len(sums), len(sums))
    for z in parts():  # in place: results kept between large temporaries would scatter the heap
        away = z - mean
        squares += away.T @ away
        del z, away
    return Moments(number, mean, total(squares) / number)


@torch.no_grad()
def absorb(affine: Affine, layer: nn.Linear, optimizer: torch.optim.Optimizer | None) -> None:
    """Let the first layer undo the map, so that layer(apply(z)) is what layer(z) was.

    Adam's moments follow: the gradient for A S is that for A times S^-T, less the outer product
    of the bias's gradient and S^-1 m. Squares transform as if gradients were uncorrelated. Of
    few images, the scale of a latent that images do not depend on drifts towards 0 for as long
    as the run lasts, and its moments the other way: they end at `LARGEST`, before they overflow.
    """
    mean, root = (part.to(layer.weight.device) for part in affine)
    inverse = torch.linalg.inv(root)
    shift = inverse @ mean
    layer.bias.add_(layer.weight @ mean)
    layer.weight.copy_(layer.weight @ root)
    of_weight = optimizer.state.get(layer.weight, {}) if optimizer else {}
    of_bias = optimizer.state.get(layer.bias, {}) if optimizer else {}
    if "exp_avg" in of_weight:
        first, second = of_weight["exp_avg"], of_weight["exp_avg_sq"]
        first.copy_(first @ inverse.T - torch.outer(of_bias["exp_avg"], shift))
        first.clamp_(-LARGEST, LARGEST)
        second.copy_(second @ (inverse**2).T + torch.outer(of_bias["exp_avg_sq"], shift**2))
        second.clamp_(max=LARGEST**2)
