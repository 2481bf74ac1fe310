"""tigon evaluate: tables, evaluation.json, and what diagnose makes of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from learned import run_of
from tigon.data.load import load_images
from tigon.runs.run import Run


@pytest.fixture
def held_out(tmp_path):
    """Forty pictures that no run has seen."""
    pixels = np.random.default_rng(3).integers(0, 256, (40, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "held-out.npz", images=pixels)
    return tmp_path / "held-out.npz"


def run_copy(name, to):
    """A run folder of a recipe that may be written to."""
    return Path(shutil.copytree(run_of(name), to / "run"))


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_a_run_is_measured_beside_its_baselines(name, tigon, held_out, tmp_path):
    run = run_copy(name, tmp_path)
    status, out, _ = tigon("evaluate", run, "--data", held_out, "--starts", 1, "--json")
    values, saved = json.loads(out), json.loads((run / "evaluation.json").read_text())
    assert status == 0 and values == saved and values["held_out"] == 40
    names = ["model", "PCA", "nearest training image", "mean image"]
    assert list(values["reconstructions"]) == (names if name == "generator" else [])
    if not values["samples"]:
        assert "pip install 'tigon[features]'" in values["notes"][0]
    else:
        assert list(values["samples"])[0] == "model"
        assert values["samples"]["mean image"]["recall"] <= 0.2
    diagnosed = tigon("diagnose", run, "--json")[1]
    named = {finding["name"] for finding in json.loads(diagnosed)["findings"]}
    assert {f["name"] for f in values["findings"]} <= named


def test_the_error_of_the_mean_image_is_the_held_out_images_own(tigon, held_out, tmp_path):
    run = run_copy("generator", tmp_path)
    out = tigon("evaluate", run, "--data", held_out, "--starts", 1, "--json")[1]
    size = Run(run).images().image_size
    y, mean = load_images(held_out, size).read(), Run(run).images().mean_image()
    expected = (y - mean).square().mean().item()
    found = json.loads(out)["reconstructions"]["mean image"]
    assert found["error"] == pytest.approx(expected, rel=1e-4)


def test_training_images_are_refused_as_held_out_ones(tigon, tmp_path):
    run = run_copy("generator", tmp_path)
    status, _, err = tigon("evaluate", run, "--data", Run(run).experiment.data)
    assert status == 2 and "are training images; give images that the model has not" in err
    assert not (run / "evaluation.json").exists()
