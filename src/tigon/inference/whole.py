r"""Complete images by what was observed: with f(z), or by the Gaussian of whole images alone.

Some images f cannot make, and then an f(z) that fits what was observed says little about the rest.
So each image is restored by f(z), or by N(m, S_0), the Gaussian of whole images
(`models.residuals`), where its evidence is higher: log p(y) is exact for the latter, and for the
former

.. math:: \log p(y) \approx E[\log N(y; A f(z), K)] + E[\log p(z)] + H(N(\mu, C))

with means over the chains' draws and the entropy H of the Gaussian near which they started
(`inference.linear_posterior`), both with K at the scale that suits y best.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from tigon.densities.log_density import sum_event
from tigon.inference.linear_posterior import Near
from tigon.inference.observation import Observation
from tigon.models.residuals import ImageNoise
from tigon.random.streams import Rng


class Completions(NamedTuple):
    """Images given an f(z), or the mean of images, and what was observed.

    Attributes:
        means: E[x | z, y], (B, S, C, H, W)
        images: draws of x given z and y, likewise
        fits: y - A f(z), (B, S, *)
    """

    means: Tensor
    images: Tensor
    fits: Tensor

    @classmethod
    def of(cls, observation: Observation, decoded: Tensor, rng: Rng) -> "Completions":
        """Complete images f(z) (B * S, C, H, W) by what was observed."""
        parts = (
            observation.completed(decoded),
            observation.drawn(decoded, rng),
            observation.residual(decoded),
        )
        return cls(*(part.unflatten(0, (len(observation.y), -1)) for part in parts))

    @classmethod
    def together(cls, parts: "list[Completions]") -> "Completions":
        """Return several of the same images, one after another."""
        return cls(*(torch.cat(tensors, 1) for tensors in zip(*parts, strict=True)))

    def replaced(self, other: "Completions", rows: Tensor) -> "Completions":
        """Return these with others' rows (B,) where that is True."""
        chosen = []
        for own, others in zip(self, other, strict=True):
            chosen.append(torch.where(rows.view(-1, *[1] * (own.dim() - 1)), others, own))
        return Completions(*chosen)


def compared(
    observation: Observation,
    near: Near,
    made: Completions,
    z: Tensor,
    whole: tuple[Tensor, ImageNoise],
    chains: int,
    rng: Rng,
) -> tuple[Completions, Tensor, Tensor]:
    """Replace completions of images that the Gaussian of whole images explains better.

    Arguments:
        made: completions by draws of latents z (B, S, d), of chains that started at `near`
        whole: mean of images (C, H, W), and how they lie about it
        chains: number of chains of each image; S is a multiple of it
        rng: one generator, or streams of B * `chains` rows
    Returns:
        completions, the noise level of each image (B,), and by how many nats its evidence is
        higher with f(z), (B,)
    """
    mean, spread = whole
    level = observation.noise[0].item() if observation.known else None
    other = Observation(observation.physics, observation.y, observation.like, spread, level)
    centre = mean.to(other.like).expand_as(other.like)
    other.fit(centre)
    evidence = log_evidence(observation, near, made.fits, z)
    evidence = (evidence - other.log_evidence(other.residual(centre))).to(other.like)
    rows = centre.repeat_interleave(chains, 0)
    drawn = [Completions.of(other, rows, rng) for _ in range(z.shape[1] // chains)]
    better = made.replaced(Completions.together(drawn), evidence < 0)
    return better, torch.where(evidence < 0, other.noise, observation.noise), evidence


def log_evidence(observation: Observation, near: Near, fits: Tensor, z: Tensor) -> Tensor:
    """Estimate log p(y) of each image, given draws' residuals (B, S, *) and latents (B, S, d).

    The prior counts as N(0, I): one that was learned is known up to a constant.
    """
    likelihood = observation.log_evidence(fits.flatten(0, 1)).view(fits.shape[:2]).mean(1)
    prior = -sum_event(z.double().square().flatten(0, 1)).view(z.shape[:2]).mean(1) / 2
    volume = near.root.double().diagonal(dim1=1, dim2=2).log().sum(1)
    return likelihood + prior + volume + z.shape[2] / 2
