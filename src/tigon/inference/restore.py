r"""Restore images from what was observed of them: draws of p(x | y), not one guess.

With a generator, :math:`p(z \mid y) \propto p(z) \, N(y; A f(z), K)` (`inference.observation`),
and chains draw latents from it. They start near it: A f is regressed on draws z of the prior,
which gives a Gaussian posterior N(m, C) to start from, and z = m + C^{1/2} u makes its directions
alike for the chains, which move u. While the temperature of the likelihood falls to 1, the chains
of an image are resampled by their weights, as in sequential Monte Carlo, so that those in poor
modes follow those in good ones; then they are left to themselves at temperature 1, step sizes
frozen. Images that the Gaussian of whole images explains better are restored by that instead
(`inference.whole`).

A descriptor has no latents. Of values that a mask hides it runs its own chains, given the others,
and each draw is the end of one: of a sampler, as its other images are, and not of a posterior.

References:
    Del Moral, Doucet and Jasra, "Sequential Monte Carlo samplers", JRSS B 2006.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from tigon.choices import require_choices
from tigon.densities.log_density import LogDensity, frozen, mode
from tigon.errors import TigonError
from tigon.inference.linear_posterior import Near, linear_posterior
from tigon.inference.observation import Observation
from tigon.inference.physics import Physics
from tigon.inference.whole import Completions, compared
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.chain import MCMC, Trace
from tigon.mcmc.kernel import State
from tigon.mcmc.langevin import MALA
from tigon.mcmc.weights import resampled
from tigon.models.abilities import HasCompletion, HasDecoder
from tigon.models.base import Model
from tigon.models.cold_start import cooling
from tigon.models.image_noise import White
from tigon.random.streams import Rng, normal

WHITE = 0.5  # spread, on the scale of [-1, 1], that is shown as white


@dataclass(frozen=True)
class Draws:
    """How latents are drawn given an observation.

    Arguments:
        chains: number of chains for an image, >= 1
        start: where they start: near the posterior of a `linear` model, or at draws of the `prior`
        temperatures: number of temperatures of the likelihood, geometrically spaced from `hottest`
            to 1, >= 1
        hottest: first temperature, >= 1
        steps: MALA steps at each temperature, >= 1
        settle: MALA steps at temperature 1 before those of the draws, >= 2; step sizes adapt in
            the first half of them
        draws: number of draws of each chain, >= 1
        apart: MALA steps to the first draw, and from each to the next, >= 1
    """

    chains: int = 8
    start: Literal["linear", "prior"] = "linear"
    temperatures: int = 5
    hottest: float = 30.0
    steps: int = 8
    settle: int = 60
    draws: int = 4
    apart: int = 15

    def __post_init__(self) -> None:
        require_choices(self)
        for name in ("chains", "temperatures", "steps", "draws", "apart"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.settle < 2 or not self.hottest >= 1:
            raise ValueError("settle must be at least 2, and hottest at least 1")

    @property
    def gradient_evaluations(self) -> int:
        """Gradient evaluations for an image, over all of its chains."""
        cooling = self.temperatures * (self.steps + 1)
        return self.chains * (cooling + 1 + self.settle + self.draws * self.apart)

    @property
    def length(self) -> int:
        """Steps of each chain."""
        return self.temperatures * self.steps + self.settle + self.draws * self.apart

    def levels(self) -> list[float]:
        """Return the weights of the likelihood, 1 / T, in increasing order up to 1."""
        return [1 / temperature for temperature in cooling(self.hottest, self.temperatures)]


class Restored(NamedTuple):
    """What is known of the images, given what was observed.

    Attributes:
        mean: E[x | y] over all draws, (B, C, H, W)
        spread: standard deviation of x given y for each value, (B, C, H, W); 0 of one draw, which
            shows none
        samples: draws of x given y, (B, S, C, H, W), those of a chain not next to each other: S is
            the number of draws times that of chains
        latents: those of the draws, (B, S, d); d is 0 without latents
        accept: mean acceptance of each image's chains, (B,); healthy is about .4 to .75; not a
            number for chains that accept every step
        noise: the noise level that was given or estimated, (B,)
        evidence: log p(y) with f(z), less that of whole images without it, in nats, (B,): images
            for which it is below 0 are restored without f(z); not a number if not compared
    """

    mean: Tensor
    spread: Tensor
    samples: Tensor
    latents: Tensor
    accept: Tensor
    noise: Tensor
    evidence: Tensor

    def shaded(self) -> Tensor:
        """Return the spread as images (B, 1, H, W) in [-1, 1], `WHITE` or more as 1."""
        return (self.spread.mean(1, keepdim=True) / WHITE).clamp(max=1) * 2 - 1


class Restoring(NamedTuple):
    """Chains on their way to draws.

    Attributes:
        step: number of steps taken so far, of `Draws.length`
        latents: those of all chains, (B * chains, d), those of an image adjacent; None before the
            first step
        found: what is known from the draws so far; None before the first
        drawn: whether this step was a draw
    """

    step: int
    latents: Tensor | None
    found: Restored | None
    drawn: bool


def restore(
    model: Model,
    y: Tensor,
    physics: Physics,
    rng: Rng,
    noise: float | None = 0.0,
    smooth: bool = False,
    how: Draws | None = None,
    gaussian: bool = True,
) -> Restored:
    """Draw images given y = A(x) + noise, with A the `physics`.

    Arguments:
        model: a model with latents, whose images are f(z) + sigma eps; or one whose chains
            complete images, for what a mask hides, without noise, and one draw of each chain
        y: observations (B, *), on the scale of images in [-1, 1]
        physics: A, from images (B, C, H, W) to (B, *), row by row
        rng: one generator, or streams of B * `how.chains` rows
        noise: standard deviation of the observations' noise, >= 0, on the same scale; None to
            estimate it, for each image
        smooth: samples are E[x | z, y] for draws of z, without the details that the model does
            not know, and of an image without f(z) all are E[x | y]; else they are draws of x
            given y, with residuals in what was not observed like those of images
        how: the number of chains, temperatures and steps
        gaussian: restore images without f(z) that the Gaussian of whole images explains better
            (`inference.whole`), if the model has measured that
    Raises:
        TigonError: if the model has neither, the physics does not fit model and observations,
            these are on another scale, or `noise` is below 0 or not finite

    Example:
        kept = torch.ones(64, 64)
        kept[20:40, 20:40] = 0
        physics = tigon.Mask(kept)
        found = tigon.restore(model, physics(images), physics, tigon.make_rng(0))
        found.mean, found.spread
    """
    if noise is not None and not 0 <= noise < math.inf:
        raise TigonError(f"the noise level must be at least 0 and finite, not {noise}")
    how = how or Draws()
    if not isinstance(model, HasDecoder):
        return _completed(model, y, physics, rng, noise, how)
    (last,) = deque(restoring(model, y, physics, rng, noise, smooth, how, gaussian), maxlen=1)
    assert last.found is not None
    return last.found


def restoring(
    model: Model,
    y: Tensor,
    physics: Physics,
    rng: Rng,
    noise: float | None = 0.0,
    smooth: bool = False,
    how: Draws | None = None,
    gaussian: bool = True,
) -> Iterator[Restoring]:
    """Restore as `restore` does with latents, and yield the chains after each of their steps.

    Arguments and errors are those of `restore`. The last has all draws.
    """
    assert isinstance(model, HasDecoder)
    how, like = how or Draws(), _like(model, y)
    observation = Observation(physics, y, like, model.image_noise(), noise)
    near: Near | None = None
    for near_so_far in linear_posterior(model, observation):
        near = near_so_far
        yield Restoring(0, None, None, False)
    assert near is not None
    whole = model.whole_images() if observation.linear else None
    images, draws, latents, accepts = [], [], [], []
    found, step = None, 0
    for z, accept in _draws(model, observation, near, rng, how):
        step += 1
        if accept is not None:
            decoded = model.decode(z)
            images.append(decoded.unflatten(0, (len(y), -1)))
            latents.append(z.unflatten(0, (len(y), -1)))
            accepts.append(accept.view(len(y), -1).mean(1))
            level, evidence = observation.noise, torch.full_like(accepts[0], math.nan)
            if whole is None or len(latents) < how.draws:
                draws.append(Completions.of(observation, decoded, rng))
                made = Completions.together(draws)
            else:
                decoded, prior = torch.stack(images, 1), _log_prior(model, latents[-1])
                made, level, evidence = compared(
                    observation, near, decoded, prior, whole, rng, always=not gaussian
                )
            evidence = evidence if gaussian else torch.full_like(evidence, math.nan)
            found = Restored(
                made.means.mean(1),
                spread_of(made.images),
                made.means if smooth else made.images,
                torch.cat(latents, 1),
                torch.stack(accepts).mean(0),
                level,
                evidence,
            )
        yield Restoring(step, z, found, accept is not None)


def _completed(
    model: Model, y: Tensor, physics: Physics, rng: Rng, noise: float | None, how: Draws
) -> Restored:
    """Draw what a mask hides by the model's own chains."""
    if not isinstance(model, HasCompletion):
        raise TigonError(
            "restore needs a model with latents, such as a generator's, or one whose chains "
            "complete images, such as a descriptor's"
        )
    like = _like(model, y)
    kept = Observation(physics, y, like, White(1.0), 0.0).mask
    if kept is None or noise != 0:
        raise TigonError(
            "a model without latents restores what a mask hides, without noise, and nothing else"
        )
    rows = (y.to(like), kept)
    images, masks = (values.repeat_interleave(how.chains, 0) for values in rows)
    samples = model.complete(images, masks, rng).detach().unflatten(0, (len(y), -1))
    return Restored(
        samples.mean(1),
        spread_of(samples),
        samples,
        like.new_empty(*samples.shape[:2], 0),
        like.new_full((len(y),), math.nan),
        like.new_zeros(len(y)),
        like.new_full((len(y),), math.nan),
    )


def spread_of(draws: Tensor) -> Tensor:
    """Return the standard deviation over draws (N, S, *), (N, *): 0 of one, which shows none."""
    return draws.std(1) if draws.shape[1] > 1 else torch.zeros_like(draws[:, 0])


def _like(model: Model, y: Tensor) -> Tensor:
    """Return an empty tensor of the images' shape, type and device.

    Raises:
        TigonError: if `y` is no batch of observations
    """
    if not isinstance(y, Tensor):
        raise TigonError(f"what was observed is a {type(y).__name__}: give a tensor (B, *)")
    if not y.dim() or not y.numel():
        raise TigonError(
            f"what was observed is of shape {tuple(y.shape)}: give values of each image, (B, *), "
            "and one image or more"
        )
    if y.is_complex():
        raise TigonError(
            "what was observed is complex: give real and imaginary parts, as torch.view_as_real "
            "does, also in the physics"
        )
    return next(model.parameters()).new_empty(len(y), *model.image_shape)


def _draws(
    model: HasDecoder, observation: Observation, near: Near, rng: Rng, how: Draws
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the latents of all chains after each step, (B * S, d), those of an image adjacent.

    And where they are draws, the acceptance of the chains since the draw before, (B * S,).
    """
    assert isinstance(model, nn.Module)
    count, dim = len(observation.y), model.latent_dim
    like = observation.like.new_empty(count * how.chains, dim)
    if how.start == "linear":
        u = normal(rng, like)
    else:
        u = near.inverse(model.latents(len(like), rng, like))
    moving = MCMC(MALA(0.3), 1, StepSizeAdaptation(pool=how.chains))
    settled = MCMC(moving.kernel, 1)
    levels, size = how.levels(), None
    with frozen(model), mode(model, training=False):
        for weight, following in zip(levels, [*levels[1:], 1.0], strict=True):
            density = _density(model, observation, near, weight)
            for trace in _steps(moving, how.steps, density, u, rng, size):
                yield near(trace.x), None
            prior = model.log_prior(near(trace.x))
            likelihood = (trace.log_density - prior) / weight
            chosen = resampled((following - weight) * likelihood, how.chains, rng)
            u, size = trace.x[chosen], trace.step_size[chosen]
        observation.fit(model(near(u)))
        density = _density(model, observation, near, 1.0)
        half = how.settle // 2
        for trace in _steps(moving, half, density, u, rng, size):
            yield near(trace.x), None
        adapted = trace.state
        for trace in _steps(settled, how.settle - half, density, adapted, rng):
            yield near(trace.x), None
        for _ in range(how.draws):
            accepts, last = [], trace.state
            for trace in _steps(settled, how.apart, density, last, rng):
                accepts.append(trace.accept_prob)
                drawn = torch.stack(accepts).mean(0) if len(accepts) == how.apart else None
                yield near(trace.x), drawn


def _log_prior(model: HasDecoder, z: Tensor) -> Tensor:
    """Return log p(z) of latents (B, S, d), (B, S).

    A prior that nobody can normalise counts as N(0, I), whose moments the latents have.
    """
    flat = z.flatten(0, 1)
    if model.log_prior_constant is None:
        log_prior = -(flat.square().sum(1) + z.shape[2] * math.log(2 * math.pi)) / 2
    else:
        log_prior = model.log_prior(flat) - model.log_prior_constant
    return log_prior.detach().view(z.shape[:2])


def _steps(
    chains: MCMC,
    count: int,
    density: LogDensity,
    x: Tensor | State,
    rng: Rng,
    size: Tensor | None = None,
) -> Iterator[Trace]:
    """Yield chains of one step after each of `count` of them."""
    for _ in range(count):
        trace = chains.run(density, x, rng, size)
        x, size = trace.state, None
        yield trace


def _density(model: HasDecoder, observation: Observation, near: Near, weight: float) -> LogDensity:
    """Return the log-density of u, with the likelihood to the power of `weight`."""

    def log_density(u: Tensor) -> Tensor:
        z = near(u)
        return model.log_prior(z) + weight * observation.log_likelihood(model(z))  # type: ignore[operator]

    return log_density
