"""No verb writes over what it reads, and a command that is refused leaves no folder behind."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bad_input import tree
from learned import model_folder, run_of

LINES = {
    "restore RUN --data cat.png --mask hole.png --out hole.png": "--out hole.png: would replace",
    "restore RUN --data cat.png --mask hole.png --out cat.png": "reads from cat.png; give another",
    "restore RUN --data photos --mask hole.png --out photos/1.png": "reads from photos; give",
    "restore RUN --data cat.png --grey --truth dog.png --out dog.png": "reads from dog.png",
    "restore RUN --data cat.png --mask hole.png --out linked.png": "--out linked.png: would",
    "interpolate RUN --from cat.png --to dog.png --out dog.png": "reads from dog.png",
    "interpolate RUN --from cat.png --to dog.png --out ./cat.png": "--out cat.png: would replace",
    "interpolate RUN --from cat.png --minus photos --plus photos --out photos/0.png": "photos;",
    "reconstruct RUN --data images.npz --out images.npz": "reads from images.npz",
    "score RUN --data cat.png --raw --out s.csv --map cat.png": "--map cat.png: would replace",
    "score RUN --data cat.png --calibrate photos --out s.csv --map photos/2.png": "from photos;",
    "sample MODEL --out MODEL/samples.png": "would replace what this command reads from MODEL",
    "sample RUN MODEL --out MODEL/samples.png": "would replace what this command reads from",
}


@pytest.fixture
def files(tmp_path, pictures):
    """A run, a model folder, photographs, a mask, an archive and a link to a picture."""
    shutil.copytree(run_of("generator"), tmp_path / "RUN")
    model_folder("generator", tmp_path / "MODEL")
    pictures.rename(tmp_path / "photos")
    for number, name in enumerate(("cat.png", "dog.png")):
        shutil.copy(tmp_path / "photos" / f"{number}.png", tmp_path / name)
    (tmp_path / "linked.png").symlink_to("cat.png")
    hole = np.full((8, 8), 255, np.uint8)
    hole[2:5, 2:5] = 0
    Image.fromarray(hole).save(tmp_path / "hole.png")
    Image.new("L", (9, 9), 255).save(tmp_path / "large.png")
    np.savez(tmp_path / "images.npz", images=np.zeros((2, 8, 8, 3), np.uint8))
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_an_input_is_never_an_output(tigon, files, line):
    before = tree(files)
    status, out, err = tigon(*line.split())
    assert (status, out) == (2, "") and LINES[line] in err and err.count("\n") == 1
    assert tree(files) == before


def test_an_older_output_is_replaced(tigon, files):
    for out in ("photos/drawn.npz", "RUN/drawn.png"):
        for count in ("4", "1"):
            assert tigon("sample", "RUN", "--count", count, "--out", out)[0] == 0
    assert Image.open("RUN/drawn.png").size == (8, 8)


@pytest.mark.parametrize(
    "line",
    [
        "restore RUN --data cat.png --mask large.png --out new/dir/r.png",
        "reconstruct RUN --data nowhere --out new/dir/r.png",
        "interpolate RUN --from cat.png --to nowhere --out new/dir/r.png",
        "score RUN --data cat.png --out new/dir/s.csv --map other/dir/maps",
        "sample nowhere --out new/dir/s.npz",
        "report nowhere --out new/dir/r.html",
        "export nowhere --out new/dir/model --onnx other/dir/m.onnx",
    ],
)
def test_a_refused_command_leaves_no_folders(tigon, files, line):
    before = sorted(files.rglob("*"))
    assert tigon(*line.split())[0] == 2
    assert sorted(files.rglob("*")) == before


def test_folders_are_made_where_something_is_written(tigon, files):
    words = ["score", "RUN", "--data", "cat.png", "--raw", "--starts", "1"]
    assert tigon(*words, "--out", "new/s.csv", "--map", "new/deep/maps")[0] == 0
    assert tigon("export", "RUN", "--out", "new/model")[0] == 0
    for path in ("new/s.csv", "new/deep/maps/00000.png", "new/model/config.json"):
        assert Path(path).is_file()
