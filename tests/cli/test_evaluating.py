"""tigon evaluate: tables, evaluation.json, and what diagnose makes of it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from learned import run_of
from small import LEARNED
from tigon.data.load import load_images
from tigon.recipes.settings import ImageChains
from tigon.runs.evaluation import saved_results
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
    results = saved_results(Run(run))
    assert all(name.endswith(f" images of {held_out}") for name in results)
    assert bool(results) == bool(values["samples"] or values["reconstructions"])
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


def test_a_run_whose_checkpoints_are_gone_is_diagnosed_without_its_evaluation(
    tigon, held_out, tmp_path
):
    run = run_copy("generator", tmp_path)
    tigon("evaluate", run, "--data", held_out, "--starts", 1)
    shutil.rmtree(run / "checkpoints")
    status, out, _ = tigon("diagnose", run, "--json")
    assert status == 0 and "its chains could not be run" in out


def test_images_that_are_all_the_same_have_nothing_to_compare_with(tigon, held_out, tmp_path):
    np.savez(tmp_path / "same.npz", images=np.full((3, 8, 8, 3), 90, np.uint8))
    words = ["--data", tmp_path / "same.npz", "--out", tmp_path / "run", "--no-report"]
    tigon("train", "generator", *words, *LEARNED)
    status, _, err = tigon("evaluate", tmp_path / "run", "--data", held_out)
    assert status == 2 and "training images" in err and "all the same" in err


def test_training_images_are_refused_as_held_out_ones(tigon, tmp_path):
    run = run_copy("generator", tmp_path)
    status, _, err = tigon("evaluate", run, "--data", Run(run).experiment.data)
    assert status == 2 and "are training images; give images that the model has not" in err
    assert not (run / "evaluation.json").exists()


FAST = ["--count", 4, "--likelihood-chains", 2, "--likelihood-temperatures", 3, "--starts", 1]
ROWS = [
    "model, held-out images",
    "model, images it drew",
    "PPCA, its own sigma",
    "PPCA, the model's sigma",
]


def test_how_probable_held_out_images_are(tigon, held_out, tmp_path):
    run = run_copy("generator", tmp_path)
    words = ["--data", held_out, "--likelihood", "--likelihood-images", 4, *FAST]
    status, out, err = tigon("evaluate", run, *words, "--json")
    values = json.loads(out)
    assert status == 0 and values == json.loads((run / "evaluation.json").read_text())
    found = values["likelihood"]
    rows = found["rows"]
    assert [row for row in ROWS if row in rows] == list(rows) and list(rows)[:2] == ROWS[:2]
    assert [rows[name]["images"] for name in ROWS[:2]] == [4, 2]
    own, same = rows[ROWS[0]], rows[ROWS[3]]
    assert own["sigma"] == same["sigma"] == pytest.approx(0.3) and own["dimensions"] == 192
    assert own["lower"] < own["below"] and own["above"] < own["upper"]
    assert same["lower"] == same["below"] == same["upper"] and same["below_error"] == 0
    bits, more = own["bits_per_dimension"], own["bits_per_dimension_of_255"]
    for end in ("lower", "upper", "below", "above"):
        assert bits[end] == pytest.approx(-own[end] / 192 / np.log(2))
        assert more[end] - bits[end] == pytest.approx(np.log2(127.5))
    assert bits["above_error"] == pytest.approx(own["above_error"] / 192 / np.log(2))
    assert found["confidence"] == 0.999 and found["crossed"] == []
    assert any("of held-out images its lower end does" in note for note in values["notes"])


def test_the_table_shows_each_end_with_its_error_and_the_bracket(tigon, held_out, tmp_path):
    """In nats and in bits per dimension; two images are few, so that the bracket is wide."""
    run = run_copy("generator", tmp_path)
    words = ["--data", held_out, "--likelihood", "--likelihood-images", 2, *FAST]
    status, out, _ = tigon("evaluate", run, *words)
    assert status == 0 and "2 chains and 3 temperatures each way" in out
    number = r"-?\d+\.\d+"
    end = rf" +{number} ± \S+"
    heads = r" +from below +from above +99\.9 % bracket"
    rows = [line for line in out.splitlines() if ROWS[0] in line]
    assert len(rows) == 2 and len(re.findall(heads, out)) == 2
    for line in rows:
        assert re.search(rf"{ROWS[0]}( +2)?{end}{end} +{number} to {number}", line)
    assert "bits per dimension, -log2 p: lower is better" in out
    found = json.loads((run / "evaluation.json").read_text())["likelihood"]
    assert found["width"] > 1 and found["wide"]
    assert "it is wide, and log p is not known" in out
    assert "of it are what chance may have done" in out and "more --likelihood-images" in out
    report = tigon("report", run)
    assert report[0] == 0
    shown = (run / "report.html").read_text()
    own = found["rows"][ROWS[0]]
    assert f"{own['lower']:.1f} to {own['upper']:.1f} (nats per image" in shown


def test_a_learned_prior_has_a_constant_that_is_estimated(tigon, held_out, tmp_path):
    run = run_copy("latent-ebm", tmp_path)
    words = ["--data", held_out, "--likelihood", "--likelihood-images", 2, *FAST, "--json"]
    values = json.loads(tigon("evaluate", run, *words)[1])
    assert list(values["likelihood"]["rows"])[:2] == ROWS[:2]
    assert any("the prior is known up to a constant" in note for note in values["notes"])


def test_a_density_of_images_has_one_constant(tigon, held_out, tmp_path):
    source = run_of("descriptor", grids=1, chains=ImageChains(steps=3, temperature=1.0))
    run = Path(shutil.copytree(source, tmp_path / "run"))
    words = ["--data", held_out, "--likelihood", *FAST, "--json"]
    status, out, err = tigon("evaluate", run, *words)
    assert status == 0, err
    values = json.loads(out)
    assert list(values["likelihood"]["rows"])[0] == ROWS[0]
    assert ROWS[1] not in values["likelihood"]["rows"]
    assert any("shared by all images" in note for note in values["notes"])
    assert values["likelihood"]["wide"]
    (bracket,) = [f for f in values["findings"] if f["name"] == "likelihood bracket"]
    assert "it is wide, and log p is not known" in bracket["what"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--likelihood-images", "4"], "--likelihood-images: has no effect without --likelihood"),
        (
            ["--likelihood", "--likelihood-images", "0"],
            "--likelihood-images 0: must be at least 1",
        ),
        (
            ["--likelihood", "--likelihood-chains", "1"],
            "--likelihood-chains 1: must be at least 2",
        ),
        (["--likelihood", "--likelihood-temperatures", "-3"], "temperatures -3: must be at least"),
    ],
)
def test_options_of_the_likelihood_are_checked_first(words, said, tigon):
    status, out, err = tigon("evaluate", "no-run", *words)
    assert (status, out) == (2, "") and said in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("descriptor", "temperature 0.001 and not 1"),
        ("cooperative", "a sampler and not a density"),
    ],
)
def test_a_sampler_has_no_likelihood(name, said, tigon, held_out, tmp_path):
    run = run_copy(name, tmp_path)
    status, out, err = tigon("evaluate", run, "--data", held_out, "--likelihood")
    assert (status, out) == (2, "") and "--likelihood: " in err and said in err.splitlines()[-1]
    assert not (run / "evaluation.json").exists()
