"""How well synthesised and observed images agree, as distributions."""

import torch
from torch import Tensor

from tigon.data.batches import Batch
from tigon.distributed import gathered
from tigon.precision import wide

CHUNK = 4096  # pixels brought to double precision at once


@torch.no_grad()
def energy_distance(shown: Tensor, observed: Tensor, batch: Batch) -> Tensor:
    r"""Estimate the energy distance of two sets of images from a batch of them, without bias.

    .. math:: \frac{2 E|x - y| - E|x - x'| - E|y - y'|}{\sqrt D}

    with x, x' any of the images shown, one for each image of the data set, and y, y' any of the
    observed ones. It is 0 where the two sets are the same, and above 0 otherwise; |x - y| over
    sqrt(D) is the root of the mean squared difference of D pixels. Among N images a row meets
    itself with probability 1/N, which a batch of n would show in 1/n of its pairs: so pairs of
    a row with itself, which need not be alike in x and y, and pairs of two rows are averaged
    apart, and weighed by 1/N and 1 - 1/N. Of a part of the set, the estimate may lie below 0.

    Arguments:
        shown, observed: this process's rows of the batch, (B, *); at least two in all processes,
            unless the data set has but one
        batch: tells how many there are in all processes, and in the data set
    Returns:
        the distance over the rows of all processes, a scalar

    References:
        Székely and Rizzo, "Energy statistics: a class of statistics based on distances", Journal
        of Statistical Planning and Inference 143, 2013.
    """
    count, among = batch.size, batch.among or batch.size
    sets = [gathered(images.detach().flatten(1)) for images in (shown, observed)]
    between = _distances(torch.cat(sets)).unflatten(0, (2, count)).unflatten(2, (2, count))
    signed = 2 * between[0, :, 1] - between[0, :, 0] - between[1, :, 1]
    own = signed.diagonal().sum()
    mean = own / count / among
    if among > 1:
        mean = mean + (signed.sum() - own) / (count * (count - 1)) * (1 - 1 / among)
    return (mean / sets[0].shape[1] ** 0.5).to(shown)


def _distances(rows: Tensor) -> Tensor:
    """Return the distances of all pairs of rows (N, D), (N, N), by products in double precision.

    In single precision, |x|^2 + |y|^2 - 2 x.y would lose what images that are alike differ by.
    """
    products = wide(rows.new_zeros(len(rows), len(rows)))
    for part in rows.split(CHUNK, 1):
        double = wide(part)
        products += double @ double.T
    norms = products.diagonal()
    squares = (norms[:, None] + norms - 2 * products).clamp(min=0)
    return squares.fill_diagonal_(0).sqrt()
