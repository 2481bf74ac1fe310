"""tigon reconstruct: infer latents of images that a generator has not seen."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tigon.cli.common import (
    Data,
    Json,
    ModelFolder,
    Result,
    Which,
    images_for,
    infer,
    load_with_latents,
)
from tigon.data.form import MAX_PIXELS, Frames
from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.errors import TigonError
from tigon.models.cold_start import ColdStart, Reconstruction
from tigon.outputs import check_out, require_rows_viewable, write_images, write_rows

COLUMNS = 10


@dataclass(frozen=True)
class Reconstruct:
    """Infer latents of images the model has not seen, decode them, and print the error.

    Arguments:
        model_folder: a generator's run folder or model folder
        data: a folder of images, a .npz with `images`, or one picture
        out: a .png (images above their reconstructions), a .npz (reconstructions, latents and
            errors) or a folder of PNGs (reconstructions)
        frames: read the first or all pages or frames of a file
        max_pixels: leave out pictures with more pixels than this
        starts: chains per image; the best climbs to the mode. Half of them start at the model's
            linear guess, if it has one, the others at draws from the prior
        seed: seed for the chains, >= 0
        checkpoint: the checkpoint to use: last, best, or an iteration
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        json: print one JSON object instead of text
    """

    model_folder: ModelFolder
    data: Data
    out: Path
    frames: Frames = "first"
    max_pixels: int = MAX_PIXELS
    starts: int = 16
    seed: int = 0
    checkpoint: Which = "last"
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Infer, write, and print errors."""
        if self.starts < 1 or self.seed < 0:
            raise TigonError("--starts must be at least 1, and --seed at least 0")
        check_out(self.out, (self.model_folder, self.data))
        model = load_with_latents(self.model_folder, "reconstruct", self.device, self.checkpoint)
        images = images_for(model, self.data, self.frames, self.max_pixels)
        if self.out.suffix == ".png":
            height, width = images.pixels.shape[1:3]
            require_rows_viewable(self.out, len(images), (height, width), 2, COLUMNS)
        found = infer(model, images.read(), self.starts, self.seed)
        self._write(images, found)
        errors = dict(zip(images.names, found.errors.tolist(), strict=True))
        lines = [f"{name}: {error:.5f}" for name, error in errors.items()]
        mean = found.errors.mean().item()
        how = ColdStart(self.starts)
        lines += [
            said_of(found.errors.tolist()),
            method(how, how.guessed(model)),
            f"{self.out}: {self._what()}",
        ]
        values = {
            "out": str(self.out),
            "mean_squared_error": mean,
            "errors": errors,
            "gradient_evaluations": how.gradient_evaluations,
        }
        return Result("\n".join(lines), values)

    def _what(self) -> str:
        """Say what is written, depending on the path's ending."""
        known = {
            ".png": "the images, each above its reconstruction",
            ".npz": "reconstructions (`images`), `latents` and `errors`",
        }
        return known.get(self.out.suffix, "a PNG of each reconstruction, in the order above")

    def _write(self, images: ImageSet, found: Reconstruction) -> None:
        pixels = to_uint8(found.images)
        if self.out.suffix == ".png":
            write_rows(self.out, paired(np.asarray(images.pixels), pixels))
            return
        latents, errors = found.latents.cpu().numpy(), found.errors.cpu().numpy()
        write_images(self.out, pixels, latents=latents, errors=errors)


def said_of(errors: list[float]) -> str:
    """Say how far reconstructions are from their images, given each mean squared error."""
    mean = sum(errors) / len(errors)
    levels = 127.5 * mean**0.5
    span = f" over {len(errors)} images ({min(errors):.5f} to {max(errors):.5f})"
    return (
        f"mean squared error {mean:.5f}{span if len(errors) > 1 else ''}, on the scale of "
        f"[-1, 1]: its root is {levels:.0f} of 255 grey levels"
    )


def method(how: ColdStart, guessed: int = 0) -> str:
    """Say which chains inferred the latents, at which temperature, and at what cost.

    Arguments:
        guessed: number of an image's chains that start at the model's linear guess
    """
    whose = f"{how.starts} chains from the prior"
    if guessed:
        whose = f"{how.starts} chains, {guessed} of them from a linear guess,"
    chains = f"of {whose} the one that ends highest"
    return (
        f"latents: {chains if how.starts > 1 else 'one chain from the prior'}, by MALA while "
        f"the likelihood's temperature falls from {how.hottest:g} to 1"
        f"{' for chains from the prior' if guessed else ''}; the last {how.steps} "
        f"steps are at temperature 1, the posterior's, and {how.climb} more climb to its mode; "
        f"{how.gradient_evaluations} gradient evaluations an image"
    )


def paired(images: np.ndarray, found: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return labelled rows of images (N, H, W, C), each above its row of reconstructions."""
    rows = []
    for first in range(0, len(images), COLUMNS):
        part = slice(first, first + COLUMNS)
        last = min(first + COLUMNS, len(images))
        span = f"image {last}" if last == first + 1 else f"images {first + 1} to {last}"
        rows += [(span, images[part]), ("reconstructed", found[part])]
    return rows
