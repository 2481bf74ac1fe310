r"""Simulation tests of whether points could be draws from a distribution that can be sampled.

A statistic of the n points is compared with the same statistic of n draws, many times, so a
p-value is valid for any n, any dimension and any prior that can be sampled.

References:
    Besag and Clifford, "Sequential Monte Carlo p-values", Biometrika 1991.
    Székely and Rizzo, "Energy statistics: a class of statistics based on distances", Journal of
    Statistical Planning and Inference 143, 2013.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.random.streams import make_rng

Draw = Callable[[int], Tensor]  # returns draws from the prior, (count, d)

REPEATS, ENOUGH, PORTION = 1000, 20, 100
NUMBERS = 5_000_000  # numbers in memory at once, about
REFERENCE = 500


class Simulated(NamedTuple):
    """A statistic compared with those of simulated draws.

    Attributes:
        p_value: probability of a statistic at least as large, at least 1 / (repeats + 1)
        expected: its mean over the draws
        repeats: number of simulations: up to 1000, fewer once 20 were as large
    """

    p_value: float
    expected: float
    repeats: int


class MomentsTest(NamedTuple):
    """Result of testing whether the mean and covariance of latents fit draws from the prior.

    Latents count in coordinates in which the prior's mean is 0, and its covariance I.

    Attributes:
        statistic: the likelihood ratio
        p_value, expected: see `Simulated`
        divergence: KL(N(m, C) || N(0, I)) in nats per coordinate, minus its mean for as many draws
            from the prior: the size of the deviation, about 0 for draws from the prior
        mean, deviation: mean and standard deviation of each coordinate, (d,)
    """

    statistic: float
    p_value: float
    expected: float
    divergence: float
    mean: Tensor
    deviation: Tensor


class TwoSampleTest(NamedTuple):
    """Result of testing whether points and reference draws have the same distribution.

    Attributes:
        distance: energy distance 2 E|x - y| - E|x - x'| - E|y - y'|, >= 0, after whitening
        p_value, expected, repeats: see `Simulated`
        points, reference: number of points and draws that were compared
    """

    distance: float
    p_value: float
    expected: float
    repeats: int
    points: int
    reference: int


def simulated(
    observed: Tensor, statistic: Callable[[Tensor], Tensor], draw: Draw, size: int
) -> Simulated:
    """Compare a statistic with that of draws: large values are evidence against the points.

    Arguments:
        observed: the points' statistic, a scalar
        statistic: maps K sets of points (K, n, d) to (K,)
        draw: maps K to K n draws, (K, n, d)
        size: numbers in one set, which bounds how many sets are in memory at once
    """
    larger, total, done = 0, 0.0, 0
    portion = max(1, min(PORTION, NUMBERS // size))
    while done < REPEATS and (larger < ENOUGH or done < PORTION):
        drawn = statistic(draw(min(portion, REPEATS - done)))
        larger += int((drawn >= observed).sum())
        total, done = total + drawn.sum().item(), done + len(drawn)
    return Simulated((1 + larger) / (1 + done), total / done, done)


def moments_test(
    latents: Tensor,
    moments: tuple[Tensor, Tensor] | None = None,
    draw: Draw | None = None,
) -> MomentsTest:
    r"""Test the moments of latents (n, d) against those of n draws from their prior.

    .. math:: n \left( \operatorname{tr} C - \log\det C - d + |m|^2 \right)

    with the full covariance C if n > 2 d, and otherwise only its diagonal, since few latents say
    too little about correlations.

    Arguments:
        moments: the prior's mean (d,) and covariance (d, d); by default those of N(0, I)
        draw: returns draws from the prior, (count, d); by default those of N(0, I)
    """
    z = latents.detach().cpu().double()
    (count, dim), rng = z.shape, make_rng("moments", 0)
    mean, root = torch.zeros(dim).to(z), torch.eye(dim).to(z)
    if moments is not None:
        mean, root = moments[0].to(z), torch.linalg.cholesky(moments[1].to(z))

    def drawn(sets: int) -> Tensor:
        if draw is None:
            return torch.randn(sets, count, dim, generator=rng, dtype=z.dtype)
        return standard(draw(sets * count).detach().cpu().double()).view(sets, count, dim)

    def standard(points: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(root, (points - mean).T, upper=False).T

    z = standard(z)
    ratio = likelihood_ratio(z[None])[0]
    found = simulated(ratio, likelihood_ratio, drawn, count * dim)
    return MomentsTest(
        ratio.item(),
        found.p_value,
        found.expected,
        (ratio.item() - found.expected) / (2 * count * dim),
        z.mean(0),
        z.std(0, correction=0),
    )


def likelihood_ratio(z: Tensor) -> Tensor:
    """Return 2 n KL(N(m, C) || N(0, I)) for sets of latents (K, n, d), (K,)."""
    count, dim = z.shape[-2:]
    mean, covariance = _covariance(z)
    variance = covariance.diagonal(dim1=-2, dim2=-1)
    if count > 2 * dim:
        log_determinant = torch.linalg.cholesky(covariance).diagonal(dim1=-2, dim2=-1).log()
        log_determinant = 2 * log_determinant.sum(-1)
    else:
        log_determinant = variance.log().sum(-1)
    return count * (variance.sum(-1) - log_determinant - dim + mean.square().sum(-1))


def latents_test(latents: Tensor, draw: Draw) -> TwoSampleTest:
    """Test latents (n, d) against draws from their prior beyond mean and covariance.

    Latents, draws, and the draws that replace latents in the simulation are whitened in the same
    way, each set by its own moments: by the full covariance if n > 2 d, otherwise by its diagonal.

    Arguments:
        draw: returns draws from the prior
    """
    z = latents.detach().cpu().double()
    count, dim = z.shape

    def drawn(sets: int) -> Tensor:
        return draw(sets * count).detach().cpu().double().view(sets, count, dim)

    def alike(points: Tensor) -> Tensor:
        return whitened(points, count > 2 * dim)

    reference = alike(draw(max(REFERENCE, count)).detach().cpu().double())
    return _energy_test(alike(z), reference, lambda sets: alike(drawn(sets)))


def features_test(features: Tensor, pool: Tensor, rng: torch.Generator) -> TwoSampleTest:
    """Test features (n, k) of images against a pool of features of the model's draws, (P, k).

    Features are compared with a third of the pool; the other draws replace them in the simulation.
    All are divided by the standard deviations of that third.

    Arguments:
        pool: P draws, several times n
        rng: generator on the CPU that chooses from the pool
    """
    pool = pool.detach().cpu().double()
    scale = pool[: len(pool) // 3].std(0)
    pool = pool / torch.where(scale > 1e-6, scale, 1.0)
    x = features.detach().cpu().double() / torch.where(scale > 1e-6, scale, 1.0)
    reference, others = pool[: len(pool) // 3], pool[len(pool) // 3 :]

    def drawn(sets: int) -> Tensor:
        return others[torch.randint(len(others), (sets, len(x)), generator=rng)]

    return _energy_test(x, reference, drawn)


def _energy_test(x: Tensor, y: Tensor, draw: Draw) -> TwoSampleTest:
    def distance(points: Tensor) -> Tensor:
        return energy_distance(points, y)

    observed = distance(x[None])[0]
    found = simulated(observed, distance, draw, len(x) * (len(x) + len(y)))
    return TwoSampleTest(observed.item(), *found, len(x), len(y))


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    r"""Return the energy distance of sets x (K, n, d) from one set y (m, d), (K,).

    .. math:: 2 E|x - y| - E|x - x'| - E|y - y'|

    over all pairs, including those of a point with itself: at least 0, and 0 if sets are equal.
    """
    between = torch.cdist(x, y.expand(len(x), *y.shape)).mean((-2, -1))
    within = torch.cdist(x, x).mean((-2, -1))
    return 2 * between - within - torch.cdist(y, y).mean()


def whitened(points: Tensor, fully: bool) -> Tensor:
    """Return sets (*, n, d) with mean 0 and covariance I, or only variances 1 unless `fully`."""
    mean, covariance = _covariance(points)
    away = points - mean[..., None, :]
    if not fully:
        return away / covariance.diagonal(dim1=-2, dim2=-1)[..., None, :].sqrt()
    root = torch.linalg.cholesky(covariance)
    return torch.linalg.solve_triangular(root, away.mT, upper=False).mT


def _covariance(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean (*, d) and covariance (*, d, d) of sets (*, n, d).

    A billionth of the mean variance is added, for sets that lie in a subspace.
    """
    mean = points.mean(-2)
    away = points - mean[..., None, :]
    covariance = away.mT @ away / points.shape[-2]
    least = 1e-9 * covariance.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-9)
    return mean, covariance + least[..., None, None] * torch.eye(points.shape[-1]).to(points)
