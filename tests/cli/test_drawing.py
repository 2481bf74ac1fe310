"""tigon sample and interpolate: images are written as they come."""

import os
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from learned import run_of
from tigon.cli import drawing, progress
from tigon.cli.main import LESS, VERBS, options
from tigon.cli.verbs import Train
from tigon.data.pixels import to_uint8
from tigon.export.load import load
from tigon.figures import tile
from tigon.models.base import Model
from tigon.outputs import images_to
from tigon.random.streams import RowRng
from tigon.recipes import GeneratorRecipe


class Counting(Model):
    """Draws images of one grey level each, their number; what it drew last is its `drawn`."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.stop_at, self.drawn = stop_at, range(0)

    def sample_rows(self, rows, rng):
        assert len(rows) <= 64 and rows.start == self.drawn.stop and len(rng.index) == len(rows)
        if self.stop_at is not None and rows.stop > self.stop_at:
            raise KeyboardInterrupt
        self.drawn = rows
        values = torch.tensor(rows) % 256 / 127.5 - 1
        return values[:, None, None, None].expand(-1, 3, 8, 8)

    def sample(self, count, rng):
        raise AssertionError("all images at once")

    image_shape = (3, 8, 8)

    def config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls()


@pytest.fixture
def counting(monkeypatch):
    """Let verbs load a model that counts."""
    model = Counting()
    monkeypatch.setattr(drawing, "load", lambda *_: model)
    return model


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_images_are_those_that_a_model_draws_all_at_once(tigon, name):
    run = run_of(name)
    wanted = to_uint8(load(run).sample(150, RowRng(4, 0, range(150), "sample")))
    for out in ("s.npz", "s.png", "s"):
        assert tigon("sample", run, "--count", "150", "--seed", "4", "--out", out)[0] == 0
    with np.load("s.npz") as arrays:
        assert arrays.files == ["images"] and np.array_equal(arrays["images"], wanted)
    assert np.array_equal(np.asarray(Image.open("s.png")), tile(wanted, 8))
    files = sorted(os.listdir("s"))
    assert np.array_equal([np.asarray(Image.open(f"s/{file}")) for file in files], wanted)


def test_many_images_take_the_memory_of_a_few(tigon, counting):
    """6 MB of pixels, and 23 MB of floats."""
    tracemalloc.start()
    status, out, _ = tigon("sample", "run", "--count", "30000", "--out", "s.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert status == 0 and out == "30000 images: s.npz\n" and peak < 3e6
    images = np.load("s.npz")["images"]
    assert images.shape == (30_000, 8, 8, 3)
    assert np.array_equal(images[:, 0, 0, 0], np.arange(30_000) % 256)


@pytest.mark.parametrize("out", ["s.npz", "s.png", "s"])
def test_an_interrupted_sample_leaves_nothing_half_written(tigon, counting, out, tmp_path):
    counting.stop_at = 130
    status, _, err = tigon("sample", "run", "--count", "1000", "--out", out)
    assert status == 130 and "interrupted" in err and err.count("\n") == 1
    assert counting.drawn == range(64, 128) and os.listdir(tmp_path) == []


def test_a_grid_that_no_viewer_shows_is_refused_before_anything_is_drawn(tigon, counting):
    status, out, err = tigon("sample", "run", "--count", "200000", "--out", "s.png")
    assert (status, out) == (2, "") and err == (
        "tigon: --out s.png: 200000 images in one picture are 82 x 250002 pixels, and viewers "
        "show 32767 a side and 89 million in all; give a folder (no ending), which gets a PNG of "
        "each, or a .npz\n"
    )
    assert not len(counting.drawn) and not os.path.exists("s.png")
    words = ["--data", "embedded:animal-faces", "--out", "r.png"]
    for verb, said in (
        (["interpolate", "--count", "4000", "--out", "i.png"], "all; lower --count\n"),
        (["reconstruct", *words], "all; give a folder (no ending), which gets"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tigon.outputs.SIDE", 300)
            status, _, err = tigon(verb[0], run_of("generator"), *verb[1:])
        assert status == 2 and said in err and err.count("\n") == 1


def test_names_in_a_folder_are_in_the_order_of_the_images(tmp_path):
    with images_to(tmp_path / "s", 100_001, (8, 8, 3)) as write:
        write(np.zeros((2, 8, 8, 3), np.uint8))
    assert sorted(os.listdir(tmp_path / "s")) == ["000000.png", "000001.png"]


def test_a_long_sample_says_how_far_it_is(tigon, counting, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_LINE", 0.0)
    _, _, err = tigon("sample", "run", "--count", "640", "--out", "s.npz")
    assert err == "drawing 640 images: 20 %  0 s, about 1 s left\n"


def test_what_needs_less_memory_is_an_option_of_the_verb(tigon, monkeypatch):
    from tigon.cli import verbs

    for verb in VERBS:
        known = options(
            Train[GeneratorRecipe] if verb == "train" else getattr(verbs, verb.capitalize()),
            [verb],
        )
        named = {word for word in LESS.get(verb, "").replace(",", "").split() if word[:2] == "--"}
        assert named <= known

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(drawing, "load", full)
    assert tigon("sample", "run", "--out", "s.npz")[::2] == (
        2,
        "tigon: sample: out of memory; free some, or give another --device\n",
    )
