"""Convert one picture of any mode, depth and size to a form."""

import math
import threading
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from tigon.data.colours import to_srgb
from tigon.data.form import Form
from tigon.data.metadata import TURNS, orientation
from tigon.data.notes import Note
from tigon.data.pixels import MISSING
from tigon.sizes import sides

LARGE = 2**24  # pixels; larger pictures are converted one at a time
SIGNED = 2  # in TIFF's tag SampleFormat
BITS, FORMAT = 258, 339  # TIFF's tags BitsPerSample and SampleFormat
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # its tag PhotometricInterpretation, and a value of it
_one_by_one = threading.Lock()


class Decoded(NamedTuple):
    """A picture in its form, uint8 (H, W, C), and the notes on it."""

    pixels: np.ndarray
    notes: tuple[Note, ...] = ()


def convert(picture: Image.Image, form: Form) -> Decoded | str:
    """Convert a picture to a form, large ones one at a time: each takes a gigabyte or more.

    The camera's rotation is applied, colours are converted to sRGB, transparency becomes white, or
    in a form with alpha a channel of its own, and no picture is scaled by its own darkest and
    brightest value.

    Returns:
        the picture, or a text saying that it is too large
    Raises:
        Exception: of any kind, as decoders of broken files do
    """
    if large := form.too_large(picture.size):
        return large
    with _one_by_one if math.prod(picture.size) > LARGE else nullcontext():
        return _convert(picture, form)


def _convert(picture: Image.Image, form: Form) -> Decoded:
    picture.load()  # before its metadata, whose readers would load it and may themselves fail
    turn, notes = orientation(picture), []
    if turn is None:
        notes.append(Note("exif"))
    if picture.mode.startswith("I") or picture.mode == "F":
        picture, note = _eight_bits(picture)
        notes.append(note)
    picture, noted = to_srgb(picture)
    if noted:
        notes.append(Note(noted))
    picture = picture.convert("RGBA") if form.alpha else _on_white(picture)
    if turn in TURNS:
        picture = picture.transpose(TURNS[turn])
    pixels = _sized(picture, form)
    if form.alpha and not pixels[..., -1].all():
        notes.append(Note("missing", largest=float((pixels[..., -1] == 0).mean())))
    return Decoded(pixels, tuple(notes))


def _sized(picture: Image.Image, form: Form) -> np.ndarray:
    height, width = sides(form.image_size)
    filtered = Image.Resampling.LANCZOS
    if form.alpha and picture.getchannel("A").getextrema() != (255, 255):
        filtered = Image.Resampling.HAMMING  # without negative weights, which sum to no opacity
    if form.fit == "crop":
        picture = ImageOps.fit(picture, (width, height), filtered)
    elif picture.size != (width, height):
        picture = picture.resize((width, height), filtered)
    if form.alpha:
        return _with_alpha(picture, form)
    if form.channels == 1:
        picture = picture.convert("L")
    return np.asarray(picture, dtype=np.uint8).reshape(form.shape)


def _with_alpha(picture: Image.Image, form: Form) -> np.ndarray:
    """Return the pixels (H, W, C + 1) of a picture with transparency.

    Pillow resizes colours weighted by their opacity, so that none behind a transparent pixel
    matters. A pixel was observed if at least half of what it is made of is opaque.
    """
    opaque = np.asarray(picture.getchannel("A"))[..., None] > 127
    colours = np.asarray(picture.convert("RGB" if form.channels == 3 else "L"), np.uint8)
    colours = colours.reshape(*form.shape[:2], form.channels)
    return np.concatenate([np.where(opaque, colours, MISSING), opaque * np.uint8(255)], 2)


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode.endswith("A") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> tuple[Image.Image, Note]:
    """Map a grey picture of floats, or of more than 8 bits, to 8 bits by its type's range."""
    values = np.asarray(picture)
    found, note = _of_floats(values) if values.dtype.kind == "f" else _of_whole(values, picture)
    if (getattr(picture, "tag_v2", None) or {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        found = 255 - found  # as Pillow does, of 8 bits alone
    grey = Image.fromarray(found)
    grey.info |= {k: v for k, v in picture.info.items() if k == "icc_profile"}
    return grey, note


def _of_floats(values: np.ndarray) -> tuple[np.ndarray, Note]:
    """Map floats from [0, 1] or [0, 255]; a largest value between 1 and 2 is refused."""
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and (high <= 1 or 2 <= high <= 255)):
        raise ValueError(f"float pixels from {low:g} to {high:g}, outside [0, 1] and [0, 255]")
    white = 1 if high <= 1 else 255
    return (values * (255 / white)).round().astype(np.uint8), Note("floats", str(white))


def _of_whole(values: np.ndarray, picture: Image.Image) -> tuple[np.ndarray, Note]:
    """Map whole numbers; the largest that the type can hold is white."""
    bits = 16
    tags = getattr(picture, "tag_v2", None)  # of TIFF
    if tags is not None:
        bits = int(tags.get(BITS, (bits,))[0])
        if tags.get(FORMAT, (1,))[0] == SIGNED:
            bits -= 1
        elif bits == 32:
            values = values.view(np.uint32)  # Pillow holds them as signed
    low, high, white = int(values.min()), int(values.max()), 2**bits - 1
    if low < 0 or high > white:
        raise ValueError(f"whole pixels from {low} to {high}, outside 0 to {white}")
    wide = values.astype(np.uint32 if bits <= 16 else np.uint64)
    return ((wide * 255 + white // 2) // white).astype(np.uint8), Note(
        "deep", str(bits), largest=high / white
    )
