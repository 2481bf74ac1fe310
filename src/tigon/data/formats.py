"""The picture formats that Pillow and its installed plug-ins read."""

import importlib
from contextlib import suppress
from functools import cache

from PIL import Image

from tigon.data.endings import BY_ENDING

# Decoded formats. Those that Pillow hands to another program (EPS, to Ghostscript) are not.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO"),
    *("PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM"),
)


@cache
def formats() -> tuple[str, ...]:
    """Return the `FORMATS` that this Pillow and its plug-ins can read."""
    Image.init()
    with suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    if "AVIF" not in Image.OPEN:
        with suppress(ImportError):
            importlib.import_module("pillow_avif")
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def endings() -> frozenset[str]:
    """Return the endings of the pictures that are read, in lower case, with their dots."""
    read = formats()
    return frozenset(e for e, kind in Image.registered_extensions().items() if kind in read)


def passed_over(name: str) -> str:
    """Return the ending because of which a picture-like file is passed over, or ""."""
    parts = name.lower().rsplit(".", 2)
    for ending in (f".{'.'.join(parts[1:])}", f".{parts[-1]}"):
        if ending in BY_ENDING or ending in Image.registered_extensions():
            return ending
    return ""
