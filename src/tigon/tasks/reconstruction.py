"""Infer latents of images that the model has not seen.

A cold chain would stay at the first mode it meets. So several chains start at draws of the prior
for each image, the temperature of the likelihood falls to 1 (the prior stays as it is), and the
chain that ends highest is kept.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.densities import GeneratorModel, frozen, mode
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.streams import Rng


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
        return self.starts * self.temperatures * self.chains().gradient_evaluations

    def chains(self) -> MCMC:
        """Return the chains that run at each level."""
        return MCMC(MALA(0.1), self.steps, StepSizeAdaptation(gain=0.5))

    def levels(self) -> list[float]:
        """Return the temperatures, falling to 1."""
        falls = max(1, self.temperatures - 1)
        return [self.hottest ** (1 - level / falls) for level in range(self.temperatures - 1)] + [
            1.0
        ]


class Found(NamedTuple):
    """Chains at the end of a cold start, those of an image next to one another.

    Attributes:
        latents: (B * starts, d)
        log_densities: of their posterior, (B * starts,)
    """

    latents: Tensor
    log_densities: Tensor


def cold_chains(model: GeneratorModel, images: Tensor, rng: Rng, how: ColdStart) -> Found:
    """Bring chains from draws of the prior to the posterior of images (B, C, H, W).

    Arguments:
        rng: one generator, or streams of B * starts rows
        how: the number of chains, temperatures and steps
    """
    repeated = images.repeat_interleave(how.starts, 0)
    latents = model.latents(len(repeated), rng, images)
    chains = how.chains()
    step_size = None
    with frozen(model), mode(model, training=False):
        for temperature in how.levels():
            log_density = model.posterior(repeated, 1 / temperature)
            draws = chains.run(log_density, latents, rng, step_size)
            latents, step_size, last = draws.x, draws.step_size, draws.log_density
    return Found(latents, last)


def infer_latents(
    model: GeneratorModel, images: Tensor, rng: Rng, how: ColdStart | None = None
) -> Reconstruction:
    """Infer latents of images (B, C, H, W) in [-1, 1] from a cold start.

    Arguments:
        rng: one generator, or streams of B * starts rows
        how: the number of chains, temperatures and steps
    """
    how = how or ColdStart()
    latents, last = cold_chains(model, images, rng, how)
    best = last.view(len(images), how.starts).argmax(1)
    rows = torch.arange(len(images), device=best.device) * how.starts + best
    with torch.no_grad(), mode(model, training=False):
        decoded = model(latents[rows])
    return Reconstruction(latents[rows], decoded, ((decoded - images) ** 2).flatten(1).mean(1))
