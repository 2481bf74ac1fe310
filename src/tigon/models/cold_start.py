r"""Infer latents of images that the model has not seen.

A cold chain would stay in the first mode that it finds. So several chains per image start at draws
from the prior, the temperature of the likelihood falls to 1 (the prior is not tempered), and the
chain that ends highest is kept.

With many latents, no number of draws comes near. So a model may know a linear guess,

.. math:: z \approx A \bar y + b

with :math:`\bar y` the image averaged to a few pixels, fitted to the latents that were inferred
for training images. Half of the chains then start there, at temperature 1.

The end of a chain is one draw of a posterior, and chains of so few steps end below it. What users
want is a point: from there the highest chain climbs by the moments of Adam (Kingma and Ba, 2015)
to the mode,

.. math:: z \leftarrow z + s_k \frac{\hat m}{\sqrt{\hat v}}

with steps s_k that fall to 0 from 3 times the chain's own, which suits the posterior's narrowest
direction.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from tigon.data.pixels import mean_observed, reduced
from tigon.densities.log_density import LogDensity, frozen, mode, value_and_grad
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC
from tigon.mcmc.kernel import State
from tigon.mcmc.langevin import MALA
from tigon.models.config import register_part
from tigon.random.streams import Rng

BETAS = 0.9, 0.999  # of the climb's moments
FILLED = 20  # guesses of an image with missing values, each of what the one before decodes to
FURTHER = 3.0  # the climb's first step, in a chain's


@register_part
class LinearGuess(nn.Module):
    """A linear function of an averaged image that comes near its latents; 0 until it is fitted.

    Arguments:
        latent_dim: d
        shape: channels, height and width of the averaged image, which divide those of images
    """

    UNAVERAGED: ClassVar[tuple[str, ...]] = ("matrix", "offset")
    matrix: Tensor
    offset: Tensor

    def __init__(self, latent_dim: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("matrix", torch.zeros(latent_dim, math.prod(shape)))
        self.register_buffer("offset", torch.zeros(latent_dim))

    def forward(self, images: Tensor) -> Tensor:
        """Return the guess for images (B, C, H, W), (B, d)."""
        pixels = reduced(images, self.shape[1:]).flatten(1).to(self.matrix)
        return pixels @ self.matrix.T + self.offset

    def config(self) -> dict[str, Any]:
        """Return the arguments of this guess."""
        return {"latent_dim": len(self.offset), "shape": list(self.shape)}


@runtime_checkable
class HasPosterior(Protocol):
    """What a cold start needs from a model; it may also have a `guess`, see `LinearGuess`."""

    def latents(self, count: int, rng: Rng, like: Tensor) -> Tensor:
        """Draw `count` latents from the prior, (count, d), with the type and device of `like`."""

    def decode(self, latents: Tensor, chunk: int = 64) -> Tensor:
        """Decode latents (B, d) to images (B, C, H, W), without noise."""

    def posterior(
        self,
        images: Tensor,
        likelihood_weight: float | Tensor = 1.0,
        *,
        mask: Tensor | None = None,
    ) -> LogDensity:
        """Return the log-density of latents given images (B, C, H, W), row by row.

        The weight of the likelihood is one number, or one for each row, (B,). With a mask, it is
        given the values where that is 1.
        """


class Reconstruction(NamedTuple):
    """Latents (B, d), images f(z) (B, C, H, W), and the mean squared error of each, (B,).

    Errors are on the scale of [-1, 1], over the values that were observed.
    """

    latents: Tensor
    images: Tensor
    errors: Tensor


@dataclass(frozen=True)
class ColdStart:
    """How to find latents without a chain to continue from.

    Arguments:
        starts: number of chains per image, >= 1, each from its own draw from the prior or, see
            `guess`, from the model's guess
        temperatures: number of temperatures of the likelihood, geometrically spaced from
            `hottest` to 1, >= 1
        hottest: first temperature, >= 1
        steps: MALA steps at each temperature, >= 1
        guess: start half of the chains (rounded down) at the model's guess, if it has one
        climb: steps by which the highest chain then climbs to the mode, >= 0; without any, it
            stays where it is, a draw of the posterior if it has come that far
    """

    starts: int = 16
    temperatures: int = 8
    hottest: float = 1000.0
    steps: int = 10
    guess: bool = True
    climb: int = 40

    @property
    def gradient_evaluations(self) -> int:
        """Gradient evaluations per image, over all of its chains."""
        return self.starts * self.temperatures * (self.steps + 1) + self.climb

    @property
    def length(self) -> int:
        """Steps of the chains, and those of the climb."""
        return self.temperatures * self.steps + self.climb

    def guessed(self, model: object) -> int:
        """Return how many of an image's chains start at the model's guess."""
        return self.starts // 2 if self.guess and getattr(model, "guess", None) else 0

    def chains(self, guessed: int = 0) -> MCMC:
        """Return one step of all chains; an image's chains from one kind of start share a size.

        Arguments:
            guessed: how many of an image's chains start at its guess
        """
        pool = math.gcd(guessed, self.starts - guessed)
        return MCMC(MALA(0.1), 1, StepSizeAdaptation(pool=pool))

    def levels(self) -> list[float]:
        """Return the temperatures, in decreasing order down to 1."""
        return cooling(self.hottest, self.temperatures)


def cooling(hottest: float, count: int) -> list[float]:
    """Return `count` temperatures, geometrically spaced from `hottest` down to 1."""
    falls = max(1, count - 1)
    return [hottest ** (1 - level / falls) for level in range(count - 1)] + [1.0]


class Descent(NamedTuple):
    """Chains on their way from the prior; those of an image are adjacent.

    Attributes:
        step: number of steps taken so far
        temperature: temperature of the likelihood, for chains from the prior
        state: latents (B * starts, d) and their log-densities
        accept_prob: acceptance probability of the last step, (B * starts,); None before the first
    """

    step: int
    temperature: float
    state: State
    accept_prob: Tensor | None


def descend(
    model: HasPosterior, images: Tensor, rng: Rng, how: ColdStart, mask: Tensor | None = None
) -> Iterator[Descent]:
    """Yield chains from their starts to the posterior of images (B, C, H, W), step by step.

    Step sizes adapt to the mean acceptance of an image's chains, and are frozen for the second
    half of the last level. In the steps of the climb, only the highest chain of an image moves.

    Arguments:
        rng: one generator, or streams of B * starts rows
        how: the number of chains, temperatures and steps
        mask: 1 where a value was observed and 0 elsewhere, (B, 1 or C, H, W); None if all were
    """
    assert isinstance(model, nn.Module)
    repeated = images.repeat_interleave(how.starts, 0)
    masks = None if mask is None else mask.repeat_interleave(how.starts, 0)
    x, size = model.latents(len(repeated), rng, images), None
    many = how.guessed(model)
    numbers = torch.arange(len(repeated), device=x.device) % how.starts
    guessed = numbers >= how.starts - many
    if many:
        x = torch.where(guessed[:, None], guesses(model, repeated, masks).to(x), x)
    adapting = how.chains(many)
    frozen_from = how.steps * how.temperatures - how.steps // 2
    for level, temperature in enumerate(how.levels()):
        weights = torch.where(guessed, 1.0, 1 / temperature).to(x)
        log_density = _posterior(model, repeated, masks, weights)
        with frozen(model), mode(model, training=False):
            state = adapting.kernel.init(log_density, x, size)
        if not level:
            yield Descent(0, temperature, state, None)
        for step in range(how.steps * level, how.steps * (level + 1)):
            chains = adapting
            if step >= frozen_from:
                chains = replace(chains, adaptation=None)
            with frozen(model), mode(model, training=False):
                draws = chains.run(log_density, state, rng)
            state = draws.state
            yield Descent(step + 1, temperature, state, draws.accept_prob)
        x, size = state.x, state.step_size
    best = highest(state, how.starts)
    climbing = climb(_posterior(model, images, mask), state, best, how.climb)
    for step in range(how.climb):
        with frozen(model), mode(model, training=False):
            point, value = next(climbing)
        x = state.x.index_copy(0, best, point)
        values = state.log_density.index_copy(0, best, value)
        moved = state.replaced(x=x, log_density=values)
        yield Descent(how.steps * how.temperatures + step + 1, 1.0, moved, None)


def guesses(model: HasPosterior, images: Tensor, mask: Tensor | None) -> Tensor:
    """Return a model's guess of the latents of images (B, C, H, W), (B, d).

    Missing values are those that the guess itself decodes to, found by repetition.
    """
    assert isinstance(model, nn.Module) and isinstance(model.guess, nn.Module)
    if mask is None:
        return model.guess(images)
    z: Tensor = model.guess(images)
    for _ in range(FILLED):
        z = model.guess(torch.where(mask > 0, images, model.decode(z)))
    return z


def _posterior(
    model: HasPosterior, images: Tensor, mask: Tensor | None, weight: float | Tensor = 1.0
) -> LogDensity:
    if mask is None:  # a model may know none
        return model.posterior(images, weight)
    return model.posterior(images, weight, mask=mask)


def highest(state: State, starts: int) -> Tensor:
    """Return the row of each image's chain that is highest, (B,)."""
    best = state.log_density.view(-1, starts).argmax(1)
    return torch.arange(len(best), device=best.device) * starts + best


def climb(
    log_density: LogDensity, state: State, chosen: Tensor, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the highest points (B, d) that were found so far, and their log-densities (B,).

    Arguments:
        state: chains that were evaluated with the same log-density
        chosen: rows (B,) of the chains that climb
        steps: number of them
    """
    x, gradient = state.x[chosen], state.gradient[chosen]
    point, value = x, state.log_density[chosen]
    first, second = torch.zeros_like(x), torch.zeros_like(x)
    for step in range(steps):
        first = BETAS[0] * first + (1 - BETAS[0]) * gradient
        second = BETAS[1] * second + (1 - BETAS[1]) * gradient.square()
        mean, square = (
            moment / (1 - beta ** (step + 1))
            for moment, beta in zip((first, second), BETAS, strict=True)
        )
        size = FURTHER * state.step_size[chosen] * (1 - step / steps)
        x = x + size[:, None] * mean / (square.sqrt() + torch.finfo(x.dtype).tiny)
        found, gradient = value_and_grad(log_density, x)
        higher = found > value
        point, value = torch.where(higher[:, None], x, point), torch.where(higher, found, value)
        yield point, value


def cold_chains(
    model: HasPosterior, images: Tensor, rng: Rng, how: ColdStart, mask: Tensor | None = None
) -> State:
    """Return chains at the end of a cold start; see `descend`."""
    (last,) = deque(descend(model, images, rng, how, mask), maxlen=1)
    return last.state


def infer_latents(
    model: HasPosterior,
    images: Tensor,
    rng: Rng,
    how: ColdStart | None = None,
    mask: Tensor | None = None,
) -> Reconstruction:
    """Infer latents of images (B, C, H, W) in [-1, 1] from a cold start.

    Arguments:
        rng: one generator, or streams of B * starts rows
        how: the number of chains, temperatures and steps
        mask: see `descend`
    Returns:
        the mode that the highest chain of each image climbed to; not a draw from the posterior
    """
    how = how or ColdStart()
    if mask is not None:
        images = torch.where(mask > 0, images, 0)
    return reconstructed(model, images, cold_chains(model, images, rng, how, mask), how, mask)


def reconstructed(
    model: HasPosterior, images: Tensor, state: State, how: ColdStart, mask: Tensor | None = None
) -> Reconstruction:
    """Return what the highest chain of each image came to, at the end of a cold start."""
    latents = state.x[highest(state, how.starts)]
    decoded = model.decode(latents)
    return Reconstruction(latents, decoded, mean_observed((decoded - images) ** 2, mask))
