import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tigon.data.conversion import convert
from tigon.data.form import Form
from tigon.data.pixels import saturation, to_float, to_uint8
from tigon.errors import TigonError


@given(
    arrays(
        np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.just(3))
    )
)
def test_pixels_survive_the_way_to_floats_and_back(pixels):
    floats = to_float(pixels)
    assert floats.min() >= -1 and floats.max() <= 1
    assert np.array_equal(to_uint8(floats), pixels)


def test_black_and_white_are_minus_one_and_one():
    assert to_float(np.array([[[[0]], [[255]]]], np.uint8)).flatten().tolist() == [-1, 1]


def test_what_is_outside_is_clipped_and_saturation_says_how_much():
    images = torch.tensor([-3.0, -1.05, 0.0, 1.2]).view(1, 1, 2, 2)
    assert to_uint8(images).flatten().tolist() == [0, 0, 128, 255]
    assert saturation(images) == 0.5


def test_an_image_is_not_scaled_by_its_own_range():
    dim = torch.tensor([-0.1, 0.1]).view(1, 1, 1, 2)
    assert to_uint8(dim).flatten().tolist() == [115, 140]


def test_images_that_are_not_finite_are_refused_and_not_painted_black():
    with pytest.raises(TigonError, match="not finite"):
        to_uint8(torch.full((1, 3, 2, 2), float("nan")))


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("RGB", (4, 4), (10, 20, 30)), (10, 20, 30)),
        (Image.new("L", (4, 4), 77), (77, 77, 77)),
        (Image.new("1", (4, 4), 1), (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 0)), (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 255)), (10, 20, 30)),
        (Image.new("LA", (4, 4), (50, 255)), (50, 50, 50)),
        (Image.new("CMYK", (4, 4), (0, 0, 0, 0)), (255, 255, 255)),
        (Image.new("I", (4, 4), 65535), (255, 255, 255)),
        (Image.fromarray(np.full((4, 4), 257 * 100, np.uint16)), (100, 100, 100)),
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), (128, 128, 128)),
        (Image.new("P", (4, 4), 0), (0, 0, 0)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_mode_becomes_rgb(picture, expected):
    pixels = convert(picture, Form(8, "stretch", 3)).pixels
    assert pixels.shape == (8, 8, 3)
    assert pixels[3, 3].tolist() == list(expected)


def test_a_palette_with_a_transparent_colour_shows_white_there():
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 200, 0, 0] + [0] * 750)
    picture.info["transparency"] = 1
    assert convert(picture, Form(8, "stretch", 3)).pixels[0, 0].tolist() == [255, 255, 255]


def test_the_cameras_rotation_is_applied(tmp_path):
    picture = Image.new("RGB", (8, 8), "black")
    picture.paste((255, 255, 255), (0, 0, 8, 2))
    exif = Image.Exif()
    exif[0x0112] = 3
    picture.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        pixels = convert(turned, Form(8, "stretch", 3)).pixels
    assert pixels[0].max() == 0 and pixels[-1].min() == 255


def test_stretch_keeps_all_and_crop_keeps_proportions():
    picture = Image.new("L", (30, 10), 0)
    picture.paste(255, (10, 0, 20, 10))
    stretched = convert(picture, Form(10, "stretch", 1)).pixels[..., 0]
    cropped = convert(picture, Form(10, "crop", 1)).pixels[..., 0]
    assert stretched[:, 0].max() < 30 and stretched[5, 5] > 200
    assert cropped.min() == 255


@pytest.mark.parametrize(
    "values", [np.full((2, 2), 1.5, np.float32), np.full((2, 2), np.nan, np.float32)]
)
def test_float_pixels_outside_their_range_are_refused(values):
    with pytest.raises(ValueError, match="outside"):
        convert(Image.fromarray(values), Form(8, "stretch", 3))
