"""How probable held-out images are under a model, beside the linear model's exact likelihood.

Images that the model itself has drawn are looked at too: of these alone both ends of the bracket
hold, and its width says how far estimates for other images can be trusted.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import even_rows
from tigon.data.principal import PrincipalComponents
from tigon.inference.brackets import Ends, LogLikelihood
from tigon.inference.likelihood import (
    OF_IMAGES,
    bits_per_dimension,
    log_likelihood,
    log_partition,
    simulated,
)
from tigon.mcmc.annealed import AIS, Bracket
from tigon.mcmc.weights import CONFIDENCE
from tigon.models.abilities import HasLikelihood
from tigon.models.base import Model
from tigon.random.streams import RowRng, make_rng

HELD_OUT, DRAWN = "model, held-out images", "model, images it drew"
OWN, SAME = "PPCA, its own sigma", "PPCA, the model's sigma"
DIGIT = 0.01  # bits per dimension, the last digit of published ones: half of it changes none
NAT = 1.0  # a factor of e, less than which nobody takes for a difference between models
ROUNDING = 0.01  # of the greatest width that is not wide: ends that cross by less are one


@dataclass(frozen=True)
class LikelihoodSettings:
    """Of which images the likelihood is estimated, and how.

    Arguments:
        images: held-out images at most, >= 1; of images that a model draws there are half as many
        chains: for each image, or for log Z of a density, >= 2; None for as many as usual
        temperatures: likewise, >= 1
        seed: of images and chains, >= 0
        shown: wraps a loop under a title, to show a bar
    """

    images: int = 16
    chains: int | None = None
    temperatures: int | None = None
    seed: int = 0
    shown: Callable[[range, str], Iterable[int]] = lambda rows, _: rows

    def of(self, model: Model) -> AIS:
        """Return chains and temperatures for a model."""
        usual = AIS() if isinstance(model, HasLikelihood) else OF_IMAGES
        return AIS(self.chains or usual.chains, self.temperatures or usual.temperatures)


class Likelihood(NamedTuple):
    """The mean log-likelihood of some images, in nats per image, as a density on [-1, 1].

    Attributes:
        images: how many
        ends: what it lies between; all the same number where the likelihood is known exactly
        error: standard error over images of the end from below; None of one image
        sigma: standard deviation of the density's noise, if it has any
        dimensions: number of values of an image
        ess: how many of an image's chains count, on average; None where nothing is estimated
    """

    images: int
    ends: Ends
    error: float | None
    sigma: float | None
    dimensions: int
    ess: float | None = None

    @property
    def width(self) -> float:
        """Width of the bracket, in nats; below 0 if its ends have crossed."""
        return self.ends.upper - self.ends.lower

    @property
    def apart(self) -> float:
        """How far the end from above is above that from below, without what chance may do."""
        return self.ends.above - self.ends.below

    def bits(self, levels: float = 2.0) -> Ends:
        """Return the ends in bits per dimension, of which fewer are better.

        Attributes keep their names: `lower` is that of the lower end of log p, and the greatest.
        """
        values = [bits_per_dimension(nats, self.dimensions, levels) for nats in self.ends[:4]]
        errors = [nats / self.dimensions / math.log(2) for nats in self.ends[4:]]
        return Ends(*values, *errors)

    def to_plain(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        values = self._asdict()
        return {
            "images": values.pop("images"),
            **values.pop("ends")._asdict(),
            **values,
            "width": self.width,
            "bits_per_dimension": self.bits()._asdict(),
            "bits_per_dimension_of_255": self.bits(255)._asdict(),
        }


@dataclass(frozen=True)
class Likelihoods:
    """The likelihoods of a model and of what needs no learning.

    Attributes:
        chains, temperatures: of annealed importance sampling
        accept: mean acceptance of its chains
        rows: by name, the model's first
        notes: what is exact, and what is not
    """

    chains: int
    temperatures: int
    accept: float
    rows: dict[str, Likelihood]
    notes: list[str] = field(default_factory=list)

    @property
    def own(self) -> dict[str, Likelihood]:
        """The rows of the model itself."""
        return {name: self.rows[name] for name in (HELD_OUT, DRAWN) if name in self.rows}

    @property
    def width(self) -> float:
        """Width of the wider bracket, in nats: of held-out images, and of those that it drew.

        Where the bracket of the latter is narrow, held-out images may still be harder to infer:
        their upper end is an estimate, but that far apart the ends are not both right.
        """
        return max(abs(row.width) for row in self.own.values())

    @property
    def most(self) -> float:
        """The greatest width that is not called wide, in nats.

        It is half of the last digit of published bits per dimension, and a nat at least.
        """
        return max(NAT, DIGIT / 2 * math.log(2) * self.rows[HELD_OUT].dimensions)

    @property
    def crossed(self) -> list[str]:
        """Of which images the end from below is above that from above, beyond their errors."""
        from scipy.special import stdtrit  # deferred: it takes a quarter of a second, of all verbs

        errors = stdtrit(self.chains - 1, CONFIDENCE)  # of Student's distribution
        return [
            name
            for name, row in self.own.items()
            if row.width < 0
            or -row.apart > errors * math.hypot(*row.ends[4:]) + ROUNDING * self.most
        ]

    def to_plain(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "chains": self.chains,
            "temperatures": self.temperatures,
            "accept": self.accept,
            "confidence": CONFIDENCE,
            "width": self.width,
            "wide": self.width > self.most,
            "crossed": self.crossed,
            "rows": {name: row.to_plain() for name, row in self.rows.items()},
        }


def likelihoods(
    model: Model,
    held_out: Tensor,
    training: Tensor,
    components: PrincipalComponents,
    how: LikelihoodSettings,
) -> Likelihoods:
    """Estimate how probable held-out images are, and how probable probabilistic PCA finds them.

    Arguments:
        held_out, training: (N, C, H, W) in [-1, 1]
        components: of the training images
    Raises:
        TigonError: if the model has no likelihood, or a log-density is not finite
    """
    chains = how.of(model)
    y = held_out[even_rows(len(held_out), how.images)]
    latent = isinstance(model, HasLikelihood)
    constant = log_partition(model, make_rng("log Z", how.seed), None if latent else chains)

    def found(images: Tensor, what: str, latents: Tensor | None = None) -> LogLikelihood:
        rng = RowRng(how.seed, 0, range(len(images) * chains.chains), what)

        def each(rows: range) -> Iterable[int]:
            return how.shown(rows, f"log-likelihood of the {what}")

        return log_likelihood(
            model, images, rng, chains, latents, constant=constant, each=each if latent else iter
        )

    own = found(y, HELD_OUT)
    sigma = float(model.sigma) if isinstance(model, HasLikelihood) else None
    rows, accepts = {HELD_OUT: mean_of(own, constant, sigma, y)}, [own.accept]
    if isinstance(model, HasLikelihood):
        images, latents = simulated(model, max(2, len(y) // 2), make_rng(DRAWN, how.seed))
        drawn = found(images, DRAWN, latents)
        rows[DRAWN] = mean_of(drawn, constant, sigma, images)
        accepts.append(drawn.accept)
    notes = _notes(model, constant)
    noise = components.sigma_of(training)
    if noise > 1e-6:
        rows[OWN] = exact(components.log_prob(y, noise), noise, y)
    else:
        notes.append("log p: principal components leave nothing, and PPCA has no sigma of its own")
    if sigma is not None:
        rows[SAME] = exact(components.log_prob(y, sigma), sigma, y)
    accept = torch.cat(accepts).mean().item()
    return Likelihoods(chains.chains, chains.temperatures, accept, rows, notes)


def mean_of(
    found: LogLikelihood, constant: Bracket, sigma: float | None, images: Tensor
) -> Likelihood:
    """Return the mean over images of what was estimated; all share the error of the constant."""
    count, error = len(found.below), None
    if count > 1:
        error = math.hypot(found.below.std().item() / count**0.5, constant.above.error)
    ess = found.ess.mean().item()
    return Likelihood(count, found.mean, error, sigma, images[0].numel(), ess)


def exact(log_prob: Tensor, sigma: float, images: Tensor) -> Likelihood:
    """Return the mean of log-likelihoods (B,) that are known exactly."""
    mean, count = log_prob.mean().item(), len(log_prob)
    error = log_prob.std().item() / count**0.5 if count > 1 else None
    return Likelihood(
        count, Ends(mean, mean, mean, mean, 0.0, 0.0), error, sigma, images[0].numel()
    )


def _notes(model: Model, constant: Bracket) -> list[str]:
    """Say what is a bound, and what is none."""
    if not isinstance(model, HasLikelihood):
        return [
            "log p: one estimate of log Z is shared by all images; no exact draws of the density "
            "are known, so that of the bracket only the upper end holds, and the lower one is an "
            "estimate"
        ]
    if not model.exact_latents:
        width = abs(constant.upper - constant.lower)
        return [
            f"log p: the prior is known up to a constant, found within {width:.2g} nats, and its "
            "draws are where chains have come to: no end holds beyond that"
        ]
    return [
        "log p: the bracket of images that the model drew holds with a probability of "
        f"{100 * CONFIDENCE:g} %; of held-out images its lower end does, and the upper end is an "
        "estimate"
    ]
