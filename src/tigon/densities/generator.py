"""The generator (1): a latent-variable model."""

import torch
from torch import Tensor, nn

from tigon.densities.log_density import LogDensity, mode, sum_event
from tigon.random.streams import Rng, normal


class GeneratorModel(nn.Module):
    """Generator (1): latents z ~ N(0, I), images y = f(z) + sigma eps.

    Arguments:
        network: f, latents (B, d) to images (B, C, H, W) in [-1, 1]
        latent_dim: d, >= 1
        sigma: standard deviation of the observation noise on the scale of [-1, 1], > 0

    `sigma` is a buffer, a tensor (), of the network's type: it is saved and moved with the
    weights. `model.sigma.fill_(0.2)` sets another.
    """

    sigma: Tensor

    def __init__(self, network: nn.Module, latent_dim: int, sigma: float = 0.3) -> None:
        super().__init__()
        self.network, self.latent_dim = network, latent_dim
        like = next(network.parameters(), torch.empty(()))
        self.register_buffer("sigma", like.new_tensor(float(sigma)))

    def forward(self, z: Tensor) -> Tensor:
        """Decode latents (B, d) to images (B, C, H, W)."""
        return self.network(z)

    def log_likelihood(
        self, images: Tensor, z: Tensor, sigma: float | Tensor | None = None
    ) -> Tensor:
        """Return log p(images | z) up to a constant, (B,): minus the summand of (3).

        With another noise than the model's own where `sigma` is given.
        """
        noise = self.sigma if sigma is None else sigma
        return -sum_event((images - self.network(z)) ** 2) / (2 * noise**2)

    def posterior(
        self, images: Tensor, likelihood_weight: float = 1.0, sigma: float | Tensor | None = None
    ) -> LogDensity:
        """Return the log-density of z given `images` (B, C, H, W), row by row.

        `likelihood_weight` is 1 for the posterior, and 1/T for a likelihood tempered on the way
        to it. The original code averaged the likelihood over its n images, which is a weight of
        1/n; `generator-original` repeats that. `sigma` is the noise's standard deviation where it
        is not the model's own, as while it is annealed.
        """

        def log_density(z: Tensor) -> Tensor:
            likelihood = self.log_likelihood(images, z, sigma)
            return likelihood_weight * likelihood - sum_event(z**2) / 2

        return log_density

    def latents(self, count: int, rng: Rng, like: Tensor) -> Tensor:
        """Draw `count` latents of the prior, (count, d), of the type and device of `like`."""
        return normal(rng, like.new_empty(count, self.latent_dim))

    @torch.no_grad()
    def decode(self, latents: Tensor, chunk: int = 64) -> Tensor:
        """Return f(z) of latents (B, d), (B, C, H, W), `chunk` at a time, without noise."""
        with mode(self, training=False):
            return torch.cat([self.network(part) for part in latents.split(chunk)])

    @torch.no_grad()
    def sample(self, count: int, rng: Rng, noise: bool = False) -> Tensor:
        """Draw images f(z) with z ~ N(0, I), (count, C, H, W); with `noise`, f(z) + sigma eps.

        Only the latter are draws of the model's density. They are not clipped to [-1, 1].

        Arguments:
            rng: one generator, or a stream for each image; latents are the same either way
        """
        like = next(self.network.parameters()).detach()
        images = self.decode(self.latents(count, rng, like))
        return images + self.sigma * normal(rng, images) if noise else images
