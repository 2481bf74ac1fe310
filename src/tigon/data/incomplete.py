r"""Principal components of images with missing values: probabilistic PCA by EM.

The model is :math:`y = W z + \mu + \sigma \varepsilon`, of which only some values of each image
were observed. Given them, z is Gaussian, with W_o and mu_o the observed values' rows:

.. math:: z \mid y_o \sim N\big(A^{-1} W_o^\top (y_o - \mu_o), \sigma^2 A^{-1}\big), \qquad
          A = W_o^\top W_o + \sigma^2 I

and each value's row of W and mu is a regression on the z of the images where it was observed.

References:
    Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 61, 1999, section 3
    and appendix B.
    Ilin and Raiko, "Practical approaches to principal component analysis in the presence of
    missing values", JMLR 11, 2010.
"""

from typing import NamedTuple

import torch
from torch import Tensor

SWEEPS, STILL = 40, 1e-3  # of EM, at most; it ends where sigma^2 changes by less, relatively
LEAST = 1e-8  # of the values' variance: the smallest sigma^2


class Linear(NamedTuple):
    """The linear generator: W (d, D), mu (D,) and sigma^2."""

    weights: Tensor
    mean: Tensor
    noise: float


class Rows(NamedTuple):
    """Images as groups of values that share a mask: those of a pixel, or each value alone.

    Attributes:
        values: (n, G, r), 0 where a value is missing
        mask: 1 where a group was observed, (n, G)
    """

    values: Tensor
    mask: Tensor

    @staticmethod
    def of(flat: Tensor, mask: Tensor) -> "Rows":
        """Return the groups of images (n, D) with masks (n, 1 or C, P), D = C P."""
        channels = flat.shape[1] // mask.shape[2]
        if mask.shape[1] == 1:
            values, mask = flat.unflatten(1, (channels, -1)).mT, mask[:, 0]
        else:
            values, mask = flat[:, :, None], mask.flatten(1)
        return Rows(values * mask[:, :, None], mask)

    def grouped(self, rows: Tensor) -> Tensor:
        """Return what images' values have, (k, D), by groups: (G, r, k)."""
        return rows.unflatten(1, (-1, self.values.shape[1])).permute(2, 1, 0)

    def flat(self, groups: Tensor) -> Tensor:
        """Return the reverse, (k, D)."""
        return groups.permute(2, 1, 0).flatten(1)


def posterior(rows: Rows, model: Linear) -> tuple[Tensor, Tensor]:
    """Return means (n, d) and covariances (n, d, d) of the latents given what was observed."""
    weights, mean = rows.grouped(model.weights), rows.grouped(model.mean[None])
    dim = weights.shape[2]
    left, right = torch.triu_indices(dim, dim)
    grams = weights.new_zeros(len(weights), len(left))
    for value in weights.unbind(1):  # all at once would take as many times the memory
        grams += value[:, left] * value[:, right]
    found = rows.mask @ grams
    precision = found.new_zeros(len(found), dim, dim)
    precision[:, left, right] = found
    precision[:, right, left] = found
    precision.diagonal(dim1=1, dim2=2).add_(model.noise)
    away = rows.values - mean[:, :, 0] * rows.mask[:, :, None]
    towards = away.flatten(1) @ weights.flatten(0, 1)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    return (inverse @ towards[:, :, None])[:, :, 0], model.noise * inverse


def sweep(rows: Rows, model: Linear) -> Linear:
    """Take one step of EM: regress every value on the latents of the images that show it.

    A value that few images show is drawn towards mu = 0 and no dependence on latents, by as much
    as a prior N(0, 1) of both does.
    """
    means, covariances = posterior(rows, model)
    dim = means.shape[1]
    z = torch.cat([means, means.new_ones(len(means), 1)], 1)
    moments = z[:, :, None] * z[:, None, :]
    moments[:, :dim, :dim] += covariances
    left, right = torch.triu_indices(dim + 1, dim + 1)
    found = rows.mask.T @ moments[:, left, right]
    normal = found.new_zeros(len(found), dim + 1, dim + 1)
    normal[:, left, right] = found
    normal[:, right, left] = found
    normal.diagonal(dim1=1, dim2=2).add_(model.noise)
    towards = torch.einsum("ngr,nk->gkr", rows.values, z)
    slopes = torch.linalg.solve(normal, towards)
    count = rows.mask.sum() * rows.values.shape[2]
    left = rows.values.square().sum(dtype=torch.float64)
    left -= (slopes * towards).sum(dtype=torch.float64)
    noise = (left - model.noise * slopes.square().sum()) / count
    flat = rows.flat(slopes.mT)
    return Linear(flat[:-1], flat[-1], noise.item())


def fitted(rows: Rows, model: Linear, sweeps: int = SWEEPS, still: float = STILL) -> Linear:
    """Return the linear generator of images, by EM from a `model`.

    Arguments:
        rows: images with their mean taken off, as well as it is known
        still: EM ends where sigma^2 changes by less than this part of it
    """
    least = LEAST * (rows.values.square().sum() / rows.mask.sum()).item()
    for _ in range(sweeps):
        found = sweep(rows, model)
        found = found._replace(noise=max(found.noise, least))
        ended = abs(found.noise - model.noise) < still * model.noise
        model = found
        if ended:
            break
    return model
