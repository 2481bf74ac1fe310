r"""How well scores tell unusual images from others, and what can be told without learning.

The area under the ROC curve is the probability that an unusual image scores higher than another,
ties counted by half: the Mann-Whitney statistic over the number of pairs. The area under the
precision-recall curve is the average precision,

.. math:: \sum_k (R_k - R_{k-1}) P_k

over the distinct scores, in decreasing order. It depends on how many images are unusual, and is
that share by chance.

References:
    Mann and Whitney, "On a test of whether one of two random variables is stochastically larger
    than the other", Annals of Mathematical Statistics 18, 1947.
    Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 61, 1999.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import ImageData, chunks, even_rows
from tigon.data.defects import ALL, GOOD
from tigon.data.principal import PrincipalComponents, principal_components
from tigon.diagnostics.features import features
from tigon.errors import TigonError

MOST, TOGETHER = 5000, 256  # training images of the baselines at most; images at a time
LEAST = 1e-8  # variance that components must leave for a Gaussian
GAUSSIAN, PCA, NEAREST = "Gaussian (PPCA)", "PCA residual", "nearest features"
Measure = Callable[[np.ndarray, np.ndarray], float]


def auroc(scores: np.ndarray, unusual: np.ndarray) -> float:
    """Return the area under the ROC curve, in [0, 1]: .5 by chance; exact, also with ties.

    Arguments:
        scores: (N,), higher is more unusual
        unusual: bool (N,), some of them True and some False
    Raises:
        ValueError: if all are True or all False
    """
    from scipy.stats import rankdata  # deferred: it takes half a second, of all verbs

    high, low = _counts(unusual)
    ranks = rankdata(scores)[unusual].sum()
    return float((ranks - high * (high + 1) / 2) / (high * low))


def auprc(scores: np.ndarray, unusual: np.ndarray) -> float:
    """Return the average precision, in (0, 1]: the share of unusual images by chance.

    Arguments:
        scores, unusual: as for `auroc`
    Raises:
        ValueError: if all are True or all False
    """
    high, _ = _counts(unusual)
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(unusual[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # of each distinct score
    precision = found[last] / (np.flatnonzero(last) + 1)
    return float((np.diff(found[last], prepend=0) * precision).sum() / high)


def _counts(unusual: np.ndarray) -> tuple[int, int]:
    high = int(unusual.sum())
    if high in (0, len(unusual)):
        raise ValueError("both unusual images and others are needed")
    return high, len(unusual) - high


def by_class(
    scores: np.ndarray, classes: Sequence[str], measure: Measure = auroc
) -> dict[str, float]:
    """Return a measure over all images, as `all`, and of each class beside those that are good.

    Arguments:
        scores: (N,), higher is more unusual
        classes: class of each image, `good` for those that are not unusual
        measure: `auroc` or `auprc`
    """
    named = np.asarray(classes)
    found = {ALL: measure(scores, named != GOOD)}
    for name in sorted(set(classes) - {GOOD}):
        some = (named == GOOD) | (named == name)
        found[name] = measure(scores[some], named[some] != GOOD)
    return found


@dataclass(frozen=True)
class Baselines:
    """Scores that need no learning beyond linear algebra, fitted to training images.

    Attributes:
        components: d principal components
        noise: variance of what they leave of the training images, per dimension: PPCA's
        nearest: features of training images, (n, 1280); None without the extra `features`
        notes: what is left out, and why
    """

    components: PrincipalComponents
    noise: float
    nearest: Tensor | None
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(training: ImageData, count: int) -> "Baselines":
        """Fit them to training images, or to 5000 of them if there are more.

        Arguments:
            count: d, >= 1
        Raises:
            ValueError: if there are fewer than two images, or all are the same
        """
        components = principal_components(training, count, most=MOST)
        parts = chunks(even_rows(len(training), MOST).tolist(), TOGETHER)
        left = [_residuals(components, training.read(part)).mean((1, 2)) for part in parts]
        dims = math.prod(components.shape)
        free = dims / max(1, dims - len(components.deviations))
        noise, notes = free * torch.cat(left).mean().item(), []
        if noise <= LEAST:
            notes = [f"{GAUSSIAN}: left out; the components leave nothing of the training images"]
        try:
            seen = torch.cat([features(training.read(part)) for part in parts])
        except TigonError as error:
            notes.append(f"{NEAREST}: left out; {error}")
            return Baselines(components, noise, None, tuple(notes))
        return Baselines(components, noise, seen, tuple(notes))

    def scores(self, images: Tensor) -> dict[str, Tensor]:
        """Return scores (B,) of images (B, C, H, W) in [-1, 1], by name; higher is more unusual.

        `Gaussian (PPCA)` is minus the log-density of probabilistic PCA, up to a constant;
        `PCA residual` the mean squared error of a projection onto the same components; and
        `nearest features` the distance to the nearest training image in features.
        """
        z, residual = self.components.scores(images), self.residuals(images).mean((1, 2))
        found = {}
        if self.noise > LEAST:
            square = residual * math.prod(self.components.shape) / self.noise
            found[GAUSSIAN] = (z.square().sum(1) + square) / 2
        found[PCA] = residual
        if self.nearest is not None:
            apart = [torch.cdist(features(part), self.nearest) for part in images.split(TOGETHER)]
            found[NEAREST] = torch.cat([distances.min(1).values for distances in apart])
        return found

    def residuals(self, images: Tensor) -> Tensor:
        """Return the squared residual of each pixel, mean over channels, (B, H, W)."""
        return _residuals(self.components, images)


def _residuals(components: PrincipalComponents, images: Tensor) -> Tensor:
    return (components.reconstruct(images) - images).square().mean(1)
