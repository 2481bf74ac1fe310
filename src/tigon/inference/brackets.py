"""What log p of images lies between, of each image and of their mean.

log p of an image is a log Z of its own less that of the model's prior or density, which all images
share. Where both are estimated, each has half of the chance to be wrong.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.mcmc.annealed import Bracket
from tigon.mcmc.weights import MISS, least, most


class Ends(NamedTuple):
    """What a number lies between, in nats.

    Attributes:
        lower, upper: the bracket: the number lies inside with a probability of `CONFIDENCE`
        below, above: the ends that were estimated, which chance has moved
        below_error, above_error: their standard errors over chains
    """

    lower: float
    upper: float
    below: float
    above: float
    below_error: float
    above_error: float


class LogLikelihood(NamedTuple):
    """What log p of each image lies between, in nats, (B,) each, in double precision.

    It is the density of images on [-1, 1]; see `bits_per_dimension`.

    Attributes:
        lower, upper: the bracket: log p of an image is outside with a probability of 0.001 at
            most, if latents were given; otherwise `upper` is an estimate
        below, above: logarithms of mean weights of chains from both sides, which chance has moved
        below_error, above_error: their standard errors over chains, by the jackknife; that of
            `above` is a lower limit where latents were given, since its chains share one draw
        ess: how many of the chains from below count, from 1 to all
        accept: mean acceptance of the image's chains; healthy is about 0.5 to 0.95
        mean: the same of the mean of log p over the images, whose bracket is narrower than the
            mean of their brackets
    """

    lower: Tensor
    upper: Tensor
    below: Tensor
    above: Tensor
    below_error: Tensor
    above_error: Tensor
    ess: Tensor
    accept: Tensor
    mean: Ends


def together(found: Sequence[Bracket], constant: Bracket) -> LogLikelihood:
    """Return the brackets of images less that of the constant that they share."""
    each = [ends_of([one], constant) for one in found]
    numbers = [
        [*ends, min(one.below.ess, constant.below.ess), one.accept]
        for ends, one in zip(each, found, strict=True)
    ]
    table = torch.tensor(numbers, dtype=torch.float64).view(len(found), 8)
    lower, upper, below, above, below_error, above_error, ess, accept = table.unbind(1)
    mean = ends_of(found, constant)
    return LogLikelihood(lower, upper, below, above, below_error, above_error, ess, accept, mean)


def ends_of(found: Sequence[Bracket], constant: Bracket) -> Ends:
    """Return what the mean of log Z of images, less the constant, lies between."""
    if not found:
        return Ends(*[math.nan] * 6)
    below, above = [one.below for one in found], [one.above for one in found]
    estimated = [min(one.independent for one in below), constant.below.independent]
    miss = MISS / max(1, sum(map(math.isfinite, estimated)))
    count = len(found)
    return Ends(
        least(below, miss) - most([constant.above], miss),
        most(above, miss) - least([constant.below], miss),
        math.fsum(one.value for one in below) / count - constant.above.value,
        math.fsum(one.value for one in above) / count - constant.below.value,
        math.hypot(math.hypot(*(one.error for one in below)) / count, constant.above.error),
        math.hypot(math.hypot(*(one.error for one in above)) / count, constant.below.error),
    )
