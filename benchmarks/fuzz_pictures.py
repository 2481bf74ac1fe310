"""The pictures that `fuzz_inputs.py` mutates: many formats and modes, and what people have."""

import io
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms


def picture_seeds() -> list[tuple[str, bytes]]:
    """Return valid pictures of many formats and modes, each with its extension."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 4), np.uint8)
    rgba = Image.fromarray(pixels)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "turned"
    modes = {"png": ["1", "L", "LA", "P", "RGB", "RGBA"], "gif": ["L", "P"], "bmp": ["1", "RGB"]}
    modes |= {"jpeg": ["L", "RGB", "CMYK"], "tiff": ["1", "L", "P", "RGB", "RGBA", "CMYK", "F"]}
    modes |= {"webp": ["RGB", "RGBA"], "ico": ["RGBA"], "tga": ["L", "RGBA"], "ppm": ["L", "RGB"]}
    modes |= {"jp2": ["RGB"], "avif": ["RGB"], "qoi": ["RGB"], "pcx": ["RGB"], "sgi": ["L", "RGB"]}
    modes |= {"dds": ["RGBA"], "icns": ["RGBA"], "eps": ["RGB"], "pdf": ["RGB"]}
    found = []
    for ending, names in modes.items():
        for mode in names:
            source = rgba.convert("RGB") if mode in ("CMYK", "1", "P") else rgba
            options: list[dict[str, Any]] = [{}]
            if ending == "tiff" and mode != "F":
                options += [{"compression": c} for c in ("tiff_lzw", "tiff_deflate", "packbits")]
            if ending in ("jpeg", "png", "webp"):
                options.append({"exif": exif})
            if ending in ("gif", "webp", "png", "tiff"):
                options.append({"save_all": True, "append_images": [source.convert(mode)]})
            found += [(ending, encoded(source.convert(mode), ending, o)) for o in options]
    found += [(ending, encoded(deep, ending, {})) for ending in ("png", "tiff")]
    return found + described_seeds(rgba.convert("RGB"), exif) + stored_seeds(pixels[..., 0])


def described_seeds(picture: Image.Image, exif: Image.Exif) -> list[tuple[str, bytes]]:
    """Return pictures with metadata: colour profiles, EXIF beside others, large texts in PNG."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other = profile.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    about = {"icc_profile": other, "exif": exif}
    kinds = ("png", "jpeg", "tiff", "webp")
    found = [(kind, encoded(picture.convert("RGB"), kind, about)) for kind in kinds]
    found.append(("png", encoded(picture.convert("L"), "png", {"icc_profile": profile})))
    png, text = found[0][1], zlib.compress(bytes(2**21))
    for kind, data in ((b"zTXt", b"k\0\0" + text), (b"iCCP", b"n\0\0" + text)):
        sum_ = zlib.crc32(kind + data).to_bytes(4, "big")
        large = len(data).to_bytes(4, "big") + kind + data + sum_
        found.append(("png", png[:33] + large + png[33:]))
    return found


def stored_seeds(grey: np.ndarray) -> list[tuple[str, bytes]]:
    """Return TIFFs of 32 bits and of floats, a pointer of git-lfs, and what begins as HEIC."""
    deep = [grey.astype(np.int32) * 2**22, grey.astype(np.float32)]
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    return [
        *(("tiff", encoded(Image.fromarray(values), "tiff", {})) for values in deep),
        ("jpeg", pointer),
        ("heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + grey.tobytes()),
    ]


def encoded(picture: Image.Image, ending: str, options: dict[str, Any]) -> bytes:
    """Return a picture as the bytes of a file."""
    stream = io.BytesIO()
    picture.save(stream, {"jp2": "JPEG2000"}.get(ending, ending.upper()), **options)
    return stream.getvalue()
