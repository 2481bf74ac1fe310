"""Image sizes: from words and configs to rectangles that both kinds of model learn and draw."""

import json
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from small import descriptor_recipe, generator_recipe
from tigon.cli.main import main
from tigon.data.load import load_images
from tigon.figures import latent_grid, stages
from tigon.random.streams import make_rng
from tigon.recipes import GeneratorRecipe
from tigon.runs.config import from_plain, to_plain
from tigon.sizes import image_size, parse_size, pyramid, sides, size_text

RECIPES = {"generator": generator_recipe, "descriptor": descriptor_recipe}
SIDES = st.integers(1, 8192)


@given(SIDES, SIDES)
def test_a_size_survives_words_and_config(height, width):
    size = image_size(height, width)
    assert parse_size(size_text(size)) == size and sides(size) == (height, width)
    plain = tomllib.loads(tomli_w.dumps(to_plain(GeneratorRecipe(image_size=size))))
    assert from_plain(GeneratorRecipe, plain).image_size == size
    assert from_plain(GeneratorRecipe, json.loads(json.dumps(plain))).image_size == size


@pytest.mark.parametrize(
    "text", ["", "x", "8x", "x8", "8x8x8", "-8", "8.5", "٣", "8 x 8", "9" * 30]
)
def test_words_that_name_no_size_are_refused(text):
    with pytest.raises(ValueError, match="HEIGHTxWIDTH"):
        parse_size(text)


@pytest.mark.parametrize("wrong", ["48x64", [48], [48, "64"], 1.5, True, None])
def test_configs_that_name_no_size_are_refused(wrong):
    with pytest.raises(ValueError, match="image_size is"):
        from_plain(GeneratorRecipe, {"image_size": wrong})


@st.composite
def grids(draw) -> tuple[int, int]:
    """Sizes that a generator can have: a grid whose shorter side is 4 to 7, doubled."""
    short, longer, times = (
        draw(st.integers(4, 7)),
        draw(st.integers(0, 5)),
        draw(st.integers(1, 2)),
    )
    pair = (short * 2**times, (short + longer) * 2**times)
    return pair if draw(st.booleans()) else pair[::-1]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("channels", [1, 3])
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(size=grids(), mean_image=st.booleans())
def test_rectangles_are_loaded_learned_and_drawn(name, channels, pictures, size, mean_image):
    images = load_images(pictures, size, channels=channels)
    assert images.pixels.shape[1:] == (*size, channels) and sides(images.image_size) == size
    recipe = RECIPES[name](image_size=size, channels=channels)
    if name == "descriptor" and mean_image:
        chains = type(recipe.chains)(steps=2, start="mean-image")
        recipe = descriptor_recipe(image_size=size, channels=channels, chains=chains)
    trainer = recipe.trainer(images)
    record = trainer.step()
    assert record["iteration"] == 1
    again = recipe.restored(trainer.learner.chain_tensors())
    again.load_state_dict(trainer.learner.state_dict())
    drawn = trainer.learner.sample(2, make_rng(0))
    assert drawn.shape == (2, channels, *size)
    assert torch.equal(again.sample(2, make_rng(0)), drawn)


def test_the_cropped_centre_of_a_rectangle_keeps_its_proportions(tmp_path):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[10:30] = 200  # the centre half, which is what 20 x 40 is
    Image.fromarray(pixels).save(tmp_path / "a.png")
    cropped = load_images(tmp_path, (20, 40), "crop").pixels[0]
    assert cropped.shape == (20, 40, 3) and (cropped[1:-1] == 200).all()


@pytest.mark.parametrize("name", RECIPES)
def test_the_command_line_learns_reports_and_exports_rectangles(
    name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = [
        "train",
        name,
        "--data",
        "embedded:animal-faces",
        "--out",
        "run",
        "--image-size",
        "8x12",
    ]
    assert main([*words, "--network.width", "4", "--iterations", "3"]) == 0
    assert main(["sample", "run", "--count", "3", "--out", "run.npz"]) == 0
    assert main(["export", "run", "--out", "model"]) == 0
    assert main(["sample", "model", "--count", "3", "--out", "model.npz"]) == 0
    drawn = [np.load(f"{where}.npz")["images"] for where in ("run", "model")]
    assert drawn[0].shape == (3, 8, 12, 3) and np.array_equal(*drawn)
    assert (
        os.path.getsize("run/report.html") and "8 x 12 x 3" in Path("run/report.html").read_text()
    )
    assert main([*words[:-1], "12x8", "--network.width", "4", "--iterations", "3"]) == 2
    assert "image_size" in capsys.readouterr().err


def test_figures_keep_the_proportions_of_rectangles():
    pixels = np.zeros((4, 32, 64, 3), np.uint8)
    for figure in (
        latent_grid(pixels, np.array([-1.0, 1.0]), ("a", "b")),
        stages([("a", pixels)]),
    ):
        figure.canvas.draw()
        axes = figure.axes[0]
        box = axes.get_window_extent()
        shown = axes.images[0].get_array().shape
        assert box.height / box.width == pytest.approx(shown[0] / shown[1], rel=0.1)


@pytest.mark.parametrize(
    ("size", "most", "found"),
    [
        (64, None, [8, 16, 32, 64]),
        (64, 1, [64]),
        (64, 2, [32, 64]),
        (8, None, [8]),
        (28, None, [14, 28]),
        (48, None, [12, 24, 48]),
        ((32, 48), None, [(8, 12), (16, 24), (32, 48)]),
        ((8, 64), None, [(8, 64)]),
    ],
)
def test_a_pyramid_halves_a_size_while_halves_are_even_and_at_least_8(size, most, found):
    assert pyramid(size, most) == found
