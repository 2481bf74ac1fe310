r"""Parameter expansion: move the inferred latents to the prior's moments without changing f(z).

The likelihood determines latents only up to an affine map that the first layer can absorb. PX-EM
lets the prior be N(m, C), learns both, and maps latents back to N(0, I): with C = S S^T,

.. math:: z \leftarrow S^{-1}(z - m), \qquad A \leftarrow A S, \qquad b \leftarrow b + A m

Its m and C are expected moments under the posteriors, which include the posteriors' own
covariance. Chains give one draw z_i for each image, with mean m' and covariance C' over all n of
them. As in stochastic approximation EM, the expectation is a running average of their first and
second moments with weight gamma. After each map this average is (0, I), so nothing needs to be
stored:

.. math:: m = \gamma\,m', \qquad C = (1 - \gamma) I + \gamma\,C' + \gamma (1 - \gamma)\,m' m'^T

The map *does not change* f(z_i) of any latent, so it does not change the likelihood of any image
at its latent. It *does change* the posterior of z given an image, since the prior stays N(0, I) in
the new coordinates (a mixture of normal densities is mapped with the latents, and the posterior
with it). If latents were draws from the posterior, they are draws from another density after a map
that is not the identity; at the maximum of the likelihood, the expected map is the identity. One
map for all latents couples their chains; the smaller gamma / n, the weaker the coupling.

References:
    Liu, Rubin and Wu, "Parameter expansion to accelerate EM: the PX-EM algorithm",
    Biometrika 1998.
    Delyon, Lavielle and Moulines, "Convergence of a stochastic approximation version of the EM
    algorithm", Annals of Statistics 1999.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tigon.densities.log_density import mode
from tigon.distributed import all_sum
from tigon.learners.base import Optimizers, optimizer_state
from tigon.precision import wide

FIRST = {"exp_avg", "momentum_buffer", "grad_avg"}  # optimizers' names for a mean of gradients
SECOND = {"exp_avg_sq", "max_exp_avg_sq", "square_avg"}  # and for a mean of their squares
LARGEST = 1e15  # limit of Adam's mean gradient; its square fits into float32
NOISE = 10.0  # averages over (d + 1) / n, the relative variance of C', times this factor


class Affine(NamedTuple):
    """The map z -> S^-1 (z - m): mean m (d,) and lower-triangular S (d, d)."""

    mean: Tensor
    root: Tensor

    def apply(self, z: Tensor) -> Tensor:
        """Map latents (N, d) to the new coordinates."""
        return torch.linalg.solve_triangular(self.root, (z - self.mean).T, upper=False).T

    @property
    def scale(self) -> float:
        """Ratio of lengths in the new coordinates to those in the old, det(S)^(-1/d)."""
        return (-self.root.diagonal().log().mean()).exp().item()


class Moments(NamedTuple):
    """The number of latents, their mean (d,) and their covariance (d, d)."""

    number: Tensor
    mean: Tensor
    covariance: Tensor

    def weight(self, moved: float) -> float:
        """Return gamma, which is smaller if moments of one draw each are noisier, given n and d.

        Arguments:
            moved: fraction of the latents that have moved since the last map, in [0, 1]; if all
                have, gamma is n / (n + 10 (d + 1))
        """
        number = self.number.item()
        part = NOISE * (len(self.mean) + 1) / (number + NOISE * (len(self.mean) + 1))
        return 1 - part**moved

    def affine(self, weight: float, centred: bool = True) -> Affine:
        """Return the map to the expected moments, with weight gamma for the current ones.

        Arguments:
            weight: gamma, in [0, 1)
            centred: False leaves the mean unchanged, for a layer without a bias
        """
        mean = weight * self.mean if centred else torch.zeros_like(self.mean)
        off, now = wide(self.mean), wide(self.covariance)  # their squares are added
        expected = weight * now + weight * (1 - weight * centred) * torch.outer(off, off)
        expected.diagonal().add_(1 - weight)
        root, failed = torch.linalg.cholesky_ex(expected)
        if failed:  # moments overflow, and so do latents, which the guard reports
            root = root.fill_(torch.nan)
        return Affine(mean, root.to(mean))


def moments(parts: Callable[[], Iterable[Tensor]]) -> Moments:
    """Return the moments of the latents of all processes.

    Arguments:
        parts: yields the latents of this process, some rows (B, d) at a time; called twice
    """
    count, sums = 0, torch.zeros(())
    for z in parts():
        first = count == 0
        count, sums = count + len(z), z.sum(0) if first else sums + z.sum(0)
    number = all_sum(sums.new_tensor(count))
    mean = all_sum(sums) / number
    squares = sums.new_zeros(len(sums), len(sums))
    for z in parts():  # in place: results kept between large temporaries would scatter the heap
        away = z - mean
        squares += away.T @ away
        del z, away
    return Moments(number, mean, all_sum(squares) / number)


@torch.no_grad()
def require_first(network: nn.Module, latent_dim: int) -> nn.Linear:
    """Return the network's `.first` if it is linear and latents enter only through it.

    Raises:
        ValueError: otherwise, since no map of latents could then be absorbed
    """
    first = getattr(network, "first", None)
    if not isinstance(first, nn.Linear):
        raise ValueError("parameter expansion needs a network whose `.first` is nn.Linear")
    kept = {name: value.clone() for name, value in first.state_dict().items()}
    z = torch.linspace(-2, 2, 3 * latent_dim).view(3, latent_dim).to(first.weight)
    root = torch.eye(latent_dim).to(z) * 2
    mean = z.new_full((latent_dim,), 0.0 if first.bias is None else 0.5)
    affine = Affine(mean, root)
    with mode(network, training=False):
        before = network(z)
        absorb(affine, first, None)
        after = network(affine.apply(z))
    first.load_state_dict(kept)
    if not torch.allclose(before, after, rtol=1e-3, atol=1e-3 * before.abs().max().item()):
        raise ValueError(
            "parameter expansion needs a network that sees latents only through its `.first`: "
            "this one changes f(z) when latents and `.first` are mapped (or use expand=False)"
        )
    return first


@torch.no_grad()
def absorb(affine: Affine, layer: nn.Linear, optimizer: Optimizers | None) -> None:
    """Make the first layer undo the map, so that layer(apply(z)) equals layer(z) before.

    The moments of Adam and its relatives, and SGD's momentum, are transformed accordingly: the
    gradient for A S is that for A times S^-T, minus the outer product of the bias's gradient and
    S^-1 m. Squares are transformed as if gradients were uncorrelated. With few images, the scale
    of a latent on which images do not depend drifts towards 0 throughout the run, and its moments
    grow: they are clamped at `LARGEST` before they overflow.
    """
    mean, root = (part.to(layer.weight) for part in affine)
    inverse = torch.linalg.inv(root)
    of_weight = optimizer_state(optimizer, layer.weight)
    of_bias = {} if layer.bias is None else optimizer_state(optimizer, layer.bias)
    undo(affine, layer.weight, layer.bias)
    shift = inverse @ mean
    for name in FIRST.intersection(name for name, v in of_weight.items() if v is not None):
        first = of_weight[name]
        first.copy_(first @ inverse.T)
        if name in of_bias:
            first.sub_(torch.outer(of_bias[name], shift))
        first.clamp_(-LARGEST, LARGEST)
    for name in SECOND.intersection(of_weight):
        second = of_weight[name]
        second.copy_(second @ (inverse**2).T)
        if name in of_bias:
            second.add_(torch.outer(of_bias[name], shift**2))
        if "grad_avg" in of_weight:  # RMSprop takes the root of their difference
            torch.maximum(second, of_weight["grad_avg"] ** 2, out=second)
        second.clamp_(max=LARGEST**2)


@torch.no_grad()
def undo(affine: Affine, weight: Tensor, bias: Tensor | None) -> None:
    """Change a linear layer's weight (H, d) and bias (H,) to compensate for the map of latents."""
    mean, root = (part.to(weight) for part in affine)
    if bias is not None:
        bias.add_(weight @ mean)
    weight.copy_(weight @ root)
