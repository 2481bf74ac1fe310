r"""Parameter expansion: give the inferred latents the prior's moments without changing f(z).

The likelihood fixes latents only up to an affine map that the first layer can absorb. PX-EM lets
the prior be N(m, C), learns both, and maps latents back to N(0, I): with C = S S^T,

.. math:: z \leftarrow S^{-1}(z - m), \qquad A \leftarrow A S, \qquad b \leftarrow b + A m

Its m and C are expected moments under the posteriors, whose own covariance counts. Chains give
one draw z_i for each image, with mean m' and covariance C' over all n of them; as in stochastic
approximation EM, the expectation is a running average of their first and second moments with
weight gamma. The average is (0, I) once latents were mapped, so that it needs no memory:

.. math:: m = \gamma\,m', \qquad C = (1 - \gamma) I + \gamma\,C' + \gamma (1 - \gamma)\,m' m'^T

*Unchanged* by the map: f(z_i) of every latent, so the likelihood of every image at its latent.
*Changed*: the posterior of z given an image, since the prior stays N(0, I) in the new
coordinates. Latents that were draws of the posterior are draws of another density after a map
that is not the identity; at the maximum of the likelihood the expected map is the identity. One
map for all latents couples their chains, and the less, the smaller gamma / n.

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

FIRST = {"exp_avg", "momentum_buffer"}  # what optimizers call a mean of gradients
SECOND = {"exp_avg_sq", "max_exp_avg_sq", "square_avg"}  # and of their squares
LARGEST = 1e15  # of Adam's mean gradient; its square is within float32
NOISE = 10.0  # so much of (d + 1) / n, the relative variance of C', is averaged away


class Affine(NamedTuple):
    """The map z -> S^-1 (z - m): mean m (d,) and lower-triangular S (d, d)."""

    mean: Tensor
    root: Tensor

    def apply(self, z: Tensor) -> Tensor:
        """Map latents (N, d) to the new coordinates."""
        return torch.linalg.solve_triangular(self.root, (z - self.mean).T, upper=False).T

    @property
    def scale(self) -> float:
        """A length in the new coordinates over that in the old, det(S)^(-1/d)."""
        return (-self.root.diagonal().log().mean()).exp().item()


class Moments(NamedTuple):
    """Of all latents: how many there are, their mean (d,) and their covariance (d, d)."""

    number: Tensor
    mean: Tensor
    covariance: Tensor

    def weight(self, moved: float) -> float:
        """Return gamma, by how little n and d let the moments of one draw each be trusted.

        Arguments:
            moved: part of the latents that have moved since the last map, in [0, 1]; where all
                have, gamma is n / (n + 10 (d + 1))
        """
        number = self.number.item()
        part = NOISE * (len(self.mean) + 1) / (number + NOISE * (len(self.mean) + 1))
        return 1 - part**moved

    def affine(self, weight: float, centred: bool = True) -> Affine:
        """Return the map to the expected moments, with this weight gamma of the present ones.

        Arguments:
            weight: in [0, 1)
            centred: False leaves the mean where it is, for a layer without a bias
        """
        mean = weight * self.mean if centred else torch.zeros_like(self.mean)
        off, now = wide(self.mean), wide(self.covariance)  # squares of them are added
        expected = weight * now + weight * (1 - weight * centred) * torch.outer(off, off)
        expected.diagonal().add_(1 - weight)
        root, failed = torch.linalg.cholesky_ex(expected)
        if failed:  # moments overflow: so do latents, which is for the guard to say
            root = root.fill_(torch.nan)
        return Affine(mean, root.to(mean))


def moments(parts: Callable[[], Iterable[Tensor]]) -> Moments:
    """Return the moments of the latents of all processes, which come some rows (B, d) at a time.

    Arguments:
        parts: yields those of this process; called twice
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
    """Return the network's `.first`, if it is linear and all that latents go through.

    Raises:
        ValueError: if it is not, so that no map of latents could be absorbed
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
            "parameter expansion needs a network that sees latents by its `.first` alone: this "
            "one changes f(z) when latents and `.first` are mapped (expand=False leaves it out)"
        )
    return first


@torch.no_grad()
def absorb(affine: Affine, layer: nn.Linear, optimizer: Optimizers | None) -> None:
    """Let the first layer undo the map, so that layer(apply(z)) is what layer(z) was.

    The moments of Adam and its relatives, and SGD's momentum, follow: the gradient for A S is that
    for A times S^-T, less the outer product of the bias's gradient and S^-1 m. Squares transform
    as if gradients were uncorrelated. Of few images, the scale of a latent that images do not
    depend on drifts towards 0 for as long as the run lasts, and its moments the other way: they
    end at `LARGEST`, before they overflow.
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
        second.clamp_(max=LARGEST**2)


@torch.no_grad()
def undo(affine: Affine, weight: Tensor, bias: Tensor | None) -> None:
    """Change a linear layer's weight (H, d) and bias (H,) so that latents may be mapped."""
    mean, root = (part.to(weight) for part in affine)
    if bias is not None:
        bias.add_(weight @ mean)
    weight.copy_(weight @ root)
