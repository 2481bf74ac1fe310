r"""Whether points could be draws of a distribution that can be sampled: tests by simulation.

A statistic of the n points is compared with the same statistic of n draws, many times over; so a
p-value holds for any n, any dimension and any prior that can be drawn from.

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

Draw = Callable[[int], Tensor]  # so many draws of the prior, (count, d)

REPEATS, ENOUGH, PORTION = 1000, 20, 100
NUMBERS = 5_000_000  # held at once, about
REFERENCE = 500


class Simulated(NamedTuple):
    """A statistic among those of simulated draws.

    Attributes:
        p_value: probability of a statistic as large, at least 1 / (repeats + 1)
        expected: its mean over the draws
        repeats: how often was drawn: up to 1000 times, fewer where 20 were as large before
    """

    p_value: float
    expected: float
    repeats: int


class MomentsTest(NamedTuple):
    """Whether latents could be draws of N(0, I), by their mean and covariance.

    Attributes:
        statistic: the likelihood ratio
        p_value, expected: of it, see `Simulated`
        divergence: KL(N(m, C) || N(0, I)) in nats for each coordinate, less what as many draws of
            the prior have on average: the size of the deviation, about 0 for draws of the prior
        mean, deviation: of each coordinate, (d,)
    """

    statistic: float
    p_value: float
    expected: float
    divergence: float
    mean: Tensor
    deviation: Tensor


class TwoSampleTest(NamedTuple):
    """Whether points could be draws like the reference, by their energy distance.

    Attributes:
        distance: 2 E|x - y| - E|x - x'| - E|y - y'|, >= 0, after whitening
        p_value, expected, repeats: of it, see `Simulated`
        points, reference: how many points and draws were compared
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
    """Compare a statistic with that of draws: large ones speak against the points.

    Arguments:
        observed: the points' statistic, a scalar
        statistic: of K sets of points (K, n, d), (K,)
        draw: gives K n draws as (K, n, d), from K
        size: numbers that one set takes, which bounds how many sets are held at once
    """
    larger, total, done = 0, 0.0, 0
    portion = max(1, min(PORTION, NUMBERS // size))
    while done < REPEATS and (larger < ENOUGH or done < PORTION):
        drawn = statistic(draw(min(portion, REPEATS - done)))
        larger += int((drawn >= observed).sum())
        total, done = total + drawn.sum().item(), done + len(drawn)
    return Simulated((1 + larger) / (1 + done), total / done, done)


def moments_test(latents: Tensor) -> MomentsTest:
    r"""Test the moments of latents (n, d) against those of n draws of N(0, I).

    .. math:: n \left( \operatorname{tr} C - \log\det C - d + |m|^2 \right)

    with all of the covariance C where n > 2 d, and with its diagonal where fewer latents say too
    little about correlations.
    """
    z = latents.detach().cpu().double()
    (count, dim), rng = z.shape, make_rng("moments", 0)
    ratio = likelihood_ratio(z[None])[0]
    found = simulated(
        ratio,
        likelihood_ratio,
        lambda sets: torch.randn(sets, count, dim, generator=rng, dtype=z.dtype),
        count * dim,
    )
    return MomentsTest(
        ratio.item(),
        found.p_value,
        found.expected,
        (ratio.item() - found.expected) / (2 * count * dim),
        z.mean(0),
        z.std(0, correction=0),
    )


def likelihood_ratio(z: Tensor) -> Tensor:
    """Return twice n KL(N(m, C) || N(0, I)) of sets of latents (K, n, d), (K,)."""
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
    """Test latents (n, d) against draws of their prior beyond mean and covariance.

    Latents, draws, and the draws that stand in for latents in the simulation are whitened alike,
    each set by its own moments: by all of the covariance where n > 2 d, by its diagonal elsewhere.

    Arguments:
        draw: so many draws of the prior
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
    """Test features (n, k) of images against a pool of those of the model's draws, (P, k).

    A third of the pool is what features are compared with, the other draws stand in for them in
    the simulation; all are divided by that third's standard deviations.

    Arguments:
        pool: P draws, several times n
        rng: chooses from the pool, on the CPU
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
    r"""Return the energy distance of sets x (K, n, d) from the one set y (m, d), (K,).

    .. math:: 2 E|x - y| - E|x - x'| - E|y - y'|

    over all pairs, those of a point with itself too: at least 0, and 0 where sets are the same.
    """
    between = torch.cdist(x, y.expand(len(x), *y.shape)).mean((-2, -1))
    within = torch.cdist(x, x).mean((-2, -1))
    return 2 * between - within - torch.cdist(y, y).mean()


def whitened(points: Tensor, fully: bool) -> Tensor:
    """Return sets (*, n, d) with mean 0 and covariance I, or only variances 1 if not `fully`."""
    mean, covariance = _covariance(points)
    away = points - mean[..., None, :]
    if not fully:
        return away / covariance.diagonal(dim1=-2, dim2=-1)[..., None, :].sqrt()
    root = torch.linalg.cholesky(covariance)
    return torch.linalg.solve_triangular(root, away.mT, upper=False).mT


def _covariance(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean (*, d) and covariance (*, d, d) of sets (*, n, d).

    A billionth of the mean variance is added, for sets that lie in a plane.
    """
    mean = points.mean(-2)
    away = points - mean[..., None, :]
    covariance = away.mT @ away / points.shape[-2]
    least = 1e-9 * covariance.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-9)
    return mean, covariance + least[..., None, None] * torch.eye(points.shape[-1]).to(points)
