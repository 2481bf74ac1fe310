"""How well synthesised and observed images agree, as distributions."""

import torch
from torch import Tensor

from tigon.data.batches import Batch
from tigon.distributed import gathered
from tigon.precision import wide

CHUNK = 4096  # pixels converted to double precision at once


@torch.no_grad()
def energy_distance(shown: Tensor, observed: Tensor, batch: Batch) -> Tensor:
    r"""Estimate the energy distance between two sets of images from a batch, without bias.

    .. math:: \frac{2 E|x - y| - E|x - x'| - E|y - y'|}{\sqrt D}

    where x, x' are any of the shown images, one for each image of the data set, and y, y' any of
    the observed ones. It is 0 if the two sets are equal, and above 0 otherwise; |x - y| / sqrt(D)
    is the root mean squared difference of D pixels. Among N images a row is paired with itself
    with probability 1/N, but in a batch of n with probability 1/n. So pairs of a row with itself
    (in which x and y may differ) and pairs of different rows are averaged separately, and weighted
    by 1/N and 1 - 1/N. For a part of the set, the estimate may be below 0.

    Arguments:
        shown, observed: this process's rows of the batch, (B, *); at least two over all
            processes, unless the data set has only one
        batch: has the number of rows in all processes, and in the data set
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
    """Return the distances of all pairs of rows (N, D), (N, N), from double-precision products.

    In single precision, |x|^2 + |y|^2 - 2 x.y would lose the difference between similar images.
    """
    products = wide(rows.new_zeros(len(rows), len(rows)))
    for part in rows.split(CHUNK, 1):
        double = wide(part)
        products += double @ double.T
    norms = products.diagonal()
    squares = (norms[:, None] + norms - 2 * products).clamp(min=0)
    return squares.fill_diagonal_(0).sqrt()
