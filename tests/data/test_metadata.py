"""Metadata never decides whether the pixels of a picture are read, and turns them where it can."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tigon.data.form import Form
from tigon.data.pictures import decode_bytes

pytestmark = pytest.mark.filterwarnings("ignore")  # of Pillow, which `decode_all` keeps quiet
HALVES = Image.new("RGB", (16, 16), "white")
HALVES.paste((0, 0, 0), (0, 0, 16, 8))
SIDEWAYS = 6  # the upper half becomes the right one


def encoded(picture, kind="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def exif(order, entries):
    """A block of EXIF: (tag, type, count, value) each."""
    directory = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return b"Exif\0\0" + head + struct.pack(f"{order}H", len(entries)) + directory


def turned(pixels):
    return pixels[4, 0, 0] > 200 and pixels[4, 7, 0] < 50


entry = st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 20), *[st.integers(0, 2**32 - 1)] * 2)


@given(
    st.sampled_from("<>"),
    st.lists(entry.filter(lambda e: e[0] != 0x0112), max_size=4),
    st.binary(max_size=30),
    st.sampled_from(["JPEG", "PNG", "WEBP"]),
)
def test_an_orientation_among_broken_entries_is_applied(order, entries, rest, kind):
    value = SIDEWAYS << 16 if order == ">" else SIDEWAYS
    block = exif(order, [*entries, (0x0112, 3, 1, value)]) + rest
    found = decode_bytes(encoded(HALVES, kind, exif=block, quality=95), Form(8))
    assert not isinstance(found, str) and turned(found.pixels) and found.notes == ()


@given(st.binary(max_size=60), st.sampled_from(["JPEG", "PNG", "WEBP"]))
def test_a_picture_is_read_whatever_its_exif_is(block, kind):
    found = decode_bytes(encoded(HALVES, kind, exif=b"Exif\0\0" + block), Form(8))
    assert not isinstance(found, str)


def test_exif_that_cannot_be_read_is_noted():
    found = decode_bytes(encoded(HALVES, "JPEG", exif=b"Exif\0\0junk"), Form(8))
    assert [note.kind for note in found.notes] == ["exif"] and found.pixels[0, 0, 0] < 20


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


LARGE = zlib.compress(bytes(3_000_000))
CHUNKS = {
    "zTXt": chunk(b"zTXt", b"key\0\0" + LARGE),
    "iTXt": chunk(b"iTXt", b"key\0\1\0\0\0" + LARGE),
    "iCCP": chunk(b"iCCP", b"name\0\0" + LARGE),
    "broken iCCP": chunk(b"iCCP", b"name\0\0" + LARGE[:90]),
    "wrong checksum": chunk(b"tEXt", b"key\0value")[:-1] + b"?",
    "tEXt": chunk(b"tEXt", b"key\0" + bytes(65_000_000)),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("case", CHUNKS)
def test_texts_and_profiles_of_any_size_do_not_keep_a_png_from_being_read(case, late):
    block = exif("<", [(0x0112, 3, 1, SIDEWAYS)])
    data, at = encoded(HALVES, exif=block), 33
    at = len(data) - 12 if late else 33  # before the end, or after the header
    found = decode_bytes(data[:at] + CHUNKS[case] + data[at:], Form(8))
    assert not isinstance(found, str) and turned(found.pixels)


def test_a_png_whose_pixels_are_damaged_is_not_read_for_its_metadatas_sake():
    rng = np.random.default_rng(0)
    data = encoded(Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)))
    data = data[:33] + CHUNKS["zTXt"] + data[33:-200]
    assert decode_bytes(data, Form(8)).startswith("cannot be read (")
