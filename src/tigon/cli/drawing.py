"""tigon sample and interpolate: draw images from a model."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor

from tigon.cli.common import (
    Flag,
    Json,
    ModelFolder,
    ModelFolders,
    Result,
    Which,
    images_for,
    infer,
    load_with_latents,
)
from tigon.cli.progress import counted, steps_shown
from tigon.data.pixels import saturations, to_uint8
from tigon.errors import TigonError
from tigon.export.load import load
from tigon.figures import tiled
from tigon.inference.compose import Composed, Way
from tigon.inference.interpolation import (
    Along,
    Walk,
    interpolate,
    latent_arithmetic,
    latent_grid,
)
from tigon.models.abilities import HasLatents, HasSizes
from tigon.models.base import Model
from tigon.models.cold_start import ColdStart
from tigon.outputs import check_out, images_to, require_viewable
from tigon.random.streams import RowRng
from tigon.runs.experiment import choose_device
from tigon.sizes import ImageSize, image_size, size_text

MOST, TOGETHER = 1_000_000, 64
PIXELS = 64 * 128 * 128  # of images that are drawn together: chains of more need gigabytes


@dataclass(frozen=True)
class Sample:
    """Draw images from a model: from the prior, or one chain per start image, in order.

    From two models or more that have a log-density, such as descriptors with the same grids:
    images that are probable under all of them (their product), or under any (their mixture).

    Arguments:
        model_folders: the run folder, or a model folder; several are composed
        out: a .npz, a .png (a grid) or a folder of PNGs
        count: number of images
        noise: add a generator's noise around f(z), of standard deviation sigma
        size: of a texture, height and width of the images in pixels, instead of those of the crops
            that it was learned from
        periodic: of a texture, images whose opposite borders meet: copies of one tile the plane
        weights: of several models, a number for each: that of its log-density in a product (below
            0 to avoid what it draws), or of its density in a mixture, > 0; 1 over their number if
            not given
        mixture: of several models, images that are probable under any
        temperature: of several models, what their composed log-density is divided by, > 0
        seed: seed for the draws, >= 0
        checkpoint: the checkpoint to use: last, best, or an iteration
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        json: print one JSON object instead of text
    """

    model_folders: ModelFolders
    out: Path
    count: int = 64
    noise: bool = False
    size: ImageSize | None = None
    periodic: Flag = False
    weights: tuple[float, ...] | None = None
    mixture: Flag = False
    temperature: float | None = None
    seed: int = 0
    checkpoint: Which = "last"
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Draw the images and write them."""
        if not 1 <= self.count <= MOST or self.seed < 0:
            raise TigonError(f"--count must be 1 to {MOST}, and --seed at least 0")
        check_out(self.out, self.model_folders)
        model = self._model()
        if self.noise and not isinstance(model, HasLatents):
            raise TigonError("--noise: needs a model with latents; this one has none")
        if self.size is not None or self.periodic:
            model = self._sized(model)
        outside = self._write(model) / self.count
        note = f"; {100 * outside:.2f} % of values were outside [-1, 1] by more than 0.1"
        text = f"{counted(self.count, 'image')}: {self.out}{note if outside else ''}"
        values = {"out": str(self.out), "count": self.count, "saturation": outside}
        return Result(text, values)

    def _model(self) -> Model:
        """Load the model, or what several are composed to.

        Raises:
            TigonError: if options of several models are given for one, or they do not go together
        """
        given = {"weights": self.weights, "temperature": self.temperature}
        asked = [name for name, value in given.items() if value is not None]
        if not self.model_folders:
            raise TigonError("sample: give a run folder or a model folder")
        if len(self.model_folders) == 1 and (asked or self.mixture):
            raise TigonError(f"--{(asked or ['mixture'])[0]}: is for two models or more")
        if self.weights is not None and len(self.weights) != len(self.model_folders):
            raise TigonError(
                f"--weights: {counted(len(self.weights), 'number')} for "
                f"{counted(len(self.model_folders), 'model')}; give one for each"
            )
        place = choose_device(self.device)
        models = [load(folder, self.checkpoint).to(place) for folder in self.model_folders]
        if len(models) == 1:
            return models[0]
        way: Way = "mixture" if self.mixture else "product"
        temperature = 1.0 if self.temperature is None else self.temperature
        return Composed(models, self.weights, way, temperature)

    def _sized(self, model: Model) -> Model:
        """Return a model for images of the size, and with the borders, that were asked for."""
        own, folder = image_size(*model.image_shape[1:]), self.model_folders[0]
        option = "--periodic" if self.size is None else f"--size {size_text(self.size)}"
        if len(self.model_folders) > 1:
            raise TigonError(
                f"{option}: is for one texture; images of several models together have the size "
                f"that these learned, {size_text(own)}, and borders that do not meet"
            )
        if not isinstance(model, HasSizes):
            raise TigonError(
                f"{option}: {folder} is not of a texture: its images have one size, "
                f"{size_text(own)}, and borders that do not meet"
            )
        try:
            sized: Model = model.at_size(own if self.size is None else self.size, self.periodic)
        except ValueError as error:
            raise TigonError(f"{option}: {error}") from error
        return sized

    def _write(self, model: Model) -> float:
        """Draw and write a few images at a time; return the sum of their saturations."""
        channels, *sides = model.image_shape
        most = max(1, min(TOGETHER, PIXELS // math.prod(sides)))
        parts = [range(k, min(k + most, self.count)) for k in range(0, self.count, most)]
        outside = 0.0
        with images_to(self.out, self.count, (*sides, channels)) as write:
            for rows in steps_shown(parts, f"drawing {counted(self.count, 'image')}"):
                images = self._draw(model, rows)
                write(to_uint8(images))
                outside += saturations(images).double().sum().item()
        return outside

    def _draw(self, model: Model, rows: range) -> Tensor:
        rng = RowRng(self.seed, 0, rows, "sample")
        if not self.noise:
            return model.sample_rows(rows, rng)
        return model.sample_rows(rows, rng, noise=True)  # type: ignore[call-arg]


@dataclass(frozen=True)
class Interpolate:
    """Walk through the latent space: a grid over [-2, 2]^2, or a path between two images.

    With two latents, they are the grid's axes; with more, the axes are the first two principal
    directions of the latents inferred for the training images. A path goes from a picture to
    another, or to where the difference between two folders leads: its latent, minus the mean
    latent of one, plus that of the other.

    Arguments:
        model_folder: a generator's run folder or model folder
        out: a .png
        start: picture where the path starts (left); with --to, or --minus and --plus
        end: picture where the path ends (right); with --from
        minus: a folder of images whose mean latent is taken away; with --from and --plus
        plus: a folder of images whose mean latent is added; with --from and --minus
        along: the path is a straight `line`, or an `arc` that keeps latents where the prior has
            them; with many latents, the middle of a line is closer to 0 than almost any draw
        count: images on the path, or on each side of the grid, >= 2
        seed: seed for the chains that infer the two latents, >= 0
        checkpoint: the checkpoint to use: last, best, or an iteration
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        json: print one JSON object instead of text
    """

    model_folder: ModelFolder
    out: Path
    start: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    end: Annotated[Path | None, tyro.conf.arg(name="to")] = None
    minus: Path | None = None
    plus: Path | None = None
    along: Along = "line"
    count: int = 8
    seed: int = 0
    checkpoint: Which = "last"
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Decode the grid or the line, and write it."""
        if self.count < 2 or self.seed < 0:
            raise TigonError("--count must be at least 2, and --seed at least 0")
        ways = {"start", "end"}, {"start", "minus", "plus"}, set[str]()
        given = {name for name in ways[0] | ways[1] if getattr(self, name) is not None}
        if given not in ways:
            raise TigonError(
                "give --from with either --to, or --minus and --plus; or none of them for the grid"
            )
        if self.along == "arc" and self.start is None:
            raise TigonError("--along arc: needs --from; the grid has no path")
        inputs = self.model_folder, self.start, self.end, self.minus, self.plus
        check_out(self.out, inputs, (".png",))
        model = load_with_latents(self.model_folder, "interpolate", self.device, self.checkpoint)
        _, *sides = model.image_shape
        count = self.count if self.start else self.count**2
        grid = tiled(count, (sides[0], sides[1]), self.count)
        require_viewable(self.out, count, *grid, "lower --count")
        images, said = self._path(model) if self.start else self._grid(model)
        with images_to(self.out, count, (*sides, 3), self.count) as write:
            for part in images.split(TOGETHER):
                write(to_uint8(part))
        return Result(f"{counted(count, 'image')}: {self.out}\n{said}", {"out": str(self.out)})

    def _grid(self, model: Model) -> tuple[Tensor, str]:
        """Return the grid's images, and a description of its axes."""
        grid = latent_grid(model, self.count)
        across, up = grid.plane.names
        return grid.images, (
            f"f(z) on {grid.plane.span}: {across} from -2 (left) to 2 (right), {up} from -2 "
            "(bottom) to 2 (top), in standard deviations of the prior"
        )

    def _path(self, model: Model) -> tuple[Tensor, str]:
        """Return the path's images, and a description of its ends."""
        ends = [path for path in (self.start, self.end) if path is not None]
        options = ("--from", "--to")[: len(ends)]
        pictures = [_picture(model, *end) for end in zip(ends, options, strict=True)]
        sets = [path for path in (self.minus, self.plus) if path is not None]
        pictures += [images_for(model, path).read() for path in sets]
        found = infer(model, torch.cat(pictures), ColdStart().starts, self.seed)
        counts = [len(part) for part in pictures]
        parts = found.latents.split(counts)
        errors = [part.mean().item() for part in found.errors.split(counts)]
        try:
            images = self._walk(model, parts).images[0]
        except ValueError as error:
            raise TigonError(f"--along arc: {error}; take --along line") from error
        steps = "steps of z" if self.along == "line" else "angles of z"
        where = f"to {self.end} (right)"
        if self.end is None:
            where = f"by what {self.plus} has and {self.minus} has not"
        near = ", ".join(
            f"{error:.5f} of {of}" for error, of in zip(errors, [*ends, *sets], strict=True)
        )
        return images, (
            f"f(z) in even {steps}, from {self.start} (left) {where}, as the model reconstructs "
            f"them: mean squared errors on the scale of [-1, 1] are {near}"
        )

    def _walk(self, model: Model, latents: tuple[Tensor, ...]) -> Walk:
        """Go to the second latent, or by what the two sets differ in."""
        first, second = latents[:2]
        if self.end is not None:
            return interpolate(model, first, second, count=self.count, along=self.along)
        plus = latents[2]
        return latent_arithmetic(model, first, second, plus, count=self.count, along=self.along)


def _picture(model: Model, path: Path, option: str) -> Tensor:
    """Return the one picture of a path, (1, C, H, W).

    Raises:
        TigonError: if there are several
    """
    images = images_for(model, path)
    if len(images) > 1:
        raise TigonError(f"{option} {path}: has {counted(len(images), 'picture')}; give one")
    return images.read()
