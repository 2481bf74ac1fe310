"""tigon reconstruct: latents of images that a generator has not seen."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tigon.commands.common import (
    Json,
    ModelFolder,
    Result,
    Which,
    generator_of,
    images_for,
    infer,
)
from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.errors import TigonError
from tigon.outputs import check_out, write_images
from tigon.tasks.reconstruction import Reconstruction


@dataclass(frozen=True)
class Reconstruct:
    """Infer latents of images the model has not seen, decode them, and print the error.

    Arguments:
        model_folder: folder of a generator's run, or its model folder
        data: a folder of images, a .npz with `images`, or one picture
        out: a .png (images above their reconstructions), a .npz or a folder of PNGs
        starts: chains for each image, each from its own draw of the prior; the best is kept
        seed: of the chains, >= 0
        checkpoint: of the run that is used: last, best, or an iteration
        device: auto, cpu, cuda or cuda:N
        json: print one JSON object instead of text
    """

    model_folder: ModelFolder
    data: str
    out: Path
    starts: int = 16
    seed: int = 0
    checkpoint: Which = "last"
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Infer, write, and print errors."""
        if self.starts < 1 or self.seed < 0:
            raise TigonError("--starts is at least 1, and --seed at least 0")
        check_out(self.out)
        model = generator_of(self.model_folder, "reconstruct", self.device, self.checkpoint)
        images = images_for(model.recipe, self.data)
        found = infer(model, images.read(), self.starts, self.seed)
        self._write(images, found)
        errors = dict(zip(images.names, found.errors.tolist(), strict=True))
        lines = [f"{name}: {error:.5f}" for name, error in errors.items()]
        mean = found.errors.mean().item()
        lines.append(f"mean squared error {mean:.5f} over {len(images)} images, on [-1, 1]")
        values = {"out": str(self.out), "mean_squared_error": mean, "errors": errors}
        return Result("\n".join(lines), values)

    def _write(self, images: ImageSet, found: Reconstruction) -> None:
        pixels = to_uint8(found.images)
        if self.out.suffix == ".png":
            pixels, columns = interleave(np.asarray(images.pixels), pixels, 10)
            write_images(self.out, pixels, columns)
            return
        latents, errors = found.latents.cpu().numpy(), found.errors.cpu().numpy()
        write_images(self.out, pixels, latents=latents, errors=errors)


def interleave(above: np.ndarray, below: np.ndarray, columns: int) -> tuple[np.ndarray, int]:
    """Lay two sets of images (N, H, W, C) out as pairs of rows; returns them and the columns."""
    columns = min(columns, len(above))
    blank = np.full((-len(above) % columns, *above.shape[1:]), 255, np.uint8)
    sets = [np.concatenate([images, blank]) for images in (above, below)]
    rows = [images.reshape(-1, columns, *images.shape[1:]) for images in sets]
    return np.stack(rows, 1).reshape(-1, *above.shape[1:]), columns
