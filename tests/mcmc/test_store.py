"""Rows of a store, in memory and in a file; damaged files; memory that does not grow."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tigon.densities.gaussian import Gaussian
from tigon.errors import TigonError
from tigon.mcmc.store import ChainStore
from tigon.mcmc.store_files import CHUNK
from tigon.random.streams import make_rng

KINDS = pytest.mark.parametrize("kind", ["memory", "files"])


def store_of(kind, folder, points):
    """Return a store that holds these points (N, *)."""
    if kind == "memory":
        return ChainStore(points)
    store = ChainStore.mapped(folder / "store", len(points), points.shape[1:])
    store.replace(lambda part: points[: len(part)])
    return store


@KINDS
@given(data=st.data())
def test_rows_written_are_the_rows_read(kind, data):
    """In any order; rows not written stay; and files have the same after they are opened again."""
    count = data.draw(st.integers(1, 12))
    shape = data.draw(st.sampled_from([(), (3,), (2, 1, 2)]))
    index = torch.tensor(data.draw(st.permutations(range(count))))
    index = index[: data.draw(st.integers(1, count))]
    rng = make_rng(data.draw(st.integers(0, 99)))
    written = torch.rand(len(index), *shape, generator=rng)
    with tempfile.TemporaryDirectory() as name:
        store = store_of(kind, Path(name), torch.zeros(count, *shape))
        store.write(index, written)
        stores = [store] if kind == "memory" else [store, ChainStore.mapped(Path(name) / "store")]
        for each in stores:
            assert torch.equal(each.read(index), written)
            order = torch.randperm(len(index), generator=rng)
            assert torch.equal(each.read(index[order]), written[order])
            untouched = torch.ones(count, dtype=torch.bool)
            untouched[index] = False
            assert (each.points[untouched] == 0).all()


@KINDS
def test_a_row_read_is_a_copy(kind, tmp_path):
    store = store_of(kind, tmp_path, torch.zeros(2, 3))
    points = store.read(torch.tensor([0]))
    points += 1
    assert (store.points == 0).all()


@KINDS
def test_rows_of_another_shape_or_written_twice_are_refused(kind, tmp_path):
    store = store_of(kind, tmp_path, torch.zeros(3, 2))
    with pytest.raises(ValueError, match="2 rows of"):
        store.write(torch.tensor([0, 1]), torch.ones(2, 1))
    with pytest.raises(ValueError, match="twice"):
        store.write(torch.tensor([1, 1]), torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"chain rows \(2, 2\), not \(3, 2\)"):
        store.load(torch.ones(2, 2))
    assert (store.points == 0).all()


@pytest.mark.parametrize("source", ["memory", "files"])
@KINDS
def test_the_points_of_one_store_can_be_loaded_by_either_kind(kind, source, tmp_path):
    store = store_of(source, tmp_path / "source", torch.rand(5, 2, generator=make_rng(0)))
    store.write(torch.tensor([4]), torch.ones(1, 2))
    other = store_of(kind, tmp_path / "other", torch.zeros(5, 2))
    other.load(store.points.clone())
    assert torch.equal(other.points, store.points)


@KINDS
def test_all_rows_are_replaced_some_at_a_time(kind, tmp_path):
    count, parts = 2 * CHUNK + 7, []
    points = torch.rand(count, 2, generator=make_rng(0))
    store = ChainStore(points)
    if kind == "files":
        left = iter(points.split(CHUNK))
        store = ChainStore.mapped(tmp_path, count, (2,), lambda like: next(left))
    store.replace(lambda x: parts.append(len(x)) or 2 * x + 1)
    assert torch.equal(store.points, 2 * points + 1)
    assert parts == [CHUNK, CHUNK, 7]


def test_files_are_those_of_numpy_and_are_made_once(tmp_path):
    rng = make_rng(0)
    first = ChainStore.mapped(tmp_path, 5, (2, 3), lambda like: Gaussian().sample(like, rng))
    drawn = np.load(tmp_path / "points.npy")
    assert drawn.shape == (5, 2, 3) and drawn.dtype == np.float32
    assert np.array_equal(drawn, torch.randn(5, 2, 3, generator=make_rng(0)).numpy())
    second = ChainStore.mapped(tmp_path, 5, (2, 3), torch.zeros_like)
    assert torch.equal(second.points, first.points)


def test_a_store_whose_making_was_broken_off_is_made_anew(tmp_path):
    def stop(like):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ChainStore.mapped(tmp_path, 5, (2,), stop)
    assert (tmp_path / "points.npy").exists()
    with pytest.raises(TigonError, match="there is none"):
        ChainStore.mapped(tmp_path)
    store = ChainStore.mapped(tmp_path, 5, (2,), torch.ones_like)
    assert (store.points == 1).all() and len(ChainStore.mapped(tmp_path)) == 5


def shorter(folder):
    path = folder / "points.npy"
    path.write_bytes(path.read_bytes()[:-1])


def longer(folder):
    with (folder / "points.npy").open("ab") as file:
        file.write(b"more")


DAMAGE = {
    "a file cut short": shorter,
    "a file with more than rows": longer,
    "an empty file": lambda folder: (folder / "points.npy").write_bytes(b""),
    "no numpy file": lambda folder: (folder / "points.npy").write_bytes(b"\0" * 4096),
    "float64": lambda folder: np.save(folder / "points.npy", np.zeros((6, 2))),
    "columns first": lambda folder: np.save(
        folder / "points.npy", np.zeros((6, 2), "<f4", order="F")
    ),
    "another count": lambda folder: np.save(folder / "points.npy", np.zeros((7, 2), "<f4")),
    "a missing file": lambda folder: (folder / "points.npy").unlink(),
    "a damaged description": lambda folder: (folder / "store.json").write_text('{"rows": 6'),
    "a description of nothing": lambda folder: (folder / "store.json").write_text("[]"),
    "a negative count": lambda folder: (folder / "store.json").write_text(
        '{"rows": -1, "shape": [2]}'
    ),
}


@pytest.mark.parametrize("count", [None, 6])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_store_is_refused_in_one_line_when_it_is_opened(damage, count, tmp_path):
    ChainStore.mapped(tmp_path, 6, (2,))
    DAMAGE[damage](tmp_path)
    with pytest.raises(TigonError, match=f"^chain (rows|store) {tmp_path}") as caught:
        ChainStore.mapped(tmp_path, count, (2,) if count else ())
    assert "\n" not in str(caught.value)


def test_a_header_with_any_byte_changed_is_refused(tmp_path):
    ChainStore.mapped(tmp_path, 6, (2,))
    path = tmp_path / "points.npy"
    whole = path.read_bytes()
    for k in range(128):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 0x15]) + whole[k + 1 :])
        with pytest.raises(TigonError, match="another header"):
            ChainStore.mapped(tmp_path)


@pytest.mark.parametrize("count, shape", [(5, (2,)), (6, (3,)), (6, ()), (6, (1, 2))])
def test_a_store_of_other_rows_is_refused_and_not_overwritten(count, shape, tmp_path):
    ChainStore.mapped(tmp_path, 6, (2,), draw=torch.ones_like)
    with pytest.raises(TigonError, match=r"has shape \(6, 2\), not .*; give another folder"):
        ChainStore.mapped(tmp_path, count, shape)
    assert (ChainStore.mapped(tmp_path).points == 1).all()


def test_rows_in_files_keep_their_type(tmp_path):
    store = ChainStore.mapped(tmp_path, 3, (2,))
    store.move(lambda x: x.to("cpu"))
    with pytest.raises(ValueError, match="float32"):
        store.move(lambda x: x.double())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_rows_in_files(tmp_path):
    """A hundred times the rows of 128 numbers, 512 MB in all, take no 30 MB more at the peak."""
    script = Path(__file__).parents[2] / "benchmarks" / "store.py"
    peaks = []
    for rows in (10**4, 10**5, 10**6):
        command = [sys.executable, script, "--measure", str(rows), "--folder", tmp_path]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.split()[3]))
    assert max(peaks) - peaks[0] < 30, peaks


def test_rows_that_files_do_not_have_are_neither_read_nor_written(tmp_path):
    store = store_of("files", tmp_path, torch.ones(3, 2))
    before = (tmp_path / "store" / "points.npy").read_bytes()
    for wrong in (torch.tensor([0, 3]), torch.tensor([0, -1]), torch.tensor([True, False])):
        with pytest.raises(IndexError, match="of 3"):
            store.read(wrong)
        with pytest.raises(IndexError, match="of 3"):
            store.write(wrong, torch.zeros(2, 2))
    assert (tmp_path / "store" / "points.npy").read_bytes() == before


def test_a_store_that_has_become_shorter_gives_no_rows(tmp_path):
    store = store_of("files", tmp_path, torch.ones(3, 2))
    path = tmp_path / "store" / "points.npy"
    os.truncate(path, path.stat().st_size - 8)
    assert torch.equal(store.read(torch.arange(2)), torch.ones(2, 2))
    with pytest.raises(OSError, match="shorter"):
        store.read(torch.arange(3))
