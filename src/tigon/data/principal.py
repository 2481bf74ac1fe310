r"""Principal components of images: the linear model that learned models are compared with.

Probabilistic PCA is the linear generator with Gaussian noise. The posterior mean of its latents
is, up to shrinkage, the whitened scores:

.. math:: z_k = \frac{u_k^\top (y - \mu)}{\lambda_k^{1/2}}, \qquad z \sim N(0, I)

References:
    Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 61, 1999.
    Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53, 2011.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import ImageData, chunks, even_rows
from tigon.random.streams import make_rng
from tigon.sizes import sides

MOST, EXACT = 10_000, 1500  # images used by default; most images without a random sketch
EXTRA, PASSES = 10, 3  # of the sketch: extra directions, and power iterations


class PrincipalComponents(NamedTuple):
    """The mean and the first principal components of images.

    Attributes:
        shape: channels, height and width
        mean: mean of the images, (D,), D = C H W
        directions: orthonormal rows (d, D), largest variance first
        deviations: standard deviation of the images along each direction, (d,)
    """

    shape: tuple[int, int, int]
    mean: Tensor
    directions: Tensor
    deviations: Tensor

    def scores(self, images: Tensor) -> Tensor:
        """Return whitened scores (B, d) of images (B, C, H, W), of variance 1 on those fitted."""
        away = images.flatten(1).to(self.mean) - self.mean
        return away @ self.directions.T / self.deviations

    def decode(self, scores: Tensor) -> Tensor:
        """Return the images (B, C, H, W) of whitened scores (B, d)."""
        flat = self.mean + (scores.to(self.mean) * self.deviations) @ self.directions
        return flat.unflatten(1, self.shape)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return images (B, C, H, W) projected onto the components, in the same shape."""
        return self.decode(self.scores(images))

    def noise(self, images: Tensor) -> float:
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
    flat = torch.cat([images.read(part).flatten(1) for part in chunks(rows.tolist())])
    return components_of(flat, (images.channels, *sides(images.image_size)), count, seed)


def components_of(
    flat: Tensor, shape: tuple[int, int, int], count: int, seed: int = 0
) -> PrincipalComponents:
    """Return the same for images (n, D) in memory, which are overwritten.

    Raises:
        ValueError: if there are fewer than two images, they are all the same, or not finite
    """
    if count < 1 or len(flat) < 2:
        raise ValueError("principal components need a count of at least 1, and two images")
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
    return PrincipalComponents(shape, mean, directions[:count][kept], deviations)


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
