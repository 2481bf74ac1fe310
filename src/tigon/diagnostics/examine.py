"""Examinations that recipes choose from: run the chains of a trained model, and judge them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tigon.data.batches import Batch, even_rows
from tigon.data.images import ImageSet
from tigon.data.mirrored import distinct_rows
from tigon.data.pixels import mean_observed, reduced
from tigon.data.principal import principal_components
from tigon.diagnostics.drawing import image_figures, latent_figures
from tigon.diagnostics.examination import Examination
from tigon.diagnostics.modes import probe_modes
from tigon.diagnostics.probes import LatentProbe, probe_images, probe_latents, run_free
from tigon.diagnostics.quality import (
    MOST,
    Reconstructions,
    mean_image_distance,
    reconstructions,
)
from tigon.diagnostics.rules.base import Finding, Level, Record
from tigon.diagnostics.rules.chains import of_coupling, of_images, of_latents, of_step_size
from tigon.diagnostics.rules.held_out import of_linear
from tigon.diagnostics.rules.latents import (
    of_distribution,
    of_free_run,
    of_modes,
    of_moments,
    of_prior_images,
)
from tigon.diagnostics.rules.quality import of_agreement, of_reconstructions, of_sigma
from tigon.diagnostics.statistics import coupling, image_features
from tigon.diagnostics.two_samples import features_test, latents_test, moments_test
from tigon.learners.abilities import InfersLatents, SynthesisesImages
from tigon.models.cold_start import ColdStart, cold_chains
from tigon.random.streams import RowRng, make_rng

LATENTS, IMAGES = 4, 10
FREE, DECODED, POOL = 500, 128, 768  # chains that continue; images compared; size of the pool
COLD = ColdStart(starts=3, steps=5, guess=False, climb=0)
LINEAR = 1000  # images that principal components are taken of at most


def examine_latents(
    learner: InfersLatents, images: ImageSet, seed: int, sigma_learned: bool
) -> Examination:
    """Run parallel chains on latents, chains from the prior, and chains without expansion.

    Arguments:
        images: images that the learner has chains for
        seed: seed of the noise
        sigma_learned: whether the model's sigma follows the residuals
    """
    batch = first_images(images, LATENTS, learner.like)
    probe = probe_latents(learner, batch, RowRng(seed, 0, batch.index, "diagnose"))
    found = of_step_size(learner.step_size) + of_latents(probe, learner)
    if probe.images.isfinite().all():
        found += mode_findings(learner, batch, probe, seed)
    found += prior_findings(learner, _some(images, FREE, learner.like), seed)
    seen = _some(images, MOST, learner.like)
    shown = reconstructions(learner, seen)
    found.append(of_sigma(learner.model.sigma.item(), shown.residual, sigma_learned))
    found += linear_findings(learner, images, seen, shown)
    shows = of_reconstructions(shown)
    return Examination(
        found + ([shows.finding] if shows else []),
        _coupling(learner, batch, learner.store.read(batch.index)),
        shows,
        _unmixed(found),
        True,
        lambda: latent_figures(probe, batch.images),
    )


def examine_grids(
    grids: Mapping[str, SynthesisesImages],
    images: ImageSet,
    records: list[Record],
    length: int,
    seed: int,
) -> Examination:
    """Run the chains of some images for much longer than in training, on each grid.

    Arguments:
        grids: samplers that end at each grid, by its size; the coarsest first
        records: records of the run, which say how close synthesised images came to these
        length: length in multiples of the training chains
        seed: seed of the noise
    """
    *coarser, finest = grids.values()
    found = examine_synthesis(finest, images, length, seed)
    some = _some(images, MOST, next(finest.model.parameters()))
    some = finest.completed(some, RowRng(seed, 0, some.index, "diagnose completed"))
    found.shows = of_agreement(records, mean_image_distance(some))
    found.findings += [found.shows.finding] if found.shows else []
    for size, learner in zip(grids, coarser, strict=False):
        found.include(examine_synthesis(learner, images, length, seed), f"of grid {size}")
    return found


def examine_synthesis(
    learner: SynthesisesImages, images: ImageSet, length: int, seed: int
) -> Examination:
    """Run the chains of some images for `length` times as long as in training."""
    batch = first_images(images, IMAGES, next(learner.model.parameters()))
    batch = learner.completed(batch, RowRng(seed, 0, batch.index, "diagnose completed"))
    batch = batch._replace(images=reduced(batch.images, learner.model.image_shape[1:]))
    probe = probe_images(learner, batch, RowRng(seed, 0, batch.index, "diagnose"), length)
    return Examination(
        of_images(probe, learner),
        _coupling(learner, batch, probe.before),
        examined=True,
        figures=lambda: image_figures(probe, batch.images),
    )


def linear_findings(
    learner: InfersLatents, images: ImageSet, seen: Batch, shown: Reconstructions
) -> list[Finding]:
    """Judge reconstructions beside those of as many principal components as there are latents.

    Nothing is said where there are hardly more images than that, which components then are.

    Arguments:
        images: that components are of
        seen: those that are reconstructed
        shown: their reconstructions
    """
    dim = learner.model.latent_dim
    if len(images) <= 2 * dim or not shown.variance:
        return []
    y, mask = seen.images.cpu(), None if seen.mask is None else seen.mask.cpu()
    components = principal_components(images, dim, most=LINEAR)
    squares = (components.reconstruct(y, mask) - y).double().square()
    left = mean_observed(squares, mask).mean().item() / shown.variance
    seen_values = torch.ones_like(y) if mask is None else mask.expand_as(y)
    each = (1 / seen_values.flatten(1).sum(1)).mean().item()
    noise = dim * learner.model.sigma.item() ** 2 * each / shown.variance
    return [of_linear(shown.errors.mean().item(), left, noise, len(components.deviations))]


def first_images(images: ImageSet, most: int, like: Tensor) -> Batch:
    """Return a batch of the first images, at most `most`."""
    index = torch.arange(min(most, len(images)), device=like.device)
    return images.batch(index).to(like)


def _some(images: ImageSet, most: int, like: Tensor) -> Batch:
    """Return a batch of evenly spaced images, at most `most`, none with its mirrored copy."""
    index = distinct_rows(images, most).to(like.device)
    return images.batch(index).to(like)._replace(among=len(images))


def mode_findings(
    learner: InfersLatents, batch: Batch, own: LatentProbe, seed: int
) -> list[Finding]:
    """Run chains from the prior for these images, and judge what they find.

    Arguments:
        batch: the images of `own`
        own: chains around their inferred latents
        seed: seed of the noise
    """
    chains = range(len(batch.index) * COLD.starts)
    rng = RowRng(seed, 0, chains, "diagnose from the prior")
    begin = cold_chains(learner.model, batch.images, rng, COLD, batch.mask).x
    return of_modes(probe_modes(learner, batch, own, begin, rng))


def prior_findings(learner: InfersLatents, batch: Batch, seed: int) -> list[Finding]:
    """Judge whether latents, and the images that they decode to, follow the prior.

    Arguments:
        batch: images that the learner has chains for
        seed: seed of the noise
    """
    run = run_free(learner, batch, RowRng(seed, 0, batch.index, "diagnose freely"))
    if lost := of_free_run(run, learner.expand):
        return lost
    rng = make_rng("diagnose the prior", seed, device=learner.like.device)

    known, moments = learner.prior_moments, []

    def draw(count: int) -> Tensor:
        return learner.model.latents(count, rng, learner.like)

    def shown(latents: Tensor) -> Tensor:
        return image_features(learner.decode(latents))

    if known is not None:
        moments = of_moments(moments_test(run.latents, known, draw), run, learner.expand)
    some = run.latents[even_rows(len(run.latents), DECODED).to(learner.like.device)]
    alike = features_test(shown(some), shown(draw(POOL)), make_rng("diagnose images", seed))
    return [
        *moments,
        *of_distribution(latents_test(run.latents, draw)),
        *of_prior_images(alike),
    ]


def _coupling(
    learner: InfersLatents | SynthesisesImages, batch: Batch, points: Tensor
) -> list[Finding]:
    """Judge whether chains are independent, which is valid for a run of any length."""
    if len(batch.index) < 2:
        return []
    return of_coupling(coupling(learner, batch, points))


def _unmixed(found: list[Finding]) -> list[str]:
    """Return the remark about chains that do not mix, for the verdict on a healthy run."""
    return [
        f"chains do not mix (R-hat {finding.value:.3g}; 1 is best)"
        for finding in found
        if finding.name == "mixing" and finding.level is Level.NOTE
    ]
