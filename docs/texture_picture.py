"""The picture of docs/texture.md: pictures, images of three times the crops' size, and tilings."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from tigon.data.pixels import to_uint8
from tigon.models.texture import TextureModel
from tigon.random.streams import RowRng
from tigon.recipes import TextureRecipe
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

NAMES, SIDE, TILE = ("gravel", "brick"), 192, 96  # pixels; learned from crops of 64


def run_of(name: str, runs: Path) -> Run:
    """Learn a picture that comes with scikit-image (CC0), unless that is done."""
    from skimage import data

    runs.mkdir(parents=True, exist_ok=True)
    path, run = runs / f"{name}.png", Run(runs / name)
    Image.fromarray(getattr(data, name)()).save(path)
    train(Experiment("texture", TextureRecipe(channels=1), str(path)), run.folder, "cpu")
    return run


def row_of(name: str, runs: Path) -> list[np.ndarray]:
    """Return a part of the picture, an image of the model, and two by two copies of a tile."""
    run = run_of(name, runs)
    model = run.model()
    assert isinstance(model, TextureModel)
    part = run.images().pixels.picture[:SIDE, :SIDE]  # type: ignore[attr-defined]
    image, tile = (
        to_uint8(sized.sample(1, RowRng(0, 0, range(1), "pictures")))[0]
        for sized in (model.at_size(SIDE), model.at_size(TILE, periodic=True))
    )
    return [part, image, np.tile(tile, (SIDE // TILE, SIDE // TILE, 1))]


def texture_figure(runs: Path) -> Figure:
    """Show each texture in a row."""
    figure = Figure((6.6, 2.2 * len(NAMES) + 0.25))
    width, height = figure.get_size_inches()
    said = ("a part of the picture", "an image of the model", "2 x 2 copies of a tile")
    for row, name in enumerate(NAMES):
        for column, pixels in enumerate(row_of(name, runs)):
            bottom = 1 - (0.25 + 2.2 * (row + 1) - 0.05) / height
            axes = figure.add_axes((2.2 * column / width, bottom, 2.15 / width, 2.15 / height))
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.axis("off")
            if row == 0:
                axes.set_title(said[column], fontsize=9, pad=3)
    return figure
