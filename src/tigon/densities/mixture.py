r"""A mixture of normal densities, and its fit by the EM algorithm.

.. math:: q(x) = \sum_k w_k\, N(x; m_k, C_k)

Its fit is that of Dempster, Laird and Rubin, where each component has seen some draws of N(0, I)
besides the points: with little data it stays near N(0, I), and no covariance vanishes. With
responsibilities :math:`r_{ik}`, their sum :math:`n_k`, and :math:`\kappa` such draws,

.. math::
    m_k = \frac{\sum_i r_{ik} x_i}{n_k + \kappa}, \qquad
    C_k = \frac{\sum_i r_{ik} (x_i - m_k)(x_i - m_k)^T + \kappa (I + m_k m_k^T)}{n_k + \kappa},
    \qquad w_k = \frac{n_k + 1}{n + K}

References:
    Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm",
    Journal of the Royal Statistical Society B 39, 1977.
    Fraley and Raftery, "Bayesian regularization for normal mixture estimation and model-based
    clustering", Journal of Classification 24, 2007.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from tigon.precision import wide
from tigon.random.streams import Rng, fine, normal, uniform

KNOWN = 30.0  # kappa: draws of N(0, I) that each component has seen
FIRST = 10  # sweeps of k-means that a first fit starts from


class GaussianMixture(nn.Module):
    """A mixture of normal densities over points (B, d), at first N(0, I).

    Arguments:
        latent_dim: d, >= 1
        components: K, >= 1

    `weights` (K,), `means` (K, d) and `inverses` (K, d, d), the inverses of lower-triangular roots
    of the covariances, are buffers: they are fitted, not learned by gradients. Loading others that
    are no densities raises a `ValueError`.

    Example:
        mixture = tigon.GaussianMixture(2, 10)
        mixture.fit(points, sweeps=50, rng=tigon.make_rng("fit", 0))  # (n, 2)
        mixture.log_prob(points)  # (n,)
    """

    UNAVERAGED: ClassVar[tuple[str, ...]] = ("weights", "means", "inverses")
    weights: Tensor
    means: Tensor
    inverses: Tensor

    def __init__(self, latent_dim: int, components: int) -> None:
        super().__init__()
        if min(latent_dim, components) < 1:
            raise ValueError(
                f"a mixture needs at least 1 component of 1 number, not {components} of "
                f"{latent_dim}"
            )
        self.event_shape = (latent_dim,)
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, latent_dim))
        self.register_buffer("inverses", torch.eye(latent_dim).repeat(components, 1, 1))
        self.register_load_state_dict_post_hook(_require_densities)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log q of points (B, d), (B,)."""
        return self._joint(x).logsumexp(1)

    forward = log_prob

    def _joint(self, x: Tensor) -> Tensor:
        """Return the log-density of points (B, d) and components, (B, K)."""
        volume = self.inverses.diagonal(dim1=1, dim2=2).log().sum(1) + self.weights.log()
        return volume - self._squares(x) / 2 - x.shape[1] / 2 * math.log(2 * math.pi)

    def _squares(self, x: Tensor) -> Tensor:
        """Return (x - m_k)^T C_k^-1 (x - m_k) of points (B, d) and components, (B, K)."""
        centred = torch.einsum("kij,bj->bki", self.inverses, x)
        centred = centred - torch.einsum("kij,kj->ki", self.inverses, self.means)
        return centred.square().sum(2)

    @torch.no_grad()
    def squared_distance(self, x: Tensor) -> Tensor:
        """Return (x - m_k)^T C_k^-1 (x - m_k) of points (B, d) and their nearest component, (B,).

        Of draws of one normal density it follows chi square with d degrees of freedom.
        """
        return self._squares(x.to(self.means)).amin(1)

    @torch.no_grad()
    def moments(self) -> tuple[Tensor, Tensor]:
        """Return the mean (d,) and the covariance (d, d), exactly, in double precision."""
        weights, means = wide(self.weights), wide(self.means)
        weights = weights / weights.sum()
        eye = torch.eye(means.shape[1]).to(means)
        roots = torch.linalg.solve_triangular(wide(self.inverses), eye, upper=False)
        mean = weights @ means
        away = means - mean
        within = torch.einsum("k,kij,klj->il", weights, roots, roots)
        return mean, within + away.T @ (weights[:, None] * away)

    @torch.no_grad()
    def precision(self, x: Tensor) -> Tensor:
        """Return the mean inverse covariance of the components of points (B, d), (B, d, d).

        It is minus the curvature of the log-density, less that of the components' shares.
        """
        share, inverses = self._joint(x.to(self.means)).softmax(1), self.inverses
        return torch.einsum("bk,kji,kjl->bil", share, inverses, inverses)

    @torch.no_grad()
    def sample(self, like: Tensor, rng: Rng) -> Tensor:
        """Draw points with the shape, type and device of `like` (B, d); they are exact."""
        ends = self.weights.to(like.device, torch.float32).cumsum(0)
        chosen = torch.bucketize(uniform(rng, like).float() * ends[-1], ends, right=True)
        chosen = chosen.clamp(max=len(ends) - 1)
        noise = normal(rng, like)
        noise = noise.to(fine(noise.dtype))
        drawn = self.means.to(noise)[chosen]
        for k, inverse in enumerate(self.inverses):  # as many copies of it would fill the memory
            here = chosen == k
            away = torch.linalg.solve_triangular(inverse.to(noise), noise[here].T, upper=False)
            drawn[here] += away.T
        return drawn.to(like)

    @torch.no_grad()
    def fit(self, x: Tensor, sweeps: int, rng: torch.Generator | None = None) -> None:
        """Improve the fit to points (n, d) by so many sweeps of EM.

        Arguments:
            x: finite points
            rng: begins anew, at a clustering of the points by k-means that it chooses the first
                centres of; without it, sweeps begin with the mixture as it is. One whose
                components are all alike, as at first, stays so
        """
        x = x.to(self.means)
        points = wide(x)
        if rng is not None:
            self._set(points, _near(points, _centres(points, len(self.weights), rng)))
        for _ in range(sweeps):
            self._set(points, wide(self._joint(x)).softmax(1))

    def _set(self, x: Tensor, share: Tensor) -> None:
        """Set the components by the points (n, d) and their responsibilities (n, K)."""
        counts = share.sum(0)
        whole = (counts + KNOWN)[:, None]
        means = share.T @ x / whole
        eye = torch.eye(x.shape[1]).to(x)
        for k, mean in enumerate(means):
            away = x - mean
            squares = away.T @ (share[:, k, None] * away) + KNOWN * (eye + torch.outer(mean, mean))
            root = torch.linalg.cholesky(squares / whole[k])
            inverse = torch.linalg.solve_triangular(root, eye, upper=False)
            self.inverses[k].copy_(inverse.tril())
        self.means.copy_(means)
        self.weights.copy_((counts + 1) / (len(x) + len(counts)))

    @torch.no_grad()
    def map(self, mean: Tensor, root: Tensor) -> None:
        """Follow points x that become S^-1 (x - m).

        Arguments:
            mean: m, (d,)
            root: S, (d, d), lower-triangular with a positive diagonal
        """
        away = (self.means - mean.to(self.means)).T
        self.means.copy_(torch.linalg.solve_triangular(root.to(away), away, upper=False).T)
        self.inverses.copy_((self.inverses @ root.to(self.inverses)).tril())

    def config(self) -> dict[str, int]:
        """Return the arguments."""
        components, latent_dim = self.means.shape
        return {"latent_dim": latent_dim, "components": components}


def _require_densities(mixture: GaussianMixture, _: object) -> None:
    """Refuse weights and covariances, as they were loaded, that are none."""
    if not (mixture.weights > 0).all():
        raise ValueError("a mixture has weights that are not above 0")
    roots = mixture.inverses
    if not (roots.diagonal(dim1=1, dim2=2) > 0).all() or roots.triu(1).any():
        raise ValueError("a mixture has roots of covariances that are not triangular, or not > 0")


def _near(x: Tensor, centres: Tensor) -> Tensor:
    """Return which centre is nearest to each point, as 0 and 1, (n, K)."""
    nearest = torch.cdist(x, centres).argmin(1)
    return torch.nn.functional.one_hot(nearest, len(centres)).to(x)


def _centres(x: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Return centres (K, d) of points by k-means, started far from each other (k-means++)."""
    centres = x[torch.randint(len(x), (1,), generator=rng).to(x.device)]
    for _ in range(1, count):
        squares = torch.cdist(x, centres).square().amin(1)
        ends = (squares + 1e-12).cumsum(0)
        place = torch.rand(1, generator=rng, dtype=torch.float64).to(ends) * ends[-1]
        chosen = torch.searchsorted(ends, place).clamp(max=len(x) - 1)
        centres = torch.cat([centres, x[chosen]])
    for _ in range(FIRST):
        share = _near(x, centres)
        counts = share.sum(0)[:, None]
        centres = torch.where(counts > 0, share.T @ x / counts.clamp(min=1), centres)
    return centres
