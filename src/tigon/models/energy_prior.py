r"""A prior of latents that is learned: a density that is known, tilted by a network.

.. math:: p_\alpha(z) = \frac{1}{Z(\alpha)} \exp(f_\alpha(z))\, q(z)

Latents that a generator infers for its images have the moments of N(0, I) at best, and seldom
its shape: between clusters of them, the decoder has learned nothing. In the paper q is N(0, I),
and the tilt learns the shape. A mixture of normal densities finds the clusters sooner, and chains
that start at its draws have less to do; the tilt learns what it lacks.

References:
    Pang, Han, Nijkamp, Zhu and Wu, "Learning latent space energy-based prior model",
    NeurIPS 2020, equations (3) and (11).
    Ghosh, Sajjadi, Vergari, Black and Schoelkopf, "From variational to deterministic
    autoencoders", ICLR 2020: a mixture of normal densities, fitted to the latents afterwards.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tigon.densities.gaussian import StandardNormal, density_of
from tigon.densities.log_density import frozen, mode
from tigon.densities.mixture import GaussianMixture
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.mcmc.store_files import chunks
from tigon.models.config import register_part, to_plain
from tigon.random.streams import Rng, rows

STEPS, STEP_SIZE = 60, 0.4
AT_ONCE = 4096  # latents that are drawn together


@register_part
class EnergyPrior(nn.Module):
    """The prior exp(f(z)) q(z), up to a constant: f is learned.

    Arguments:
        network: f, latents (B, d) to (B,). If they enter it by a linear `.first` alone, a
            generator's latents can be expanded
        latent_dim: d, >= 1
        chains: from draws of q to draws of the prior; 60 MALA steps if not given
        base: q, a mixture of normal densities; N(0, I) if not given

    Example:
        prior = tigon.EnergyPrior(tigon.LatentTilt(16), 16)
        model = tigon.GeneratorModel(network, prior=prior)
        z = model.latents(64, tigon.make_rng(0), model.plane)
    """

    def __init__(
        self,
        network: nn.Module,
        latent_dim: int,
        chains: MCMC | None = None,
        base: StandardNormal | GaussianMixture | None = None,
    ) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, not {latent_dim}")
        self.network, self.base = network, base or StandardNormal()
        self.event_shape = (latent_dim,)
        self.chains = chains or MCMC(MALA(STEP_SIZE), STEPS)

    def tilt(self, z: Tensor) -> Tensor:
        """Return f(z) of latents (B, d), (B,)."""
        return self.network(z).to(z.dtype)

    def log_density(self, z: Tensor) -> Tensor:
        """Return f(z) + log q(z) of latents (B, d), (B,): up to a constant."""
        return self.tilt(z) + density_of(self.base)(z)

    forward = log_density

    def sample(self, like: Tensor, rng: Rng) -> Tensor:
        """Draw latents of the shape, type and device of `like` (B, d).

        Chains accept or reject, so that they follow the density; how near they come in so many
        steps, from draws of q, depends on f.
        """
        with frozen(self), mode(self, training=False):
            parts = ((like[part], rows(rng, part)) for part in chunks(len(like), AT_ONCE))
            return torch.cat([self._chains(some, own) for some, own in parts])

    def _chains(self, like: Tensor, rng: Rng) -> Tensor:
        """Return where chains from draws of q end."""
        return self.chains.run(self.log_density, self.base.sample(like, rng), rng).x

    def config(self) -> dict[str, Any]:
        """Return the arguments of this prior."""
        return {
            "network": to_plain(self.network, "model.prior.network"),
            "latent_dim": self.event_shape[0],
            "chains": to_plain(self.chains, "model.prior.chains"),
            "base": to_plain(self.base, "model.prior.base"),
        }


@register_part
class LatentTilt(nn.Module):
    """A perceptron from latents to one number, which is 0 everywhere until it is trained.

    Arguments:
        latent_dim: d, >= 1
        width: of its two hidden layers, >= 1
        rng: generator for the initial weights; PyTorch's global generator if not given
    """

    def __init__(
        self, latent_dim: int, width: int = 200, rng: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(latent_dim, width)
        self.second, self.last = nn.Linear(width, width), nn.Linear(width, 1)
        for layer in (self.first, self.second):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=rng)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Return f(z) of latents (B, d), (B,)."""
        hidden = nn.functional.silu(self.second(nn.functional.silu(self.first(z))))
        return self.last(hidden)[:, 0]

    def config(self) -> dict[str, int]:
        """Return the arguments of this network, except `rng`."""
        return {"latent_dim": self.first.in_features, "width": self.width}
