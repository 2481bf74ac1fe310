"""Learning from incomplete photographs, from the command line: train, resume, judge, restore."""

import json
import tomllib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small import LEARNED, descriptor_recipe, generator_recipe
from tigon.data.load import load_images
from tigon.learners.generator import GeneratorLearner
from tigon.runs.experiment import train as learn
from tigon.runs.run import Experiment, Run

SIDE, COUNT, SOME = 8, 24, 4


def photographs(folder):
    """Write blends of three photographs, whole and with alpha, and masks that hide a square."""
    images = np.asarray(load_images("embedded:animal-faces", SIDE).pixels[:3]).astype(float)
    numbers = np.random.default_rng(0)
    for name in ("images", "masks", "alpha"):
        (folder / name).mkdir()
    for k in range(COUNT):
        blend = np.tensordot(numbers.dirichlet([0.5] * 3), images, 1).astype(np.uint8)
        mask = np.full((SIDE, SIDE), 255, np.uint8)
        top, left = numbers.integers(0, 5, 2)
        mask[top : top + 4, left : left + 4] = 0
        Image.fromarray(blend).save(folder / "images" / f"{k:02}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{k:02}.png")
        Image.fromarray(np.dstack([blend, mask])).save(folder / "alpha" / f"{k:02}.png")


def pixels(folder):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(Path(folder).iterdir())])


def restored(tigon, count=SOME):
    """Restore the first images, with their masks; return what was said of the errors.

    And the error of the mean of what was observed at each place.
    """
    known, every = pixels("masks") > 0, pixels("images")
    mean = (every * known[..., None]).sum(0) / known[..., None].sum(0)
    known, truth = known[:count], every[:count]
    for folder in ("holes", "whole"):
        Path(folder).mkdir()
    for k, image in enumerate(truth):
        Image.fromarray(image).save(f"whole/{k:02}.png")
        Image.fromarray(np.where(known[k][..., None], image, 9)).save(f"holes/{k:02}.png")
    words = ["--data", "holes", "--mask", "masks", "--truth", "whole", "--chains", "2"]
    status, text, _ = tigon("restore", "run", *words, "--out", "full.npz", "--json")
    found = json.loads(text)
    assert status == 0
    with np.load("full.npz") as arrays:
        apart = arrays["images"].astype(float) - truth
    assert np.abs(apart[known]).max() <= 1  # what was observed is kept
    assert found["missing_error"] == pytest.approx(np.square(apart[~known] / 127.5).mean(), 0.1)
    return found, np.square((truth - mean)[~known] / 127.5).mean()


@pytest.fixture
def folders(tmp_path):
    photographs(tmp_path)
    return tmp_path


def test_what_is_missing_is_recovered_while_learning(tigon, folders):
    words = ["--network.width", "8", "--latent-dim", "2", "--iterations", "300", "--sigma", "0.1"]
    words += ["--data", "images", "--mask", "masks", "--image-size", SIDE, "--held-out", "0"]
    status, _, err = tigon("train", "generator", *words, "--out", "run")
    assert status == 0 and f"25 % of the values of {COUNT} images are missing" in err
    config = tomllib.loads(Path("run/config.toml").read_text())
    assert config["mask"] == str(Path("masks").resolve())
    report = Path("run/report.html").read_text()
    assert f"25 % of the values of {COUNT} training images were not observed" in report
    found, naive = restored(tigon)
    assert found["missing_error"] < 0.3 * naive


@pytest.mark.slow
def test_a_descriptor_recovers_what_is_missing(tigon, folders):
    words = ["--network.width", "16", "--iterations", "150", "--held-out", "0", "--no-report"]
    words += ["--data", "images", "--mask", "masks", "--image-size", SIDE, "--out", "run"]
    assert tigon("train", "descriptor", *words)[0] == 0
    found, naive = restored(tigon, COUNT)
    assert found["missing_error"] < 0.6 * naive
    assert max(record["saturation"] for record in Run(Path("run")).records()) < 0.02


def test_transparent_photographs_teach_a_descriptor_and_a_run_goes_on(tigon, folders):
    recipe = descriptor_recipe(iterations=3)
    learn(
        Experiment("descriptor", recipe, str(folders / "alpha"), mask="alpha"), Path("run"), "cpu"
    )
    assert tomllib.loads(Path("run/config.toml").read_text())["mask"] == "alpha"
    status, text, _ = tigon("resume", "run", "--iterations", "5")
    assert status == 0 and "5 iterations done" in text


def test_a_changed_mask_is_another_data_set(tigon, folders):
    recipe, data = generator_recipe(iterations=3), str(folders / "images")
    begin = partial(Experiment, "generator", recipe, data)
    learn(begin(mask=str(folders / "masks")), Path("run"), "cpu")
    words = [*LEARNED, "--held-out", "0", "--latent-dim", "2", "--iterations", "3"]
    words += ["--data", "images", "--out", "run"]
    status, _, err = tigon("train", "generator", *words)
    assert status == 2 and "mask was" in err.splitlines()[-1]
    Image.new("L", (SIDE, SIDE), 255).save("masks/03.png")
    status, _, err = tigon("resume", "run", "--iterations", "7")
    assert status == 2 and "the images have changed since the run" in err.splitlines()[-1]


def test_held_out_errors_are_over_what_was_observed(tigon, folders):
    recipe = generator_recipe(held_out=0.2)
    place = str(folders / "images"), str(folders / "masks")
    learn(Experiment("generator", recipe, place[0], mask=place[1]), Path("run"), "cpu")
    status, text, _ = tigon("evaluate", "run", "--json")
    found = json.loads(text)
    assert status == 0 and found["reconstructed"] == 5 and not found["samples"]
    assert list(found["reconstructions"]) == ["model", "PCA", "mean image"]
    assert "over those that were observed" in found["notes"][0]
    for row, name in enumerate(Path("run/held-out.txt").read_text().split()):
        image = np.asarray(Image.open(Path("images") / name)).copy()
        image[np.asarray(Image.open(Path("masks") / name)) == 0] = 40 * row  # not looked at
        Image.fromarray(image).save(Path("images") / name)
    again = json.loads(tigon("evaluate", "run", "--json")[1])
    assert again["reconstructions"] == found["reconstructions"]
    status, _, err = tigon("score", "run", "--data", "images", "--out", "s.csv")
    assert status == 2 and "its images have missing values" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("data", "mask", "words", "said"),
    [
        ("images", "none", [], "--mask none: cannot be found; give a picture, a folder of them,"),
        ("images", "few", [], "--mask few: has no mask for 00.png"),
        ("images", "masks", ["--image-size", "16"], "is 8, but the model's images are 16"),
        ("images", "black.png", [], "black.png: keeps nothing"),
        ("images", "alpha", [], "--mask alpha: no image has anything transparent"),
        ("hf:some/set", "masks", ["--stream"], "images of a stream have no names"),
    ],
)
def test_bad_masks_are_one_line_and_nothing_is_written(tigon, folders, data, mask, words, said):
    Path("few").mkdir()
    Image.new("L", (SIDE, SIDE), 0).save("black.png")
    place = ["--data", data, "--mask", mask, "--out", "run", *LEARNED]
    status, out, err = tigon("train", "descriptor", *place, *words)
    last = err.splitlines()[-1]
    assert (status, out) == (2, "") and last.startswith("tigon:") and said in last
    assert "config.toml" not in last and not Path("run").exists()


def test_masks_of_a_run_that_are_gone_are_said_with_what_to_do(tigon, folders):
    place = str(folders / "images"), str(folders / "masks")
    recipe = generator_recipe(iterations=3)
    learn(Experiment("generator", recipe, place[0], mask=place[1]), Path("run"), "cpu")
    Path("masks").rename("elsewhere")
    for words in (["resume", "run", "--iterations", "5"], ["evaluate", "run", "--data", "alpha"]):
        status, _, err = tigon(*words)
        said = "cannot be found; give a picture, a folder of them, or alpha; if the run's masks "
        said += "have moved, move them back, or change `mask` in its config.toml\n"
        assert status == 2 and err.endswith(said)
    Path("images").rename("photographs")
    status, _, err = tigon("resume", "run", "--iterations", "5")
    assert status == 2 and err.endswith("if these have moved, --data NEW says where they are\n")


def test_a_recipe_that_knows_no_masks_refuses_them(tigon, folders, monkeypatch):
    monkeypatch.setattr(GeneratorLearner, "masks", False)
    words = ["--data", "images", "--mask", "masks", "--out", "run", *LEARNED]
    status, _, err = tigon("train", "generator", *words)
    assert status == 2 and "--mask: a generator learns from complete images alone" in err
    assert not Path("run").exists()
