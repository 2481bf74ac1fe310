"""Streams: images as they come, in an order that is a function of (seed, iteration)."""

import io
import json
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from bad_input import run_watched, says
from hf_sets import parquet, tints
from small import descriptor_recipe, generator_recipe, parameters
from tigon.cli.main import main
from tigon.data import stream
from tigon.data.batches import Batch
from tigon.data.stream import open_stream
from tigon.errors import TigonError
from tigon.runs.experiment import load, train
from tigon.runs.run import Experiment, Run

pytestmark = pytest.mark.usefixtures("offline")
LIKE = torch.zeros(())


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of eight examples."""
    monkeypatch.setattr(stream, "BLOCK", 8)


def reds(batch: Batch) -> list[int]:
    """The red of each image, which is its position in the stream."""
    return ((batch.images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def batches(count, iterations, batch_size=4, seed=0, data="hf:tints"):
    images = open_stream(data, 8)
    order = images.order(batch_size, seed)
    return [order.read(images, k, LIKE) for k in iterations]


@pytest.mark.parametrize(("count", "batch_size"), [(20, 4), (16, 4), (3, 8), (5, 2), (9, 20)])
def test_every_example_comes_once_an_epoch_with_its_own_picture(tmp_path, count, batch_size):
    tints(tmp_path, count)
    a_pass = -(-count // batch_size)
    found = batches(count, range(3 * a_pass), batch_size)
    epochs = [found[k * a_pass : (k + 1) * a_pass] for k in range(3)]
    for epoch in epochs:
        assert sorted(sum(map(reds, epoch), [])) == list(range(count))
    for batch in found:
        assert reds(batch) == batch.index.tolist() and batch.size == len(batch.index)
    orders = {tuple(sum(map(reds, epoch), [])) for epoch in epochs}
    assert count < 8 or len(orders) == 3


def test_blocks_follow_one_another_and_are_permuted_by_themselves(tmp_path):
    tints(tmp_path, 20)
    found = [reds(batch) for batch in batches(20, range(5))]
    assert sorted(found[0] + found[1]) == list(range(8)) != found[0] + found[1]
    assert sorted(found[2] + found[3]) == list(range(8, 16))
    assert sorted(found[4]) == list(range(16, 20))


@pytest.mark.parametrize("count", [20, 16])
def test_a_batch_does_not_depend_on_what_was_read_before(tmp_path, count):
    tints(tmp_path, count)
    through = batches(count, range(14))
    for iteration in (13, 3, 6):
        (alone,) = batches(count, [iteration])
        assert torch.equal(alone.index, through[iteration].index)
        assert torch.equal(alone.images, through[iteration].images)
    images = open_stream("hf:tints", 8)
    order = images.order(4, 0)
    for iteration in (13, 2, 9, 0):
        assert torch.equal(order.read(images, iteration, LIKE).images, through[iteration].images)


def test_what_cannot_be_read_is_left_out_and_said_once(tmp_path, capsys):
    tints(tmp_path, 20, bad=(1, 2, 9))
    found = batches(20, range(10))
    for epoch in (found[:5], found[5:]):
        assert sorted(sum(map(reds, epoch), [])) == [k for k in range(20) if k not in (1, 2, 9)]
    assert [len(batch.index) for batch in found[:5]] == [3, 3, 3, 4, 4]
    lines = [x for x in capsys.readouterr().err.splitlines() if "left out" in x]
    assert lines == [
        "tints: left out 2 of examples 0 to 7: [1] is not an image; [2] is not an image",
        "tints: left out 1 of examples 8 to 15: [9] is not an image",
    ]


def test_streams_of_which_too_little_can_be_read_are_refused(tmp_path):
    tints(tmp_path, 20, bad=range(8))
    with pytest.raises(TigonError, match=r"none of its first 8 .* \[0\] is not an im"):
        open_stream("hf:tints", 8)
    tints(tmp_path, 20, bad=range(9, 16))
    with pytest.raises(TigonError, match="of 8 examples in a row only 1 can be"):
        batches(20, range(5))


def test_the_first_images_stand_for_the_set(tmp_path):
    tints(tmp_path, 20, bad=(1,))
    images = open_stream("hf:tints", 8)
    assert images.streamed and images.names[:2] == ["tints[0]", "tints[2]"]
    assert images.pixels.shape == (7, 8, 8, 3) and images.name(17) == "tints[17]"
    assert images.fingerprint() == open_stream("hf:tints", 8).fingerprint()


def test_transparent_examples_have_masks_and_empty_ones_are_left_out(tmp_path, capsys):
    def png_of(opaque):
        pixels = np.full((8, 8, 4), 200, np.uint8)
        pixels[..., 3] = 0
        pixels[:opaque, :, 3] = 255
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    opaque = [1, 2, 0, 3, 4, 5]
    parquet(tmp_path / "tints", [png_of(rows) for rows in opaque])
    images = open_stream("hf:tints", 8, alpha=True)
    assert images.incomplete and len(images) == 5 and images.pixels.shape == (5, 8, 8, 3)
    order = images.order(3, 0)
    for iteration in range(2):
        batch = order.read(images, iteration, LIKE)
        rows = [opaque[row] for row in batch.index.tolist()]
        assert batch.mask[:, 0, :, 0].sum(1).tolist() == rows
        seen = batch.observed > 0
        assert (batch.images[seen] > 0.5).all() and (batch.images[~seen].abs() < 0.01).all()
    assert "[2] is transparent everywhere" in capsys.readouterr().err


@pytest.mark.parametrize("start", ["mean-colour", "mean-image"])
def test_a_run_goes_on_to_the_bit_from_the_middle_of_a_block(tmp_path, start):
    """Passes of five batches; it stops in the first and in the second pass."""
    tints(tmp_path, 18, bad=(3,))
    recipe = descriptor_recipe(stream=True, iterations=9, batch_size=4)
    recipe = type(recipe)(**vars(recipe) | {"chains": type(recipe.chains)(steps=2, start=start)})
    experiment = Experiment("descriptor", recipe, "hf:tints")
    whole = train(experiment, tmp_path / "whole")
    for more in (3, 5):
        left = iter([False] * more)
        train(experiment, tmp_path / "parts", stop=partial(next, left, True))
    parts = train(experiment, tmp_path / "parts")
    assert parts.iteration == whole.iteration == 9
    assert torch.equal(parameters(parts.learner), parameters(whole.learner))
    first, second = Run(tmp_path / "whole").records(), Run(tmp_path / "parts").records()
    assert [r | {"seconds": 0} for r in first] == [r | {"seconds": 0} for r in second]
    starts = Run(tmp_path / "whole").model().starts
    assert starts.shape[0] == (7 if start != "mean-image" else 1)
    assert len(Run(tmp_path / "whole").images()) == 7


def test_gradient_evaluations_of_a_stream_are_passes_over_a_batch(tmp_path):
    tints(tmp_path, 8)
    recipe = descriptor_recipe(stream=True, gradient_evaluations=20, batch_size=4)
    trainer = train(Experiment("descriptor", recipe, "hf:tints"), tmp_path / "run")
    each = trainer.learner.evaluations_per_example
    assert each == 5 and trainer.iteration == 4
    assert [r["gradient_evaluations"] for r in Run(tmp_path / "run").records()] == [5, 10, 15, 20]


def test_nothing_of_a_stream_is_kept_on_the_disk(tmp_path, monkeypatch):
    tints(tmp_path, 20)
    monkeypatch.setenv("TIGON_CACHE", str(tmp_path / "cache"))
    batches(20, range(5))
    assert not (tmp_path / "cache").exists()


TINY = ["--image-size", "8", "--network.width", "4", "--iterations", "2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generator"], "a generator keeps a latent for each image, and a stream has no index .*"),
        (["generator-original"], "leave out --stream, or learn a descriptor"),
        (["descriptor", "--mirror", "yes"], "--stream with --mirror: .* leave out one of the two"),
        (["descriptor", "--data", "embedded:animal-faces"], "only hf: data can be read as a str"),
    ],
)
def test_what_cannot_be_streamed_is_refused_in_one_line(tmp_path, capsys, words, said):
    tints(tmp_path, 5)
    data = [] if "--data" in words else ["--data", "hf:tints"]
    outcome = run_watched(capsys, "out", "train", *words, *data, "--stream", "--out", "out", *TINY)
    assert outcome.status == 2 and says(outcome, said), outcome.err
    assert not (tmp_path / "out").exists()


def test_the_command_line_learns_from_a_stream_and_reports(tmp_path, capsys):
    tints(tmp_path, 20)
    words = ["train", "descriptor", "--data", "hf:tints", "--stream", "--out", "run", *TINY]
    assert main([*words, "--batch-size", "8"]) == 0
    assert (tmp_path / "run" / "report.html").exists()
    assert "stream = true" in (tmp_path / "run" / "config.toml").read_text()
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["images"]["count"] == 8


def test_an_index_is_as_before_where_no_stream_is_asked_for(tmp_path):
    tints(tmp_path, 5)
    images = load(Experiment("generator", generator_recipe(), "hf:tints"))
    assert not images.streamed and len(images) == 5 and isinstance(images.pixels, np.memmap)
