"""Images with missing values: from masks, from transparency, and what nothing may depend on."""

import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from small import image_set
from tigon.data.batches import Batch, colours_of
from tigon.data.datasets import as_data
from tigon.data.held_out import hold_out
from tigon.data.load import load_images
from tigon.data.masks import with_masks
from tigon.data.pixels import mean_observed, reduced, reduced_observed
from tigon.errors import TigonError


@pytest.fixture
def masked(tmp_path):
    """Write six 8 x 8 pictures, the same with other values behind their masks, and the masks."""
    numbers = np.random.default_rng(0)
    for folder in ("images", "other", "masks", "alpha"):
        (tmp_path / folder).mkdir()
    for k in range(6):
        pixels = numbers.integers(0, 256, (8, 8, 3), np.uint8)
        mask = np.uint8(255) * (numbers.random((8, 8)) < 0.6)
        other = np.where(mask[..., None] > 0, pixels, numbers.integers(0, 256, (8, 8, 3)))
        Image.fromarray(pixels).save(tmp_path / "images" / f"{k}.png")
        Image.fromarray(other.astype(np.uint8)).save(tmp_path / "other" / f"{k}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{k}.webp", lossless=True)
        Image.fromarray(np.dstack([pixels, mask])).save(tmp_path / "alpha" / f"{k}.png")
    return tmp_path


def test_masks_and_transparency_say_the_same_and_what_is_behind_them_is_hidden(masked):
    def loaded(images, mask):
        return load_images(masked / images, 8, mask=mask, mirror=True)

    found = [loaded(name, masked / "masks") for name in ("images", "other")]
    found.append(loaded("alpha", "alpha"))
    rows = torch.tensor([7, 0, 5, 11])
    mask = found[0].batch(rows).mask
    assert mask.shape == (4, 1, 8, 8) and 0.2 < mask.mean() < 0.9
    plain = load_images(masked / "images", 8, mirror=True).read(rows)
    for images in found:
        batch = images.batch(rows)
        assert images.incomplete and torch.equal(batch.mask, mask)
        assert torch.equal(batch.images, found[0].batch(rows).images)
        assert torch.equal(batch.completed(plain), plain)
        assert (batch.images[(mask == 0).expand_as(plain)].abs() < 0.01).all()
        assert images.content() == found[0].content()
        assert len(hold_out(images, 0.34)) == 8
        held = hold_out(images.whole, 0.34)
        part = held.batch(torch.tensor([1, 3]))
        wanted = images.batch(torch.from_numpy(held.rows[[1, 3]]))
        assert torch.equal(part.mask, wanted.mask) and held.held_out.incomplete
    assert found[0].content() != load_images(masked / "images", 8, mirror=True).content()
    Image.new("L", (8, 8), 255).save(masked / "masks" / "3.webp", lossless=True)
    assert loaded("images", masked / "masks").content() != found[0].content()


def test_transparent_colours_do_not_leak_into_pixels_that_are_made_smaller(tmp_path):
    """Half of each picture is transparent, with black behind it or white."""
    shown = []
    for name, behind in (("black", 0), ("white", 255)):
        pixels = np.full((32, 32, 4), behind, np.uint8)
        pixels[:, :15] = 90, 120, 150, 255
        pixels[:, 15:, 3] = 0
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        images = load_images(tmp_path / f"{name}.png", 8, mask="alpha")
        shown.append(images.pixels[0])
        assert np.asarray(images.masks[0])[0].tolist() == [255] * 4 + [0] * 4
    assert np.array_equal(*shown)
    assert np.abs(shown[0][:, :4].astype(int) - [90, 120, 150]).max() <= 2


def test_masks_that_keep_everything_are_none(masked):
    Image.new("L", (8, 8), 255).save(masked / "all.png")
    images = load_images(masked / "images", 8, mask=masked / "all.png")
    assert not images.incomplete and images.batch(torch.arange(2)).mask is None


def test_what_cannot_be_right_is_said_in_one_line(masked):
    empty = np.zeros((8, 8, 4), np.uint8)
    Image.fromarray(empty).save(masked / "alpha" / "9.png")
    Image.new("L", (9, 9), 255).save(masked / "masks" / "2.webp")
    for data, mask, said in (
        ("alpha", "alpha", "9.png is transparent everywhere"),
        ("images", "alpha", "no image has anything transparent"),
        ("images", masked / "masks", "2.webp: is 9, but the model's images are 8"),
        ("images", masked / "other.png", "cannot be found"),
    ):
        with pytest.raises(TigonError, match=said) as error:
            load_images(masked / data, 8, mask=mask)
        assert "\n" not in str(error.value)
    with pytest.raises(TigonError, match="nothing was observed of its image"):
        as_data(torch.zeros(3, 1, 8, 8), mask=torch.tensor([1.0, 0, 1]).view(3, 1, 1, 1))
    with pytest.raises(TigonError, match="must be 1 where a value was observed"):
        as_data(torch.zeros(3, 1, 8, 8), mask=torch.full((1, 1, 8, 8), 0.5))


@pytest.mark.parametrize("error", [SyntaxError, RuntimeError, struct.error])
def test_a_mask_whose_decoder_fails_in_any_way_is_refused(masked, monkeypatch, error):
    opened = Image.open

    def broken(path, *more, **options):
        if "masks" in str(path):
            raise error("no frame")
        return opened(path, *more, **options)

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(TigonError, match=r"--mask .*: cannot be read as a picture \(no frame\)"):
        load_images(masked / "images", 8, mask=masked / "masks")


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]))
def test_means_are_of_the_observed_values(seed, kinds):
    """Whatever else is there, and as if missing values were not in the array at all."""
    numbers = torch.Generator().manual_seed(seed)
    x = torch.rand(4, 3, 8, 8, generator=numbers) * 2 - 1
    mask = (torch.rand(4, kinds, 8, 8, generator=numbers) < 0.5).float()
    mask[:, :, 0, 0] = 1
    known = mask.expand_as(x) > 0
    colours = colours_of(Batch(torch.where(known, x, 5.0), torch.arange(4), mask))
    for row in range(4):
        wanted = torch.stack([x[row, c][known[row, c]].mean() for c in range(3)])
        torch.testing.assert_close(colours[row], wanted)
    error = mean_observed(x**2, mask)
    torch.testing.assert_close(error[1], (x[1][known[1]] ** 2).mean())
    small, seen = reduced_observed(x, mask, (4, 4), 0.5)
    block, here = x[2, 1, 2:4, 4:6], known[2, 1, 2:4, 4:6]
    counts = here.float().mean() >= 0.5
    assert bool(seen.expand_as(small)[2, 1, 1, 2]) == bool(counts)
    wanted = block[here].mean() if counts else torch.tensor(0.0)
    torch.testing.assert_close(small[2, 1, 1, 2], wanted)
    whole, everything = reduced_observed(x, torch.ones_like(mask), (4, 4), 0.5)
    torch.testing.assert_close(whole, reduced(x, (4, 4)))
    assert everything.all()


def test_the_mean_image_is_of_the_images_that_show_each_value():
    images = image_set(5)
    mask = (torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.7).float()
    mask[:, :, 0, 0], mask[:, :, 4, 4] = 0, 1  # nobody shows the first
    data = as_data(images.read(), mask=mask)
    mean, known = data.mean_image(), mask.expand(-1, 3, -1, -1) > 0
    shown = images.read()[:, 2, 3, 3][known[:, 2, 3, 3]]
    torch.testing.assert_close(mean[2, 3, 3], shown.mean())
    torch.testing.assert_close(mean[2, 0, 0], images.read()[:, 2][known[:, 2]].mean())


def test_masks_by_name_are_for_named_images(tmp_path):
    with pytest.raises(TigonError, match="has no mask for 0.png"):
        with_masks(image_set(2), str(tmp_path))


def test_shards_have_the_masks_of_their_transparency(masked):
    for name in ("a", "b"):
        (masked / f"part-{name}").mkdir()
    for k in range(6):
        (masked / "alpha" / f"{k}.png").rename(masked / f"part-{'ab'[k // 3]}" / f"{k}.png")
    images = load_images(str(masked / "part-*"), 8, mask="alpha")
    rows = torch.tensor([4, 1])
    known = load_images(masked / "images", 8, mask=masked / "masks").batch(rows)
    batch = images.batch(rows)
    assert torch.equal(batch.images, known.images) and torch.equal(batch.mask, known.mask)
    whole = load_images(masked / "images", 8, mask=masked / "masks")
    torch.testing.assert_close(images.mean_image(), whole.mean_image())
    torch.testing.assert_close(images.mean_colours(), whole.mean_colours())
    with pytest.raises(TigonError, match="in others' shards"):
        load_images(str(masked / "part-*"), 8, mask=masked / "masks")
