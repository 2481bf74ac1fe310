"""Crops of one picture are what it shows there; those held out show nothing of the others."""

import numpy as np
import pytest
import torch
from PIL import Image

from tigon.data.crops import crop_size, load_crops, picture_size
from tigon.data.held_out import share_of
from tigon.errors import TigonError


@pytest.fixture
def picture(tmp_path):
    """A picture of 60 x 200 pixels, no two of which are alike."""
    numbers = np.arange(60 * 200)
    pixels = np.stack([numbers % 256, numbers // 256, numbers * 0], -1).astype(np.uint8)
    path = tmp_path / "wall.png"
    Image.fromarray(pixels.reshape(60, 200, 3)).save(path)
    return path


def numbers_of(images):
    """The pixels that crops show, by their number in the picture."""
    pixels = np.asarray(images.pixels).astype(int)
    return pixels[..., 0] + 256 * pixels[..., 1]


def test_a_crop_is_what_the_picture_shows_where_its_name_says(picture):
    images = load_crops(picture, (16, 24))
    assert images.pixels.shape == (512, 16, 24, 3)
    for name, crop in zip(images.names, numbers_of(images), strict=True):
        top, left = map(int, name.removeprefix("wall.png[").removesuffix("]").split(","))
        assert np.array_equal(crop[0], 200 * top + left + np.arange(24))
        assert np.array_equal(crop[:, 0], 200 * (top + np.arange(16)) + left)
    some = torch.tensor([5, 300])
    expected = torch.from_numpy(images.pixels[[5, 300]] / 127.5 - 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(images.read(some), expected.float())


def test_held_out_crops_share_no_pixel_with_the_others_and_all_others_are_seen(picture):
    images = load_crops(picture, 16)
    learned, unseen = (set(numbers_of(part).ravel()) for part in (images, images.held_out))
    assert len(images) == 512 and len(images.held_out) == 128 and not learned & unseen
    assert {number % 200 for number in unseen} == set(range(160, 200))
    assert len(learned) > 0.95 * 60 * 160 and share_of(images) == 0.2
    again = load_crops(picture, 16, held_out=share_of(images))
    assert again.names == images.names and again.fingerprint() == images.fingerprint()


def test_mirrored_copies_follow_the_crops(picture):
    plain, images = load_crops(picture, 16), load_crops(picture, 16, mirror=True)
    assert len(images) == 1024 and share_of(images) == 0.2
    assert np.array_equal(images.pixels[512 + 7], plain.pixels[7][:, ::-1])


def test_the_size_of_crops_follows_the_picture(picture, tmp_path):
    assert picture_size(picture) == (60, 200) and crop_size(picture, 16) == 16
    turned = Image.open(picture).rotate(0)
    exif = turned.getexif()
    exif[274] = 6  # a quarter turn
    for kind in ("png", "tif", "webp"):
        path = tmp_path / f"turned.{kind}"
        turned.save(path, exif=exif)
        assert picture_size(path) == (200, 60)
        assert load_crops(path, (190, 60)).pixels.shape[1:] == (190, 60, 3)
    Image.new("L", (500, 400)).save(tmp_path / "large.png")
    assert crop_size(tmp_path / "large.png", 16) == 64


def test_a_small_picture_holds_nothing_out_unless_asked(picture):
    assert load_crops(picture, 56).held_out is None
    images = load_crops(picture, 56, held_out=0.3)
    assert len(images.held_out) == 192 and len(images) == 448


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        ("wall.png", {"size": 64}, "is 60x200, smaller than the crops of 64; lower --image-size"),
        ("wall.png", {"size": 16, "held_out": 0.02}, "--held-out 0.02: of 200 pixels this holds"),
        ("wall.png", {"size": 16, "held_out": 0.95}, "both must have room for a crop of 16"),
        (".", {}, "is learned from one picture; give a file"),
        ("embedded:animal-faces", {}, "is learned from one picture; give a file"),
        ("*.png", {}, "is learned from one picture; give a file"),
        ("none.png", {}, "no such folder or file"),
        ("text.png", {}, "text.png is not an image"),
        ("tiny.png", {}, "is 4x300; the sides of a texture's picture are 8 to 8192 pixels"),
        ("wall.png", {"size": 16, "max_pixels": 100}, "has too many pixels"),
    ],
)
def test_anything_else_is_refused(picture, monkeypatch, data, options, said):
    monkeypatch.chdir(picture.parent)
    (picture.parent / "text.png").write_text("text")
    Image.new("L", (300, 4)).save("tiny.png")
    with pytest.raises(TigonError) as error:
        load_crops(data, **options)
    assert said in str(error.value)
