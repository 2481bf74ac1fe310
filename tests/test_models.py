"""The small models in models/: complete, small, and as their cards and list say."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from tigon.data.pixels import to_uint8
from tigon.export.load import load
from tigon.figures import tile
from tigon.models.abilities import HasChains
from tigon.random.streams import RowRng

MODELS = Path(__file__).parents[1] / "models"
FOLDERS = sorted(path.parent for path in MODELS.glob("*/config.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_model_draws_what_its_card_shows(folder):
    model = load(folder)
    shown = np.asarray(Image.open(folder / "samples.png")).astype(float)
    count = (shown.shape[1] - 2) // 34 * ((shown.shape[0] - 2) // 34)
    count = min(count, model.start_count if isinstance(model, HasChains) else 64)
    drawn = to_uint8(model.sample(count, RowRng(0, 0, range(count), "sample")))
    difference = np.abs(tile(drawn, min(8, count)).astype(float) - shown)
    assert difference.mean() < 2  # of 255: processors round differently
    data = ModelCard((folder / "README.md").read_text()).data
    assert data.license == "cc0-1.0" and "`embedded:animal-faces`" in model.card.text
    assert "**healthy" in model.card.text


@pytest.fixture(scope="module")
def build():
    """The script that trains them."""
    spec = importlib.util.spec_from_file_location("build", MODELS / "build.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def parts(config):
    """The names in a config, and in those within it; null where a part is absent."""
    if isinstance(config, dict):
        return {name: parts(value) for name, value in config.items()}
    return config is None


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_model_has_the_parts_that_its_command_makes_now(folder, build, tigon):
    words = [*build.MODELS[folder.name].split(), "--data", build.DATA, "--iterations", "1"]
    assert tigon("train", *words, "--out", "run", "--no-report", "--device", "cpu")[0] == 0
    made, shipped = (load(place).config() for place in (Path("run"), folder))
    assert parts(made) == parts(shipped)


def test_the_list_names_every_model_with_the_sum_of_its_weights(build):
    listed = (MODELS / "README.md").read_text()
    assert {folder.name for folder in FOLDERS} == set(build.MODELS)
    for folder in FOLDERS:
        weights = (folder / "model.safetensors").read_bytes()
        assert hashlib.sha256(weights).hexdigest() in listed
        assert build.MODELS[folder.name] in listed.replace("`", "")
    size = sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file())
    assert size < 3_000_000
