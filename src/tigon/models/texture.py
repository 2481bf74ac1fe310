r"""A texture: a stationary Gibbs field (FRAME), learned at one size and sampled at any.

.. math:: p(x) = \exp\Big(\sum_p \langle w, h_p(x) \rangle\Big) \, p_0(x) / Z

f is a sum over positions that share their weights, so the score of a pixel depends on what is
around it, and not on the size of the image: the same chains, with the same steps, synthesise an
image of any size. They run on a torus, where the borders of the image meet: every position is
inside, and copies of the image laid side by side have no seam.

A texture has no image that is its mean. Chains start at its mean colour, with white noise, and
less noise is added where they enter a finer grid.

References:
    Zhu, Wu and Mumford, "Filters, random fields and maximum entropy (FRAME)", IJCV 1998.
    Lu, Zhu and Wu, "Learning FRAME models using CNN filters", AAAI 2016.
    Xie, Lu, Zhu and Wu, "A theory of generative ConvNet", ICML 2016.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tigon.data.pixels import enlarged
from tigon.errors import TigonError
from tigon.mcmc.chain import MCMC
from tigon.models.config import build, register_part, to_plain
from tigon.models.energy import EnergyModel
from tigon.nn.stationary import StationaryDescriptor
from tigon.random.streams import Rng, normal
from tigon.sizes import ImageSize, image_size, sides, size_text

CUT = 16  # pixels at least by which the torus is larger where borders are not to meet


@register_part
class TextureModel(EnergyModel):
    """A descriptor of a texture, whose images have any size.

    Arguments:
        network: f, a sum over positions
        scale: standard deviation of the reference density p0, in units of the images, > 0
        chains: kernel and steps from a start image to a synthesised one; 30 steps of Langevin
            dynamics if not given
        starts: the mean colour, (1, C, 1, 1)
        image_size: height and width of images in pixels, one number for a square; multiples of
            the coarsest grid's pixels
        coarser: the model of the next coarser grid, instead of `starts`
        noise: standard deviation of the white noise that chains begin with on the coarsest grid,
            in units of the images, >= 0
        detail: that of the noise that is added where they enter this grid from a coarser one, >= 0
        periodic: whether the opposite borders of images from `sample` meet, so that copies of one
            tile the plane. Otherwise they are cut from a larger one, whose borders meet

    Example:
        model = tigon.load("runs/brick")
        tile = model.at_size((128, 192), periodic=True).sample(1, tigon.make_rng(0))
    """

    network: StationaryDescriptor
    coarser: "TextureModel | None"

    def __init__(
        self,
        network: StationaryDescriptor,
        scale: float = 0.7,
        chains: MCMC | None = None,
        starts: Tensor | None = None,
        image_size: ImageSize | None = None,
        coarser: "TextureModel | None" = None,
        noise: float = 0.3,
        detail: float = 0.05,
        periodic: bool = False,
    ) -> None:
        super().__init__(network, scale, 0.0, chains, starts, image_size, coarser)
        if not (noise >= 0 and detail >= 0):
            raise ValueError(f"noise and detail must be at least 0, not {noise} and {detail}")
        self.noise, self.detail, self.periodic = noise, detail, periodic

    @property
    def no_likelihood(self) -> str:
        """Why its log-density is not that of pictures."""
        return "it is a density of images whose borders meet, and those of pictures do not"

    def observed(self, images: Tensor) -> Tensor:
        """Return f of observed images (B, C, H, W), whose borders do not meet, (B,)."""
        return self.network.inside(images)

    def entered(self, images: Tensor, rng: Rng) -> Tensor:
        """Return where chains start on this grid, (B, C, H, W): with noise.

        Arguments:
            images: the mean colour, or what the coarser grid's chains synthesised (B, C, h, w)
        """
        points = self.enlarged(images)
        return points + (self.detail if self.coarser else self.noise) * normal(rng, points)

    def enlarged(self, images: Tensor) -> Tensor:
        """Interpolate images of a coarser grid (B, C, h, w) to this size, across their borders."""
        size = self.image_shape[1:]
        if images.shape[2:] in ((1, 1), size):
            return enlarged(images, size)
        rows, columns = size[0] // images.shape[2], size[1] // images.shape[3]
        wide = functional.pad(images, (1, 1, 1, 1), mode="circular")
        large = enlarged(wide, (rows * wide.shape[2], columns * wide.shape[3]))
        return large[..., rows:-rows, columns:-columns]

    @property
    def pixel(self) -> int:
        """How many pixels of its images the sides of a pixel of the coarsest grid are."""
        return self.image_shape[1] // self._coarsest.image_shape[1]

    @property
    def _coarsest(self) -> "TextureModel":
        return self if self.coarser is None else self.coarser._coarsest

    def complete(self, *given: Any, **options: Any) -> Tensor:  # noqa: ANN401
        """Raise TigonError: chains run on a torus, which a picture is no part of."""
        raise TigonError("a texture does not complete pictures: its chains run on a torus")

    def at_size(self, size: ImageSize, periodic: bool = False) -> "TextureModel":
        """Return this model, with the same weights, for images of another size.

        Arguments:
            size: height and width in pixels, one number for a square
            periodic: whether the opposite borders of images from `sample` meet
        Raises:
            ValueError: if its grids do not divide the size; it says which sizes they do
        """
        unit = 2 * self.pixel
        least = self._coarsest.network.seen * self.pixel
        if any(side % unit or side < least for side in sides(size)):
            raise ValueError(
                f"the sides of this model's images are multiples of {unit} pixels from {least}, "
                f"such as {size_text(_near(size, unit, least))}, not {size_text(size)}"
            )
        return self._resized(sides(size), periodic)

    def _resized(self, size: tuple[int, int], periodic: bool) -> "TextureModel":
        coarser = self.coarser
        if coarser is not None:
            own, other = self.image_shape[1:], coarser.image_shape[1:]
            less = (size[0] * other[0] // own[0], size[1] * other[1] // own[1])
            coarser = coarser._resized(less, periodic)
        found = TextureModel(
            self.network, float(self.reference.scale), self.chains, self.starts, image_size(*size),
            coarser, self.noise, self.detail, periodic,
        )  # fmt: skip
        found.step_factor = self.step_factor
        found.recipe, found.fit, found.card = self.recipe, self.fit, self.card
        return found.train(self.training)

    def sample_rows(self, rows: range, rng: Rng) -> Tensor:
        """Run the chains of these rows, all together, from noise about the mean colour."""
        if self.periodic:
            return super().sample_rows(rows, rng)
        unit = 2 * self.pixel
        cut, (height, width) = -(-CUT // unit) * unit, self.image_shape[1:]
        large = self._resized((height + cut, width + cut), True)
        return large.sample_rows(rows, rng)[..., :height, :width].contiguous()

    def config(self) -> dict[str, Any]:
        """Return the model's settings."""
        found = super().config() | {"coarser": to_plain(self.coarser, "model.coarser")}
        del found["loc"]
        own = {"noise": self.noise, "detail": self.detail, "periodic": self.periodic}
        return found | own

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TextureModel":
        """Return a model with these settings, with an uninitialised mean colour."""

        def texture_model(
            network: StationaryDescriptor,
            scale: float,
            chains: MCMC,
            starts: tuple[int, int, int, int] | None,
            image_size: ImageSize,
            coarser: TextureModel | None,
            noise: float,
            detail: float,
            periodic: bool,
        ) -> TextureModel:
            empty = None if starts is None else torch.empty(starts)
            return cls(network, scale, chains, empty, image_size, coarser, noise, detail, periodic)

        return build(texture_model, config)


def _near(size: ImageSize, unit: int, least: int) -> ImageSize:
    """Return a size that can be had, near this one."""
    height, width = (max(least, round(side / unit) * unit) for side in sides(size))
    return image_size(height, width)
