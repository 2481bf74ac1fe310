"""How good a model is on images that it has not seen, beside what needs no learning.

Each measure stands beside a floor (training images in the model's place) and baselines: principal
components of as many numbers as the model has latents, a Gaussian on their scores, the mean image,
and the nearest training image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import even_rows
from tigon.data.images import ImageSet
from tigon.data.mirrored import origins
from tigon.data.pixels import mean_observed
from tigon.data.principal import MOST, PrincipalComponents, principal_components
from tigon.diagnostics.copies import LEAST, CopiesTest, Neighbours, copies_test, neighbours
from tigon.diagnostics.distances import (
    Estimate,
    finite,
    frechet,
    kid_of_subsets,
    precision_and_recall,
)
from tigon.diagnostics.features import features
from tigon.diagnostics.likelihood import Likelihoods, LikelihoodSettings, likelihoods
from tigon.diagnostics.nearest import FEATURES, PIXELS, Nearest, most_suspicious
from tigon.diagnostics.shared_images import nearest_of, require_unseen, shared_with
from tigon.diagnostics.two_samples import energy_distance
from tigon.errors import TigonError
from tigon.models.abilities import HasLatents
from tigon.models.base import Model
from tigon.models.cold_start import Reconstruction
from tigon.random.streams import RowRng, make_rng
from tigon.sizes import sides

COMPONENTS = 64  # of models without latents
VALUES = 2**28  # values of training images that are looked at, at most: a gigabyte
INCOMPLETE_MOST = 1000  # images with missing values that components are fitted to, at most
RECONSTRUCTED = 64  # held-out images whose latents are inferred, at most: it takes seconds each
MODEL, PCA, GAUSSIAN = "model", "PCA", "Gaussian on PCA scores"
MEAN, NEAREST = "mean image", "nearest training image"
TRAINING, HELD_OUT = "training images", "held-out images"
TESTED = (MODEL, HELD_OUT, TRAINING)  # for copies
INCOMPLETE = (
    "values are missing: errors are over those that were observed, and images that the model "
    "draws were neither compared with incomplete ones nor looked at for copies; with --truth, "
    "`tigon restore` measures what was missing"
)
Infer = Callable[..., Reconstruction]  # of a model and images, and a mask where values are missing


class Reconstructed(NamedTuple):
    """How far reconstructions are from held-out images.

    Attributes:
        error: mean squared error on the scale of [-1, 1], lower is better
        psnr: mean over images of the peak signal-to-noise ratio in dB, higher is better
        doubt: standard error of the difference between this error and the model's, over images
    """

    error: float
    psnr: float
    doubt: float = 0.0


class Drawn(NamedTuple):
    """How a set of images compares with as many held-out ones.

    Attributes:
        kid: KID-lite0 and its standard error, about 0 for images of the same distribution
        frechet: FD-lite0, lower is better, biased upwards for few images
        precision: part of the set near held-out images
        recall: part of the held-out images near the set
        energy: energy distance of features over the root of their total variance among held-out
            images, lower is better
    """

    kid: Estimate
    frechet: float
    precision: float
    recall: float
    energy: float


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        held_out: number of images that the model had not seen, of those that were looked at
        reconstructed: number of these whose latents were inferred
        training: number of training images that baselines were made from
        drawn: number of images in each set that is compared with as many held-out ones
        components: number of principal components, those of a model with latents its d
        reconstructions: by name, the model's first
        samples: by name, the model's first; empty without the extra `features`
        copies: test of copies by what images are compared in, pixels or features
        likelihood: how probable held-out images are, if that was asked for
        notes: what was not measured and why, and what is only estimated
        nearest: the drawn images that are most like training images, with these
    """

    held_out: int
    reconstructed: int
    training: int
    drawn: int
    components: int
    reconstructions: dict[str, Reconstructed] = field(default_factory=dict)
    samples: dict[str, Drawn] = field(default_factory=dict)
    copies: dict[str, CopiesTest] = field(default_factory=dict)
    likelihood: Likelihoods | None = None
    notes: list[str] = field(default_factory=list)
    nearest: Nearest | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        values: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("held_out", "reconstructed", "training", "drawn", "components", "notes")
        }
        values["reconstructions"] = {
            name: found._asdict() | {"doubt": finite(found.doubt)}
            for name, found in self.reconstructions.items()
        }
        values["samples"] = {
            name: drawn._asdict()
            | {
                "kid": drawn.kid.value,
                "kid_error": finite(drawn.kid.error),
            }
            for name, drawn in self.samples.items()
        }
        if self.likelihood is not None:
            values["likelihood"] = self.likelihood.to_plain()
        values["copies"] = {
            name: {
                "statistic": test.statistic,
                "relative": test.relative,
                "nearer": test.nearer,
                "close": test.close,
                "chance": test.chance,
                "least": test.least,
                "copied": test.copied,
            }
            for name, test in self.copies.items()
        }
        if self.nearest is not None:
            values["nearest"] = self.nearest.to_plain()
        return values


class Sets(NamedTuple):
    """The images that a model is held against, (N, C, H, W) each, in [-1, 1].

    Attributes:
        held_out: that it has not seen
        training: those it learned from, or some of them
        rows: rows of these in the data set, (N,)
        nearest: row of the training image that is nearest to each held-out one
        components: principal components of all training images
    """

    held_out: Tensor
    training: Tensor
    rows: Tensor
    nearest: Tensor
    components: PrincipalComponents


class Compared(NamedTuple):
    """Drawn images beside held-out ones: fields of an `Evaluation`."""

    samples: dict[str, Drawn]
    copies: dict[str, CopiesTest]
    nearest: Nearest
    notes: list[str]


def evaluate(
    model: Model,
    held_out: ImageSet,
    training: ImageSet,
    infer: Infer | None,
    count: int = 1000,
    seed: int = 0,
    told: Callable[[str], object] = lambda _: None,
    likelihood: LikelihoodSettings | None = None,
) -> Evaluation:
    """Measure a model on held-out images, beside its floor and baselines.

    Arguments:
        held_out: images in the model's form, at least 2, that it has not learned from; those that
            are the `held_out` of the training images are left out where they are copies of one
        training: those that it learned from, at least 2
        infer: infers the latents of images (B, C, H, W), if the model has any; where values are
            missing, given the mask, too
        count: images at most in each set that is compared
        seed: of samples, subsets and partitions
        told: hears what is being done
        likelihood: of which images the likelihood is estimated, and how, if at all
    Raises:
        TigonError: if there are too few images, the two sets share images, the model draws
            values that are not finite, or it has no likelihood
    """
    if min(len(held_out), len(training)) < 2:
        raise TigonError("evaluate: needs at least 2 held-out and 2 training images")
    if held_out.incomplete or training.incomplete:
        if likelihood is not None:
            raise TigonError("the likelihood is of whole images, but values of these are missing")
        return _incomplete(model, held_out, training, infer, seed, told)
    sets, notes = _sets(model, held_out, training, count, seed)
    shown: dict[str, Reconstructed] = {}
    if infer is not None and isinstance(model, HasLatents):
        told("inferring latents of held-out images")
        shown = _reconstructions(model, sets, infer)
    told("drawing and comparing images")
    count = min(len(sets.held_out), len(sets.training))
    components = len(sets.components.deviations)
    compared = _compare(model, sets, training, count, seed)
    compared.notes[:0] = notes
    probable = None
    if likelihood is not None:
        told("estimating how probable held-out images are")
        some = sets.held_out, sets.training, sets.components
        probable = likelihoods(model, *some, likelihood)
        compared.notes.extend(probable.notes)
    unseen = len(sets.held_out)
    inferred = min(unseen, RECONSTRUCTED) if shown else 0
    numbers = (unseen, inferred, len(training), count, components)
    samples, copies, nearest, notes = compared
    return Evaluation(*numbers, shown, samples, copies, probable, notes, nearest)


def _sets(
    model: Model, held_out: ImageSet, training: ImageSet, count: int, seed: int
) -> tuple[Sets, list[str]]:
    """Return images and principal components, and what was left out of those held out.

    Raises:
        TigonError: if there are too few, or images that a user gave are training images
    """
    numbers = model.latent_dim if isinstance(model, HasLatents) else COMPONENTS
    values = training.channels * math.prod(sides(training.image_size))
    most = max(count, min(MOST, VALUES // values))
    rows = even_rows(len(training), most)
    seen = training.read(rows)
    unseen = held_out.read(even_rows(len(held_out), count))
    new, notes = _unshared(unseen, held_out, training)
    try:
        components = principal_components(training, numbers, seed, most)
    except ValueError as error:
        raise TigonError(f"the training images: {error}") from error
    unseen = unseen[new]
    return Sets(unseen, seen, rows, nearest_of(unseen, seen)[0], components), notes


def _unshared(unseen: Tensor, held_out: ImageSet, training: ImageSet) -> tuple[Tensor, list[str]]:
    """Return which held-out images are no training images, and what to say of the others.

    Arguments:
        unseen: some of `held_out`, (B, C, H, W)
    Raises:
        TigonError: if images that a user gave are training images, or all are
    """
    copies = shared_with(unseen, training)
    shared = int(copies.sum())
    if shared and held_out is training.held_out and len(unseen) - shared >= 2:
        said = f"{shared} of {len(unseen)} held-out images are also training images: left out"
        return ~copies, [said]
    require_unseen(copies, "evaluate", "held-out")
    return ~copies, []


def _incomplete(
    model: Model,
    held_out: ImageSet,
    training: ImageSet,
    infer: Infer | None,
    seed: int,
    told: Callable[[str], object],
) -> Evaluation:
    """Measure reconstructions over the values of held-out images that were observed.

    Principal components are those of the training images' observed values.
    """
    if infer is None or not isinstance(model, HasLatents):
        notes = ["nothing was measured: " + INCOMPLETE]
        return Evaluation(len(held_out), 0, len(training), 0, 0, notes=notes)
    told("inferring latents of held-out images")
    rows = even_rows(len(held_out), RECONSTRUCTED)
    new, notes = _unshared(held_out.read(rows), held_out, training)
    batch = held_out.batch(rows[new])
    y, masks = batch.images, () if batch.mask is None else (batch.mask,)
    components = principal_components(training, model.latent_dim, seed, INCOMPLETE_MOST)
    images = {
        MODEL: infer(model, y, *masks).images.cpu(),
        PCA: components.reconstruct(y, batch.mask),
        MEAN: components.mean.unflatten(0, y.shape[1:]).expand_as(y),
    }
    shown = _reconstructed(images, y, batch.mask)
    numbers = (len(held_out), len(y), len(training), 0, len(components.deviations))
    return Evaluation(*numbers, shown, notes=[*notes, INCOMPLETE])


def _reconstructions(model: Model, sets: Sets, infer: Infer) -> dict[str, Reconstructed]:
    """Return the errors of the model and of what needs no learning, by name."""
    some = even_rows(len(sets.held_out), RECONSTRUCTED)
    y = sets.held_out[some]
    images = {
        MODEL: infer(model, y).images.cpu(),
        PCA: sets.components.reconstruct(y),
        NEAREST: sets.training[sets.nearest[some]],
        MEAN: sets.components.mean.unflatten(0, y.shape[1:]).expand_as(y),
    }
    return _reconstructed(images, y)


def _reconstructed(
    images: dict[str, Tensor], y: Tensor, mask: Tensor | None = None
) -> dict[str, Reconstructed]:
    """Return how far reconstructions are from images y (B, C, H, W), the model's first."""
    errors = {name: mean_observed((x.double() - y).square(), mask) for name, x in images.items()}
    found = {}
    for name, each in errors.items():
        psnr = 10 * torch.log10(4 / each.clamp(min=1e-12))
        apart = each - errors[MODEL]
        doubt = apart.std().item() / len(y) ** 0.5 if len(y) > 1 else math.inf
        found[name] = Reconstructed(each.mean().item(), psnr.mean().item(), doubt)
    return found


def _compare(model: Model, sets: Sets, data: ImageSet, count: int, seed: int) -> Compared:
    """Compare `count` images of the model, and of what needs no learning, with held-out ones."""
    enough = count >= LEAST
    some = even_rows(len(sets.training), count)
    training, floor = (sets.training, some) if enough else (sets.training[some], slice(None))
    real = sets.held_out[even_rows(len(sets.held_out), count)]
    images = {
        MODEL: _draw(model, count, seed),
        GAUSSIAN: sets.components.sample(count, make_rng("evaluate", seed)),
        MEAN: sets.components.mean.unflatten(0, real.shape[1:]).expand_as(real),
        TRAINING: training,
        HELD_OUT: real,
    }
    compared, notes = {name: images[name].clamp(-1, 1).flatten(1) for name in TESTED}, []
    samples, spaces = {}, {PIXELS: compared}
    try:
        found = {name: features(some) for name, some in images.items()}
    except TigonError as error:
        notes.append(f"samples were not compared by features ({error})")
    else:
        spaces[FEATURES] = found
        first = found | {TRAINING: found[TRAINING][floor]}
        names = (MODEL, GAUSSIAN, MEAN, TRAINING)
        samples = {name: compare(first[name], found[HELD_OUT], seed) for name in names}
    if not enough:
        notes.append(f"copies cannot be told from {count} images: {LEAST} are needed")
        spaces = {PIXELS: compared | {TRAINING: sets.training.flatten(1)}}
    copies, near = _near(spaces, seed, enough, origins(data, sets.rows))
    nearest = most_suspicious(images[MODEL], data, sets.rows, near)
    return Compared(samples, copies, nearest, notes)


def _near(
    spaces: dict[str, dict[str, Tensor]], seed: int, enough: bool, of: Tensor
) -> tuple[dict[str, CopiesTest], dict[str, Neighbours]]:
    """Return the test of copies, and the training images that drawn ones are nearest to.

    Arguments:
        spaces: drawn, held-out and training images by what they are compared in
        enough: whether there are enough images for the test; otherwise there is none
        of: which image each training image is, or is a mirrored copy of
    """
    sets = {s: (points[MODEL], points[HELD_OUT], points[TRAINING]) for s, points in spaces.items()}
    if not enough:
        return {}, {space: neighbours(*three) for space, three in sets.items()}
    copies = {space: copies_test(*three, seed, of) for space, three in sets.items()}
    return copies, {space: test.neighbours for space, test in copies.items()}


def _draw(model: Model, count: int, seed: int) -> Tensor:
    """Return images of the model, (count, C, H, W).

    Raises:
        TigonError: if some are not finite
    """
    drawn = model.sample(count, RowRng(seed, 0, range(count), "evaluate")).cpu()
    if not drawn.isfinite().all():
        raise TigonError(
            "evaluate: the model draws values that are not finite; train again with a lower "
            "learning rate (--optimizer.learning-rate)"
        )
    return drawn


def compare(first: Tensor, second: Tensor, seed: int = 0) -> Drawn:
    """Compare the features (N, k) of a set with those of held-out images (M, k)."""
    scale = second.var(0).sum().sqrt().clamp(min=1e-6)  # of all: one may be the same everywhere
    return Drawn(
        kid_of_subsets(first, second, make_rng("subsets", seed)),
        frechet(first, second),
        *precision_and_recall(first, second),
        energy_distance((first / scale)[None], second / scale).item(),
    )
