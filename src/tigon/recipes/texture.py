"""The recipe that learns a texture from one picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import MOST, ImageData
from tigon.data.crops import crop_size, load_crops
from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.errors import TigonError
from tigon.learners.descriptor import DescriptorLearner
from tigon.models.base import Model
from tigon.models.texture import TextureModel
from tigon.nn.stationary import StationaryDescriptor, seen
from tigon.random.streams import RowRng, make_rng
from tigon.recipes.base import Choice, Growth, RunContext, Stages
from tigon.recipes.descriptor import DescriptorRecipe
from tigon.recipes.settings import ShortChains, known, require
from tigon.sizes import ImageSize, image_size, pyramid, sides, size_text
from tigon.training.settings import AdamSettings

if TYPE_CHECKING:
    from tigon.figures import Figure

LAYERS = 2  # convolutions; three are more sensitive to the learning rate
LEAST = seen(LAYERS)  # pixels of a crop's side
TILES = 2  # copies of a tile beside and below each other in its figure


@dataclass(frozen=True)
class TextureNetwork:
    """The network of each grid: two convolutions, and one weighted sum of their features.

    Arguments:
        width: channels of the first convolution; the second has twice as many
    """

    width: int = 32

    def __post_init__(self) -> None:
        require(self.width >= 2, f"network.width must be at least 2, not {self.width}")


@dataclass(frozen=True)
class TextureChains(ShortChains):
    """Synthesis of images, equation (5), from the mean colour with noise.

    Arguments:
        steps: chain steps on each grid, >= 1
        step_size: size s of the first step, in units of [-1, 1]: the drift is s^2/2 times the
            gradient
        shrink: ratio of the last step size to the first, in (0, 1]; it falls geometrically
        temperature: T >= 0: the noise is s sqrt(T), and chains target p^(1/T); 1 is the density p
            itself, 0 is gradient ascent
        noiseless_last_step: leave the noise out of the last step; nothing else removes noise
        noise: standard deviation of the white noise that chains begin with on the coarsest grid,
            in units of [-1, 1], >= 0
        detail: that of the noise that is added where they enter a finer grid, >= 0
    """

    noise: float = 0.3
    detail: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("noise", "detail"):
            require(getattr(self, name) >= 0, f"chains.{name} must be at least 0")


@dataclass(frozen=True)
class TextureRecipe(DescriptorRecipe):
    """Learn a texture from one picture: a descriptor whose images may have any size, and tile.

    Its network is a sum over positions, learned from crops of the picture, grid by grid.

    Arguments:
        image_size: side of the square crops in pixels, or HEIGHTxWIDTH; 64 if not given, or half
            of a smaller picture. `tigon sample --size` draws any other
        channels: 3 (RGB) or 1 (grey)
        mirror: also learn from a mirrored copy of each crop
        held_out: share of the picture's longer side that is never learned from, and that the model
            is measured on, in [0, 1); if not given, a fifth of pictures that are at least four
            crops long, and none of others
        iterations: number of parameter updates; 300 if not given
        grids: number of grids, >= 1: images are synthesised on the coarsest, half as large on
            each side for each grid, and then on the next; as many as there are down to 8 pixels
            if not given
        scale: standard deviation of the reference density of p, on the scale of [-1, 1]; that of
            the density that chains target is sqrt(T) times as large
        batch_size: crops per parameter update
        network: two convolutions and a weighted sum
        chains: synthesis of images
    """

    model_type: ClassVar[type[Model]] = TextureModel
    name: ClassVar = "texture"
    about: ClassVar = "a texture, from one picture: its images have any size, and tile"
    noun: ClassVar = "texture"
    demo: ClassVar = False
    option_of: ClassVar = ("descriptor", "texture")
    card: ClassVar = "texture-card.md.jinja"
    panels: ClassVar[tuple[str, ...]] = ("chain", "score", "curves")  # it completes no pictures
    growth: ClassVar[Growth] = Growth(300)
    chosen: ClassVar[tuple[str, ...]] = ("image_size", "held_out", "iterations")
    holds_out: ClassVar[str] = "tigon.load_crops(picture, size, held_out=share)"
    stages: ClassVar = Stages(
        "figure-5-synthesised",
        "Synthesised images as the model learns",
        "The first crops of the picture, and below them what chains from noise synthesise after "
        "some iterations; they have nothing to do with the crop above. Values outside [-1, 1] are "
        "clipped for display.",
    )

    image_size: ImageSize | None = None  # type: ignore[assignment]  # the picture decides
    mirror: Literal["yes", "no"] = "no"
    batch_size: int = 4
    network: TextureNetwork = TextureNetwork()  # type: ignore[assignment]
    chains: TextureChains = TextureChains()  # type: ignore[assignment]
    optimizer: AdamSettings = AdamSettings(0.1, (0.5, 0.95), warm_up=20)

    @property
    def sizes(self) -> list[ImageSize]:
        """Sizes of the grids, the coarsest first."""
        return pyramid(self._crop, self.grids)

    @property
    def _crop(self) -> ImageSize:
        """The size of the crops."""
        size: Any = self.image_size
        found: ImageSize = known(size, "image_size")
        return found

    def choices(self, images: ImageData) -> dict[str, Choice]:
        """Return what the picture decides of what is not given, by name, and why."""
        found = super().choices(images)
        if self.image_size is None:
            found["image_size"] = Choice(sides(images.image_size)[0], "")
        return found

    def load(self, data: str, mask: str | None = None) -> ImageSet:
        """Load crops of the picture to learn from; those of its end are their `held_out`.

        Raises:
            TigonError: if it is not one picture, is smaller than the crops, or these cannot be
                synthesised
        """
        refused = ("stream", self.stream), ("frames all", self.frames == "all"), ("mask", mask)
        for name, given in refused:
            if given:
                raise TigonError(f"--{name}: a texture is learned from one picture; leave it out")
        size = self.image_size
        if size is None:
            size = crop_size(data, 2 * LEAST)
        elif any(side % 2 or side < LEAST for side in sides(size)):
            raise TigonError(
                f"--image-size {size_text(size)}: the sides of crops are even, and {LEAST} or more"
            )
        form = size, self.channels, self.mirror == "yes", self.held_out, self.max_pixels
        return load_crops(data, *form)

    def model(self, starts: Tensor | None = None) -> TextureModel:
        """Return the texture with its initial weights.

        Arguments:
            starts: the mean colour, (1, C, 1, 1); grey if not given, until a loaded state replaces
                it
        """
        coarser, chains = None, self.chains
        starts = torch.zeros(1, self.channels, 1, 1) if starts is None else starts
        for size in self.sizes:
            coarser = TextureModel(
                self._stationary(size),
                self.scale,
                chains.build(),
                None if coarser else starts,
                size,
                coarser,
                chains.noise,
                chains.detail,
            )
        assert coarser is not None
        coarser.fit = self.fit
        return coarser

    def learner(self, images: ImageData) -> DescriptorLearner:
        """Return a new learner, whose chains start from the mean colour of these crops."""
        colours = images.mean_colours(min(len(images), MOST))
        return self._build(self.model(colours.mean(0)[None, :, None, None]))

    def _stationary(self, size: ImageSize) -> StationaryDescriptor:
        rng = make_rng("weights", self.seed, size_text(size))
        return StationaryDescriptor(self.channels, self.network.width, LAYERS, rng)

    def describe(self) -> str:
        """Say what the model is, and that it is a sampler."""
        return (
            f"A texture, a descriptor whose log-density is a sum over positions, learned from "
            f"crops of one picture with chains of {self.chains.steps} Langevin steps at "
            f"temperature {self.chains.temperature:g} that start from the mean colour with noise"
            f"{self._by_grids()}. {self._aim()}: this is a sampler, not a density, trained by "
            "contrast with its own images. Its images may have any size that its grids divide."
        )

    def figures(self, context: RunContext) -> Iterator["Figure"]:
        """Yield what a descriptor shows, after an image of twice the size and a tiling."""
        from tigon import figures

        size = tuple(TILES * side for side in sides(self._crop))
        larger = self._drawn(context, (size[0], size[1]), False)
        yield figures.Figure(
            "larger",
            "At twice the size",
            "One image of twice the height and width of the crops that were learned from, not "
            "selected.",
            figures.image_grid(larger, columns=1),
            f"An image of {size_text(image_size(size[0], size[1]))} pixels.",
        )
        tile = self._drawn(context, sides(self._crop), True)
        yield figures.Figure(
            "tiled",
            "Tiled",
            f"One image whose borders meet, {TILES} x {TILES} times: there is no seam.",
            figures.image_grid(np.tile(tile, (1, TILES, TILES, 1)), columns=1),
            f"{TILES} x {TILES} copies of one image.",
        )
        yield from super().figures(context)

    def _drawn(self, context: RunContext, size: tuple[int, int], periodic: bool) -> np.ndarray:
        model = context.learner.model.at_size(image_size(*size), periodic)
        return to_uint8(model.sample(1, RowRng(self.seed, 0, range(1), "report")))
