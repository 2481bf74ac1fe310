r"""How probable images are under a model: log p(y), from below and from above.

A generator's :math:`p(y) = \int p(z) \, N(y; f(z), \sigma^2 I) \, dz` is the constant that its
posterior lacks, which annealed importance sampling estimates (`mcmc.annealed`). Its chains need
not come from the prior: they start near the posterior, at draws of

.. math:: q(z) = N(m, C), \qquad C^{-1} = P + J^\top J / \sigma^2

with m the mode that the model infers, J the decoder's derivative there (Laplace), and P the
prior's inverse covariance, which takes a hundredth of the temperatures. Where they start decides
how far apart the two bounds are, and never whether they are bounds: m and C know the image, and
nothing of the latents that it was drawn from.

Of an image that the model itself has drawn these latents are an exact draw of the posterior, and
the bracket holds with the probability that is stated. Of any other image its lower end does, and
the upper side starts where the chains from below have ended, which is no bound: how wide the
bracket of the model's own images is says how far to trust it.

A descriptor's :math:`p(x) = \exp(f(x)) \, p_0(x) / Z` lacks log Z alone, for which chains start at
draws of p0.

References:
    Wu, Burda, Salakhutdinov and Grosse, "On the quantitative analysis of decoder-based generative
    models", ICLR 2017.
    Grosse, Ancha and Roy, "Measuring the reliability of MCMC inference with bidirectional Monte
    Carlo", NeurIPS 2016.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tigon.choices import require_choice
from tigon.data.checks import require_points, require_shape
from tigon.densities.log_density import frozen, mode, sum_event, value_and_grad
from tigon.errors import TigonError
from tigon.inference.brackets import LogLikelihood, together
from tigon.mcmc.annealed import AIS, Bracket
from tigon.mcmc.weights import known
from tigon.models.abilities import HasLikelihood, HasReference
from tigon.models.base import Model
from tigon.models.cold_start import ColdStart
from tigon.random.streams import Rng, make_rng, normal, rows

OF_PRIOR = AIS(64, 100)  # chains for the constant of a prior, which are cheap
OF_IMAGES = AIS(16, 500)  # for that of a density of images
STARTS = 8  # chains that look for the mode, at most
APART = 0.01  # of latents on either side of the mode, whose images give the decoder's derivative
Start = Literal["mode", "prior"]


def log_likelihood(
    model: Model,
    images: Tensor,
    rng: Rng,
    how: AIS | None = None,
    latents: Tensor | None = None,
    start: Start = "mode",
    constant: Bracket | None = None,
    each: Callable[[range], Iterable[int]] = iter,
) -> LogLikelihood:
    """Estimate log p of images from both sides, one after another.

    Arguments:
        model: a generator, or a descriptor whose chains are at temperature 1
        images: y, (B, C, H, W) in [-1, 1]; of a generator, with its noise
        rng: one generator, or streams of B * chains rows; not used by a descriptor
        how: chains and temperatures for each image of a generator
        latents: what a generator's images were drawn from, (B, d), as `simulated` returns them
        start: where a generator's chains start: near the posterior's mode, or at draws of
            N(0, I), the usual prior, which needs many more temperatures
        constant: what `log_partition` returned for this model; found with a seed of its own if not
            given
        each: wraps the loop over images, to show a bar
    Raises:
        TigonError: if the model has no likelihood (it says why), images or latents do not fit it,
            a log-density is not finite, or `start` is neither

    Example:
        images, latents = tigon.simulated(model, 8, tigon.make_rng(0))
        found = tigon.log_likelihood(model, images, tigon.make_rng(1), latents=latents)
        found.lower, found.upper, found.mean.lower, found.mean.upper
    """
    require_choice("start", start, Start)
    able = require_likelihood(model)
    require_points(images, "images")
    require_shape(images, "images", able.image_shape)
    constant = constant or log_partition(model, make_rng("log Z", 0))
    if isinstance(able, HasReference):
        return _of_density(able, images, constant)
    if latents is not None:
        require_shape(latents, "latents", (able.latent_dim,))
        if len(latents) != len(images):
            raise TigonError(f"latents: there are {len(latents)} for {len(images)} images")
    how, found = how or AIS(), []
    for row in each(range(len(images))):
        own = rows(rng, slice(row * how.chains, (row + 1) * how.chains))
        z = None if latents is None else latents[row : row + 1]
        y = images[row : row + 1].to(able.plane)
        found.append(_of_image(able, y, z, own, how, start))
    return together(found, constant)


def log_partition(
    model: Model, rng: torch.Generator, how: AIS | None = None, draws: Tensor | None = None
) -> Bracket:
    """Estimate the constant that a model's log-density lacks, or that of a generator's prior.

    For a descriptor it is log Z of exp(f(x)) p0(x), with p0 normalised; for a generator that of
    `log_prior`, which is known for N(0, I), and 0 where the prior is normalised (`log_prob`).

    Arguments:
        rng: of the chains
        how: chains and temperatures; by default more than for an image's likelihood
        draws: exact draws of the density (n, *), n dividing the chains, if there are any
    Raises:
        TigonError: if the model has no likelihood (it says why), or a log-density is not finite
    """
    able = require_likelihood(model)
    with frozen(able), mode(able, training=False):
        if isinstance(able, HasReference):
            return _of_images(able, rng, how or OF_IMAGES, draws)
        if able.log_prior_constant is not None:
            value = known(able.log_prior_constant)
            return Bracket(value, value, 1.0)
        how = how or OF_PRIOR
        if draws is None:
            draws = able.latents(how.chains, rng, able.plane)
        return how.bracket(able.log_prior, able.plane[:1], rng, draws)


@torch.no_grad()
def simulated(model: Model, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw images y = f(z) + sigma eps, (count, C, H, W), and the latents z (count, d) of them.

    These are exact draws of the posterior p(z | y), if those of the prior are exact.

    Raises:
        TigonError: if the model is no generator with a likelihood
    """
    able = require_likelihood(model)
    if isinstance(able, HasReference):
        raise TigonError("images of a density cannot be drawn exactly")
    latents = able.latents(count, rng, able.plane)
    decoded = able.decode(latents)
    return decoded + able.sigma * normal(rng, decoded), latents


def bits_per_dimension(nats: float, dimensions: int, levels: float = 2.0) -> float:
    """Return -log p of an image in bits per dimension: lower is better.

    It is that of a continuous density, whose value depends on the unit: with pixels in [0, 255]
    each dimension is 127.5 times as wide as in [-1, 1], and has log2(127.5) = 6.994 bits more.

    Arguments:
        nats: log p on [-1, 1]
        dimensions: number of values of an image
        levels: length of the range of values: 2 for [-1, 1], 255 for [0, 255]
    """
    return -nats / dimensions / math.log(2) + math.log2(levels / 2)


def require_likelihood(model: Any) -> Any:  # noqa: ANN401
    """Return a model whose likelihood can be estimated.

    Raises:
        TigonError: if it has none; it says why
    """
    if not isinstance(model, HasLikelihood | HasReference):
        raise TigonError("this model has no likelihood that can be estimated")
    assert isinstance(model, nn.Module)
    if model.no_likelihood:
        raise TigonError(f"this model has no likelihood: {model.no_likelihood}")
    return model


def _of_images(
    model: Any,  # noqa: ANN401
    rng: Rng,
    how: AIS,
    draws: Tensor | None,
) -> Bracket:
    """Estimate log Z of exp(f(x)) p0(x), with x = loc + scale u: N(0, I) in u is p0."""
    scale, loc = model.reference.scale, model.reference.loc
    like = next(model.parameters()).new_empty(1, *model.image_shape)
    volume = like.numel() * math.log(scale)

    def target(u: Tensor) -> Tensor:
        return model(loc + scale * u) + volume

    placed = None if draws is None else (draws.to(like) - loc) / scale
    return how.bracket(target, like, rng, placed)


def _of_density(model: Any, images: Tensor, constant: Bracket) -> LogLikelihood:  # noqa: ANN401
    """Return log f(x) - log Z of images: all share the error of log Z."""
    with torch.no_grad(), mode(model, training=False):
        device = next(model.parameters()).device
        parts = [model.log_density(part.to(device)).cpu().double() for part in images.split(64)]
    values = [known(value) for value in torch.cat(parts).tolist()]
    return together([Bracket(value, value, constant.accept) for value in values], constant)


def _of_image(
    model: HasLikelihood,
    image: Tensor,
    latents: Tensor | None,
    rng: Rng,
    how: AIS,
    start: Start,
) -> Bracket:
    """Estimate the log of the integral of exp(log_prior) N(y; f(z), sigma^2 I)."""
    assert isinstance(model, nn.Module)
    with frozen(model), mode(model, training=False):
        centre, root = _near(model, image, rng, how.chains, start)
    sigma = float(model.sigma)
    outside = torch.linalg.slogdet(root)[1].item() - image.numel() * math.log(sigma)
    outside -= image.numel() / 2 * math.log(2 * math.pi)
    own = root.to(image)

    def target(u: Tensor) -> Tensor:
        z = centre + u @ own.T
        return model.log_prior(z) - sum_event((image - model(z)) ** 2) / (2 * sigma**2)

    draws = None
    if latents is not None:
        apart = (latents.to(centre) - centre).double().cpu()
        draws = torch.linalg.solve_triangular(root, apart.T, upper=False).T
    with frozen(model), mode(model, training=False):
        found = how.bracket(target, centre, rng, draws)
    below, above = found.below.shifted(outside), found.above.shifted(outside)
    return Bracket(below, above, found.accept)


def _near(
    model: HasLikelihood, image: Tensor, rng: Rng, chains: int, start: Start
) -> tuple[Tensor, Tensor]:
    """Return where chains start: the mean (1, d), and a root of the covariance, (d, d) doubles.

    From the mode that was inferred, a step of Gauss and Newton is taken if it goes higher.
    """
    eye = torch.eye(model.latent_dim, dtype=torch.float64)
    if start == "prior":
        return image.new_zeros(1, model.latent_dim), eye
    starts = min(chains, STARTS)
    found = model.infer(image, rows(rng, slice(0, starts)), ColdStart(starts)).latents
    steps = APART * eye.to(found)
    apart = model.decode(found + steps) - model.decode(found - steps)
    slopes = apart.flatten(1).double().cpu() / (2 * APART)
    prior = model.prior_precision(found)[0].to(eye)
    precision = prior + slopes @ slopes.T / float(model.sigma) ** 2
    if not precision.isfinite().all():
        raise TigonError("the model decodes latents to values that are not finite")
    covariance = torch.linalg.inv(precision)
    covariance = (covariance + covariance.T) / 2
    posterior = model.posterior(image)
    value, gradient = value_and_grad(posterior, found)
    further = found + gradient @ covariance.to(found)
    with torch.no_grad():
        higher = posterior(further) > value
    return torch.where(higher, further, found), torch.linalg.cholesky(covariance)
