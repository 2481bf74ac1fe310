"""Shards of a data set: who owns which, and that together they are the set."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bad_input import TINY, run_watched, says
from small import generator_recipe, parameters
from tigon import distributed
from tigon.data.load import load_images
from tigon.data.shards import assign
from tigon.distributed import ShardOwnership, World
from tigon.errors import TigonError
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

COUNTS = (4, 3, 5)


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Three shards, a folder among them, and their images as one array."""
    monkeypatch.chdir(tmp_path)
    array = np.random.default_rng(0).integers(0, 256, (sum(COUNTS), 8, 8, 3), np.uint8)
    for k, part in enumerate(np.split(array, np.cumsum(COUNTS)[:-1])):
        if k == 1:
            folder = tmp_path / "part-1"
            folder.mkdir()
            from PIL import Image

            for number, pixels in enumerate(part):
                Image.fromarray(pixels).save(folder / f"{number}.png")
        else:
            np.savez(tmp_path / f"part-{k}.npz", images=part)
    return array


def test_shards_in_one_process_are_one_set_in_the_order_of_their_names(parts):
    images = load_images("part-*", 8)
    assert len(images) == 12 and images.image_size == 8 and images.channels == 3
    assert np.array_equal(images.pixels[:], parts) and np.array_equal(images.pixels[-1], parts[-1])
    assert np.array_equal(np.asarray(images.pixels), parts)
    index = torch.tensor([9, 0, 5, 4])
    assert np.array_equal(images.pixels[index.numpy()], parts[index])
    assert images.names[3:6] == ["part-0.npz/part-0.npz[3]", "part-1/0.png", "part-1/1.png"]
    np.savez("all.npz", images=parts)
    alike = load_images("all.npz", 8)
    assert torch.equal(images.read(index), alike.read(index))
    assert torch.allclose(images.mean_colours(7), alike.mean_colours(7), atol=1e-6)
    assert torch.allclose(images.mean_image(), alike.mean_image(), atol=1e-6)


def test_a_run_of_shards_is_the_run_of_the_whole_set(parts, tmp_path):
    np.savez("all.npz", images=parts)
    recipe = generator_recipe(batch_size=5)
    ends = [
        train(Experiment("generator", recipe, d), tmp_path / f"run{len(d)}", "cpu")
        for d in ("part-*", "all.npz")
    ]
    assert torch.equal(*(parameters(end.learner) for end in ends))
    run = Run(tmp_path / "run6")
    assert run.experiment.data == f"{tmp_path}/part-*"
    assert len(run.images()) == 12


def test_a_shard_that_changes_changes_the_fingerprint(parts):
    first = load_images("part-*", 8).fingerprint()
    assert load_images("part-*", 8).fingerprint() == first
    np.savez("part-2.npz", images=parts[:5])
    assert load_images("part-*", 8).fingerprint() != first


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("other-*", "data 'other-.': nothing matches"),
        ("part-*", "part-3.npz': is not a readable .npz"),
    ],
)
def test_patterns_that_cannot_be_used_are_refused_in_one_line(parts, tmp_path, capsys, data, said):
    (tmp_path / "part-3.npz").write_text("text")
    outcome = run_watched(
        capsys, "out", "train", "generator", "--data", data, "--out", "out", *TINY
    )
    assert outcome.status == 2 and says(outcome, said), outcome.err


def test_a_name_with_a_star_that_exists_is_no_pattern(parts, tmp_path):
    (tmp_path / "part-1").rename(tmp_path / "a*")
    assert load_images("a*", 8).names == ["0.png", "1.png", "2.png"]


@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9)), min_size=1))
def test_every_shard_goes_to_a_process_that_sees_it_and_no_process_is_idle(seen):
    try:
        owners = assign("*", seen)
    except TigonError as error:
        assert "without one that it sees" in str(error) or "nothing matches" in str(error)
        return
    assert list(owners) == sorted({path for part in seen for path in part})
    assert all(path in seen[owner] for path, owner in owners.items())
    assert set(owners.values()) == set(range(len(seen)))


def test_shards_are_shared_out_so_that_images_are_balanced():
    sizes = {"a": 10, "b": 1, "c": 2, "d": 8, "e": 1}
    owners = assign("*", [sizes, sizes])
    loads = [sum(sizes[p] for p, owner in owners.items() if owner == k) for k in range(2)]
    assert loads == [11, 11]


def test_more_processes_than_shards_are_refused():
    with pytest.raises(TigonError, match="1 shards for 2 processes leave process 1 without one"):
        assign("*", [{"a": 3}, {"a": 3}])


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2)), min_size=1, max_size=6))
def test_every_row_has_one_owner_and_a_place_of_its_own(blocks):
    counts, owners = zip(*blocks, strict=True)
    total, seen = torch.arange(sum(counts)), []
    ownership = ShardOwnership(counts, owners)
    for rank in range(3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(distributed, "world", lambda rank=rank: World(rank, 3))
            own = ownership.owned(total)
            assert ownership.slots(own).tolist() == list(range(len(own)))
            assert torch.equal(ownership.mine(total * 2), own * 2)
        seen += own.tolist()
    assert sorted(seen) == total.tolist()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on open files")
def test_more_shards_than_files_that_may_be_open(tmp_path):
    for k in range(40):
        np.savez(tmp_path / f"part-{k:02}.npz", images=np.full((1, 8, 8, 3), k, np.uint8))
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))\n"
        "from tigon.data.load import load_images\n"
        f"print(len(load_images({str(tmp_path / 'part-*.npz')!r}, 8)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "40", done.stderr
