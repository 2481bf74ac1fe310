"""Binary messages."""

import struct

import numpy as np
import pytest
import torch

from explored import opened
from tigon.explorer.frames import pack, rgba, shades, thumbnails, unpack


def test_what_is_packed_is_what_is_read():
    pixels = np.arange(2 * 3 * 3 * 4, dtype=np.uint8).reshape(2, 3, 3, 4)
    latents = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    found = opened(pack({"type": "x"}, pixels=pixels, latents=latents))
    assert found["type"] == "x"
    assert np.array_equal(found["pixels"], pixels) and np.array_equal(found["latents"], latents)


def test_doubles_and_numbers_that_json_has_not_are_refused():
    with pytest.raises(ValueError, match="uint8 or float32"):
        pack({}, values=np.zeros(2))
    with pytest.raises(ValueError):
        pack({"error": float("nan")})


@pytest.mark.parametrize("message", [b"", b"abc", struct.pack("<I", 9) + b"{}"])
def test_a_message_shorter_than_it_says_is_refused(message):
    with pytest.raises(ValueError, match="binary message"):
        unpack(message)


def test_grey_and_colour_pictures_become_opaque_ones():
    grey = np.full((1, 2, 2, 1), 7, np.uint8)
    assert rgba(grey).tolist() == [[[[7, 7, 7, 255]] * 2] * 2]
    colours = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    assert np.array_equal(rgba(colours)[..., :3], colours)


def test_thumbnails_are_no_larger_than_asked_and_small_pictures_stay():
    pixels = np.full((2, 64, 64, 3), 9, np.uint8)
    assert thumbnails(pixels, 32).shape == (2, 32, 32, 4)
    assert np.array_equal(thumbnails(pixels, 64), rgba(pixels))
    assert thumbnails(pixels[:, :, :16], 32).shape == (2, 32, 8, 4)


def test_shades_go_from_black_to_white_and_no_further():
    found = shades(torch.tensor([[[0.0, 0.5], [1.0, 3.0]]]))
    assert found[0, ..., 0].tolist() == [[0, 128], [255, 255]]
    assert (found[..., :3] == found[..., :1]).all() and (found[..., 3] == 255).all()
