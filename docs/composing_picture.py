"""The picture of docs/composing.md: images of two models, and of what is composed of them."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tigon import figures
from tigon.data.load import load_images
from tigon.data.pixels import to_uint8
from tigon.inference.compose import Composed
from tigon.models.base import Model
from tigon.random.streams import RowRng
from tigon.recipes import DescriptorRecipe
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

SIZE, EACH = 32, 5  # of the images; photographs that each model learns


def models_of(runs: Path) -> list[Model]:
    """Learn five photographs each, unless that is done."""
    pixels = np.asarray(load_images("embedded:animal-faces", SIZE).pixels)
    found = []
    for name, part in (("first", pixels[:EACH]), ("last", pixels[EACH : 2 * EACH])):
        path, run = runs / f"{name}.npz", Run(runs / f"composed-{name}")
        runs.mkdir(parents=True, exist_ok=True)
        np.savez(path, images=part)
        recipe = DescriptorRecipe(image_size=SIZE, held_out=0.0)
        train(Experiment("descriptor", recipe, str(path)), run.folder, "cpu")
        found.append(run.model())
    return found


def composed_figure(runs: Path) -> Figure:
    """Show a row of images of each."""
    one, two = models_of(runs)
    rows = {
        "A": one,
        "B": two,
        "mixture of A and B": Composed([one, two], way="mixture"),
        "product of A and B": Composed([one, two]),
        "A without B: weights 1, -0.3": Composed([one, two], [1.0, -0.3]),
    }
    count = 2 * EACH
    rng = RowRng(0, 0, range(count), "pictures")
    drawn = [(name, to_uint8(model.sample(count, rng))) for name, model in rows.items()]
    return figures.stages(drawn)
