r"""Restore images from what was observed of them: draws of p(x | y), not one guess.

With a generator, :math:`p(z \mid y) \propto p(z) \, N(y; A f(z), K)` (`inference.observation`),
and chains draw latents from it. They start near it: A f is regressed on draws z of the prior,
which gives a Gaussian posterior N(m, C) to start from, and z = m + C^{1/2} u makes its directions
alike for the chains, which move u. While the temperature of the likelihood falls to 1, the chains
of an image are resampled by their weights, as in sequential Monte Carlo, so that those in poor
modes follow those in good ones; then they are left to themselves at temperature 1, step sizes
frozen.

A descriptor has no latents. Of values that a mask hides it runs its own chains, given the others,
and each draw is the end of one: of a sampler, as its other images are, and not of a posterior.

References:
    Del Moral, Doucet and Jasra, "Sequential Monte Carlo samplers", JRSS B 2006.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from tigon.choices import require_choices
from tigon.densities.log_density import LogDensity, frozen, mode
from tigon.errors import TigonError
from tigon.inference.observation import Observation
from tigon.inference.physics import Physics
from tigon.mcmc.adaptation import StepSizeAdaptation
from tigon.mcmc.annealed import resampled
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.models.abilities import HasCompletion, HasDecoder
from tigon.models.base import Model
from tigon.models.cold_start import cooling
from tigon.models.residuals import White
from tigon.random.streams import Rng, make_rng, normal

FEWEST, EACH = 256, 8  # prior draws that the linear start is fitted to: at least, and for a latent


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

    def levels(self) -> list[float]:
        """Return the weights of the likelihood, 1 / T, in increasing order up to 1."""
        return [1 / temperature for temperature in cooling(self.hottest, self.temperatures)]


class Restored(NamedTuple):
    """What is known of the images, given what was observed.

    Attributes:
        mean: E[x | y] over all draws, (B, C, H, W)
        spread: standard deviation of x given y for each value, (B, C, H, W)
        samples: draws, (B, S, C, H, W), those of a chain not next to each other: S is the number
            of draws times that of chains
        latents: those of the draws, (B, S, d); d is 0 without latents
        accept: mean acceptance of each image's chains, (B,); healthy is about .4 to .75; not a
            number for chains that accept every step
        noise: the noise level that was given or estimated, (B,)
    """

    mean: Tensor
    spread: Tensor
    samples: Tensor
    latents: Tensor
    accept: Tensor
    noise: Tensor


def restore(
    model: Model,
    y: Tensor,
    physics: Physics,
    rng: Rng,
    noise: float | None = 0.0,
    pixel_noise: bool = False,
    how: Draws | None = None,
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
        pixel_noise: samples are draws of x given y, with residuals in what was not observed like
            those of images; without it they are E[x | z, y] for draws of z
        how: the number of chains, temperatures and steps
    Raises:
        TigonError: if the model has neither, the physics does not fit model and observations, or
            `noise` is below 0 or not finite

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
    assert isinstance(model, nn.Module)
    like = next(model.parameters()).new_empty(len(y), *model.image_shape)
    observation = Observation(physics, y, like, model.image_noise(), noise)
    completed, drawn, latents, accepts = [], [], [], []
    for z, accept in _draws(model, observation, rng, how):
        decoded = model.decode(z)
        completed.append(observation.completed(decoded).unflatten(0, (len(y), -1)))
        drawn.append(observation.drawn(decoded, rng).unflatten(0, (len(y), -1)))
        latents.append(z.unflatten(0, (len(y), -1)))
        accepts.append(accept)
    means, images = torch.cat(completed, 1), torch.cat(drawn, 1)
    return Restored(
        means.mean(1),
        images.std(1, correction=0),
        images if pixel_noise else means,
        torch.cat(latents, 1),
        torch.stack(accepts).mean(0).view(len(y), -1).mean(1),
        observation.noise,
    )


def _completed(
    model: Model, y: Tensor, physics: Physics, rng: Rng, noise: float | None, how: Draws
) -> Restored:
    """Draw what a mask hides by the model's own chains."""
    if not isinstance(model, HasCompletion):
        raise TigonError(
            "restore needs a model with latents, such as a generator's, or one whose chains "
            "complete images, such as a descriptor's"
        )
    like = next(model.parameters()).new_empty(len(y), *model.image_shape)
    kept = mask_of(physics, y, like)
    if kept is None or noise != 0:
        raise TigonError(
            "a model without latents restores what a mask hides, without noise, and nothing else"
        )
    rows = (y.to(like), kept)
    images, masks = (values.repeat_interleave(how.chains, 0) for values in rows)
    samples = model.complete(images, masks, rng).detach().unflatten(0, (len(y), -1))
    return Restored(
        samples.mean(1),
        samples.std(1, correction=0),
        samples,
        like.new_empty(*samples.shape[:2], 0),
        like.new_full((len(y),), math.nan),
        like.new_zeros(len(y)),
    )


@torch.no_grad()
def mask_of(physics: Physics, y: Tensor, like: Tensor) -> Tensor | None:
    """Return what a physics keeps, 1 or 0 for each value (B, C, H, W), if it is a mask.

    Raises:
        TigonError: if it does not fit images and observations, as `Observation`
    """
    Observation(physics, y, like, White(1.0), 0.0)
    if y.shape != like.shape:
        return None
    kept, other = physics(torch.ones_like(like)), torch.full_like(like, 0.5)
    same = torch.equal(physics(other), kept * other)
    return kept if same and ((kept == 0) | (kept == 1)).all() else None


def _draws(
    model: HasDecoder, observation: Observation, rng: Rng, how: Draws
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield draws of latents (B * S, d), those of an image's chains one after another.

    And the acceptance of the chains since the draw before, (B * S,).
    """
    assert isinstance(model, nn.Module)
    count, dim = len(observation.y), model.latent_dim
    like = observation.like.new_empty(count * how.chains, dim)
    near = linear_posterior(model, observation)
    if how.start == "linear":
        u = normal(rng, like)
    else:
        u = near.inverse(model.latents(len(like), rng, like))
    moving = MCMC(MALA(0.3), how.steps, StepSizeAdaptation(pool=how.chains))
    levels, size = how.levels(), None
    with frozen(model), mode(model, training=False):
        for weight, following in zip(levels, [*levels[1:], 1.0], strict=True):
            density = _density(model, observation, near, weight)
            trace = moving.run(density, u, rng, size)
            prior = model.log_prior(near(trace.x))
            likelihood = (trace.log_density - prior) / weight
            chosen = resampled((following - weight) * likelihood, how.chains, rng)
            u, size = trace.x[chosen], trace.step_size[chosen]
        observation.fit(model(near(u)))
        density = _density(model, observation, near, 1.0)
        half = how.settle // 2
        adapting = MCMC(moving.kernel, half, moving.adaptation)
        trace = adapting.run(density, u, rng, size)
        trace = MCMC(moving.kernel, how.settle - half).run(density, trace.state, rng)
        for _ in range(how.draws):
            trace = MCMC(moving.kernel, how.apart).run(density, trace.state, rng)
            yield near(trace.x), trace.accept_prob


class Near(NamedTuple):
    """A Gaussian near the posterior of each image's latents: z = m + C^{1/2} u.

    Attributes:
        mean: m, (B, d)
        root: a square root of C, lower triangular, (B, d, d)
    """

    mean: Tensor
    root: Tensor

    def __call__(self, u: Tensor) -> Tensor:
        """Return latents (B * S, d) of points (B * S, d)."""
        apart = u.unflatten(0, (len(self.mean), -1))
        return (self.mean[:, None] + apart @ self.root.mT).flatten(0, 1)

    def inverse(self, z: Tensor) -> Tensor:
        """Return points (B * S, d) of latents (B * S, d)."""
        apart = z.unflatten(0, (len(self.mean), -1)) - self.mean[:, None]
        solved = torch.linalg.solve_triangular(self.root, apart.mT, upper=False)
        return solved.mT.flatten(0, 1)


@torch.no_grad()
def linear_posterior(model: HasDecoder, observation: Observation) -> Near:
    """Return the posterior of latents as it were if A f were linear, and z Gaussian.

    A f is regressed on draws of the prior; what it differs from its regression counts as noise.
    """
    count, dim = len(observation.y), model.latent_dim
    like = observation.like.new_empty(max(FEWEST, EACH * dim), dim)
    z = model.latents(len(like), make_rng("linear posterior", 0), like)
    seen = observation.observe(model.decode(z).repeat(count, 1, 1, 1))
    seen = seen.unflatten(0, (count, -1)).flatten(2).double()
    z = z.double()
    centre, centred = z.mean(0), z - z.mean(0)
    middle = seen.mean(1)
    slopes = torch.linalg.pinv(centred) @ (seen - middle[:, None])  # (B, d, M)
    rests = (seen - middle[:, None] - centred @ slopes).square().mean(1)
    varying = (seen.var(1) > 0).sum(1).clamp(min=1)
    shape = observation.y.shape[1:]
    rest = (rests.sum(1) / varying).to(like).repeat_interleave(dim)
    rest = rest.view(-1, *[1] * len(shape))

    def solved(values: Tensor) -> Tensor:
        """Solve with K for values (B, k, M)."""
        apart = values.to(like).flatten(0, 1).unflatten(1, shape)
        return observation.solve(apart, rest).flatten(1).view_as(values).double()

    weighted = solved(slopes)
    covariance = centred.mT @ centred / (len(z) - 1)
    precision = torch.linalg.inv(covariance) + weighted @ slopes.mT
    precision = (precision + precision.mT) / 2
    left = observation.y.flatten(1).double() - middle
    towards = (weighted @ left[:, :, None]).squeeze(2)
    posterior = torch.linalg.inv(precision)
    mean = centre + (posterior @ towards[:, :, None]).squeeze(2)
    root = torch.linalg.cholesky((posterior + posterior.mT) / 2)
    return Near(mean.to(like), root.to(like))


def _density(model: HasDecoder, observation: Observation, near: Near, weight: float) -> LogDensity:
    """Return the log-density of u, with the likelihood to the power of `weight`."""

    def log_density(u: Tensor) -> Tensor:
        z = near(u)
        return model.log_prior(z) + weight * observation.log_likelihood(model(z))  # type: ignore[operator]

    return log_density
