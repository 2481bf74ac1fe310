"""Mirrored copies of images."""

import numpy as np
import pytest
import torch

from tigon.data.held_out import hold_out, share_of
from tigon.data.images import ImageSet
from tigon.data.lazy_rows import LazyRows
from tigon.data.mirrored import (
    MirroredSet,
    alike,
    distinct_rows,
    mirrored,
    origins,
    verdict,
)
from tigon.distributed import ShardOwnership
from tigon.random.streams import make_rng


def blobs(count, turned, size=16, seed=0):
    """Images with a brighter spot, left of the middle; of a share `turned` of them right of it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    rows = rng.uniform(3, size - 3, count)[:, None, None]
    columns = rng.uniform(2, 6, count)[:, None, None]
    shapes = 200 * np.exp(-((y - rows) ** 2 + (x - columns) ** 2) / 8)
    right = rng.random(count) < turned
    shapes[right] = shapes[right][:, :, ::-1]
    pixels = np.repeat(shapes.astype(np.uint8)[..., None], 3, 3)
    return ImageSet(pixels, [f"{k}.png" for k in range(count)], [], labels=np.arange(count))


@pytest.mark.parametrize(("turned", "share"), [(0.5, 0.5), (0.0, 0.0)])
def test_how_often_the_most_like_image_is_a_mirrored_one(turned, share):
    assert abs(alike(blobs(300, turned)) - share) < 0.08


def test_an_images_own_mirrored_copy_says_nothing():
    """Of images that are all their own mirrored copies, no mirrored one is nearer than another."""
    images = blobs(60, 0.0)
    whole = np.maximum(images.pixels, images.pixels[:, :, ::-1])
    assert alike(ImageSet(whole, images.names, [])) == 0


@pytest.mark.parametrize(
    ("count", "turned", "mirror"), [(200, 0.5, True), (200, 0.0, False), (49, 0.5, False)]
)
def test_copies_are_worth_having_where_left_and_right_do_not_matter(count, turned, mirror):
    found = verdict(blobs(count, turned))
    assert found.mirror == mirror
    assert ("% of images are most like a mirrored copy of another; 33 % are" in found.why) == (
        count == 200
    )


def test_they_follow_the_images_in_every_way_of_reading():
    plain = blobs(7, 0.5)
    masks = make_rng(0)
    masks = (255 * torch.randint(2, (7, 16, 16), generator=masks)).numpy().astype(np.uint8)
    images = mirrored(ImageSet(plain.pixels, plain.names, [], labels=plain.labels, masks=masks))
    assert isinstance(images, MirroredSet) and len(images) == 14
    assert images.names[9] == images.name(9) == "2.png (mirrored)" and images.names[2] == "2.png"
    assert images.names[6:8] == list(images.names)[6:8] == ["6.png", "0.png (mirrored)"]
    rows = torch.tensor([9, 2, 13])
    expected = plain.read(torch.tensor([2, 2, 6]))
    expected[[0, 2]] = expected[[0, 2]].flip(3)
    assert torch.equal(images.read(rows), expected)
    assert torch.equal(images.read(slice(9, 14, 4)), expected[[0, 2]])
    assert torch.equal(images.read(), torch.cat([plain.read(), plain.read().flip(3)]))
    batch = images.batch(rows)
    assert torch.equal(batch.images, expected) and torch.equal(batch.index, rows)
    assert batch.condition.tolist() == [2, 2, 6]
    assert torch.equal(batch.mask[0], batch.mask[1].flip(2))
    assert np.array_equal(images.pixels[9], plain.pixels[2][:, ::-1])
    assert np.array_equal(np.asarray(images.masks)[7:], masks[:, :, ::-1])
    assert np.array_equal(images.pixels[np.array([13, 0])][0], plain.pixels[6][:, ::-1])


def test_means_are_those_of_all_images():
    images, every = mirrored(blobs(9, 0.2)), mirrored(blobs(9, 0.2)).read()
    assert torch.allclose(images.mean_image(), every.mean(0), atol=1e-6)
    assert torch.allclose(images.mean_colours(11), every[:11].mean((2, 3)), atol=1e-6)


def test_means_are_of_what_was_observed_on_either_side():
    plain = blobs(9, 0.2)
    masks = np.full((9, 16, 16), 255, np.uint8)
    masks[:, :, :5] = 0
    images = mirrored(ImageSet(plain.pixels, plain.names, [], masks=masks))
    seen, mirror = plain.read().mean(0), plain.read().mean(0).flip(2)
    expected = torch.cat([mirror[:, :, :5], ((seen + mirror) / 2)[:, :, 5:11], seen[:, :, 11:]], 2)
    assert torch.allclose(images.mean_image(), expected, atol=1e-5)


def test_the_images_of_another_processs_shard_are_not_read(monkeypatch):
    class Other(LazyRows):
        def __getitem__(self, rows):
            raise AssertionError(f"rows {rows} belong to another process")

    plain = blobs(9, 0.2)
    labels = Other((9,), np.int64)
    images = mirrored(ImageSet(plain.pixels, plain.names, [], labels=labels))
    assert len(images.labels) == 18
    with pytest.raises(AssertionError, match=r"rows \[8 1\] belong"):
        images.batch(torch.tensor([8, 10]))


def test_an_image_and_its_copy_are_held_out_together():
    images = hold_out(mirrored(blobs(60, 0.2)))
    assert len(images) == 108 and len(images.held_out) == 6
    assert not set(images.held_out.names) & set(images.names)
    assert share_of(images) == 0.1


def test_they_are_other_images_than_those_without():
    plain = blobs(9, 0.2)
    images = mirrored(plain)
    assert images.content() != plain.content() and images.fingerprint() != plain.fingerprint()
    assert images.content() == mirrored(blobs(9, 0.2)).content()
    assert images.content() != mirrored(blobs(9, 0.2, seed=1)).content()


def test_the_process_that_owns_a_shard_owns_its_mirrored_copies(monkeypatch):
    plain = blobs(9, 0.2)
    monkeypatch.setattr(ImageSet, "ownership", ShardOwnership([4, 5], [0, 1]))
    own = mirrored(plain).ownership
    assert own.owned(torch.arange(18)).tolist() == [0, 1, 2, 3, 9, 10, 11, 12]
    assert own.slots(torch.tensor([3, 9])).tolist() == [3, 4]


@pytest.mark.parametrize("most", [5, 40, 100])
def test_distinct_rows_are_no_copies_of_each_other(most):
    images = mirrored(blobs(40, 0.5))
    rows = distinct_rows(images, most)
    assert len(rows) == min(most, 40) and len(origins(images, rows).unique()) == len(rows)
    assert abs(int((rows >= 40).sum()) - len(rows) / 2) <= 0.5, "half of them are mirrored"
    assert torch.equal(distinct_rows(images.whole, 40), torch.arange(40))
