"""Metadata of pictures, which never decides whether the pixels are read.

Cameras, editors and phones write EXIF blocks, texts and profiles that are broken or too large
for decoders. Usable parts are used; the rest is ignored.
"""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

ORIENTATION = 0x0112
KINDS = {3: "H", 4: "I"}  # EXIF types: SHORT, and LONG, which some cameras write
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PNG, LARGEST_PROFILE = b"\x89PNG\r\n\x1a\n", 2**26
PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"acTL", b"fcTL", b"fdAT")


def orientation(picture: Image.Image) -> int | None:
    """Return the camera's orientation, 1 to 8; 1 if there is none, None if it cannot be read.

    Arguments:
        picture: already loaded
    """
    exif = picture.info.get("exif")
    scanned = _scanned(exif) if isinstance(exif, bytes) else 0
    try:
        found = scanned or picture.getexif().get(ORIENTATION, 1)
    except Exception:  # readers of broken metadata raise anything
        return None
    if scanned is None and found == 1:
        return None
    return found if type(found) is int and 1 <= found <= 8 else 1


def _scanned(exif: bytes) -> int | None:
    """Return the orientation in the first directory of an EXIF block, ignoring everything else.

    Returns:
        the orientation; 0 if there is none, None if the directory is truncated or invalid
    """
    data = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return None if data else 0
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        for place in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", data, place)
            if tag == ORIENTATION and kind in KINDS:
                return struct.unpack_from(order + KINDS[kind], data, place + 8)[0]
    except struct.error:
        return None
    return 0


def lean_png(data: bytes) -> tuple[bytes, bytes]:
    """Return a PNG reduced to its pixels and orientation, and its colour profile, if any."""
    kept, profile = [PNG], b""
    for kind, start, end in _chunks(data):
        whole = zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        if kind in PIXELS and (whole or kind != b"eXIf"):
            kept.append(data[start:end])
        elif kind == b"iCCP" and whole:
            profile = _profile(data[start + 8 : end - 4])
    return b"".join(kept), profile


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, start and end of each chunk of a PNG."""
    start = len(PNG)
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], start, min(end, len(data))
        start = end


def _profile(chunk: bytes) -> bytes:
    """Return the profile in an iCCP chunk; b"" if it is damaged, or a bomb."""
    try:
        inflate = zlib.decompressobj()
        found = inflate.decompress(chunk[chunk.index(0) + 2 :], LARGEST_PROFILE)
        return found if inflate.eof else b""
    except (ValueError, zlib.error):
        return b""
