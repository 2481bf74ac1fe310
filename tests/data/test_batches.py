import torch
from hypothesis import given
from hypothesis import strategies as st

from small import image_set
from tigon.data.batches import BatchOrder


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_every_example_comes_once_an_epoch(count, batch_size, epoch):
    order = BatchOrder(count, batch_size, seed=3)
    start = epoch * order.batches
    rows = torch.cat([order.index(start + k) for k in range(order.batches)])
    assert sorted(rows.tolist()) == list(range(count))


def test_the_order_is_a_function_of_seed_and_epoch():
    first, again = BatchOrder(20, 6, 1), BatchOrder(20, 6, 1)
    assert torch.equal(first.index(9), again.index(9))
    epochs = [torch.cat([first.index(4 * e + k) for k in range(4)]) for e in range(2)]
    assert not torch.equal(*epochs)
    assert not torch.equal(BatchOrder(20, 6, 2).index(9), first.index(9))


def test_a_batch_has_the_images_of_its_rows():
    images = image_set(7)
    batch = BatchOrder(7, 3, 0).read(images, 1, torch.zeros(1, dtype=torch.float64))
    assert torch.equal(batch.images, images.read()[batch.index])
