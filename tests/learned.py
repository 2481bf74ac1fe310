"""Runs and model folders of every recipe, of five photographs of 8 x 8, made once a session."""

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from small import PHOTOGRAPHS
from tigon.export.card import Licence, facts_of, make_card
from tigon.export.load import load
from tigon.recipes import GeneratorRecipe, recipes
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run


@cache
def _home() -> Path:
    home = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    photographs = [Image.open(path).convert("RGB").resize((8, 8)) for path in PHOTOGRAPHS[:5]]
    pixels = np.stack([np.asarray(photograph) for photograph in photographs])
    np.savez(home / "pictures.npz", images=pixels)
    Image.fromarray(np.tile(pixels[0], (3, 3, 1))).save(home / "wall.png")
    return home


@cache
def run_of(name: str, **options) -> Path:
    """A run folder of a recipe, with options of the recipe; not to be changed."""
    recipe = recipes()[name](image_size=8, iterations=3, held_out=0.0)
    if isinstance(recipe, GeneratorRecipe):
        mixed = name in ("cooperative", "latent-ebm")  # as they would be of 600 images
        recipe = replace(recipe, latent_dim=2, components=2 if mixed else 1)
    recipe = replace(recipe, network=replace(recipe.network, width=4))
    if name.startswith("descriptor") or name == "texture":
        recipe = replace(recipe, chains=replace(recipe.chains, steps=3))
    start = options.pop("start", None)
    if start:
        recipe = replace(recipe, chains=replace(recipe.chains, start=start))
    given = [f"{key}={value}" for key, value in options.items()]
    folder = _home() / "-".join([name, start or "", *given])
    data = _home() / ("wall.png" if name == "texture" else "pictures.npz")
    experiment = Experiment(name, replace(recipe, **options), str(data))
    train(experiment, folder, "cpu")
    return folder


@cache
def _exported(name: str) -> Path:
    run = run_of(name)
    model = load(run)
    model.card = make_card(model, facts_of(Run(run), Licence("cc0-1.0")))
    folder = _home() / f"{name}-model"
    model.save_pretrained(folder)
    return folder


def model_folder(name: str, to: Path) -> Path:
    """A model folder of a recipe, a fresh copy at `to`."""
    return shutil.copytree(_exported(name), to)
