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
from tigon.data.principal import PrincipalComponents, principal_components
from tigon.diagnostics.copies import LEAST, CopiesTest, copies_test
from tigon.diagnostics.distances import Estimate, frechet, kid_of_subsets, precision_and_recall
from tigon.diagnostics.features import features
from tigon.diagnostics.two_samples import energy_distance
from tigon.errors import TigonError
from tigon.models.abilities import HasLatents
from tigon.models.base import Model
from tigon.models.cold_start import Reconstruction
from tigon.random.streams import RowRng, make_rng

COMPONENTS = 64  # of models without latents
MODEL, PCA, GAUSSIAN = "model", "PCA", "Gaussian on PCA scores"
MEAN, NEAREST, TRAINING = "mean image", "nearest training image", "training images"
Infer = Callable[[Model, Tensor], Reconstruction]


class Reconstructed(NamedTuple):
    """How far reconstructions are from held-out images.

    Attributes:
        error: mean squared error on the scale of [-1, 1], lower is better
        psnr: mean over images of the peak signal-to-noise ratio in dB, higher is better
    """

    error: float
    psnr: float


class Drawn(NamedTuple):
    """How a set of images compares with as many held-out ones.

    Attributes:
        kid: KID-lite0 and its standard error, about 0 for images of the same distribution
        frechet: FD-lite0, lower is better, biased upwards for few images
        precision: part of the set near held-out images
        recall: part of the held-out images near the set
        energy: energy distance of features, lower is better
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
        held_out: number of images that the model had not seen
        training: number of training images that baselines were made from
        drawn: number of images in each set that is compared with as many held-out ones
        components: number of principal components, those of a model with latents its d
        reconstructions: by name, the model's first
        samples: by name, the model's first; empty without the extra `features`
        copies: test of copies by what images are compared in, pixels or features
        notes: what was not measured, and why
    """

    held_out: int
    training: int
    drawn: int
    components: int
    reconstructions: dict[str, Reconstructed] = field(default_factory=dict)
    samples: dict[str, Drawn] = field(default_factory=dict)
    copies: dict[str, CopiesTest] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        values: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("held_out", "training", "drawn", "components", "notes")
        }
        values["reconstructions"] = {k: v._asdict() for k, v in self.reconstructions.items()}
        values["samples"] = {
            name: drawn._asdict() | {"kid": drawn.kid.value, "kid_error": drawn.kid.error}
            for name, drawn in self.samples.items()
        }
        values["copies"] = {
            name: {
                "statistic": test.statistic,
                "relative": test.relative,
                "nearer": test.nearer,
                "copied": test.copied,
            }
            for name, test in self.copies.items()
        }
        return values


class Sets(NamedTuple):
    """The images that a model is held against, (N, C, H, W) each, in [-1, 1].

    Attributes:
        held_out: that it has not seen
        training: those it learned from, or some of them
        components: principal components of all training images
    """

    held_out: Tensor
    training: Tensor
    components: PrincipalComponents


def evaluate(
    model: Model,
    held_out: ImageSet,
    training: ImageSet,
    infer: Infer,
    count: int = 1000,
    seed: int = 0,
    told: Callable[[str], object] = lambda _: None,
) -> Evaluation:
    """Measure a model on held-out images, beside its floor and baselines.

    Arguments:
        held_out: images in the model's form, at least 2, that it has not learned from
        training: those that it learned from, at least 2
        infer: infers the latents of images (B, C, H, W)
        count: images at most in each set that is compared
        seed: of samples, subsets and partitions
        told: hears what is being done
    Raises:
        TigonError: if there are too few images, or the two sets share images
    """
    sets = _sets(model, held_out, training, count, seed)
    count = min(count, len(sets.held_out), len(training))
    found = Evaluation(len(held_out), len(training), count, len(sets.components.deviations))
    if isinstance(model, HasLatents):
        told("inferring latents of held-out images")
        found.reconstructions.update(_reconstructions(model, sets, infer))
    told("drawing and comparing images")
    _compare(found, model, sets, count, seed)
    return found


def _sets(model: Model, held_out: ImageSet, training: ImageSet, count: int, seed: int) -> Sets:
    """Return images and principal components, where the two sets have nothing in common."""
    if min(len(held_out), len(training)) < 2:
        raise TigonError("evaluate: needs at least 2 held-out and 2 training images")
    numbers = model.latent_dim if isinstance(model, HasLatents) else COMPONENTS
    seen = training.read(even_rows(len(training), max(count, 10_000)))
    unseen = held_out.read(even_rows(len(held_out), count))
    shared = int((torch.cdist(unseen.flatten(1), seen.flatten(1)).min(1).values < 1e-3).sum())
    if shared:
        raise TigonError(
            f"evaluate: {shared} of {len(unseen)} held-out images are training images; give "
            "images that the model has not learned from"
        )
    return Sets(unseen, seen, principal_components(training, numbers, seed))


def _reconstructions(model: Model, sets: Sets, infer: Infer) -> dict[str, Reconstructed]:
    """Return the errors of the model and of what needs no learning, by name."""
    y = sets.held_out
    nearest = torch.cdist(y.flatten(1), sets.training.flatten(1)).argmin(1)
    shown = {
        MODEL: infer(model, y).images.cpu(),
        PCA: sets.components.reconstruct(y),
        NEAREST: sets.training[nearest],
        MEAN: sets.components.mean.unflatten(0, y.shape[1:]).expand_as(y),
    }
    return {name: _reconstructed(images, y) for name, images in shown.items()}


def _reconstructed(images: Tensor, y: Tensor) -> Reconstructed:
    errors = (images.double() - y).square().flatten(1).mean(1)
    psnr = 10 * torch.log10(4 / errors.clamp(min=1e-12))
    return Reconstructed(errors.mean().item(), psnr.mean().item())


def _compare(found: Evaluation, model: Model, sets: Sets, count: int, seed: int) -> None:
    """Fill in what the model's images are beside held-out ones."""
    real = sets.held_out[even_rows(len(sets.held_out), count)]
    images = {
        MODEL: model.sample(count, RowRng(seed, 0, range(count), "evaluate")).cpu(),
        GAUSSIAN: sets.components.sample(count, make_rng("evaluate", seed)),
        MEAN: sets.components.mean.unflatten(0, real.shape[1:]).expand_as(real),
        TRAINING: sets.training[even_rows(len(sets.training), count)],
    }
    spaces: dict[str, Callable[[Tensor], Tensor]] = {"pixels": lambda x: x.clamp(-1, 1).flatten(1)}
    try:
        of_real = features(real)
    except TigonError as error:
        found.notes.append(f"samples were not compared by features ({error})")
    else:
        spaces["features"] = features
        for name, some in images.items():
            found.samples[name] = compared(features(some), of_real, seed)
    if count < LEAST:
        found.notes.append(f"copies cannot be told from {count} images: {LEAST} are needed")
        return
    for name, space in spaces.items():
        found.copies[name] = copies_test(
            space(images[MODEL]), space(real), space(sets.training), seed
        )


def compared(first: Tensor, second: Tensor, seed: int = 0) -> Drawn:
    """Compare the features (N, k) of a set with those of held-out images (M, k)."""
    scale = second.std(0).clamp(min=1e-6)
    energy = energy_distance((first / scale)[None], second / scale).item()
    return Drawn(
        kid_of_subsets(first, second, make_rng("subsets", seed)),
        frechet(first, second),
        *precision_and_recall(first, second),
        energy if math.isfinite(energy) else math.inf,
    )
