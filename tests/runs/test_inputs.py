"""Which files belong to an input, by whatever name it and they are given."""

import os
from pathlib import Path

import numpy as np
import pytest

from learned import model_folder, run_of
from tigon.runs.inputs import is_read
from tigon.runs.run import Run


@pytest.fixture
def here(pictures, monkeypatch):
    """The folder of the pictures, with a link to one, an archive, and notes among them."""
    folder = pictures.parent
    monkeypatch.chdir(folder)
    Path("linked.png").symlink_to("pictures/1.png")
    Path("subset").mkdir()
    Path("subset/one.png").symlink_to("../pictures/2.png")
    Path("pictures/notes.csv").write_text("mine")
    for name in ("a", "b"):
        np.savez(f"part-{name}.npz", images=np.zeros((1, 8, 8, 3), np.uint8))
    return folder


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("pictures/0.png", "pictures/0.png"),
        ("pictures/../pictures/0.png", "./pictures/0.png"),
        ("pictures/1.png", "linked.png"),
        ("linked.png", "pictures/1.png"),
        ("pictures/4.png", "pictures"),
        ("pictures/2.png", "subset"),
        ("pictures/3.png", "pict*/*.png"),
        ("part-b.npz", "part-*.npz"),
        ("part-a.npz", "part-a.npz"),
    ],
)
def test_a_file_of_an_input_is_known(here, path, given):
    assert is_read(Path(path), given) and is_read(here / path, Path(given))


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("pictures/new.png", "pictures"),  # nothing is there yet
        ("pictures/notes.csv", "pictures"),  # which no data set has
        ("pictures/2.png", "pictures/1.png"),
        ("part-a.npz", "pictures"),
        ("pictures", "pictures"),
        ("pictures/0.png", "nowhere"),
        ("pictures/0.png", ""),
        ("pictures/0.png", "hf:owner/name"),
        ("pictures/0.png", "a" * 300),
    ],
)
def test_any_other_file_is_none(here, path, given):
    assert not is_read(Path(path), given)


def test_a_run_is_read_with_its_snapshots_and_its_images():
    run = Run(run_of("generator"))
    assert is_read(next((run.folder / "snapshots").iterdir()), run.folder)
    assert is_read(Path(run.experiment.data), run.folder)
    assert not is_read(run.folder / "config.toml", run.folder)  # no verb's output has its ending


def test_a_model_folder_is_read_with_its_card(tmp_path):
    folder = model_folder("generator", tmp_path / "model")
    (folder / "drawn.png").write_bytes(b"")
    assert is_read(folder / "samples.png", folder) and not is_read(folder / "drawn.png", folder)


def test_a_hard_link_is_the_same_file(here):
    os.link("pictures/0.png", "other.png")
    assert is_read(Path("other.png"), "pictures")
