"""Images that are not learned from."""

import numpy as np
import pytest
import torch

from tigon.data.held_out import hold_out, share_of
from tigon.data.images import ImageSet
from tigon.data.load import load_images
from tigon.data.mirrored import mirrored
from tigon.errors import TigonError


def numbered(count):
    """Images that show their number, by name too."""
    values = np.arange(count, dtype=np.int64) % 256
    pixels = np.broadcast_to(values.astype(np.uint8)[:, None, None, None], (len(values), 8, 8, 3))
    names = [f"{k}.png" for k in range(count)]
    return ImageSet(pixels.copy(), names, ["broken.png"], labels=values)


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(49, None, 0), (50, None, 5), (120, None, 12), (20_000, None, 1000), (10, 0.3, 3)],
)
def test_so_many_are_held_out(count, share, expected):
    images = hold_out(numbered(count), share)
    assert len(images) == count - expected
    assert len(images.held_out or ()) == expected
    assert round(share_of(images) * count) == expected


def test_every_image_is_learned_from_or_held_out_with_its_name_and_label():
    whole = numbered(60)
    images = hold_out(whole)
    for part in (images, images.held_out):
        shown = [name.removesuffix(".png") for name in part.names]
        rows = torch.arange(len(part))
        assert [str(v) for v in part.pixels[:][:, 0, 0, 0]] == shown == sorted(shown, key=int)
        assert torch.equal(part.read(rows), part.read()) and len(part.pixels) == len(part)
        batch = part.batch(rows[1:3])
        assert torch.equal(batch.images, part.read(slice(1, 3)))
        assert batch.index.tolist() == [1, 2] and batch.condition.tolist() == [
            int(name) for name in shown[1:3]
        ]
        assert np.array_equal(np.asarray(part.pixels), part.pixels[:])
        assert part.name(2) == part.names[2] == part.names[2:3][0]
    assert sorted([*images.names, *images.held_out.names]) == sorted(whole.names)
    assert images.skipped == ["broken.png"]


def test_which_they_are_depends_on_nothing_but_the_number_of_images():
    first, second = hold_out(numbered(80)), hold_out(numbered(80))
    assert list(first.held_out.names) == list(second.held_out.names)
    assert first.fingerprint() == second.fingerprint() and first.content() == second.content()
    assert first.content() != first.held_out.content()


def test_mirrored_copies_of_what_is_held_out_are_not_learned_from():
    images = mirrored(hold_out(numbered(50)))
    held_out = {name.removesuffix(".png") for name in images.held_out.names}
    learned = {name.removesuffix(" (mirrored)").removesuffix(".png") for name in images.names}
    assert len(images) == 90 and len(held_out) == 5 and not held_out & learned
    assert share_of(images) == 0.1


def test_images_in_a_file_are_read_from_it(tmp_path):
    np.savez(tmp_path / "a.npz", images=numbered(64).pixels)
    whole = load_images(tmp_path / "a.npz", 8)
    images = hold_out(whole)
    taken = torch.tensor([0, 57, 3])
    assert torch.equal(images.read(taken), whole.read(torch.from_numpy(images.rows)[taken]))
    assert images.read().shape == (58, 3, 8, 8)


@pytest.mark.parametrize(("count", "share"), [(10, 0.05), (4, 0.8), (3, 0.5)])
def test_both_parts_have_two_images(count, share):
    with pytest.raises(TigonError, match=r"^--held-out 0\.\d+: of \d+ images this holds out \d, "):
        hold_out(numbered(count), share)


def test_shards_are_learned_from_whole(tmp_path):
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", images=numbered(30).pixels)
    images = load_images(f"{tmp_path}/*.npz", 8)
    assert hold_out(images) is images and len(images) == 60
    with pytest.raises(TigonError, match=r"^--held-out 0.1: no images of shards"):
        hold_out(images, 0.1)
