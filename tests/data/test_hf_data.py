"""Data sets of Hugging Face, made here and read without a network."""

import json
import os

import datasets
import numpy as np
import pytest
from PIL import Image

from bad_input import TINY, run_watched, says
from hf_sets import parquet, png
from small import generator_recipe
from tigon.data import hf
from tigon.data.load import load_images
from tigon.errors import TigonError
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

pytestmark = pytest.mark.usefixtures("offline")


def test_a_table_of_pictures_is_read_in_its_order(tmp_path):
    parquet(tmp_path / "tints", [png(k, 16) for k in range(6)])
    images = load_images("hf:tints", 8)
    assert images.names == [f"tints[{k}]" for k in range(6)]
    assert images.pixels[:, 0, 0, 0].tolist() == list(range(6))


def test_a_split_is_named_after_an_at(tmp_path):
    parquet(tmp_path / "tints", [png(1), png(2)])
    parquet(tmp_path / "tints", [png(9)], "test")
    assert load_images("hf:tints@test", 8).pixels[:, 0, 0, 0].tolist() == [9]
    assert len(load_images(f"hf:{tmp_path}/tints@train", 8)) == 2
    with pytest.raises(TigonError, match="'hf:tints@dev': cannot be opened .Unknown split .dev."):
        load_images("hf:tints@dev", 8)


def test_pictures_in_files_are_read_too(tmp_path):
    folder = tmp_path / "files" / "train" / "cats"
    folder.mkdir(parents=True)
    for k in range(3):
        (folder / f"{k}.png").write_bytes(png(10 * k))
    assert load_images("hf:files", 8).pixels[:, 0, 0, 0].tolist() == [0, 10, 20]


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    outside = tmp_path / "outside.png"
    outside.write_bytes(png(7))
    cells = [png(1), b"text", png(2)[:50], png(3, 80), png(4, kind="EPS"), b""]
    parquet(tmp_path / "bad", [*cells, {"bytes": None, "path": str(outside)}, png(5)])
    images = load_images("hf:bad", 8, max_pixels=3000)
    assert images.names == ["bad[0]", "bad[7]"]
    assert [line.split(" (")[0] for line in images.skipped] == [
        "bad[1] is not an image",
        "bad[2] cannot be read",
        "bad[3] has too many pixels; --max-pixels 6400 reads it",
        "bad[4] is not an image",
        "bad[5] is not an image",
        "bad[6] has no picture",
    ]


def test_a_second_load_decodes_nothing_and_a_changed_table_is_read_again(tmp_path, monkeypatch):
    folder = parquet(tmp_path / "tints", [png(1), png(2)])
    first = load_images("hf:tints", 8)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", None)
        assert load_images("hf:tints", 8).fingerprint() == first.fingerprint()
    parquet(folder, [png(3), png(4), png(5)])
    os.utime(folder / "train.parquet", (1, 1))
    assert load_images("hf:tints", 8).pixels[:, 0, 0, 0].tolist() == [3, 4, 5]


def test_code_in_a_data_set_is_never_run(tmp_path):
    folder = parquet(tmp_path / "evil", [png(1)])
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(TigonError, match="cannot be opened .Dataset scripts are no longer supp"):
        load_images("hf:evil", 8)
    assert not (tmp_path / "ran").exists()


def refused(tmp_path, kind):
    if kind == "columns":
        (tmp_path / "t").mkdir()
        datasets.Dataset.from_dict({"text": ["a"], "label": [1]}).to_parquet("t/train.parquet")
        return "hf:t"
    if kind == "broken":
        (tmp_path / "t").mkdir()
        (tmp_path / "t" / "train.parquet").write_bytes(b"PAR1 but no more")
        return "hf:t"
    return {"absent": "hf:owner/nothing", "none": "hf:", "no split": "hf:a@"}[kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("columns", "'hf:t@train': has no column of images; it has text, label"),
        ("broken", r"'hf:t@train': cannot be opened \("),
        ("absent", r"'hf:owner/nothing@train': cannot be opened \(Couldn't reach 'owner/nothing'"),
        ("none", "'hf:': give hf:NAME or hf:NAME@SPLIT"),
        ("no split", "'hf:a@': give hf:NAME or hf:NAME@SPLIT"),
    ],
)
def test_data_sets_that_cannot_be_used_are_refused_in_one_line(tmp_path, capsys, kind, said):
    data = refused(tmp_path, kind)
    outcome = run_watched(
        capsys, "out", "train", "generator", "--data", data, "--out", "out", *TINY
    )
    assert outcome.status == 2 and says(outcome, said), outcome.err


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(TigonError, match=r"needs .* datasets; install it with .*pip install"):
        load_images("hf:tints", 8)


def test_a_run_knows_its_folder_from_any_other(tmp_path, monkeypatch):
    parquet(tmp_path / "tints", [png(1), png(2)])
    train(Experiment("generator", generator_recipe(iterations=1), "hf:tints"), tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = Run(tmp_path / "run")
    assert run.experiment.data == f"hf:{tmp_path}/tints" == hf.resolve(run.experiment.data)
    assert len(run.images()) == 2
    assert json.loads((run.folder / "environment.json").read_text())["images"]["count"] == 2


def test_pixels_are_those_of_the_same_files_in_a_folder(tmp_path, pictures):
    parquet(tmp_path / "same", [path.read_bytes() for path in sorted(pictures.iterdir())])
    assert np.array_equal(load_images("hf:same", 8).pixels, load_images(pictures, 8).pixels)
