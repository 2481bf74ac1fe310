r"""What the weights of chains say about log Z, and how far that can be relied on.

Weights w are not negative and have the mean Z. The logarithm of their mean is near log Z, more
often below than above; its standard error says how near, as long as the largest weight was seen.
Of few chains nobody knows that: where one weight in twenty is nearly 0, two of three sets of eight
chains show none, a mean that is too high, and a standard error of 0. So what is relied on is
Markov's inequality, which needs nothing but the mean. Of n weights that are independent, each of
these is above log Z with a probability of at most :math:`\delta`:

.. math:: \log \frac1n \sum_i w_i - \log \frac1\delta, \qquad
          \frac1n \sum_i \log w_i - \frac1n \log \frac1\delta

The first is that of the mean weight, the second of the product of all. The first is nearer where
few chains have all the weight, and the second where weights differ little. Of the mean of several
log Z, each with weights of its own, the product over all of them has the mean of the product of Z,
and the terms with :math:`\delta` are divided by their number.

Inverse weights, whose mean is 1 / Z, bound log Z from the other side.

References:
    Grosse, Ghahramani and Adams, "Sandwiching the marginal likelihood using bidirectional Monte
    Carlo", 2015.
    Efron and Stein, "The jackknife estimate of variance", Annals of Statistics 1981.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.random.streams import Rng, uniform

CONFIDENCE = 0.999  # of a bracket: with which probability what is known lies inside, at least
MISS = (1 - CONFIDENCE) / 2  # of each of its ends


class Side(NamedTuple):
    """An estimate of log Z, from below or from above.

    Attributes:
        value: log of the mean weight, in nats; from above minus that of the mean inverse weight
        error: its standard error over chains, by the jackknife; if all share the draw from which
            they start it is a lower limit, as if they were independent
        ess: how many of the chains count, from 1 to all: (sum w)^2 / sum w^2
        mean_log: mean of log w over independent chains; of those that share a draw, log of their
            mean weight is one; from above minus that of inverse weights
        independent: how many these are; infinitely many if log Z is known
    """

    value: float
    error: float
    ess: float
    mean_log: float
    independent: float

    def mirrored(self) -> "Side":
        """Return the estimate of -log Z."""
        return self._replace(value=-self.value, mean_log=-self.mean_log)

    def shifted(self, by: float) -> "Side":
        """Return the estimate of log Z + by."""
        return self._replace(value=self.value + by, mean_log=self.mean_log + by)


def known(value: float) -> Side:
    """Return what is known exactly, as either side of it."""
    return Side(value, 0.0, math.inf, value, math.inf)


def side(log_weights: Tensor, origins: Tensor | None = None) -> Side:
    """Return what weights say about log Z from below.

    Arguments:
        log_weights: of two chains or more, (S,) in double precision
        origins: from which draw each chain started, (S,); every chain from its own if not given

    Example:
        side(torch.tensor([0.1, -0.2, 0.0]).double()).value
    """
    if origins is None:
        origins = torch.arange(len(log_weights))
    parts = [log_weights[origins == one] for one in origins.unique()]
    sums, counts = log_weights, torch.ones_like(log_weights)
    means = torch.stack([part.logsumexp(0) - math.log(len(part)) for part in parts])
    if len(parts) > 1:
        counts = counts.new_tensor([len(part) for part in parts])
        sums = means + counts.log()
    total, squares = log_weights.logsumexp(0), (2 * log_weights).logsumexp(0)
    return Side(
        (total - math.log(len(log_weights))).item(),
        jackknifed(sums, counts),
        (2 * total - squares).exp().item(),
        means.mean().item(),
        len(parts),
    )


def jackknifed(sums: Tensor, counts: Tensor) -> float:
    """Return the standard error of the log of a mean, from what it is without each group.

    Arguments:
        sums: logarithms of the sums of weights of G >= 2 groups, (G,)
        counts: how many weights each has, (G,)
    """
    none = sums.new_full((1,), -math.inf)
    before = torch.cat([none, sums.logcumsumexp(0)[:-1]])
    after = torch.cat([none, sums.flip(0).logcumsumexp(0)[:-1]]).flip(0)
    without = torch.logaddexp(before, after) - (counts.sum() - counts).log()
    return ((len(sums) - 1) * without.var(unbiased=False)).sqrt().item()


def least(sides: Sequence[Side], miss: float = MISS) -> float:
    """Return what the mean of several log Z is not below, of one side or more from below.

    Arguments:
        sides: of each log Z, from chains that are independent of those of the others
        miss: the probability that it is below all the same, at most, in (0, 1)
    """
    count, room = len(sides), math.log(2 / miss)
    by_mean = math.fsum(one.value for one in sides) - room
    by_product = math.fsum(one.mean_log for one in sides)
    by_product -= room / min(one.independent for one in sides)
    return max(by_mean, by_product) / count


def most(sides: Sequence[Side], miss: float = MISS) -> float:
    """Return what the mean of several log Z is not above, of sides from above; see `least`."""
    return -least([one.mirrored() for one in sides], miss)


def resampled(log_weights: Tensor, chains: int, rng: Rng) -> Tensor:
    """Return the rows (B * S,) that go on, by systematic resampling among each group of `chains`.

    Arguments:
        log_weights: of all chains, up to a constant for each group, (B * S,)
    """
    apart = log_weights.double().view(-1, chains)
    ends = torch.softmax(apart, 1).cumsum(1)
    offset = uniform(rng, log_weights).double().view(-1, chains)[:, :1]
    ticks = (torch.arange(chains, device=apart.device) + offset) / chains
    chosen = torch.searchsorted(ends, ticks).clamp(max=chains - 1)
    first = torch.arange(len(apart), device=apart.device)[:, None] * chains
    return (first + chosen).flatten()
