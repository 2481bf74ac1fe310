"""The values of pictures: what they can hold decides, and what is dark or ambiguous is said."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from tigon.data.form import Form
from tigon.data.load import load_images
from tigon.data.pictures import decode_bytes
from tigon.errors import TigonError

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped(profile):
    """A profile whose red is the other's blue."""
    found = bytearray(profile)
    for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        tag = profile[at : at + 4]
        found[at : at + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(tag, tag)
    return bytes(found)


def encoded(picture, kind="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def decoded(picture, kind="PNG", **options):
    found = decode_bytes(encoded(picture, kind, **options), Form(8))
    return found.pixels[3, 3].tolist(), [note.kind for note in found.notes]


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("TIFF", "RGB"), ("JPEG", "RGB")]
)
def test_a_colour_profile_is_converted_to_srgb(kind, mode):
    picture = Image.new("RGB", (8, 8), (200, 100, 50)).convert(mode)
    assert decoded(picture, kind, icc_profile=SRGB) == ([200, 100, 50], [])
    colour, notes = decoded(picture, kind, icc_profile=swapped(SRGB))
    assert np.abs(np.subtract(colour, [50, 100, 200])).max() <= 2 and notes == ["profile"]
    assert decoded(picture, kind, icc_profile=b"junk" * 50) == ([200, 100, 50], ["odd profile"])


def test_transparency_shows_white_in_a_picture_with_a_profile():
    picture = Image.new("RGBA", (8, 8), (200, 100, 50, 0))
    assert decoded(picture, icc_profile=swapped(SRGB)) == ([255] * 3, ["profile"])


def tiff(values, **options):
    return encoded(Image.fromarray(values), "TIFF", **options)


@pytest.mark.parametrize(
    ("data", "value", "said"),
    [
        (tiff(np.full((8, 8), 4095, np.uint16)), 16, "use no more than 4095 of 65535; multiply "
         "the values by 16"),
        (tiff(np.full((8, 8), 25700, np.uint16)), 100, ""),
        (tiff(np.full((8, 8), 2**31 - 1, np.int32)), 255, ""),
        (tiff(np.full((8, 8), 4095, np.int32)), 0, "use no more than 4095 of 2147483647; multiply "
         "the values by 524288"),
        (tiff(np.full((8, 8), 0.5, np.float32)), 128, "read as floats from 0 to 1: 1 picture"),
        (tiff(np.full((8, 8), 200, np.float32)), 200, "read as floats from 0 to 255: 1 picture"),
        (encoded(Image.new("L", (8, 8), 1)), 1, "no value of the images is above 1 of 255: they"),
        (encoded(Image.new("L", (8, 8), 90)), 90, ""),
    ],
)  # fmt: skip
def test_values_are_read_by_what_they_can_hold_and_darkness_is_said(tmp_path, data, value, said):
    (tmp_path / "a.tif").write_bytes(data)
    images = load_images(tmp_path, 8)
    assert images.pixels[0, 3, 3].tolist() == [value] * 3
    assert len(images.notes) == bool(said) and all(said in line for line in images.notes)


def test_one_dark_picture_among_others_of_its_depth_is_no_matter(tmp_path):
    for name, value in (("a.png", 3000), ("b.png", 60000)):
        (tmp_path / name).write_bytes(encoded(Image.fromarray(np.full((8, 8), value, np.uint16))))
    assert load_images(tmp_path, 8).notes == []


@pytest.mark.parametrize("low, high", [(-1, 1), (0, 1.5), (0, 256)])
def test_floats_of_another_range_are_left_out_with_it(low, high):
    values = np.array([[low, high]] * 2, np.float32)
    found = decode_bytes(tiff(values), Form(8))
    assert found == (
        f"cannot be read (float pixels from {low:g} to {high:g}, outside [0, 1] and [0, 255])"
    )


def test_frames_are_counted_and_read_where_all_are_asked_for(tmp_path):
    shades = [Image.new("L", (9, 9), 40 * k) for k in range(3, 7)]
    for name, options in (("a.tif", {"compression": "tiff_lzw"}), ("b.gif", {})):
        shades[0].save(tmp_path / name, save_all=True, append_images=shades[1:], **options)
    shades[0].save(tmp_path / "c.png")
    images = load_images(tmp_path, 8)
    assert images.pixels[:, 0, 0, 0].tolist() == [120, 120, 120]
    assert images.notes == [
        "of 2 pictures, such as a.tif, the first of several pages or frames is read; --frames all "
        "reads every one"
    ]
    images = load_images(tmp_path, 8, frames="all")
    assert images.pixels[:, 0, 0, 0].tolist() == [120, 160, 200, 240] * 2 + [120]
    assert images.names[3:] == ["a.tif[3]", *(f"b.gif[{k}]" for k in range(4)), "c.png"]
    assert images.notes == []


def test_a_page_that_is_broken_ends_its_file_and_keeps_its_label(tmp_path):
    rng = np.random.default_rng(0)
    pages = [Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)) for _ in range(3)]
    for name in ("x/a.tif", "y/b.png"):
        (tmp_path / name).parent.mkdir()
        pages[0].save(tmp_path / name, save_all=name.endswith("tif"), append_images=pages[1:])
    whole = (tmp_path / "x/a.tif").read_bytes()
    (tmp_path / "x/a.tif").write_bytes(whole[: len(whole) - 600])
    images = load_images(tmp_path, 8, frames="all")
    assert images.names == ["x/a.tif[0]", "x/a.tif[1]", "y/b.png"]
    assert images.skipped[0].startswith("x/a.tif[2] cannot be read, nor what follows (")
    assert np.asarray(images.labels).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [("fit", "contain", "stretch, crop"), ("frames", "some", "first, all")],
)
def test_unknown_words_are_refused(pictures, option, value, known):
    with pytest.raises(TigonError, match=f"^{option} must be one of {known}, not '{value}'$"):
        load_images(pictures, 8, **{option: value})


@pytest.mark.parametrize("mode", ["L", "I;16", "F"])
def test_zero_is_white_where_a_tiff_says_so(mode):
    """Pillow inverts 8 bits alone; it writes BlackIsZero, which is changed here."""
    dark = {"L": 30, "I;16": 30 * 257, "F": 30 / 255}[mode]
    file = bytearray(encoded(Image.new(mode, (8, 8), dark), "TIFF"))
    at = file.index((262).to_bytes(2, "little") + (3).to_bytes(2, "little")) + 8
    assert file[at] == 1
    assert decode_bytes(bytes(file), Form(8)).pixels[3, 3].tolist() == [30] * 3
    file[at] = 0
    assert decode_bytes(bytes(file), Form(8)).pixels[3, 3].tolist() == [225] * 3
