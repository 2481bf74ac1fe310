"""tigon score, on runs and images that they have not learned from."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from learned import model_folder, run_of
from small import generator_recipe
from tigon.inference.score import percentiles
from tigon.models.base import Model
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def normal(tmp_path):
    """A folder of 24 pictures."""
    rng = np.random.default_rng(3)
    for k in range(24):
        write(tmp_path / "normal" / f"{k:02}.png", rng.integers(0, 256, (8, 8, 3), np.uint8))
    return tmp_path / "normal"


@pytest.fixture
def score(tigon, pictures, normal):
    """Score the pictures with one chain each."""
    words = ["--data", pictures, "--starts", "1"]
    return lambda model, *more: tigon("score", model, *words, *more)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        ("generator", ["minus_log_joint", "reconstruction_error", "minus_log_prior"]),
        ("descriptor", ["minus_log_density", "gradient_norm"]),
    ],
)
def test_scores_and_percentiles_of_each_image_are_written(score, recipe, names):
    words = ["--calibrate", "normal", "--out", "s.csv", "--contamination", "0.1"]
    status, text, _ = score(run_of(recipe), *words)
    rows = rows_of("s.csv")
    assert status == 0 and f"5 images scored by {names[0]}, beside 24" in text
    columns = ["name", *names, *(f"{name}_percentile" for name in names), "label"]
    assert [*rows[0]] == columns and [row["name"] for row in rows] == [
        f"{k}.png" for k in range(5)
    ]
    scores = np.array([[float(row[name]) for name in names] for row in rows])
    above = np.array([[float(row[f"{name}_percentile"]) for name in names] for row in rows])
    assert ((above >= 0) & (above <= 96)).all() and np.isfinite(scores).all()
    assert np.allclose(above * 25 / 100, np.round(above * 25 / 100), atol=1e-3)
    labels = np.array([int(row["label"]) for row in rows])
    assert (labels == (above[:, 0] >= 90)).all()
    most = rows[int(scores[:, 0].argmax())]["name"]
    assert text.split("most unusual:\n")[1].splitlines()[1].startswith(f"  {most} ")


def test_images_that_the_run_held_out_give_the_percentiles(tigon, normal):
    pixels = np.random.default_rng(4).integers(0, 256, (60, 8, 8, 3), np.uint8)
    np.savez("many.npz", images=pixels)
    for run, share in (("run", 0.4), ("few", 0.1)):
        recipe = generator_recipe(held_out=share, iterations=2)
        train(Experiment("generator", recipe, str(Path("many.npz").resolve())), Path(run), "cpu")
    new = ["--data", normal, "--starts", "1", "--json", "--out", "s.csv"]
    status, text, _ = tigon("score", "run", *new, "--by", "minus_log_prior")
    values = json.loads(text)
    assert status == 0 and values["calibration"] == 24 and values["by"] == "minus_log_prior"
    assert values["threshold"] is None and len(values["most_unusual"]) == 5
    status, text, _ = tigon("score", "run", *new, "--count", "20")
    assert json.loads(text)["calibration"] == 20
    last = tigon("score", "few", *new)[2].splitlines()[-1]
    assert "run few: percentiles need 20 or more" in last and "there are 6" in last
    (normal.parent / "many.npz").rename(normal.parent / "moved.npz")
    status, _, err = tigon("score", "run", *new)
    assert status == 2 and "many.npz': no such folder" in err and "--data NEW" not in err


def test_scores_alone_are_written_where_they_are_asked_for(score, tmp_path):
    folder = model_folder("descriptor", tmp_path / "model")
    status, text, _ = score(folder, "--raw", "--out", "s.csv")
    assert status == 0 and [*rows_of("s.csv")[0]] == ["name", "minus_log_density", "gradient_norm"]
    assert "percentile" not in text and "it is no likelihood" in text
    status, _, err = score(folder, "--out", "t.csv")
    assert status == 2 and "--calibrate, or ask for scores alone with --raw" in err


def test_training_images_are_no_calibration(score, normal, tmp_path):
    run = shutil.copytree(run_of("generator"), tmp_path / "run")
    with np.load(Run(run).experiment.data) as arrays:
        write(normal / "99.png", arrays["images"][2])
    words = ["--calibrate", "normal", "--out", "s.csv"]
    status, out, err = score(run, *words)
    assert (status, out) == (2, "") and err.endswith(
        "tigon: --calibrate normal: 1 of 25 calibration images are training images; give images "
        "that the model has not learned from\n"
    )
    assert not Path("s.csv").exists()
    assert score(model_folder("generator", tmp_path / "model"), *words)[0] == 0
    config = run / "config.toml"
    config.write_text(config.read_text().replace("pictures.npz", "moved.npz"))
    status, _, err = score(run, *words)
    assert status == 0 and "--calibrate normal: not compared with the run's training images" in err


def test_images_of_the_calibration_among_those_to_score_are_counted(score, normal):
    words = ["--calibrate", "normal", "--out", "s.csv"]
    said = "calibration images are also to be scored: percentiles are meant for images that"
    assert said not in score(run_of("generator"), *words)[2]
    status, _, err = score(run_of("generator"), *words, "--data", normal / "03.png")
    assert status == 0 and f"1 of 24 {said}" in err


def test_maps_are_pictures(score):
    model, words = run_of("generator"), ["--calibrate", "normal", "--out", "s.csv"]
    assert score(model, *words, "--map", "maps")[0] == 0
    status, text, _ = score(model, *words, "--map", "maps.png")
    assert status == 0 and "maps.png: maps, white where the value is" in text
    assert Image.open("maps.png").width >= 320
    maps = [np.asarray(Image.open(f"maps/0000{k}.png")) for k in range(5)]
    errors = [float(row["reconstruction_error"]) for row in rows_of("s.csv")]
    assert maps[0].shape == (8, 8) and np.argmax(errors) == np.argmax([m.mean() for m in maps])


@pytest.fixture
def root(tmp_path):
    """A benchmark of grey images; a defect is a white square in one corner."""
    rng = np.random.default_rng(5)

    def grey():
        return rng.integers(100, 120, (8, 8, 3), np.uint8)

    for k in range(8):
        write(tmp_path / "mv/train/good" / f"{k}.png", grey())
        write(tmp_path / "mv/test/good" / f"{k}.png", grey())
        spoilt = grey()
        spoilt[:3, :3] = 255
        write(tmp_path / "mv/test/spot" / f"{k}.png", spoilt)
        mask = np.zeros((8, 8), np.uint8)
        mask[:3, :3] = 255
        write(tmp_path / "mv/ground_truth/spot" / f"{k}_mask.png", mask)
        write(tmp_path / "mv/test/dark" / f"{k}.png", grey() // 2)
    return tmp_path / "mv"


@pytest.mark.parametrize("recipe", ["generator", "descriptor"])
def test_a_benchmark_of_anomalies_is_read_whole(tigon, root, tmp_path, recipe):
    """The runs know nothing of these images: baselines of a model folder learn from train/good."""
    folder = model_folder(recipe, tmp_path / "model")
    words = ["--data", root, "--raw", "--starts", "1", "--out", "s.csv"]
    status, text, _ = tigon("score", folder, *words)
    assert status == 0 and "AUROC of images" in text and "AUROC of pixels" in text
    rows = rows_of("s.csv")
    assert [row["class"] for row in rows] == ["dark"] * 8 + ["good"] * 8 + ["spot"] * 8
    values = json.loads(tigon("score", folder, *words, "--json")[1])
    baselines = ["PCA residual", "nearest features"]
    if recipe == "generator":  # 7 components of 8 images leave a Gaussian nothing
        baselines.append("Gaussian (PPCA)")
    assert ("Gaussian (PPCA): left out" in text) == (recipe == "descriptor")
    assert all(values["auroc"][name]["spot"] == 1 for name in baselines)
    assert values["pixel_auroc"]["PCA residual"]["all"] > 0.95
    main = [float(row[values["by"]]) for row in rows]
    pairs = [np.sign(one - other) for one in main[16:] for other in main[8:16]]
    assert values["auroc"][values["by"]]["spot"] == pytest.approx((1 + np.mean(pairs)) / 2)
    assert {*values["auprc"]} == {*values["auroc"]} and {*values["pixel_auroc"]["map"]} == {"all"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "held out no images, which percentiles need; give some with --calibrate"),
        (["--calibrate", "pictures"], "--calibrate pictures: percentiles need 20 or more"),
        (["--calibrate", "nowhere"], "data 'nowhere': no such folder"),
        (["--calibrate", "normal", "--raw"], "--raw: has no calibration, which --calibrate"),
        (["--raw", "--contamination", "0.1"], "--raw: has no calibration, which --contamination"),
        (["--raw", "--by", "loss"], "--by: no score 'loss': this model gives minus_log_joint,"),
        (["--raw", "--starts", "0"], "--starts must be at least 1"),
        (["--raw", "--count", "19"], "--count 19: must be at least 20"),
        (["--calibrate", "normal", "--contamination", "0.6"], "--contamination 0.6: must be"),
        (["--calibrate", "normal", "--contamination", "nan"], "--contamination nan: must be"),
        (["--calibrate", "normal", "--contamination", "0.02"], "give 49 or more, or a higher"),
        (["--raw", "--out", "s.txt"], "--out s.txt: must be .csv"),
        (["--raw", "--map", "m.gif"], "--map m.gif: must be .png or a folder"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(score, tmp_path, words, said):
    status, out, err = score(run_of("generator"), "--out", "s.csv", *words)
    last = err.splitlines()[-1]
    assert (status, out) == (2, "") and last.startswith("tigon:") and said in last
    assert not [*tmp_path.glob("*.csv"), *tmp_path.glob("m*")]


def test_a_model_that_only_draws_is_refused(score, monkeypatch):
    class Mute(Model):
        sample = config = from_config = image_shape = None

    monkeypatch.setattr("tigon.cli.scoring.load", lambda *_: Mute())
    status, _, err = score("run", "--raw", "--out", "s.csv")
    assert status == 2 and "run: score needs a model with latents or a log-density" in err


def test_the_verb_gives_what_python_gives(score):
    import torch

    from tigon.data.load import load_images
    from tigon.export.load import load
    from tigon.inference.score import score_all
    from tigon.models.cold_start import ColdStart

    run = run_of("generator")
    assert score(run, "--calibrate", "normal", "--out", "s.csv")[0] == 0
    beside = score_all(load(run), load_images("normal", 8), ColdStart(1), purpose="calibration")
    for name, calibration in beside.scores.items():
        scores = torch.tensor([float(row[name]) for row in rows_of("s.csv")])
        expected = percentiles(scores, calibration)
        found = [float(row[f"{name}_percentile"]) for row in rows_of("s.csv")]
        assert np.allclose(found, expected, atol=100 / 25 + 1e-3)
