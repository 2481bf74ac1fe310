r"""Complete images by what was observed: about f(z), or about the mean of images alone.

What f(z) leaves out of an image of which much is missing is more than what it leaves out of images
that latents were inferred from whole: where nothing was observed f(z) may be wrong at large, as
one image is unlike another. So given z an image is taken as N(f(z), tau S_w) with

.. math:: S_w = (1 - w) S + w S_0,

S the covariance of residuals and S_0 that of whole images about their mean (`models.residuals`),
and the share w that has the highest evidence, if values are missing. (A blur or averages show what
f(z) leaves out at large, and little of the details that they hide: w is 0 then, and 1 without
f(z).) And some images f cannot make at all; then f(z) that
fits what was observed says little about the rest. An image is restored about the mean of images m
instead, by N(m, tau S_w), where the evidence is higher: log p(y) is exact for the latter, and for
f(z)

.. math:: \log p(y) \approx E[\log N(y; A f(z), K)] + E[\log p(z)] + H(N(\mu, C))

with means over the chains' draws and the entropy H of the Gaussian near which they started
(`inference.linear_posterior`), both with K at the scale that suits y best.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.inference.linear_posterior import Near
from tigon.inference.observation import Observation
from tigon.models.image_noise import ImageNoise
from tigon.random.streams import Rng

SHARES = 0.0, 0.03, 0.1, 0.3, 1.0  # w
WITH_F, WITHOUT = (0.0,), (1.0,)  # where nothing is missing


class Completions(NamedTuple):
    """Images given f(z), or the mean of images, and what was observed.

    Attributes:
        means: E[x | z, y], (B, S, C, H, W)
        images: draws of x given z and y, likewise
    """

    means: Tensor
    images: Tensor

    @classmethod
    def of(cls, observation: Observation, decoded: Tensor, rng: Rng) -> "Completions":
        """Complete images f(z) (B * S, C, H, W) by what was observed."""
        parts = observation.completed(decoded), observation.drawn(decoded, rng)
        return cls(*(part.unflatten(0, (len(observation.y), -1)) for part in parts))

    @classmethod
    def together(cls, parts: "list[Completions]") -> "Completions":
        """Return several of the same images, one after another."""
        return cls(*(torch.cat(tensors, 1) for tensors in zip(*parts, strict=True)))


class Best(NamedTuple):
    """The share w that suits each image best, and its evidence.

    Attributes:
        evidence: log p(y), nats, (B,)
        share: (B,)
    """

    evidence: Tensor
    share: Tensor

    @classmethod
    def of_all(cls, found: dict[float, Tensor], like: Tensor) -> "Best":
        """Choose among shares, by the evidence (B,) of each."""
        highest, which = torch.stack(list(found.values())).max(0)
        return cls(highest, torch.tensor(list(found)).to(like)[which])


class Completed(NamedTuple):
    """What was restored with the shares, and about the centres, that suit each image best.

    Attributes:
        made: completions of all draws
        noise: the noise level of each image, (B,)
        evidence: by how many nats log p(y) is higher with f(z), (B,)
    """

    made: Completions
    noise: Tensor
    evidence: Tensor


def compared(
    observation: Observation,
    near: Near,
    decoded: Tensor,
    log_prior: Tensor,
    whole: tuple[Tensor, ImageNoise],
    rng: Rng,
    always: bool = False,
) -> Completed:
    """Complete images by f(z), or by the mean of images where that has the higher evidence.

    Arguments:
        decoded: f(z) of all draws, (B, T, S, C, H, W): T of each of S chains
        log_prior: log p(z) of the last latents of chains that started at `near`, (B, S)
        whole: mean of images (C, H, W), and how they lie about it
        rng: one generator, or streams of B * S rows
        always: complete all of them by f(z)
    """
    mean, spread = whole
    level = observation.noise[0].item() if observation.known else None
    other = Observation(observation.physics, observation.y, observation.like, spread, level)
    centre = mean.to(other.like).expand_as(other.like)
    last = decoded[:, -1].flatten(0, 1)
    masked = observation.mask is not None
    with_latents, without = {}, {}
    for share in SHARES if masked else (*WITH_F, *WITHOUT):
        mixed = observation.blended(other, other.scale.new_full((len(centre),), share))
        if masked or share in WITH_F:
            mixed.fit(last)
            with_latents[share] = log_evidence(mixed, near, mixed.residual(last), log_prior)
        if masked or share in WITHOUT:
            mixed.fit(centre)
            without[share] = mixed.log_evidence(mixed.residual(centre))
    by_f, by_mean = (Best.of_all(found, other.scale) for found in (with_latents, without))
    evidence = (by_f.evidence - by_mean.evidence).to(other.like)
    better = (evidence >= 0) | always
    final = observation.blended(other, torch.where(better, by_f.share, by_mean.share))
    shown = better.view(-1, *[1] * (decoded.dim() - 1))
    chosen = torch.where(shown, decoded, centre[:, None, None])
    final.fit(chosen.flatten(0, 2))
    rows = [part.flatten(0, 1) for part in chosen.unbind(1)]
    made = Completions.together([Completions.of(final, part, rng) for part in rows])
    return Completed(made, final.noise, evidence)


def log_evidence(observation: Observation, near: Near, fits: Tensor, log_prior: Tensor) -> Tensor:
    """Estimate log p(y) of each image, given draws' residuals (B * S, *) and log p(z), (B, S)."""
    likelihood = observation.log_evidence(fits).view(log_prior.shape).mean(1)
    volume = near.root.double().diagonal(dim1=1, dim2=2).log().sum(1)
    entropy = near.root.shape[-1] / 2 * (1 + math.log(2 * math.pi))
    return likelihood + log_prior.double().mean(1) + volume + entropy
