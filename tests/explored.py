"""Runs to look around in, learned in an instant, and what a page would be sent."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from small import descriptor_recipe, generator_recipe
from tigon.explorer.hub import Hub
from tigon.explorer.session import Session
from tigon.recipes import Recipe
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

ARRAYS = {"uint8": np.uint8, "float32": np.float32}


def make_pictures(folder: Path, count: int = 5, side: int = 16) -> Path:
    """A folder of pictures, each with its own tint."""
    folder.mkdir()
    numbers = np.random.default_rng(0)
    for k in range(count):
        pixels = numbers.integers(0, 56, (side, side, 3)) + numbers.integers(0, 200, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")
    return folder


def make_run(folder: Path, name: str, recipe: Recipe, data: str | Path) -> Run:
    """Learn a recipe to its end."""
    train(Experiment(name, recipe, str(data)), folder, "cpu")
    return Run(folder)


def make_runs(folder: Path) -> dict[str, Run]:
    """A generator with two latents, one with four, and a descriptor, of 8 x 8 images.

    A descriptor of 16 x 16 images has grids of 8 and 16 pixels.
    """
    data = make_pictures(folder / "pictures")
    recipes = {
        "generator": generator_recipe(),
        "deep": generator_recipe(latent_dim=4),
        "descriptor": descriptor_recipe(),
        "grids": descriptor_recipe(image_size=16),
    }
    return {
        name: make_run(folder / name, type(recipe).name, recipe, data)
        for name, recipe in recipes.items()
    }


def make_calibrated(folder: Path) -> dict[str, Run]:
    """A generator and a descriptor of 8 x 8 images that held 22 of them out."""
    data = make_pictures(folder / "pictures", 44)
    recipes = (generator_recipe(held_out=0.5), descriptor_recipe(held_out=0.5))
    return {kind.name: make_run(folder / kind.name, kind.name, kind, data) for kind in recipes}


def hub_of(run: Run) -> Hub:
    """The hub of a run, on the CPU."""
    return Hub(Run(run.folder), torch.device("cpu"))


def opened(message: str | bytes) -> dict:
    """A message's header, and its arrays under their names."""
    if isinstance(message, str):
        return json.loads(message)
    end = 4 + int.from_bytes(message[:4], "little")
    header, at = json.loads(message[4:end]), end
    for name, kind, shape in header.pop("arrays"):
        size = int(np.prod(shape)) * ARRAYS[kind]().itemsize
        values = np.frombuffer(message[at : at + size], ARRAYS[kind])
        header[name], at = values.reshape(shape), at + size
    assert at == len(message)
    return header


class Page:
    """A page without a browser: a session whose turns are taken by hand."""

    def __init__(self, hub: Hub) -> None:
        self.messages: list[dict] = []
        self.session: Session | None = None
        self.session = hub.join(self._take)
        self.session.unsent = 0
        hub._show(self.session)

    def _take(self, message: str | bytes) -> None:
        self.messages.append(opened(message))
        if self.session is not None:
            self.session.sent()

    def run(self, turns: int = 1000) -> None:
        """Take turns until there is no work, or it waits for a time."""
        for _ in range(turns):
            if self.session.wait(float("inf")) != 0:
                return
            self.session.turn()

    def of(self, kind: str) -> list[dict]:
        """All messages of a type."""
        return [message for message in self.messages if message["type"] == kind]
