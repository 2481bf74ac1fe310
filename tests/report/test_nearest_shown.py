"""Nearest training images stand in the report of a run that was evaluated, and are its own."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from learned import run_of
from small import LEARNED
from tigon.cli.main import main
from tigon.report import evaluation_figures, sections
from tigon.runs.diagnosis import Diagnosis
from tigon.runs.run import Run

TITLE = "Nearest training images"


@pytest.fixture(autouse=True)
def no_chains(monkeypatch):
    """Reports without a diagnosis of their own, which takes long."""
    monkeypatch.setattr(sections, "diagnose", lambda *_: Diagnosis("run"))


@pytest.fixture
def held_out(tmp_path):
    """Twenty-four pictures that no run has seen."""
    pixels = np.random.default_rng(3).integers(0, 256, (24, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "held-out.npz", images=pixels)
    return tmp_path / "held-out.npz"


@pytest.fixture
def run(tmp_path):
    """A run that may be written to."""
    return Path(shutil.copytree(run_of("generator"), tmp_path / "run"))


@pytest.fixture
def evaluated(run, held_out, capsys):
    """A function that evaluates it, and returns what is printed."""

    def evaluate(*words):
        words = ["evaluate", run, "--data", held_out, "--starts", 1, *words]
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return evaluate


def shown(run):
    """The captions and pixels of nearest training images in a run's report."""
    assert main(["report", str(run)]) == 0
    page = BeautifulSoup((run / "report.html").read_text(), "html.parser")
    titles = [title for title in page.find_all("h3") if title.text == TITLE]
    sources = [title.find_next("img")["src"].split(",", 1)[1] for title in titles]
    captions = [title.find_next("figcaption").text for title in titles]
    return captions, [pixels(io.BytesIO(base64.b64decode(source))) for source in sources]


def pixels(file):
    return np.asarray(Image.open(file).convert("RGB"))


def test_an_evaluation_draws_them_and_the_report_and_diagnose_show_them(run, evaluated, capsys):
    path = run / "figures" / "nearest.png"
    assert evaluated().endswith(f"\nfigure: {path}\n")
    values = json.loads((run / "evaluation.json").read_text())
    names = [near["image"] for near in values["nearest"]["pixels"]]
    assert len(names) == 5 and set(names) <= set(Run(run).images().names)
    (caption,), (image,) = shown(run)
    assert "The 5 of 5 drawn images that are most like training images" in caption
    assert np.array_equal(image, pixels(path))
    capsys.readouterr()
    assert main(["diagnose", str(run)]) == 0 and f"figure: {path}\n" in capsys.readouterr().out


def test_they_are_drawn_again_when_the_evaluation_is_made_again(run, evaluated):
    evaluated()
    first = shown(run)[1]
    evaluated("--seed", 1)
    again = shown(run)[1]
    assert len(again) == 1 and not np.array_equal(first[0], again[0])
    assert np.array_equal(again[0], pixels(run / "figures" / "nearest.png"))


def test_a_run_that_held_images_out_shows_them_only_once_it_is_evaluated(tigon, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=images)
    words = ("--data", "data.npz", "--out", "run", "--mirror", "no", *LEARNED)
    assert tigon("train", "generator", *words)[0] == 0
    assert shown(tmp_path / "run") == ([], [])
    assert tigon("evaluate", "run", "--starts", 2)[0] == 0
    assert "of all 54 training images" in shown(tmp_path / "run")[0][0]


def test_without_held_out_images_the_reports_own_are_shown_until_it_is_evaluated(run, evaluated):
    (caption,), (image,) = shown(run)
    assert "The first 5 images of the model, not selected" in caption
    assert np.array_equal(image, pixels(run / "figures" / "samples-nearest.png"))
    assert not (run / "figures" / "nearest.png").exists()
    evaluated()
    assert "most suspicious first" in shown(run)[0][0]


def test_those_of_another_checkpoint_are_not_shown(run, evaluated):
    evaluated()
    assert [figure.name for figure in evaluation_figures(Run(run))] == ["nearest"]
    assert main(["resume", str(run), "--iterations", "5", "--no-report"]) == 0
    assert evaluation_figures(Run(run)) == []


DAMAGE = {
    "gone": lambda path: path.unlink(),
    "of something else": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "a link": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_figure_that_is_not_what_was_written_is_not_shown(run, evaluated, damage):
    evaluated()
    DAMAGE[damage](run / "figures" / "nearest.png")
    assert evaluation_figures(Run(run)) == []


@pytest.mark.parametrize("text", ["{", "[1]", '{"manifest": 1}'])
def test_an_evaluation_that_is_damaged_has_no_figures(run, evaluated, text):
    evaluated()
    (run / "evaluation.json").write_text(text)
    assert evaluation_figures(Run(run)) == []


def test_of_incomplete_images_none_are_shown(tigon, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=images)
    mask = np.full((8, 8), 255, np.uint8)
    mask[:4] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    words = ("--data", "data.npz", "--mask", "mask.png", "--held-out", 0, "--out", "run", *LEARNED)
    assert tigon("train", "generator", *words)[0] == 0
    assert shown(tmp_path / "run") == ([], [])
