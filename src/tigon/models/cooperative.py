r"""A generator that proposes images, and a descriptor that revises them.

.. math:: z \sim p(z), \quad \hat y = f(z), \quad
          \tilde x = \text{chains (5) on the descriptor, started at } R \hat y, \quad
          \tilde y = \hat y + U(\tilde x - R \hat y)

A descriptor's chains need not find an image from nothing: they start at the generator's, and add
what it leaves out. They do so on the descriptor's own grid: R averages squares of pixels, and U
interpolates what chains moved. With a grid as fine as the images, both are the identity. Chains
are short, and so the images are those of a sampler.

References:
    Xie, Lu, Gao, Zhu and Wu, "Cooperative training of descriptor and generator networks",
    IEEE TPAMI 2020.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tigon.data.pixels import enlarged, reduced
from tigon.densities.gaussian import Prior
from tigon.errors import TigonError
from tigon.models.base import drawn_in_parts
from tigon.models.cold_start import LinearGuess
from tigon.models.config import register_part, to_plain
from tigon.models.energy import EnergyModel
from tigon.models.generator import GeneratorModel
from tigon.models.residuals import Residuals
from tigon.random.streams import Rng
from tigon.sizes import sides, size_text


@register_part
class CooperativeModel(GeneratorModel):
    """A generator (1) whose images a descriptor (4) revises.

    Latents are inferred and decoded as those of any generator; `sample` returns revised images,
    and `propose` what the generator alone draws.

    Arguments:
        network: f, latents (B, d) to images (B, C, H, W) in [-1, 1]
        descriptor: a model of one grid, that of the images or a coarser one whose sides divide
            theirs; its chains start at f(z), averaged to it, not at its own start images
        latent_dim, sigma, prior, guess, residuals: as those of `GeneratorModel`
    Raises:
        ValueError: if the descriptor has several grids

    Example:
        descriptor = tigon.EnergyModel(network_32, starts=torch.zeros(1, 3, 1, 1), image_size=32)
        model = tigon.CooperativeModel(network, descriptor, latent_dim=16)
        images = model.sample(64, tigon.RowRng(0, 0, range(64)))
    """

    def __init__(
        self,
        network: nn.Module,
        descriptor: EnergyModel,
        latent_dim: int | None = None,
        sigma: float = 0.3,
        prior: Prior | None = None,
        guess: LinearGuess | None = None,
        residuals: Residuals | None = None,
    ) -> None:
        super().__init__(network, latent_dim, sigma, prior, guess, residuals)
        if descriptor.coarser is not None:
            raise ValueError("the descriptor that revises images has one grid, not several")
        self.descriptor = descriptor

    @property
    def no_likelihood(self) -> str:
        """Why revised images have none."""
        return "its images are where short chains come to, a sampler and not a density"

    def propose(self, count: int, rng: Rng) -> tuple[Tensor, Tensor]:
        """Draw latents z from the prior, (count, d); return them and f(z), (count, C, H, W)."""
        latents = self.latents(count, rng, self.plane)
        return latents, self.decode(latents)

    def on_grid(self, images: Tensor) -> Tensor:
        """Average images (B, C, H, W) to the descriptor's grid, (B, C, h, w).

        Raises:
            ValueError: if the grid's sides do not divide those of the images
        """
        grid, size = self.descriptor.image_size, images.shape[2:]
        if grid is None:
            return images
        if any(side % own for side, own in zip(size, sides(grid), strict=True)):
            raise ValueError(f"the grid {size_text(grid)} does not divide images {tuple(size)}")
        return reduced(images, sides(grid))

    def carried(self, proposed: Tensor, ends: Tensor) -> Tensor:
        """Return images (B, C, H, W), moved by what chains moved on the descriptor's grid.

        Arguments:
            proposed: (B, C, H, W)
            ends: where chains came to from `on_grid` of these, (B, C, h, w)
        """
        if ends.shape == proposed.shape:
            return ends
        return proposed + enlarged(ends - self.on_grid(proposed), proposed.shape[2:])

    def revise(self, images: Tensor, rng: Rng) -> Tensor:
        """Run the descriptor's chains from these images; return them revised, (B, C, H, W)."""
        return self.carried(images, self.descriptor.run_chains(self.on_grid(images), rng).x)

    @torch.no_grad()
    def sample(self, count: int, rng: Rng, noise: bool = False, chunk: int = 64) -> Tensor:
        """Draw images: f(z) for z from the prior, revised, (count, C, H, W).

        They are not clipped to [-1, 1].

        Arguments:
            noise: must be False: revised images have no noise around f(z)
            chunk: number of chains that run together; affects memory, not the images
        Raises:
            TigonError: if noise is asked for
        """
        if noise:
            raise TigonError("noise: this model's images are revised by chains, not f(z) + noise")

        def draw(part: range, streams: Rng) -> Tensor:
            _, proposed = self.propose(len(part), streams)
            return self.revise(proposed, streams)

        return drawn_in_parts(count, rng, chunk, draw)

    def config(self) -> dict[str, Any]:
        """Return the model's settings."""
        return super().config() | {"descriptor": to_plain(self.descriptor, "model.descriptor")}
