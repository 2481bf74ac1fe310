"""Run the chains of a trained model for longer than in training, and measure them."""

from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import Batch
from tigon.data.pixels import mean_observed, saturation
from tigon.densities.log_density import LogDensity, value_and_grad
from tigon.diagnostics.statistics import (
    effective_sample_size,
    image_features,
    implied_temperature,
    split_rhat,
)
from tigon.learners.abilities import InfersLatents, SynthesisesImages
from tigon.mcmc.chain import MCMC, Trace
from tigon.precision import wide
from tigon.random.streams import Rng, normal, rows

CHUNK = 64  # images whose chains run at once


class LatentProbe(NamedTuple):
    """Parallel chains on the posterior of some training images, with frozen step sizes.

    Attributes:
        ess: smallest effective sample size of latent coordinates and log-density
        rhat: largest split R-hat of the same
        states: number of kept states of all chains of one image
        accept: mean acceptance
        gradient: root mean square of the log-density's gradient, per coordinate
        temperature: see `implied_temperature`
        error_before, error_after: mean squared error of the reconstructions, on [-1, 1]
        points: (K, chains, images, d)
        log_densities: (K, chains, images)
        images: reconstructions after the run, (images, C, H, W)
    """

    ess: float
    rhat: float
    states: int
    accept: float
    gradient: float
    temperature: float
    error_before: float
    error_after: float
    points: Tensor
    log_densities: Tensor
    images: Tensor


def probe_latents(
    learner: InfersLatents, batch: Batch, rng: Rng, steps: int = 200, chains: int = 4
) -> LatentProbe:
    """Run `chains` chains on the posterior of each image of a batch, and compare them.

    They start two step sizes away from the inferred latents: chains that agree cover the mode
    that they are in; for other modes, see `probe_modes`. `steps // 4` steps are discarded first.
    The step size is that of the learner, and frozen.

    Arguments:
        batch: images that the learner has chains for
        rng: one generator, or one stream per image
        steps: steps of each chain, >= 8
    """
    inferred = learner.store.read(batch.index)
    sizes = learner.step_sizes(inferred)
    first = MCMC(learner.chains.kernel, max(1, steps // 4))
    run = MCMC(learner.chains.kernel, steps)
    runs = []
    with learner.chain_density(batch) as log_density:
        for _ in range(chains):
            begin = inferred + 2 * sizes[:, None] * normal(rng, inferred)
            begin = first.run(log_density, begin, rng, sizes).x
            draws = run.run(log_density, begin, rng, sizes, keep=1)
            runs.append(_Observed(*_kept(draws), *_heat(log_density, draws, steps // 30)))
    points = torch.stack([one.points for one in runs], 1)
    values = torch.stack([one.values for one in runs], 1)
    quantities = torch.cat([points, values[..., None]], -1)
    decoded = learner.decode(points[-1, 0])
    return LatentProbe(
        float(effective_sample_size(quantities).min()),
        float(split_rhat(quantities).max()),
        steps * chains,
        mean(one.accept for one in runs),
        mean(one.gradient for one in runs),
        mean(one.temperature for one in runs),
        _error(learner.decode(inferred), batch),
        _error(decoded, batch),
        points,
        values,
        decoded,
    )


class _Observed(NamedTuple):
    points: Tensor
    values: Tensor
    accept: float
    gradient: float
    temperature: float


def _kept(draws: Trace) -> tuple[Tensor, Tensor, float]:
    assert draws.trajectory is not None and draws.log_densities is not None
    return draws.trajectory, draws.log_densities, draws.accept_prob.mean().item()


def _heat(log_density: LogDensity, draws: Trace, every: int) -> tuple[float, float]:
    """Return the gradient's root mean square and the implied temperature, over some states."""
    assert draws.trajectory is not None
    some = draws.trajectory[:: max(1, every)]
    gradients = torch.stack([value_and_grad(log_density, x)[1] for x in some])
    temperature = implied_temperature(some, gradients, draws.trajectory.mean(0))
    return gradients.square().mean().sqrt().item(), temperature


class FreeRun(NamedTuple):
    """Chains of training images that continued with frozen parameters, without expansion.

    Attributes:
        latents: final points, (n, d)
        steps: number of steps of each
        travel: root mean square distance from their start relative to that between two draws from
            the prior, sqrt(2 d): near 0 if latents are still where training put them, 1 if they
            have forgotten it
    """

    latents: Tensor
    steps: int
    travel: float


def free_steps(count: int) -> int:
    """Return the number of steps of `count` chains: 100, fewer for many, about 10 000 in total."""
    return min(100, max(20, 10_000 // count))


def run_free(learner: InfersLatents, batch: Batch, rng: Rng) -> FreeRun:
    """Continue the chains of a batch for `free_steps`, and measure how far they travel.

    The step size is that of the learner, and frozen.

    Arguments:
        batch: images that the learner has chains for, any number
        rng: one generator, or one stream per image
    """
    run = MCMC(learner.chains.kernel, free_steps(len(batch.index)))
    begin, ends = learner.store.read(batch.index), []
    sizes = learner.step_sizes(begin)
    for first in range(0, len(batch.index), CHUNK):
        part = slice(first, first + CHUNK)
        some = batch.take(part)
        with learner.chain_density(some) as log_density:
            ends.append(run.run(log_density, begin[part], rows(rng, part), sizes[part]).x)
    latents = torch.cat(ends)
    squares = wide(latents - begin).square().sum(1).mean()
    travel = (squares / (2 * latents.shape[1])).sqrt().item()
    return FreeRun(latents, run.steps, travel)


class ImageProbe(NamedTuple):
    """Chains that continue from synthesised images, for many times their length in training.

    Attributes:
        ess: smallest effective sample size over the second half, of log-density and features
        rhat: largest split R-hat of the same, over chains from different starts
        states: number of kept states of all chains
        length: length in multiples of the training chains
        gradient: root mean square of the log-density's gradient at the end, per dimension
        temperature: see `implied_temperature`; not the temperature of the chains themselves
        change: mean squared difference between before and after, relative to that between training
            images; 0 if the picture persists, about 1 if it is a different one
        saturation_before, saturation_after: fraction of values outside [-1, 1] by more than 0.1
        log_densities: (K, chains), for a figure
        before, after: the images, (chains, C, H, W)
    """

    ess: float
    rhat: float
    states: int
    length: int
    gradient: float
    temperature: float
    change: float
    saturation_before: float
    saturation_after: float
    log_densities: Tensor
    before: Tensor
    after: Tensor


def probe_images(
    learner: SynthesisesImages, batch: Batch, rng: Rng, length: int = 10, states: int = 50
) -> ImageProbe:
    """Continue the chains of a batch for `length` times their steps, with the last step size.

    Arguments:
        rng: one generator, or one stream per image
        length: multiple of the steps of the training chains, >= 1
        states: number of states kept on the way, >= 8
    """
    short = learner.sample_chain(batch.index, rng, learner.batch_statistics)
    before = short.x
    steps = max(length * learner.chains.steps, states)
    every = max(1, steps // states)
    with learner.chain_density(batch) as log_density:
        run = MCMC(learner.chains.kernel, steps, final=learner.chains.final)
        draws = run.run(log_density, before, rng, short.step_size, keep=every)
        trajectory, values, _ = _kept(draws)
        late = slice(len(trajectory) // 2, None)
        second = draws._replace(trajectory=trajectory[late])
        gradient, temperature = _heat(log_density, second, states // 16)
    quantities = torch.cat([image_features(trajectory[late]), values[late, :, None]], -1)
    return ImageProbe(
        float(effective_sample_size(quantities).min()),
        float(split_rhat(quantities).max()),
        quantities.shape[0] * quantities.shape[1],
        length,
        gradient,
        temperature,
        ((draws.x - before) ** 2).mean().item() / _between(batch.images),
        saturation(before).item(),
        saturation(draws.x).item(),
        values,
        before,
        draws.x,
    )


def _error(shown: Tensor, batch: Batch) -> float:
    return mean_observed((shown - batch.images) ** 2, batch.mask).mean().item()


def _between(images: Tensor) -> float:
    """Return the mean squared difference between two different images of a batch, or 1."""
    between = 2 * images.var(0).mean().item() if len(images) > 1 else 0.0
    return between or 1.0
