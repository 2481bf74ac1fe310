r"""A Gaussian near the posterior of latents, for chains to start from and to be scaled by.

A f is regressed on draws z of the prior. If it were linear, and z Gaussian, the posterior would be
N(m, C); :math:`z = m + C^{1/2} u` makes its directions alike for chains that move u.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.inference.observation import Observation
from tigon.models.abilities import HasDecoder
from tigon.random.streams import make_rng

FEWEST, EACH = 256, 8  # prior draws that it is fitted to: at least, and for a latent
PART = 64  # of them that are decoded together


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
def linear_posterior(model: HasDecoder, observation: Observation) -> Iterator[Near | None]:
    """Yield the posterior of latents as it were if A f were linear, and z Gaussian.

    A f is regressed on draws of the prior; what it differs from its regression counts as noise.
    While these are decoded, a part at a time, None is yielded.
    """
    count, dim = len(observation.y), model.latent_dim
    like = observation.like.new_empty(max(FEWEST, EACH * dim), dim)
    z = model.latents(len(like), make_rng("linear posterior", 0), like)
    decoded = []
    for part in z.split(PART):
        decoded.append(model.decode(part))
        yield None
    seen = observation.observe(torch.cat(decoded).repeat(count, 1, 1, 1))
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
    yield Near(mean.to(like), root.to(like))
