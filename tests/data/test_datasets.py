"""Tensors and data sets of PyTorch as data: what is taken, what is refused, what is learned."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import tigon
from small import descriptor_recipe, generator_recipe, image_set, parameters
from tigon.data.datasets import as_data
from tigon.errors import TigonError

LIKE = torch.zeros(())


def floats(count: int = 6, size=(8, 12), channels: int = 3) -> torch.Tensor:
    """Random images in [-1, 1]."""
    rng = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, *size, generator=rng) * 2 - 1


class Lazy(Dataset):
    """Items that `make` gives by number, and which of them were asked for."""

    def __init__(self, make, count=100):
        self.make, self.count, self.asked = make, count, []

    def __len__(self):
        return self.count

    def __getitem__(self, row):
        self.asked.append(row)
        return self.make(row)


def one(row: int, fill=0.0) -> torch.Tensor:
    """An image whose first value tells its number."""
    image = torch.full((3, 8, 12), fill)
    image[0, 0, 0] = row / 100 - 0.5
    return image


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))
def test_bytes_and_floats_are_the_same_images(height, width, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (3, height, width, channels), np.uint8)
    data = as_data(pixels)
    same = as_data(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1)
    index = torch.tensor([2, 0])
    assert torch.equal(data.batch(index).images, same.batch(index).images)
    assert torch.equal(data.mean_image(), same.mean_image()) and data.channels == channels
    assert tigon.sizes.sides(data.image_size) == (height, width) and len(data) == 3


def test_mask_and_condition_go_with_their_rows():
    images, labels = floats(), torch.arange(6) * 10
    for mask in (images > -0.5, torch.ones(1, 1, 8, 12, dtype=torch.bool), images[:, :1] > 0):
        data = as_data(images, labels, mask)
        batch = data.order(4, 0).read(data, 0, torch.zeros((), dtype=torch.float64))
        assert torch.equal(batch.condition, batch.index * 10) and batch.among == 6
        assert batch.mask.dtype == torch.float64
        rows = mask[batch.index] if len(mask) > 1 else mask
        assert torch.equal(batch.mask, rows.double())


def test_a_data_set_is_asked_for_the_items_of_a_batch_alone():
    dataset = Lazy(lambda row: (one(row), row % 3))
    data = as_data(dataset)
    assert len(dataset.asked) <= 17 and len(data) == 100 and data.image_size == (8, 12)
    dataset.asked.clear()
    batch = data.order(5, 0).read(data, 3, LIKE)
    assert dataset.asked == batch.index.tolist() and len(batch.index) == 5
    assert torch.allclose(batch.images[:, 0, 0, 0], batch.index / 100 - 0.5)
    assert torch.equal(batch.condition, batch.index % 3)


@pytest.mark.parametrize(
    "make",
    [
        one,
        lambda row: (one(row),),
        lambda row: [one(row), 1.5],
        lambda row: {"image": one(row), "mask": torch.ones(1, 8, 12), "condition": np.ones(4)},
        lambda row: np.full((8, 12, 3), row, np.uint8),
        lambda row: (np.asarray(Image.new("RGB", (12, 8))), np.int64(3)),
    ],
)
def test_items_may_be_images_pairs_or_dictionaries(make):
    data = as_data(Lazy(make))
    batch = data.batch(torch.tensor([3, 1]))
    assert batch.images.shape == (2, 3, 8, 12) and batch.images.is_floating_point()
    assert batch.mask is None or batch.mask.shape == (2, 1, 8, 12)
    assert batch.condition is None or len(batch.condition) == 2
    assert data.batch(torch.tensor([], dtype=torch.long)).images.shape == (0, 3, 8, 12)


def test_data_sets_of_pytorch_are_taken_as_they_are():
    images, labels = floats(), torch.arange(6)
    data = as_data(Subset(TensorDataset(images, labels), [5, 3]))
    assert data.batch(torch.tensor([0])).condition.tolist() == [5]
    assert as_data(data) is data and isinstance(as_data(image_set()), tigon.ImageSet)


@pytest.mark.parametrize("of", [lambda x: x, TensorDataset])
def test_other_images_have_another_fingerprint(of):
    images = floats()
    other = images.clone()
    other[5, 0, 0, 0] = 0.123
    first, again, changed, fewer = (
        as_data(of(x)).fingerprint() for x in (images, images.clone(), other, images[:5])
    )
    assert first == again and len({first, changed, fewer}) == 3


REFUSED = {
    "channels last": (floats().movedim(1, -1), r"convert x by x.movedim\(-1, -3\)"),
    "bytes, channels first": (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"x.movedim\(-3, -1\)"),
    "grey": (floats()[:, 0], r"float32 \(6, 8, 12\).*x.unsqueeze\(-3\)"),
    "0 to 255": (floats() * 127 + 128, r"ranges from .* to 25\d.*x / 127.5 - 1"),
    "other range": (floats() * 9, "ranges from -8.*scale them to this range"),
    "not finite": (floats() / 0, "not finite"),
    "integers": (torch.zeros(2, 3, 8, 8, dtype=torch.long), "int64 .*uint8"),
    "none": (torch.zeros(0, 3, 8, 8), "images are floats"),
    "a vector": (torch.zeros(9), "images are floats"),
    "a path": ("photos", "load_images"),
    "a loader": (DataLoader(TensorDataset(floats())), "loader.dataset"),
    "a dictionary": ({"image": floats()}, "a dict: give images"),
    "a number": (7, "a int: give images"),
    "a stream": (
        type("Stream", (IterableDataset,), {"__iter__": None})(),
        "a Stream: give images",
    ),
    "an empty set": (Lazy(one, 0), "is empty"),
    "a picture": (Lazy(lambda row: Image.new("RGB", (8, 8))), r"item 0 is a Image.*numpy.asarray"),
    "a triple": (Lazy(lambda row: (one(row), 1, 2)), "item 0 has 3 parts"),
    "another name": (Lazy(lambda row: {"image": one(row), "label": 1}), "names image, label"),
    "other sizes": (Lazy(lambda row: one(row)[:, :, : 12 - row % 2]), "and item 0 image"),
    "labels at times": (Lazy(lambda row: (one(row), 1) if row else one(row)), "all items"),
    "item of 0 to 255": (
        Lazy(lambda row: one(row, 255.0)),
        r"item 0 of float32 \(3, 8, 12\) ranges from -0.5 to 255.*scale them to this range",
    ),
    "mask of its own": (
        Lazy(lambda row: {"image": one(row), "mask": torch.ones(3, 4, 4)}),
        r"item 0, mask of shape \(3, 4, 4\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_data_is_refused_with_what_converts_it(case):
    data, said = REFUSED[case]
    with pytest.raises(TigonError, match=said) as error:
        as_data(data)
    assert "\n" not in str(error.value)


def test_masks_and_conditions_that_do_not_go_with_the_images_are_refused():
    for given_, said in (
        ({"condition": torch.zeros(5)}, "for 6 images"),
        ({"mask": torch.ones(5, 3, 8, 12)}, "for 6 images"),
        ({"mask": torch.ones(6, 3, 12, 8)}, r"mask of shape \(3, 12, 8\)"),
    ):
        with pytest.raises(TigonError, match=said):
            as_data(floats(), **given_)
    with pytest.raises(TigonError, match="in its items"):
        as_data(Lazy(one), torch.zeros(100))


def test_images_from_0_to_1_are_refused_where_black_is_among_them_else_taken_with_a_warning():
    for data in (floats().abs(), TensorDataset(floats().abs())):
        with pytest.raises(TigonError, match="ranges from 0.00036.* to 0.99.*by 2 \\* x - 1"):
            as_data(data)
    for data in (floats().abs() / 2 + 0.2, TensorDataset(floats().abs() / 2 + 0.2)):
        with pytest.warns(UserWarning, match="2 \\* x - 1"):
            as_data(data)


@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_a_tensor_and_a_data_set_are_learned_from_as_image_sets_are(name):
    images = image_set(6)
    recipe = {"generator": generator_recipe, "descriptor": descriptor_recipe}[name](batch_size=4)
    tensor = images.read()
    given_ = (
        images,
        tensor,
        torch.from_numpy(images.pixels),
        TensorDataset(tensor, torch.arange(6)),
    )
    ends = []
    for data in map(as_data, given_):
        trainer = recipe.trainer(data)
        for _ in range(3):
            trainer.step()
        ends.append(parameters(trainer.learner))
    assert all(torch.equal(end, ends[0]) for end in ends)
