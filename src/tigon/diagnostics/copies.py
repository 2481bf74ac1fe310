r"""Are a model's images copies of its training images? The test of data-copying.

Distances of drawn images to their nearest training image are compared with those of held-out
images using the Mann-Whitney test: where the model copies, drawn images lie nearer. The test is
made in each cell of a partition of the training images, since a model may copy in one region and
miss another:

.. math:: C_T = \frac{\sum_\pi P_n(\pi) Z_U(\pi)}{\sum_\pi P_n(\pi)}

Blurred images lie near everything, training images included, and C_T alone would call them copies.
So the test is made again with each distance over that to the nearest held-out image. Held-out
images may be further from the training images than these are from each other, where what belongs
together was not divided; a model that copies nothing then draws images nearer to its training
images, too. So such relative distances are compared with those of held-out images and with those
of training images to the others, which duplicates and mirrored copies are not, and what says less
counts. All images count as copies where both tests say so.

Some may be copies among many that are not, which a comparison of ranks in the middle does not
show. So the smallest relative distances are counted: with q the j-th smallest of m real images,
j = 0.01 m rounded up, the number K of n drawn images below q is, if all are alike,

.. math:: P(K \ge k) = P(\text{at most } j - 1 \text{ of } k + j - 1
    \text{ images without replacement from } n + m \text{ are real})

whatever the distribution of distances. Beside held-out and beside training images, again, what
says less counts.

References:
    Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative
    models", AISTATS 2020.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tigon.random.streams import make_rng

LEAST, CELL = 20, 50  # images that the test needs; held-out ones a cell has on average
COPIED = -3.0  # statistic below which drawn images count as copies
CLOSE, CHANCE = 0.01, 1e-3  # share of real images that is close; probability of as many drawn ones
SAME = 1e-6  # part of the largest image within which two training images are the same
TINY = 1e-12  # least distance to a held-out image that one is divided by


class Neighbours(NamedTuple):
    """The training images that drawn images are nearest to.

    Attributes:
        rows: the nearest training row of each drawn image, (N,)
        distances: to it, (N,)
        relative: the same over the distance to the nearest held-out image, (N,): near 0 for
            copies of training images
    """

    rows: Tensor
    distances: Tensor
    relative: Tensor


class CopiesTest(NamedTuple):
    """Whether drawn images lie nearer to training images than held-out ones do.

    Attributes:
        statistic: C_T, the mean over cells of the statistic in standard deviations of one cell:
            far below 0 where drawn images are nearer to the training images than held-out ones
            are, far above 0 where they are further away
        relative: the same of distances over those to the nearest held-out image, beside held-out
            images or beside training images and the others, whichever is larger
        nearer: probability that a drawn image is nearer to the training images than a held-out one
        close: drawn images whose relative distance is below those of all but 1 % of real images
        chance: probability of as many of them if drawn images are like real ones
        least: how many it takes for some images to count as copies
        neighbours: the nearest training images of the drawn ones
    """

    statistic: float
    relative: float
    nearer: float
    close: int
    chance: float
    least: int
    neighbours: Neighbours

    @property
    def copied(self) -> bool:
        """Whether drawn images count as copies: all of them, as both tests say, or some."""
        return max(self.statistic, self.relative) < COPIED or self.some_copied

    @property
    def some_copied(self) -> bool:
        """Whether more of them are close to training images than chance explains."""
        return self.chance < CHANCE


def neighbours(drawn: Tensor, held_out: Tensor, training: Tensor) -> Neighbours:
    """Return the nearest training images of drawn ones, by features or pixels (N, k) of each set.

    Example:
        found = neighbours(drawn, held_out, training)
        suspicious = found.relative.argmin()  # is most like training image found.rows[suspicious]
    """
    x, y, t = drawn.double(), held_out.double(), training.double()
    distances, rows = torch.cdist(x, t).min(1)
    return Neighbours(rows, distances, distances / torch.cdist(x, y).min(1).values.clamp(min=TINY))


def copies_test(
    drawn: Tensor,
    held_out: Tensor,
    training: Tensor,
    seed: int = 0,
    origins: Tensor | None = None,
) -> CopiesTest:
    """Test drawn images for copies, by features or pixels (N, k) of each set.

    Arguments:
        drawn, held_out: at least 20 of each
        seed: of the partition
        origins: which image each training image is, or is a mirrored copy of, (N,); all are
            different ones if not given
    Raises:
        ValueError: if there are too few
    """
    if min(len(drawn), len(held_out)) < LEAST:
        raise ValueError(f"the test of copies needs {LEAST} drawn and {LEAST} held-out images")
    x, y, t = drawn.double(), held_out.double(), training.double()
    centres = _centres(t, max(1, min(len(y) // CELL, len(t))), seed)
    order = torch.randperm(len(t), generator=make_rng("copies", seed))[: len(y)].to(t.device)
    some = t[order]
    of_x, of_y, of_some = (torch.cdist(rows, centres).argmin(1) for rows in (x, y, some))
    of_drawn, of_held = neighbours(x, y, t), torch.cdist(y, t).min(1)
    others = torch.cdist(y, y).fill_diagonal_(math.inf).min(1).values
    between = _between_others(t, order, origins)
    of_training = between / torch.cdist(some, y).min(1).values.clamp(min=TINY)
    nearer = (of_drawn.distances[:, None] < of_held.values).double().mean().item()
    of_unseen = of_held.values / others.clamp(min=TINY)
    chances = [close_ones(of_drawn.relative, real) for real in (of_unseen, of_training)]
    return CopiesTest(
        _over_cells(of_drawn.distances, of_held.values, of_x, of_y),
        max(
            _over_cells(of_drawn.relative, of_unseen, of_x, of_y),
            _over_cells(of_drawn.relative, of_training, of_x, of_some),
        ),
        nearer,
        *max(chances, key=lambda found: found[1]),
        least_close(len(x), len(y)),
        of_drawn,
    )


def _between_others(t: Tensor, order: Tensor, origins: Tensor | None) -> Tensor:
    """Return the distances of rows `order` (M,) of the training images to the nearest other one.

    Duplicates and mirrored copies of an image are no others: by them, training images would seem
    to be copies of each other, and drawn images that are copies no closer than those.
    """
    if origins is None:
        origins = torch.arange(len(t))
    origins = origins.to(t.device)
    apart = torch.cdist(t[order], t)
    same = origins[order, None] == origins
    same |= apart <= SAME * t.square().sum(1).max().sqrt()
    return apart.masked_fill_(same, math.inf).min(1).values


def close_ones(drawn: Tensor, real: Tensor) -> tuple[int, float]:
    """Return how many drawn images are close to training images, and how probable as many are.

    Arguments:
        drawn, real: relative distances to the nearest training image, (N,) and (M,)
    Returns:
        how many are below the j-th smallest of the real ones, and the probability of as many if
        all N + M are alike
    """
    close = int((drawn < real.kthvalue(math.ceil(CLOSE * len(real))).values).sum())
    return close, _chance(close, len(drawn), len(real))


def least_close(drawn: int, real: int) -> int:
    """Return how many drawn images must be close for some to be copies; above all if none do."""
    counts = range(drawn + 1)
    return next((k for k in counts if _chance(k, drawn, real) < CHANCE), drawn + 1)


def _chance(close: int, drawn: int, real: int) -> float:
    from scipy.stats import hypergeom  # deferred: it takes half a second, of all verbs

    rank = math.ceil(CLOSE * real)
    return float(hypergeom.cdf(rank - 1, drawn + real, real, close + rank - 1))


def _over_cells(drawn: Tensor, held: Tensor, of_drawn: Tensor, of_held: Tensor) -> float:
    """Return C_T of two samples of distances (N,) and (M,), whose images lie in these cells.

    Cells of fewer than 20 images of either sample say nothing; if all are, they are one.
    """
    total, weight = 0.0, 0
    for cell in of_held.unique():
        q, p = drawn[of_drawn == cell], held[of_held == cell]
        if min(len(q), len(p)) >= LEAST:
            total, weight = total + len(p) * mann_whitney(q.numpy(), p.numpy()), weight + len(p)
    return total / weight if weight else mann_whitney(drawn.numpy(), held.numpy())


def mann_whitney(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Mann-Whitney statistic of two samples in standard deviations, ties included.

    It is below 0 where values of the first are smaller.
    """
    from scipy.stats import rankdata  # deferred: it takes half a second, of all verbs

    n, m = len(first), len(second)
    ranks = rankdata(np.concatenate([first, second]))
    larger = ranks[:n].sum() - n * (n + 1) / 2
    _, ties = np.unique(ranks, return_counts=True)
    total = n + m
    tied = (ties**3 - ties).sum() / (total * (total - 1))
    deviation = np.sqrt(n * m / 12 * (total + 1 - tied))
    return float((larger - n * m / 2) / deviation) if deviation > 0 else 0.0


def _centres(training: Tensor, cells: int, seed: int) -> Tensor:
    """Return the centres (cells, k) of a partition of the training images, by k-means."""
    from scipy.cluster.vq import kmeans2  # deferred: it takes a quarter of a second, of all verbs

    if cells == 1:
        return training.mean(0, keepdim=True)
    centres, _ = kmeans2(training.numpy(), cells, minit="++", seed=seed)
    return torch.from_numpy(centres)
