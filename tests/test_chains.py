import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tigon.chains import ChainStore


@given(st.integers(1, 12), st.data())
def test_rows_written_are_the_rows_read(count, data):
    index = torch.tensor(data.draw(st.permutations(range(count))))
    index = index[: data.draw(st.integers(1, count))]
    store = ChainStore(torch.zeros(count, 3), 0.1)
    points, sizes = torch.rand(len(index), 3), torch.rand(len(index))
    store.write(index, points, sizes)
    read, read_sizes, tuning = store.read(index)
    assert (tuning == 0).all()
    assert torch.equal(read, points) and torch.equal(read_sizes, sizes)
    untouched = torch.ones(count, dtype=torch.bool)
    untouched[index] = False
    assert (store.points[untouched] == 0).all() and (store.step_size[untouched] == 0.1).all()


def test_a_row_read_is_a_copy():
    store = ChainStore(torch.zeros(2, 3), 0.1)
    points = store.read(torch.tensor([0])).points
    points += 1
    assert (store.points == 0).all()


def test_a_row_written_twice_at_once_is_refused():
    store = ChainStore(torch.zeros(3, 1), 0.1)
    with pytest.raises(ValueError, match="twice"):
        store.write(torch.tensor([1, 1]), torch.zeros(2, 1), torch.ones(2))


def test_rows_of_another_shape_are_refused():
    store = ChainStore(torch.zeros(3, 2), 0.1)
    with pytest.raises(ValueError, match="2 rows of"):
        store.write(torch.tensor([0, 1]), torch.zeros(2, 1), torch.ones(2))
    with pytest.raises(ValueError, match="points"):
        store.load({"points": torch.zeros(2, 2), "step_size": torch.ones(3)})


def test_what_is_saved_can_be_loaded():
    store = ChainStore(torch.rand(3, 2), torch.rand(3))
    other = ChainStore(torch.zeros(3, 2), 0.1)
    other.load(store.tensors())
    assert torch.equal(other.points, store.points)
    assert torch.equal(other.step_size, store.step_size)
