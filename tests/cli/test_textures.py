"""tigon train descriptor --texture: from one picture to images of any size, and tiles."""

import json
import tomllib

import numpy as np
import pytest
import torch
from PIL import Image

from learned import run_of
from tigon.cli.main import led, main
from tigon.data.crops import load_crops
from tigon.errors import TigonError
from tigon.export.load import load

data = pytest.importorskip("skimage.data")
QUICK = ["--image-size", "16", "--network.width", "8", "--chains.steps", "10"]


@pytest.fixture(scope="module")
def wall(tmp_path_factory):
    """A photograph of bricks, 96 x 128, a fifth of the original's size."""
    path = tmp_path_factory.mktemp("wall") / "wall.png"
    Image.fromarray(data.brick()).resize((128, 128), 1).crop((0, 0, 128, 96)).save(path)
    return path


@pytest.fixture(scope="module")
def learned(wall):
    """A run that has learned it a little."""
    run = wall.parent / "run"
    words = ["--texture", str(wall), "--out", str(run), "--iterations", "40", *QUICK]
    words += ["--held-out", "0"]  # measuring takes longer than learning
    assert main(["train", "descriptor", *words]) == 0
    return run


def drawn(tigon, run, *words):
    status, text, err = tigon("sample", run, "--out", "drawn.npz", *words)
    assert status == 0, err
    with np.load("drawn.npz") as arrays:
        return arrays["images"][..., 0].astype(float)


def steps(images):
    """Mean absolute differences of neighbours across the border, and of all other columns."""
    across = np.abs(np.diff(images, axis=2, append=images[:, :, :1])).mean((0, 1))
    return across[-1], across[:-1]


def test_a_texture_is_learned_from_one_picture_and_drawn_at_any_size(tigon, wall, learned):
    config = tomllib.loads((learned / "config.toml").read_text())
    assert config["recipe"] == "texture" and config["data"] == str(wall.resolve())
    images = drawn(tigon, learned, "--size", "32x48", "--count", "24", "--periodic")
    assert images.shape == (24, 32, 48)
    for turned in (images, images.transpose(0, 2, 1)):
        seam, inner = steps(turned)
        assert 0.9 * inner.min() < seam < 1.1 * inner.max()
    crops = load_crops(wall, 16, 1, held_out=0.0).read().double()
    model = torch.from_numpy(images / 127.5 - 1)
    assert abs(model.mean() - crops.mean()) < 0.1
    assert 0.5 < model.std() / crops.std() < 1.5
    pairs = [(x[..., 1:] * x[..., :-1]).mean() - x.mean() ** 2 for x in (model, crops)]
    assert 0.5 < pairs[0] / pairs[1] < 1.5, "the covariance of neighbours"


def test_a_tile_fills_its_picture(tigon, learned):
    words = ["--size", "20", "--periodic", "--count", "1", "--out", "tile.png"]
    assert tigon("sample", learned, *words)[0] == 0
    tile = np.asarray(Image.open("tile.png"))
    assert tile.shape == (20, 20, 3) and tile.std() > 5
    assert tigon("export", learned, "--out", "model")[0] == 0
    assert tigon("sample", "model", *words[:-1], "again.png")[0] == 0
    assert np.array_equal(tile, np.asarray(Image.open("again.png")))


@pytest.mark.slow
def test_a_run_is_measured_goes_on_and_is_judged_as_that_of_a_descriptor_is(tigon, wall):
    words = ["--texture", wall, "--out", "run", "--iterations", "200", *QUICK]
    assert tigon("train", "descriptor", *words)[0] == 0
    with open("run/evaluation.json") as file:
        found = json.load(file)
    assert found["held_out"] == 128 and not any(t["copied"] for t in found["copies"].values())
    assert found["samples"]["model"]["kid"] < found["samples"]["mean image"]["kid"]
    assert tigon("train", "descriptor", *words)[0] == 0
    assert tigon("resume", "run", "--iterations", "202")[0] == 0
    status, out, _ = tigon("diagnose", "run")
    assert status == 0 and "gap of grid 8" in out
    assert tigon("evaluate", "run")[0] == tigon("report", "run")[0] == 0
    status, _, err = tigon("reconstruct", "run", "--data", wall, "--out", "r.png")
    assert status == 2 and "this model has no latents" in err


def test_the_option_is_another_recipe_and_its_data():
    words = ["train", "descriptor", "--seed", "1", "--texture", "a.png", "--out", "run"]
    assert led(words) == ["train", "texture", "--seed", "1", "--data", "a.png", "--out", "run"]
    assert led(["train", "descriptor", "--texture=a.png"]) == ["train", "texture", "--data=a.png"]
    plain = ["train", "descriptor", "--data", "texture"]
    assert led(plain) == plain and led(["train", "texture"]) == ["train", "texture"]
    assert led(["train", "generator", "--texture", "a"]) == [
        "train",
        "generator",
        "--texture",
        "a",
    ]
    with pytest.raises(TigonError, match="give one of --texture and --data, once"):
        led([*words, "--data=b"])


def test_help_names_the_option_and_leads_on(tigon):
    text = " ".join(tigon("train", "descriptor", "--help")[1].split())
    assert "--texture FILE, instead of --data, learns a texture" in text
    assert "--periodic" in tigon("sample", "--help")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--texture", "small.png", "--image-size", "16"], "smaller than the crops of 16"),
        (["--texture", "."], "a texture is learned from one picture; give a file"),
        (["--texture", "none.png"], "data 'none.png': no such folder or file"),
        (["--texture", "small.png", "--data", "."], "give one of --texture and --data, once"),
        (["--texture", "small.png", "--image-size", "9"], "--image-size 9: the sides of crops"),
        (["--texture", "small.png", "--stream"], "--stream: a texture is learned from one"),
        (["--texture", "small.png", "--frames", "all"], "--frames all: a texture is learned"),
        (["--texture", "small.png", "--chains.noise", "-1"], "chains.noise must be at least 0"),
        (["--textur", "small.png"], "did you mean --texture?"),
    ],
)
def test_bad_input_to_train_is_one_line_and_nothing_is_written(tigon, tmp_path, words, said):
    Image.new("L", (14, 30)).save("small.png")
    status, out, err = tigon("train", "descriptor", *words, "--out", "run")
    last = err.splitlines()[-1]
    assert (status, out) == (2, "") and last.startswith("tigon:") and said in last
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("texture", ["--size", "30x33"], "multiples of 2 pixels from 8, such as 30x32, not 30x33"),
        ("texture", ["--size", "0"], "multiples of 2 pixels from 8, such as 8, not 0"),
        ("texture", ["--size", "big"], "a size is a number of pixels or HEIGHTxWIDTH"),
        ("descriptor", ["--size", "32"], "is not of a texture: its images have one size, 8"),
        ("descriptor", ["--periodic"], "--periodic: "),
        ("generator", ["--size", "8"], "is not of a texture: its images have one size, 8"),
    ],
)
def test_bad_sizes_are_refused_in_one_line(tigon, tmp_path, name, words, said):
    status, out, err = tigon("sample", run_of(name), *words, "--out", "drawn.png")
    last = err.splitlines()[-1]
    assert (status, out) == (2, "") and last.startswith("tigon:") and said in last
    assert not (tmp_path / "drawn.png").exists()


def test_a_texture_of_one_grid_samples_its_own_size_with_and_without_borders(tigon):
    assert drawn(tigon, run_of("texture"), "--count", "3").shape == (3, 8, 8)
    assert load(run_of("texture")).at_size(12).image_shape == (3, 12, 12)
