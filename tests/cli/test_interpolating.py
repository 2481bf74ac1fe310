"""tigon interpolate on photographs: ways between them, and what light and dark ones differ in."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from tigon.cli.main import main
from tigon.data.load import load_images
from tigon.data.pixels import to_uint8
from tigon.export.load import load
from tigon.inference.interpolation import interpolate
from tigon.random.streams import RowRng

SIDE, DARK = 16, ("cat", "dog", "lemur", "owl", "pika", "sheep")


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A folder with ten photographs, dark copies of six, and a run that has learned them."""
    folder = tmp_path_factory.mktemp("learned")
    images = load_images("embedded:animal-faces", SIDE)
    for name in ("light", "dark"):
        (folder / "data" / name).mkdir(parents=True)
    for name, pixels in zip(images.names, images.pixels, strict=True):
        Image.fromarray(pixels).save(folder / "data" / "light" / name)
        if name.removesuffix(".png") in DARK:
            Image.fromarray(pixels // 2).save(folder / "data" / "dark" / name)
    words = ["--latent-dim", "6", "--network.width", "16", "--image-size", str(SIDE)]
    words += ["--iterations", "80", "--no-report", "--out", str(folder / "run")]
    assert main(["train", "generator", "--data", str(folder / "data"), *words]) == 0
    return folder


def walked(tigon, folder, *words, count):
    """The images on a way, float (count, SIDE, SIDE, 3), and what was said of it."""
    out = ["--out", "way.png", "--count", count]
    status, text, err = tigon("interpolate", folder / "run", *out, *words)
    assert status == 0, err
    tiles = np.asarray(Image.open("way.png"))[2:-2, 2:].astype(float)
    return np.stack(np.split(tiles, count, 1))[:, :, :SIDE], text


def reconstructed(tigon, folder, *names):
    """Images f(z), float, and latents of photographs, as `tigon reconstruct` finds them."""
    found = {"images": [], "latents": []}
    for name in names:
        data = ["--data", folder / "data" / "light" / name]
        assert tigon("reconstruct", folder / "run", *data, "--out", "r.npz")[0] == 0
        with np.load("r.npz") as arrays:
            for key, values in found.items():
                values.append(arrays[key][0])
    return np.stack(found["images"]).astype(float), torch.from_numpy(np.stack(found["latents"]))


def decoded(folder, latents):
    return to_uint8(load(folder / "run").eval().decode(latents)).astype(float)


def levels_apart(images, others):
    """Root of the mean squared difference, in grey levels."""
    return np.sqrt(np.square(images - others).mean())


def between(folder, *names):
    light = folder / "data" / "light"
    return ["--from", light / names[0], "--to", light / names[1]]


@pytest.mark.parametrize("along", ["line", "arc"])
def test_the_ends_are_the_reconstructions_of_the_two_photographs(tigon, learned, along):
    pair = "cat.png", "koala.png"
    images, text = walked(tigon, learned, *between(learned, *pair), "--along", along, count=5)
    found, _ = reconstructed(tigon, learned, *pair)
    truth = [np.asarray(Image.open(learned / "data" / "light" / name)) for name in pair]
    errors = [float(number) for number in re.findall(r"(0\.\d{5}) of ", text)]
    for end, own, whole, other, error in zip(
        images[[0, -1]], found, truth, truth[::-1], errors, strict=True
    ):
        near = levels_apart(end, whole)
        assert levels_apart(end, own) < 0.3 * near < 0.2 * levels_apart(end, other)
        assert error == pytest.approx((near / 127.5) ** 2, rel=0.05)


def test_the_middle_of_a_line_is_decoded_from_the_mean_latent(tigon, learned):
    pair = "lemur.png", "sheep.png"
    images, _ = walked(tigon, learned, *between(learned, *pair), count=3)
    ends, latents = reconstructed(tigon, learned, *pair)
    middle = decoded(learned, latents.mean(0, keepdim=True))[0]
    assert levels_apart(images[1], middle) < 3
    assert levels_apart(images[1], ends.mean(0)) > 6  # no double exposure


def test_latents_of_an_arc_keep_the_norm_that_those_of_a_line_lose(tigon, learned):
    pair = "lemur.png", "sheep.png"
    images, _ = walked(tigon, learned, *between(learned, *pair), "--along", "arc", count=3)
    latents = reconstructed(tigon, learned, *pair)[1]
    mean, norm = latents.mean(0), latents.norm(dim=1).mean()
    assert mean.norm() < 0.9 * norm
    directions = torch.nn.functional.normalize(latents, dim=1).sum(0)
    middle = decoded(learned, (norm * directions / directions.norm())[None])[0]
    assert levels_apart(images[1], middle) < 3


def test_the_difference_of_two_folders_makes_a_photograph_darker(tigon, learned):
    """It has seen no dark copy of this one, and both folders are of others."""
    data, light = learned / "data", learned / "six"
    light.mkdir()
    for name in DARK:
        (light / f"{name}.png").write_bytes((data / "light" / f"{name}.png").read_bytes())
    words = ["--from", data / "light" / "panda.png", "--minus", light, "--plus", data / "dark"]
    images, text = walked(tigon, learned, *words, count=4)
    assert f"by what {data / 'dark'} has and {light} has not" in text
    truth = np.asarray(Image.open(data / "light" / "panda.png")) // 2
    assert (np.diff(images.mean((1, 2, 3))) < 0).all()
    assert levels_apart(images[-1], truth) < 0.6 * levels_apart(images[0], truth)


def test_python_draws_the_same_way(tigon, learned):
    pair = "owl.png", "dog.png"
    images, _ = walked(tigon, learned, *between(learned, *pair), "--along", "arc", count=4)
    light = load_images(learned / "data" / "light", SIDE)
    rows = [list(light.names).index(name) for name in pair]
    first, last = light.read()[rows].split(1)
    model, rng = load(learned / "run").eval(), RowRng(0, 0, range(32), "reconstruct")
    walk = interpolate(model, first, last, rng, 4, "arc")
    assert levels_apart(to_uint8(walk.images[0]), images) < 1
