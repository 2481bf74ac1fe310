r"""Latents that start where the linear generator has them.

Chains from draws of the prior cannot organise thousands of latents: a latent is visited tens of
times, each time it moves a few hundredths of the prior's width, and the network learns
each image's random code by heart. The linear generator, probabilistic PCA, is solved exactly: the
posterior mean of an image's latents is its whitened principal scores, up to shrinkage. Similar
images have similar scores, and over the data set scores have the prior's mean and covariance.

References:
    Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 61, 1999.
    Bojanowski, Joulin, Lopez-Paz and Szlam, "Optimizing the latent space of generative networks",
    ICML 2018.
"""

import torch
from torch import Tensor

from tigon.data.batches import ImageData, even_rows
from tigon.data.pixels import reduced, reduced_observed
from tigon.data.principal import components_of
from tigon.densities.gaussian import reach
from tigon.distributed import all_objects
from tigon.models.cold_start import LinearGuess
from tigon.precision import wide
from tigon.sizes import averaged_size, sides

MOST = 2000  # images that components are of at most
READ = 256  # images that are in memory at once
FEATURES, RIDGE = 256, 0.01  # of the guess: scores that it uses at most, and its shrinkage


class LinearStart:
    """Where the latent chains of images start: at their whitened principal scores.

    Components are those of at most 2000 images, at even distances, averaged to about 32 pixels.
    Where there are fewer components than latents, the other latents stay as they were drawn.
    Where values are missing, averages are those of the observed ones, components those of
    probabilistic PCA, and scores the mean given what was observed.

    Arguments:
        images: the images, at least two that differ
        latent_dim: d
        seed: seed of the randomised decomposition
    Raises:
        ValueError: if there are fewer than two images, they are all the same, or not finite
    """

    def __init__(self, images: ImageData, latent_dim: int, seed: int = 0) -> None:
        self.images, self.dim = images, latent_dim
        self.rows = even_rows(len(images), MOST)
        self.size = sides(averaged_size(images.image_size))
        seen, mask = self._read_by_owners(self.rows)
        lacking = mask is not None and not bool((mask > 0).all())
        more = 0 if lacking else min(FEATURES, len(self.rows) // 4)  # EM is slow with many
        shape, many = (images.channels, *self.size), max(latent_dim, more)
        self.variance = _variance(seen, mask)
        self.components = components_of(seen.flatten(1).clone(), shape, many, seed, mask)
        self.features = self.components.scores(seen, mask)

    @property
    def colour(self) -> Tensor:
        """The mean colour of these images, (C,) in [-1, 1]."""
        return self.components.mean.view(self.images.channels, -1).mean(1)

    def needed(self, explained: float) -> int | None:
        """Return how many components explain a part of the variance; None if more than known."""
        parts = self.components.deviations.double().square().cumsum(0) / max(self.variance, 1e-12)
        enough = (parts >= explained).nonzero()
        return int(enough[0]) + 1 if len(enough) else None

    def _read(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return averaged images (R, C, h, w), and their masks, reading a few at a time."""
        shape = (0, self.images.channels, *self.size)
        parts = [self._averaged(some) for some in rows.split(READ) if len(some)]
        masks = [mask for _, mask in parts if mask is not None]
        images = torch.cat([torch.zeros(shape), *(some for some, _ in parts)])
        if not self.images.incomplete:
            return images, None
        return images, torch.cat(masks) if masks else torch.zeros(shape)[:, :1]

    def _averaged(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        batch = self.images.batch(rows)
        if batch.mask is None:
            return reduced(batch.images, self.size), None
        mask = batch.mask.expand(len(rows), -1, *batch.images.shape[2:])
        return reduced_observed(batch.images, mask, self.size)

    def _read_by_owners(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the same, of which each process reads those that it owns."""
        own = self.images.ownership.owned(rows)
        parts = all_objects((own, *self._read(own)))
        order = torch.cat([rows for rows, _, _ in parts]).argsort()
        masks = [mask for own, _, mask in parts if mask is not None and len(own)]
        images = torch.cat([images for _, images, _ in parts])[order]
        return images, torch.cat(masks)[order] if masks else None

    def latents(self, part: slice, drawn: Tensor) -> Tensor:
        """Return the start of the chains of some rows, given draws of the prior (B, d).

        Only of rows that this process owns; the others stay as they were drawn. Scores of an
        image unlike all others, further out than draws of the prior come, are shortened to there:
        its chain would count as lost.
        """
        rows = self.images.ownership.owned(torch.arange(part.start, part.stop))
        scores = self.components.scores(*self._read(rows))[:, : self.dim]
        most = reach(self.dim) / scores.square().sum(1, keepdim=True).clamp(min=1e-12)
        scores = scores * most.sqrt().clamp(max=1)
        start = drawn.clone()
        start[rows - part.start, : scores.shape[1]] = scores.to(drawn)
        return start

    def fit(self, guess: LinearGuess, latents: Tensor) -> None:
        """Fit a guess to what was inferred for the images `rows`, (R, d), by ridge regression."""
        latents, scores = wide(latents), wide(self.features)
        middle = latents.mean(0)
        gram = scores.T @ scores + RIDGE * len(scores) * torch.eye(scores.shape[1]).to(scores)
        weights = torch.linalg.solve(gram, scores.T @ (latents - middle)).T.to(self.features)
        matrix = (weights / self.components.deviations) @ self.components.directions
        guess.matrix.copy_(matrix)
        guess.offset.copy_(middle.to(self.features) - matrix @ self.components.mean)


def _variance(images: Tensor, mask: Tensor | None) -> float:
    """Return the variance of images (n, C, h, w) over the set, summed over observed values."""
    if mask is None:
        return images.flatten(1).var(0, unbiased=False).sum().item()
    known = mask.expand_as(images)
    counts = known.sum(0).clamp(min=1)
    mean = (images * known).sum(0) / counts
    return (((images - mean) ** 2 * known).sum(0) / counts).sum().item()
