"""Watch the chains that infer the latent of one picture: `infer`, a step at a time."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from tigon.learners.generator import GeneratorLearner
from tigon.models.cold_start import ColdStart, Descent, descend
from tigon.random.streams import RowRng


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

    They take the very steps of the model's `infer`, with the noise of `tigon reconstruct --seed`.

    Arguments:
        image: (1, C, H, W) in [-1, 1], on the model's device
    """
    rng = RowRng(seed, 0, range(how.starts), "reconstruct")
    for seen in descend(learner.model, image, rng, how):
        yield _glance(learner, image, how, seen)


def _glance(learner: GeneratorLearner, image: Tensor, how: ColdStart, seen: Descent) -> Glance:
    latents, best = seen.state.x, int(seen.state.log_density.argmax())
    decoded = learner.decode(latents[best : best + 1])
    error = ((decoded - image) ** 2).mean().item()
    accept = None if seen.accept_prob is None else seen.accept_prob.mean().item()
    steps = how.temperatures * how.steps
    return Glance(seen.step, steps, seen.temperature, latents, best, decoded, error, accept)
