"""The picture of docs/interpolating.md: lines, arcs, and photographs that latents make darker."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from tigon import figures
from tigon.data.load import load_images
from tigon.data.pixels import to_uint8
from tigon.inference.interpolation import Along, interpolate, latent_arithmetic
from tigon.models.abilities import HasLatents
from tigon.models.base import Model
from tigon.random.streams import make_rng
from tigon.recipes import GeneratorRecipe
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

SIZE, COUNT = 32, 8  # pixels, images on each way
PAIRS = (("panda", "red_panda"), ("lemur", "koala"))
NEVER_DARK = ("koala", "red_panda")  # photographs of which the model has not seen a dark copy
DARKER = {
    "dog": "a dog, less light photographs, plus dark ones",
    "red_panda": "a red panda likewise, whose dark photograph is new to the model",
}
WAYS: tuple[Along, Along] = ("line", "arc")


def prepared(runs: Path) -> tuple[list[str], Path]:
    """Write ten photographs and dark copies of eight; return the names and the folder."""
    photographs = load_images("embedded:animal-faces", SIZE)
    names, folder = [Path(name).stem for name in photographs.names], runs / "interpolating"
    for kind in ("light", "dark"):
        (folder / "data" / kind).mkdir(parents=True, exist_ok=True)
    for name, pixels in zip(names, photographs.pixels, strict=True):
        Image.fromarray(pixels).save(folder / "data" / "light" / f"{name}.png")
        if name not in NEVER_DARK:
            Image.fromarray(pixels // 2).save(folder / "data" / "dark" / f"{name}.png")
    return names, folder


def model_of(folder: Path) -> Model:
    """Learn the photographs and the dark copies, unless that is done."""
    recipe = GeneratorRecipe(image_size=SIZE, latent_dim=8, iterations=400)
    recipe = replace(recipe, network=replace(recipe.network, width=32))
    train(Experiment("generator", recipe, str(folder / "data")), folder / "run", "cpu")
    return Run(folder / "run").model().eval()


def interpolated_figure(runs: Path) -> Figure:
    """Show ways between photographs, which are the first and the last image of each row."""
    names, folder = prepared(runs)
    model = model_of(folder)
    assert isinstance(model, HasLatents)
    photographs = load_images(folder / "data" / "light", SIZE).read()
    found = model.infer(photographs, make_rng("pictures", 0))
    errors = found.errors.sort().values
    print(f"photographs are reconstructed with errors of {errors[0]:.5f} to {errors[-1]:.5f}")
    rows = []
    for pair in PAIRS:
        start, end = (names.index(name) for name in pair)
        first, last = (name.replace("_", " ") for name in pair)
        labels = f"from a {first} to a {last}, along a line", "the same, along an arc"
        for label, along in zip(labels, WAYS, strict=True):
            way = went(model, found.latents, start, end, along)
            rows.append((label, between(photographs[start], way, photographs[end])))
    return figures.stages([*rows, *darker(model, names, photographs, found.latents, folder)])


def went(model: Model, latents: Tensor, start: int, end: int, along: Along) -> Tensor:
    """Return images on the way between two photographs, and print norms of latents."""
    walk = interpolate(model, latents[[start]], latents[[end]], count=COUNT + 1, along=along)
    norms = walk.latents[0].norm(dim=1)
    print(f"{along}: norms {norms[0]:.1f}, {norms[COUNT // 2]:.1f}, {norms[-1]:.1f}")
    return interpolate(model, latents[[start]], latents[[end]], count=COUNT, along=along).images[0]


def darker(
    model: Model, names: list[str], photographs: Tensor, latents: Tensor, folder: Path
) -> list[tuple[str, np.ndarray]]:
    """Return rows in which the difference between dark and light photographs is added."""
    dark = load_images(folder / "data" / "dark", SIZE).read()
    assert isinstance(model, HasLatents)
    both = [names.index(name) for name in names if name not in NEVER_DARK]
    plus = model.infer(dark, make_rng("pictures", 1)).latents
    walk = latent_arithmetic(model, latents, latents[both], plus, count=COUNT)
    truth = (photographs + 1) / 2 - 1
    ends = (walk.images[:, -1] - truth).square().flatten(1).mean(1)
    kept = (walk.images[:, 0] - truth).square().flatten(1).mean(1)
    for name, before, after in zip(names, kept, ends, strict=True):
        print(f"{name}: {before:.3f} from its dark copy before, {after:.3f} after")
    rows = []
    for name, label in DARKER.items():
        row = names.index(name)
        rows.append((label, between(photographs[row], walk.images[row], truth[row])))
    return rows


def between(first: Tensor, images: Tensor, last: Tensor) -> np.ndarray:
    """Return images between two others, uint8 (N, H, W, C)."""
    return to_uint8(torch.cat([first[None], images, last[None]]))
