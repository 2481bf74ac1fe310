r"""Score how unusual images are under a model: higher is more unusual, for every score.

With latents, z is the posterior's mode as a cold start finds it (`models.cold_start`), and

.. math:: -\log p(x, z) = \frac{1}{2 \sigma^2} |x - f(z)|^2 - \log p(z) + \text{const}

is the main score, beside its two parts: the mean squared error of the reconstruction, and
-log p(z). It is not -log p(x), since z is not integrated out. With a log-density, the main score
is -log p(x) up to the unknown log Z, and beside it stands the norm of its gradient in x, which is
small where the density is flat or has a mode (Grathwohl et al.). Densities that short chains
learned are no likelihood, and such a number only ranks images. By grids, each is a density of
images averaged to its size, and the main score is that of the coarsest, which looks at images as
a whole (`benchmarks/judging.py` measures all of them).

A raw score has no scale. Held against those of n images that the model has not seen, it becomes a
conformal percentile (Vovk et al.): for images that are exchangeable with these,

.. math:: P\left(1 - \frac{\#\{k : s_k < s\}}{n + 1} \le C\right) \le C, \qquad 0 < C < 1

References:
    Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", Springer 2005.
    Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky, "Your classifier is secretly an
    energy based model and you should treat it like one", ICLR 2020, section 5.3.
    Zhao, Nasrullah and Li, "PyOD: a Python toolbox for scalable outlier detection", JMLR 2019.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from tigon.data.batches import ImageData
from tigon.data.checks import require_points, require_shape
from tigon.data.datasets import as_data
from tigon.data.pixels import enlarged, reduced
from tigon.densities.log_density import frozen, mode, value_and_grad
from tigon.errors import TigonError
from tigon.models.abilities import HasDecoder, HasGrids, HasLatents, HasLogDensity
from tigon.models.base import Model
from tigon.models.cold_start import ColdStart, Reconstruction, descend, reconstructed
from tigon.random.streams import Rng, RowRng

HOW = ColdStart(4)  # latents are inferred, if not told otherwise
FEWEST = 20  # calibration images: a percentile of fewer says little
ROWS = 64  # of chains, or of images, that are computed together
BRIGHTEST = 0.999  # part of the pixels that are darker than white where maps are shown
JOINT, ERROR, PRIOR = "minus_log_joint", "reconstruction_error", "minus_log_prior"
DENSITY, GRADIENT = "minus_log_density", "gradient_norm"
NOT = {  # what a score is not, wherever it is shown
    JOINT: "-log p(x, z) at the latents that were found, up to a constant: latents are not "
    "integrated out, so it is not -log p(x)",
    DENSITY: "-log p(x) without the unknown log Z: it says which image the network ranks lower, "
    "and where short or tempered chains learned it, it is no likelihood",
}


class Scored(NamedTuple):
    """How unusual images are.

    Attributes:
        scores: by name, the main one first, (B,) each; higher is more unusual. With latents
            `minus_log_joint` (nats, up to a constant), `reconstruction_error` (mean squared, on
            [-1, 1]) and, where the prior has a density, `minus_log_prior` (nats, up to a
            constant); with a log-density `minus_log_density` (nats, up to a constant) and
            `gradient_norm` (nats per unit of [-1, 1]), and before them both of each coarser grid,
            of height h, with `_h` after their names
        maps: (B, H, W), >= 0: the squared residual, mean over channels; or the norm of the main
            density's gradient in each pixel, that of the coarsest grid enlarged, which says where
            a change would change the score most
    """

    scores: dict[str, Tensor]
    maps: Tensor

    @property
    def main(self) -> str:
        """Name of the main score."""
        return next(iter(self.scores))


class Scoring(NamedTuple):
    """Scores on their way.

    Attributes:
        step: number of steps that the chains have taken so far
        steps: number of them in all; 0 without latents
        found: the scores, when they are known
    """

    step: int
    steps: int
    found: Scored | None


def score(model: Model, images: Tensor, rng: Rng, how: ColdStart | None = None) -> Scored:
    """Score how unusual each image is, in every way that its model is able to.

    Arguments:
        model: a model with latents, a log-density, or both, whose latents then come first
        images: (B, C, H, W) in [-1, 1]
        rng: one generator, or streams of B * `how.starts` rows; only latents need it
        how: the number of chains, temperatures and steps that infer latents; 4 chains if not given
    Raises:
        TigonError: if the model has neither, there are no images, they are not the model's or not
            finite, or a score is not finite

    Example:
        found = tigon.score(model, images, tigon.make_rng(0))
        found.scores[found.main].argsort(descending=True)  # the most unusual first
    """
    score_names(model)
    _require_images(model, images)
    inferred = None
    if isinstance(model, HasLatents):
        inferred = model.infer(images, rng, how or HOW)
    return _scored(model, images, inferred)


def scoring(
    model: Model, images: Tensor, rng: Rng, how: ColdStart | None = None
) -> Iterator[Scoring]:
    """Score as `score` does, and yield where it is after each step of the chains.

    Arguments and errors are those of `score`. The last has the scores.
    """
    score_names(model)
    _require_images(model, images)
    inferred, how, steps = None, how or HOW, 0
    images = images.to(model.device)
    if isinstance(model, HasLatents):
        steps = how.length
        for seen in descend(model, images, rng, how):
            yield Scoring(seen.step, steps, None)
        inferred = reconstructed(model, images, seen.state, how)
    yield Scoring(steps, steps, _scored(model, images, inferred))


def _require_images(model: Model, images: Tensor) -> None:
    """Refuse what are no images of the model's.

    Raises:
        TigonError: it says why
    """
    require_points(images, "images")
    require_shape(images, "images", model.image_shape)
    if not len(images):
        raise TigonError("score: there are no images")
    if not images.isfinite().all():
        raise TigonError("images: hold values that are not finite")


def _scored(model: Model, images: Tensor, inferred: Reconstruction | None) -> Scored:
    """Score images whose latents were inferred, if the model has any."""
    parts = []
    if inferred is not None:
        parts.append(_by_latents(model, images, inferred))
    if isinstance(model, HasLogDensity):
        parts.append(_by_density(model, images))
    found = Scored({name: s for part in parts for name, s in part.scores.items()}, parts[0].maps)
    for name, values in found.scores.items():
        if not values.isfinite().all():
            raise TigonError(f"{name} is not finite: the model diverged; train it again")
    return found


def _by_latents(model: Any, images: Tensor, found: Reconstruction) -> Scored:  # noqa: ANN401
    images = images.to(found.images)
    with torch.no_grad(), mode(model, training=False):
        scores = {JOINT: -model.posterior(images)(found.latents), ERROR: found.errors}
        if isinstance(model, HasDecoder):
            scores[PRIOR] = -model.log_prior(found.latents)
    return Scored(scores, (found.images - images).square().mean(1))


def _by_density(model: HasLogDensity, images: Tensor) -> Scored:
    assert isinstance(model, nn.Module)
    images = images.to(next(model.parameters()))
    scores: dict[str, Tensor] = {}
    maps = []
    by_grids = isinstance(model, HasGrids)  # averages have no levels that tell their scale
    for grid, end in _grids(model):
        seen = reduced(images, grid.image_shape[1:]) if end else images
        density = grid.image_density if by_grids else grid.log_density
        with frozen(grid), mode(grid, training=False):
            value, gradient = value_and_grad(density, seen)
        scores |= {DENSITY + end: -value, GRADIENT + end: gradient.flatten(1).norm(dim=1)}
        maps.append(enlarged(gradient.norm(dim=1, keepdim=True), images.shape[2:]))
    return Scored(scores, maps[0][:, 0])


def _grids(model: HasLogDensity) -> list[tuple[Any, str]]:
    """Return the models of all grids, the coarsest first, and what ends the names of their scores.

    The model is that of the finest grid, whose names end in nothing.
    """
    coarser = model.grids[:-1] if isinstance(model, HasGrids) else []
    return [*((grid, f"_{grid.image_shape[1]}") for grid in coarser), (model, "")]


def score_names(model: Model) -> list[str]:
    """Return the names of the scores that a model is able to give, the main one first.

    Raises:
        TigonError: if it has neither latents nor a log-density
    """
    names = [JOINT, ERROR] if isinstance(model, HasLatents) else []
    names += [PRIOR] if isinstance(model, HasDecoder) else []
    if isinstance(model, HasLogDensity):
        for _, end in _grids(model):
            names += [DENSITY + end, GRADIENT + end]
    if not names:
        raise TigonError("score needs a model with latents or a log-density; this one has neither")
    return names


def require_name(model: Model, by: str | None) -> str:
    """Return `by` if the model gives a score of this name, and the main one's if it is None.

    Raises:
        TigonError: if it gives no such score; it names those that there are
    """
    names = score_names(model)
    if by is not None and by not in names:
        raise TigonError(f"no score {by!r}: this model gives {', '.join(names)}")
    return by or names[0]


def score_all(
    model: Model,
    images: ImageData,
    how: ColdStart | None = None,
    seed: int = 0,
    purpose: str = "score",
    shown: Callable[[Sequence[int]], Iterable[int]] = iter,
    maps: bool = True,
) -> Scored:
    """Score all images of a data set, a few at a time; results are on the CPU.

    Arguments:
        purpose: name of the streams, see `RowRng`: the same image has others for another purpose
        shown: goes through the rows where parts begin, to show progress
        maps: keep the maps of all images; without it none, (0, H, W)
    Raises:
        TigonError: as `score`, and if there are no images, or values of them are missing
    """
    if images.incomplete:
        raise TigonError("score looks at whole images, but values of these are missing")
    how, parts = how or HOW, []
    chunk = max(1, ROWS // how.starts)
    for first in shown(range(0, len(images), chunk)):
        rows = torch.arange(first, min(first + chunk, len(images)))
        index = range(first * how.starts, (first + len(rows)) * how.starts)
        rng = RowRng(seed, 0, index, purpose)
        found = score(model, images.read(rows).to(model.device), rng, how)
        parts.append(found if maps else found._replace(maps=found.maps[:0]))
    if not parts:
        raise TigonError("score: there are no images")
    return joined(parts)


def joined(parts: Sequence[Scored]) -> Scored:
    """Return the scores of parts of a data set, one after another, on the CPU."""
    scores = {name: torch.cat([p.scores[name] for p in parts]).cpu() for name in parts[0].scores}
    return Scored(scores, torch.cat([part.maps.cpu() for part in parts]))


def white_of(maps: Tensor) -> float:
    """Return the value from which on maps (B, H, W) are shown white: 0.001 of the pixels are."""
    return max(float(np.quantile(maps.numpy(), BRIGHTEST)), 1e-12)


def percentiles(scores: Tensor, calibration: Tensor) -> Tensor:
    """Return the conformal percentile of each score (B,), in [0, 100), (B,), float64.

    It is 100 * #{calibration < score} / (n + 1), so that ties count as if they were below: the
    part of exchangeable images with a percentile of 100 (1 - C) or more is C at most.

    Arguments:
        calibration: scores of n images that the model has not seen, (n,)
    Raises:
        TigonError: if there are fewer than 20
    """
    ordered = _ordered(calibration)
    below = torch.searchsorted(ordered, scores.double().contiguous())
    return 100 * below.double() / (len(ordered) + 1)


def threshold(calibration: Tensor, contamination: float) -> float:
    """Return the 1 - C quantile of calibration scores (n,): above it lie at most C of such images.

    It is the conformal quantile, the k-th smallest with k = ceil((n + 1) (1 - C)): scores lie
    above it where their percentile is 100 (1 - C) or more.

    Arguments:
        contamination: C, in (0, 0.5]
    Raises:
        TigonError: if C is outside this range, or there are fewer than 20 scores or 1 / C - 1
    """
    above = require_quantile(len(calibration), contamination)
    return _ordered(calibration)[len(calibration) - above].item()


def require_quantile(count: int, contamination: float) -> int:
    """Return how many of `count` calibration scores are the threshold or lie above it.

    Raises:
        TigonError: as `threshold`
    """
    c = contamination
    if not 0 < c <= 0.5:
        raise TigonError(f"contamination {c:g}: must be above 0 and at most 0.5")
    require_enough(count)
    above = math.floor((count + 1) * c + 1e-9)
    if not above:
        raise TigonError(
            f"contamination {c:g}: of {count} calibration images none can lie above its "
            f"threshold; give {math.ceil(1 / c - 1 - 1e-9)} or more, or a higher contamination"
        )
    return above


def require_enough(count: int) -> None:
    """Refuse to calibrate on fewer than 20 images.

    Raises:
        TigonError: if `count` is smaller
    """
    if count < FEWEST:
        raise TigonError(
            f"percentiles need {FEWEST} or more images that the model has not learned from, and "
            f"there are {count}"
        )


def _ordered(calibration: Tensor) -> Tensor:
    require_enough(len(calibration))
    return calibration.double().sort().values


class Detector:
    """Outliers by a model's score, in PyOD's convention: `fit`, then `predict` 0 or 1.

    Nothing is learned by `fit`, which scores images that the model has not learned from: what lies
    above the 1 - C quantile of these is an outlier. If they are as the model's images are, C is
    the part of such images that is taken for outliers, at most.

    Arguments:
        model: with latents or a log-density
        contamination: C, in (0, 0.5]
        by: name of a score; the model's main one if not given
        how: see `score`
        seed: of the chains, >= 0

    Attributes:
        decision_scores_: scores of the calibration images, (n,)
        labels_: their labels, 0 or 1, (n,)
        threshold_: what outliers lie above

    Example:
        detector = tigon.Detector(model, contamination=0.05).fit(images.held_out)
        detector.predict(new), detector.decision_function(new)
    """

    decision_scores_: np.ndarray
    labels_: np.ndarray
    threshold_: float

    def __init__(
        self,
        model: Model,
        contamination: float = 0.1,
        by: str | None = None,
        how: ColdStart | None = None,
        seed: int = 0,
    ) -> None:
        self.model, self.contamination, self.by = model, contamination, require_name(model, by)
        self.how, self.seed = how, seed

    def fit(self, X: Any, y: None = None) -> Self:  # noqa: ANN401, N803
        """Calibrate on images that the model has not learned from, 20 or more.

        Arguments:
            X: images in any form that `as_data` takes, such as (N, C, H, W) in [-1, 1]
            y: not used; PyOD's and scikit-learn's convention
        Raises:
            TigonError: as `score` and `threshold`
        """
        images = as_data(X)
        require_quantile(len(images), self.contamination)
        found = self._scores(images, "calibration")
        self.threshold_ = threshold(found, self.contamination)
        self.decision_scores_ = found.numpy()
        self.labels_ = self._labels(self.decision_scores_)
        return self

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: ANN401, N803
        """Return scores (B,) of images; higher is more unusual."""
        return self._scores(X, "score").numpy()

    def predict(self, X: Any) -> np.ndarray:  # noqa: ANN401, N803
        """Return 1 for images that lie above the threshold and 0 for others, (B,).

        Raises:
            TigonError: if `fit` has not been called
        """
        self._require_fit()
        return self._labels(self.decision_function(X))

    def percentiles(self, X: Any) -> np.ndarray:  # noqa: ANN401, N803
        """Return the conformal percentiles (B,) of images, in [0, 100); see `percentiles`.

        Raises:
            TigonError: if `fit` has not been called
        """
        self._require_fit()
        scores = torch.from_numpy(self.decision_function(X))
        return percentiles(scores, torch.from_numpy(self.decision_scores_)).numpy()

    def _labels(self, scores: np.ndarray) -> np.ndarray:
        return (scores > self.threshold_).astype(int)

    def _require_fit(self) -> None:
        if not hasattr(self, "threshold_"):
            raise TigonError("the detector has no calibration yet: call fit(images) first")

    def _scores(self, images: Any, purpose: str) -> Tensor:  # noqa: ANN401
        found = score_all(self.model, as_data(images), self.how, self.seed, purpose, maps=False)
        return found.scores[self.by].double()
