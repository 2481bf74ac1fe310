"""tigon export, and the verbs that take its folders in a run's place."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from learned import model_folder, run_of
from tigon.cli.main import main
from tigon.models.folder import FILES


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with one picture."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save("face.png")
    return tmp_path


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_a_model_folder_stands_in_for_its_run(name, here):
    assert main(["export", str(run_of(name)), "--out", "faces-v1.0"]) == 0
    assert sorted(os.listdir("faces-v1.0")) == sorted(FILES)
    lines = ["sample SOURCE --count 9 --out OUT.npz"]
    if name == "generator":
        lines += [
            "interpolate SOURCE --out OUT.npz.png",
            "interpolate SOURCE --from face.png --to face.png --count 2 --out OUT.line.png",
            "reconstruct SOURCE --data face.png --starts 2 --out OUT.found.png",
        ]
    for line in lines:
        made = []
        for source in (str(run_of(name)), "faces-v1.0"):
            out = line.split("OUT")[1].strip()
            words = line.replace("SOURCE", source).replace("OUT", f"{len(made)}").split()
            assert main(words) == 0
            made.append((here / f"{len(made)}{out}").read_bytes())
        assert made[0] == made[1], line


def test_both_outputs_at_once_and_as_json(here, capsys):
    words = ["export", str(run_of("generator")), "--out", "m", "--onnx", "m.onnx", "--json"]
    assert main([*words, "--license", "mit"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": "m", "onnx": "m.onnx"}
    assert 'license: "mit"' in (here / "m" / "README.md").read_text()
    assert (here / "m.onnx").stat().st_size > 1000


def test_onnx_alone_can_be_put_beside_a_model_folder_or_into_it(here, capsys):
    model_folder("generator", here / "g")
    for source, out in ((str(run_of("generator")), "a.onnx"), ("g", "g/model.onnx")):
        assert main(["export", source, "--onnx", out]) == 0
        assert capsys.readouterr().out == f"ONNX: {out}\n" and (here / out).stat().st_size > 1000
    assert main(["sample", "g", "--count", "1", "--out", "s.npz"]) == 0


MISTAKES = {
    "export RUN": "give --out for a model folder, --onnx for a file, or both",
    "export RUN --onnx a.png": "--onnx a.png: must be .onnx",
    "export RUN --onnx a.onnx --license mit": "go with --out",
    "export RUN --out full": "folder full: exists and is not an empty folder",
    "export RUN --out MODEL --onnx a.onnx": "leave out --out: tigon export",
    "export RUN --out face.png": "folder face.png: exists and is not an empty folder",
    "export nowhere --out new": "run nowhere: no such folder",
    "export MODEL --out new": "is already a model folder; copy it",
    "diagnose MODEL": "is a model folder, which has no history",
    "report MODEL": "is a model folder, which has no history",
    "resume MODEL": "is a model folder, which has no history",
    "train generator --data face.png --out MODEL": "is not empty and not a run",
    "sample full --out a.png": "is not a run folder",
    "reconstruct DESCRIPTOR --data face.png --out a.png": "no latents, which reconstruct needs",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_ends_with_status_2_and_one_line(line, here, capsys):
    model_folder("generator", here / "g")
    model_folder("descriptor", here / "d")
    (here / "full").mkdir()
    (here / "full" / "note.txt").write_text("mine")
    before = sorted(os.walk("."))
    names = {"RUN": str(run_of("generator")), "MODEL": "g", "DESCRIPTOR": "d"}
    assert main([names.get(word, word) for word in line.split()]) == 2
    out, err = capsys.readouterr()
    assert MISTAKES[line] in err and err.count("\n") == 1 and out == ""
    assert sorted(os.walk(".")) == before
