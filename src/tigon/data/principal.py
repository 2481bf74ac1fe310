r"""Principal components of images: the linear model that learned models are compared with.

Probabilistic PCA is the linear generator with Gaussian noise. The posterior mean of its latents
is, up to shrinkage, the whitened scores:

.. math:: z_k = \frac{u_k^\top (y - \mu)}{\lambda_k^{1/2}}, \qquad z \sim N(0, I)

Of images with missing values, components are those of probabilistic PCA, fitted by EM, and scores
are the posterior mean given what was observed (`data.incomplete`).

References:
    Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 61, 1999.
    Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53, 2011.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import Batch, ImageData, chunks, even_rows
from tigon.data.incomplete import LEAST, Linear, Rows, fitted, posterior
from tigon.random.streams import make_rng
from tigon.sizes import sides

MOST, EXACT = 10_000, 1500  # images used by default; most images without a random sketch
TOGETHER = 512  # images whose scores are computed at once, where values are missing
EXTRA, PASSES = 10, 3  # of the sketch: extra directions, and power iterations


class PrincipalComponents(NamedTuple):
    """The mean and the first principal components of images.

    Attributes:
        shape: channels, height and width
        mean: mean of the images, (D,), D = C H W
        directions: orthonormal rows (d, D), largest variance first
        deviations: standard deviation of the images along each direction, (d,)
        noise: variance of the images in every other direction, sigma^2 of probabilistic PCA
    """

    shape: tuple[int, int, int]
    mean: Tensor
    directions: Tensor
    deviations: Tensor
    noise: float

    def scores(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return whitened scores (B, d) of images (B, C, H, W), of variance 1 on those fitted.

        Arguments:
            mask: 1 where a value was observed and 0 elsewhere, (B, 1 or C, H, W); scores of
                images that lack some are the mean given what was observed
        """
        flat = images.flatten(1).to(self.mean)
        found = (flat - self.mean) @ self.directions.T / self.deviations
        if mask is None:
            return found
        complete = (mask > 0).flatten(1).all(1, keepdim=True)
        return torch.where(complete, found, self._means(flat, mask))

    def _means(self, flat: Tensor, mask: Tensor) -> Tensor:
        """Return the mean scores of images (B, D) given what was observed of them."""
        least = LEAST * self.deviations[0].item() ** 2
        widths = (self.deviations**2 - self.noise).clamp(min=least).sqrt()
        model = Linear(widths[:, None] * self.directions, self.mean, max(self.noise, least))
        parts = zip(flat.split(TOGETHER), mask.flatten(2).to(flat).split(TOGETHER), strict=True)
        means = [posterior(Rows.of(*part), model)[0] for part in parts]
        return torch.cat(means) * widths / self.deviations

    def decode(self, scores: Tensor) -> Tensor:
        """Return the images (B, C, H, W) of whitened scores (B, d)."""
        flat = self.mean + (scores.to(self.mean) * self.deviations) @ self.directions
        return flat.unflatten(1, self.shape)

    def reconstruct(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) projected onto the components, in the same shape.

        Arguments:
            mask: see `scores`
        """
        return self.decode(self.scores(images, mask))

    def sigma_of(self, images: Tensor) -> float:
        """Return probabilistic PCA's maximum-likelihood sigma on the images (N, C, H, W).

        It is the deviation that the components leave in each of the D - d other directions; 0 if
        they leave nothing.
        """
        rest = len(self.mean) - len(self.deviations)
        return (self._left(images).mean().item() / max(1, rest)) ** 0.5

    def log_prob(self, images: Tensor, sigma: float) -> Tensor:
        r"""Return log p of images (B, C, H, W) under probabilistic PCA with this sigma, (B,).

        .. math:: p(y) = N(y; \mu, W W^\top + \sigma^2 I), \qquad
                  W = U \max(\Lambda - \sigma^2, 0)^{1/2}

        which has the greatest likelihood of all W of the components' rank, for this sigma.
        """
        variances = self.deviations.double().square().clamp(min=sigma**2)
        scores = self.scores(images).double() * self.deviations
        rest = len(self.mean) - len(variances)
        quadratic = (scores**2 / variances).sum(1) + self._left(images) / sigma**2
        volume = variances.log().sum() + 2 * rest * math.log(sigma)
        return -(quadratic + volume + len(self.mean) * math.log(2 * math.pi)) / 2

    def _left(self, images: Tensor) -> Tensor:
        """Return the squares of images (B, C, H, W) off the components, in doubles, (B,)."""
        away = images.flatten(1).double() - self.mean
        directions = self.directions.double()
        return (away - away @ directions.T @ directions).square().sum(1)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw images (count, C, H, W) with standard normal scores.

        Arguments:
            rng: a generator on the CPU
        """
        return self.decode(torch.randn(count, len(self.deviations), generator=rng))


def principal_components(
    images: ImageData, count: int, seed: int = 0, most: int = MOST
) -> PrincipalComponents:
    """Return the first `count` principal components of images, or fewer if there are not so many.

    If there are more than `most` images, `most` evenly spaced ones are used. Components of up to
    1500 images are exact; for more, a randomised singular value decomposition is used.

    Arguments:
        count: d, >= 1
        seed: seed for the randomised decomposition
        most: most images to use, >= 2
    Raises:
        ValueError: if there are fewer than two images, they are all the same, or not finite
    """
    rows = even_rows(len(images), most)
    parts = [images.batch(part) for part in chunks(rows.tolist())]
    flat = torch.cat([part.images.flatten(1) for part in parts])
    masks = [part.mask for part in parts]
    shape = (images.channels, *sides(images.image_size))
    return components_of(flat, shape, count, seed, _joined(masks, parts))


def _joined(masks: list[Tensor | None], parts: list[Batch]) -> Tensor | None:
    """Return the masks of all images, (n, 1 or C, H, W), if there are any."""
    each = [
        mask.expand(len(part.index), -1, *part.images.shape[2:])
        for mask, part in zip(masks, parts, strict=True)
        if mask is not None
    ]
    return torch.cat(each) if each else None


def components_of(
    flat: Tensor,
    shape: tuple[int, int, int],
    count: int,
    seed: int = 0,
    mask: Tensor | None = None,
) -> PrincipalComponents:
    """Return the same for images (n, D) in memory, which are overwritten.

    Arguments:
        mask: 1 where a value was observed and 0 elsewhere, (n, 1 or C, H, W); None if all were
    Raises:
        ValueError: if there are fewer than two images, they are all the same, or not finite
    """
    if count < 1 or len(flat) < 2:
        raise ValueError("principal components need a count of at least 1, and two images")
    missing = mask is not None and not bool((mask > 0).all())
    known = None
    if missing and mask is not None:
        known = mask.flatten(2)
        mean = _known_mean(flat, known.expand(-1, shape[0], -1).flatten(1))
    else:
        mean = flat.mean(0, dtype=torch.float64).float()
    if not mean.isfinite().all():
        raise ValueError("principal components need images that are finite")
    away = flat.sub_(mean)
    count = min(count, len(away) - 1, away.shape[1])
    exact = len(away) <= EXACT
    directions, singular = _exact(away, count) if exact else _sketched(away, count, seed)
    kept = singular[:count] > 1e-5 * singular[0].clamp(min=1e-12)
    if not kept.any():
        raise ValueError("principal components need images that are not all the same")
    deviations = singular[:count][kept] / len(away) ** 0.5
    directions = directions[:count][kept]
    left = away.norm().item() ** 2 / len(away) - deviations.double().square().sum().item()
    noise = left / max(1, away.shape[1] - len(deviations))
    found = PrincipalComponents(shape, mean, directions, deviations, max(0.0, noise))
    return found if known is None else _refined(found, Rows.of(away, known))


def _known_mean(flat: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (D,) of the observed values of images (n, D), and put it where none is.

    A value that was never observed has the mean of all.
    """
    counts, total = mask.sum(0), (flat * mask).sum(0, dtype=torch.float64)
    mean = torch.where(counts > 0, total / counts.clamp(min=1), total.sum() / counts.sum())
    flat.copy_(torch.where(mask > 0, flat, mean.to(flat)))
    return mean.float()


def _refined(found: PrincipalComponents, rows: Rows) -> PrincipalComponents:
    """Return the components of images with missing values, from those of their mean's in place.

    Arguments:
        rows: the images minus the mean
    """
    least = 1e-3 * found.deviations[0].item() ** 2
    widths = (found.deviations**2 - found.noise).clamp(min=least).sqrt()
    weights = widths[:, None] * found.directions
    begin = Linear(weights, torch.zeros_like(found.mean), max(found.noise, least))
    model = fitted(rows, begin)
    turned, sizes, directions = torch.linalg.svd(model.weights, full_matrices=False)
    kept = sizes > 1e-5 * sizes[0].clamp(min=1e-12)
    deviations = (sizes[kept] ** 2 + model.noise).sqrt()
    mean = found.mean + model.mean
    return PrincipalComponents(found.shape, mean, directions[kept], deviations, model.noise)


def _exact(away: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the first right singular vectors (count, D) and values (count,)."""
    values, vectors = torch.linalg.eigh((away @ away.T).double())
    singular = values.flip(0)[:count].clamp(min=0).sqrt().float()
    left = vectors.flip(1)[:, :count].float()
    return left.T @ away / singular.clamp(min=1e-12)[:, None], singular


def _sketched(away: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the first right singular vectors (k, D) and values (k,), k >= `count`."""
    width = min(count + EXTRA, min(away.shape))
    sketch = torch.randn(away.shape[1], width, generator=make_rng("principal", seed))
    basis = torch.linalg.qr(away @ sketch).Q
    for _ in range(PASSES):
        basis = torch.linalg.qr(away @ torch.linalg.qr(away.T @ basis).Q).Q
    _, singular, right = torch.linalg.svd(basis.T @ away, full_matrices=False)
    return right, singular
