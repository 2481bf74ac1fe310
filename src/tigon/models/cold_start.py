"""Infer latents of images that the model has not seen.

A cold chain would stay at the first mode it meets. So several chains start at draws of the prior
for each image, the temperature of the likelihood falls to 1 (the prior stays as it is), and the
chain that ends highest is kept.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from tigon.densities.log_density import LogDensity, frozen, mode
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.kernel import State
from tigon.mcmc.langevin import MALA
from tigon.random.streams import Rng


@runtime_checkable
class HasPosterior(Protocol):
    """What a cold start asks of a model."""

    def latents(self, count: int, rng: Rng, like: Tensor) -> Tensor:
        """Draw `count` latents of the prior, (count, d), of the type and device of `like`."""

    def decode(self, latents: Tensor, chunk: int = 64) -> Tensor:
        """Return the images of latents (B, d), (B, C, H, W), without noise."""

    def posterior(self, images: Tensor, likelihood_weight: float = 1.0) -> LogDensity:
        """Return the log-density of latents given images (B, C, H, W), row by row."""


class Reconstruction(NamedTuple):
    """Latents (B, d), images f(z) (B, C, H, W), and the mean squared error of each, (B,).

    Errors are on the scale of [-1, 1].
    """

    latents: Tensor
    images: Tensor
    errors: Tensor


@dataclass(frozen=True)
class ColdStart:
    """How latents are found without a chain to go on with.

    Arguments:
        starts: chains for each image, each from its own draw of the prior, >= 1
        temperatures: of the likelihood, levels from `hottest` to 1, in a geometric row, >= 1
        hottest: temperature of the first level, >= 1
        steps: MALA steps at each level, >= 1
    """

    starts: int = 16
    temperatures: int = 8
    hottest: float = 1000.0
    steps: int = 10

    @property
    def gradient_evaluations(self) -> int:
        """Gradient evaluations for each image, over all of its chains."""
        return self.starts * self.temperatures * (self.steps + 1)

    @property
    def chains(self) -> MCMC:
        """One step of all chains, those of an image with one step size, which adapts."""
        return MCMC(MALA(0.1), 1, StepSizeAdaptation(pool=self.starts))

    def levels(self) -> list[float]:
        """Return the temperatures, falling to 1."""
        falls = max(1, self.temperatures - 1)
        return [self.hottest ** (1 - level / falls) for level in range(self.temperatures - 1)] + [
            1.0
        ]


class Descent(NamedTuple):
    """Chains on their way from the prior, those of an image next to one another.

    Attributes:
        step: how many they have taken in all
        temperature: of the likelihood
        state: latents (B * starts, d) and their log-densities
        accept_prob: of the last step, (B * starts,); None before the first
    """

    step: int
    temperature: float
    state: State
    accept_prob: Tensor | None


def descend(model: HasPosterior, images: Tensor, rng: Rng, how: ColdStart) -> Iterator[Descent]:
    """Yield chains from draws of the prior to the posterior of images (B, C, H, W), step by step.

    Step sizes adapt to the mean acceptance of an image's chains, and stay for the second half of
    the last level.

    Arguments:
        rng: one generator, or streams of B * starts rows
        how: the number of chains, temperatures and steps
    """
    assert isinstance(model, nn.Module)
    repeated = images.repeat_interleave(how.starts, 0)
    x, size = model.latents(len(repeated), rng, images), None
    frozen_from = how.steps * how.temperatures - how.steps // 2
    for level, temperature in enumerate(how.levels()):
        log_density = model.posterior(repeated, 1 / temperature)
        with frozen(model), mode(model, training=False):
            state = how.chains.kernel.init(log_density, x, size)
        if not level:
            yield Descent(0, temperature, state, None)
        for step in range(how.steps * level, how.steps * (level + 1)):
            chains = how.chains
            if step >= frozen_from:
                chains = replace(chains, adaptation=None)
            with frozen(model), mode(model, training=False):
                draws = chains.run(log_density, state, rng)
            state = draws.state
            yield Descent(step + 1, temperature, state, draws.accept_prob)
        x, size = state.x, state.step_size


def cold_chains(model: HasPosterior, images: Tensor, rng: Rng, how: ColdStart) -> State:
    """Return chains at the end of a cold start; see `descend`."""
    (last,) = deque(descend(model, images, rng, how), maxlen=1)
    return last.state


def infer_latents(
    model: HasPosterior, images: Tensor, rng: Rng, how: ColdStart | None = None
) -> Reconstruction:
    """Infer latents of images (B, C, H, W) in [-1, 1] from a cold start.

    Arguments:
        rng: one generator, or streams of B * starts rows
        how: the number of chains, temperatures and steps
    Returns:
        the chain of each image that ended highest: no draw of the posterior
    """
    how = how or ColdStart()
    found = cold_chains(model, images, rng, how)
    latents, best = found.x, found.log_density.view(len(images), how.starts).argmax(1)
    rows = torch.arange(len(images), device=best.device) * how.starts + best
    decoded = model.decode(latents[rows])
    return Reconstruction(latents[rows], decoded, ((decoded - images) ** 2).flatten(1).mean(1))
