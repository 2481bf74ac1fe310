"""How well synthesised and observed images agree, as distributions."""

import torch
from torch import Tensor

from tigon.data.batches import Batch
from tigon.distributed import gathered

CHUNK = 4096  # pixels brought to double precision at once


@torch.no_grad()
def energy_distance(shown: Tensor, observed: Tensor, batch: Batch) -> Tensor:
    r"""Return the energy distance of two sets of images, row by row of the same batch.

    .. math:: \frac{2 E|x - y| - E|x - x'| - E|y - y'|}{\sqrt D}

    It is 0 where both are draws of one distribution, and above 0 otherwise; |x - y| over
    sqrt(D) is the root of the mean squared difference of D pixels. Pairs of a row with itself
    are left out of all three means, since image x_i may depend on y_i: so the estimate has no
    bias, and may lie below 0.

    Arguments:
        shown, observed: this process's rows of the whole batch, (B, *), at least two in all
        batch: tells how many there are in all processes
    Returns:
        the distance over the rows of all processes, a scalar

    References:
        Székely and Rizzo, "Energy statistics: a class of statistics based on distances", Journal
        of Statistical Planning and Inference 143, 2013.
    """
    count = batch.size
    sets = [gathered(images.detach().flatten(1)) for images in (shown, observed)]
    between = _distances(torch.cat(sets)).unflatten(0, (2, count)).unflatten(2, (2, count))
    signed = 2 * between[0, :, 1] - between[0, :, 0] - between[1, :, 1]
    signed.fill_diagonal_(0)
    total = signed.sum() / (count * (count - 1))
    return (total / sets[0].shape[1] ** 0.5).to(shown.dtype)


def _distances(rows: Tensor) -> Tensor:
    """Return the distances of all pairs of rows (N, D), (N, N), by products in double precision.

    In single precision, |x|^2 + |y|^2 - 2 x.y would lose what images that are alike differ by.
    """
    products = rows.new_zeros(len(rows), len(rows), dtype=torch.float64)
    for part in rows.split(CHUNK, 1):
        wide = part.double()
        products += wide @ wide.T
    squares = products.diagonal()
    return (squares[:, None] + squares - 2 * products).clamp(min=0).sqrt()
