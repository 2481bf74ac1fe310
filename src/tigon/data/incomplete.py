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
    Liu, Rubin and Wu, "Parameter expansion to accelerate EM: the PX-EM algorithm", Biometrika
    1998.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

TOGETHER = 256  # images, or groups of values, that are solved for at once
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

    def split(self, size: int) -> Iterator["Rows"]:
        """Yield parts of at most so many images."""
        parts = zip(self.values.split(size), self.mask.split(size), strict=True)
        return (Rows(*part) for part in parts)

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

    The parameters are expanded by the mean and the covariance of all latents.

    A value that few images show is drawn towards mu = 0 and no dependence on latents, by as much
    as a prior N(0, 1) of both does.
    """
    dim, groups, width = len(model.weights), rows.mask.shape[1], rows.values.shape[2]
    left, right = torch.triu_indices(dim + 1, dim + 1)
    moments = model.weights.new_zeros(dim + 1, dim + 1)  # of (z, 1), summed over images
    found = model.weights.new_zeros(groups, len(left))  # over those that show a group
    towards = model.weights.new_zeros(groups, dim + 1, width)
    for part in rows.split(TOGETHER):
        means, covariances = posterior(part, model)
        z = torch.cat([means, means.new_ones(len(means), 1)], 1)
        own = z[:, :, None] * z[:, None, :]
        own[:, :dim, :dim] += covariances
        moments += own.sum(0)
        found += part.mask.T @ own[:, left, right]
        towards += torch.einsum("ngr,nk->gkr", part.values, z)
    slopes = torch.cat(
        [_regressed(*pair, model.noise) for pair in _paired(found, towards, TOGETHER)]
    )
    rest = rows.values.square().sum(dtype=torch.float64)
    rest -= (slopes * towards).sum(dtype=torch.float64)
    noise = (rest - model.noise * slopes.square().sum()) / (rows.mask.sum() * width)
    return _expanded(rows.flat(slopes.mT), moments, noise.item())


def _paired(one: Tensor, other: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(one.split(size), other.split(size), strict=True)


def _regressed(found: Tensor, towards: Tensor, noise: float) -> Tensor:
    """Return slopes and offsets (g, d + 1, r) of groups of values on latents."""
    size = towards.shape[1]
    left, right = torch.triu_indices(size, size)
    normal = found.new_zeros(len(found), size, size, dtype=torch.float64)
    normal[:, left, right] = found.double()
    normal[:, right, left] = found.double()
    diagonal = normal.diagonal(dim1=1, dim2=2)
    rounding = torch.finfo(found.dtype).eps * diagonal.amax(1, keepdim=True)
    diagonal.add_(rounding.clamp_min(noise))
    return torch.linalg.solve(normal, towards.double()).to(towards)


def _expanded(flat: Tensor, moments: Tensor, noise: float) -> Linear:
    """Return the model with z at mean 0 and covariance I, as it was drawn (Liu et al.).

    Without this, EM hardly moves the scale of W where there is little noise.
    """
    dim = len(flat) - 1
    middle = moments[:dim, dim] / moments[dim, dim]
    covariance = moments[:dim, :dim] / moments[dim, dim] - torch.outer(middle, middle)
    root = torch.linalg.cholesky(covariance)
    return Linear(root.T @ flat[:-1], flat[-1] + middle @ flat[:-1], noise)


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
