"""A run's images are known by what they show, wherever they are and however they are called."""

import json
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from small import LEARNED, generator_recipe
from tigon.cli import inspection, learning
from tigon.data.load import load_images
from tigon.errors import TigonError
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

NAMES = ("été", "eta", "zèbre", "Ångström", "zoo")


def written(folder, form="NFC"):
    """A folder of five pictures, whose names' accents are one letter or two."""
    folder.mkdir()
    for k, name in enumerate(NAMES):
        level = Image.fromarray(np.full((8, 8, 3), 20 * k, np.uint8))
        level.save(folder / f"{unicodedata.normalize(form, name)}.png")
    return folder


def test_spelling_changes_neither_order_nor_classes_nor_content(tmp_path):
    found = [load_images(written(tmp_path / form, form), 8) for form in ("NFC", "NFD")]
    assert [unicodedata.normalize("NFC", name) for name in found[1].names] == found[0].names
    assert found[0].names[0] == "eta.png" and found[0].names != found[1].names
    assert np.array_equal(*(images.pixels for images in found))
    assert found[0].content() == found[1].content()
    assert found[0].fingerprint() != found[1].fingerprint()
    for form in ("NFC", "NFD"):
        root = tmp_path / f"classes-{form}"
        root.mkdir()
        for k, name in enumerate(NAMES):
            inside = root / unicodedata.normalize(form, name)
            inside.mkdir()
            Image.new("RGB", (8, 8), (k, k, k)).save(inside / "a.png")
    labels = [load_images(tmp_path / f"classes-{form}", 8) for form in ("NFC", "NFD")]
    assert np.array_equal(*(images.labels for images in labels))


def test_other_images_have_another_content(tmp_path):
    images = load_images(written(tmp_path / "a"), 8)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a" / "zoo.png")
    assert load_images(tmp_path / "a", 8).content() != images.content()
    np.savez(tmp_path / "b.npz", images=np.asarray(images.pixels))
    assert load_images(tmp_path / "b.npz", 8).content() == images.content()


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """A run whose images have moved to a folder with the Mac's spelling; reports are not drawn."""
    for module in (inspection, learning):
        monkeypatch.setattr(module, "write_report", lambda run, *_: run.images() and run.folder)
    written(tmp_path / "old")
    recipe = generator_recipe(iterations=5)
    train(Experiment("generator", recipe, str(tmp_path / "old")), tmp_path / "run", "cpu")
    shutil.rmtree(tmp_path / "old")
    written(tmp_path / "new", "NFD")
    return tmp_path


def test_every_verb_that_needs_them_says_what_to_do_and_takes_their_new_place(tigon, moved):
    hint = f"tigon: data '{moved / 'old'}': no such folder or file; give a folder of images"
    for line in ("resume run --iterations 7", "report run"):
        status, out, err = tigon(*line.split())
        assert (status, out) == (2, "") and hint in err
        assert err.endswith("; if these have moved, --data NEW says where they are\n")
    said = f"data 'new': the images that run run learned from, then '{moved / 'old'}'\n"
    config = (moved / "run" / "config.toml").read_bytes()
    for line in ("report run --data new", "diagnose run --data new --long 1"):
        status, _, err = tigon(*line.split())
        assert status == 0 and said in err
    assert (moved / "run" / "config.toml").read_bytes() == config
    status, _, err = tigon(*"resume run --iterations 7 --data new".split())
    assert status == 0 and said in err
    assert Run(moved / "run").experiment.data == str(moved / "new")
    assert tigon(*"resume run --iterations 8".split())[0] == 0  # from now on it knows
    assert len(Run(moved / "run").records()) == 8


def test_the_same_command_with_the_new_place_goes_on_and_python_too(tigon, moved):
    words = ["train", "generator", "--data", "new", "--out", "run", *LEARNED]
    status, _, err = tigon(*words)
    assert status == 0 and f"learned from, then '{moved / 'old'}'" in err
    assert Run(moved / "run", data=str(moved / "new")).trainer().iteration == 5


def test_the_explorer_has_the_images_of_newer_checkpoints_too(tigon, moved, monkeypatch):
    pytest.importorskip("fastapi")
    from tigon.explorer import serving

    hubs = []
    monkeypatch.setattr(serving, "serve", lambda hub, *_: hubs.append(hub))
    status, _, err = tigon("explore", "run", "--port", "0", "--data", "new")
    assert status == 0 and f"learned from, then '{moved / 'old'}'\n" in err
    hubs[0]._load()
    assert hubs[0].problem == "" and len(hubs[0].model.images) == 5


def test_other_images_are_refused_in_one_line_whoever_asks(tigon, moved):
    written(moved / "other")
    (moved / "other" / "zoo.png").unlink()
    same = "tigon: data 'other': these are not the images that the run run learned from (5 then, "
    train = ["train", "generator", "--data", "other", "--out", "run", *LEARNED]
    lines = [line.split() for line in ("resume run", "report run", "diagnose run", "explore run")]
    for words in [*(line + ["--data", "other"] for line in lines), train]:
        status, out, err = tigon(*words)
        assert (status, out) == (2, "")
        assert err.splitlines()[-1] == f"{same}4 now); give those, or start a new run"
    assert Run(moved / "run").experiment.data == str(moved / "old")


def test_runs_of_earlier_versions_are_known_by_names_and_images(tigon, moved):
    path = moved / "run" / "environment.json"
    environment = json.loads(path.read_text())
    del environment["images"]["content"]
    path.write_text(json.dumps(environment))
    with pytest.raises(TigonError, match="not the images that the run .*5 then, 5 now"):
        Run(moved / "run", data=str(moved / "new")).images()
    written(moved / "again")
    assert len(Run(moved / "run", data=str(moved / "again")).images()) == 5
