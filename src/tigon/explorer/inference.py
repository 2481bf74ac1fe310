"""Watch the chains that infer the latent of one picture: `infer_latents`, a step at a time."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.learners.generator import GeneratorLearner
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.kernel import State
from tigon.mcmc.langevin import MALA
from tigon.streams import Streams
from tigon.tasks.reconstruction import ColdStart


class Glance(NamedTuple):
    """Where the chains of an inference are after a step.

    Attributes:
        step, steps: how many are done, and how many there are
        temperature: of the likelihood
        latents: of all chains, (starts, d)
        best: the chain with the highest log-density
        image: what the best chain's latent decodes to, (1, C, H, W)
        error: its mean squared error, on the scale of [-1, 1]
        accept: probability with which the proposals were accepted, mean over chains
    """

    step: int
    steps: int
    temperature: float
    latents: Tensor
    best: int
    image: Tensor
    error: float
    accept: float | None


def watch_inference(
    learner: GeneratorLearner, image: Tensor, seed: int, how: ColdStart
) -> Iterator[Glance]:
    """Yield the chains before the first step and after each.

    They take the very steps of `infer_latents`, with the noise of `tigon reconstruct --seed`.

    Arguments:
        image: (1, C, H, W) in [-1, 1], on the model's device
    """
    rng = Streams(seed, 0, range(how.starts), "reconstruct")
    repeated = image.repeat_interleave(how.starts, 0)
    latents, step_size = learner.model.latents(how.starts, rng, image), None
    chains = MCMC(MALA(0.1), 1, StepSizeAdaptation(gain=0.5))
    steps, step = len(how.levels()) * how.steps, 0
    for temperature in how.levels():
        log_density = learner.model.posterior(repeated, 1 / temperature)
        state: Tensor | State = latents
        if not step:
            with torch.no_grad():
                first = log_density(latents)
            yield _glance(learner, image, (0, steps, temperature), latents, first, None)
        for _ in range(how.steps):
            draws = chains.run(log_density, state, rng, step_size)
            state, step_size, step = draws.state, draws.step_size, step + 1
            latents, accept = draws.x, draws.accept_prob.mean().item()
            where = (step, steps, temperature)
            yield _glance(learner, image, where, latents, draws.log_density, accept)


def _glance(
    learner: GeneratorLearner,
    image: Tensor,
    where: tuple[int, int, float],
    latents: Tensor,
    log_density: Tensor,
    accept: float | None,
) -> Glance:
    best = int(log_density.argmax())
    decoded = learner.decode(latents[best : best + 1])
    error = ((decoded - image) ** 2).mean().item()
    return Glance(*where, latents, best, decoded, error, accept)
