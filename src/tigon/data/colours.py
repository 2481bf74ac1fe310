"""Colour profiles: pictures in other colour spaces are converted to sRGB."""

import io
from functools import lru_cache

from PIL import Image, ImageCms

SAME = 3  # of 255: a profile that moves no colour further is just another sRGB
STEPS = (0, 51, 102, 153, 204, 255)
Transform = ImageCms.ImageCmsTransform


def to_srgb(picture: Image.Image) -> tuple[Image.Image, str]:
    """Convert a picture to sRGB by its embedded profile; also return the kind of note, if any.

    Arguments:
        picture: 8 bits, any mode
    Returns:
        the picture, and "profile" if it was converted, "odd profile" if its profile cannot be
        used, or ""
    """
    profile = picture.info.get("icc_profile")
    if not profile or not isinstance(profile, bytes):
        return picture, ""
    plain, alpha = _parted(picture)
    transform = _transform(profile, plain.mode)
    if transform is None and plain.mode == "L":  # grey made from colours keeps their profile
        plain = plain.convert("RGB")
        transform = _transform(profile, "RGB")
    if transform is None:
        return picture, "odd profile"
    if isinstance(transform, str):
        return picture, ""
    found = ImageCms.applyTransform(plain, transform)
    assert found is not None
    if alpha is not None:
        found.putalpha(alpha)
    return found, "profile"


def _parted(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours of a picture, in mode L, RGB or CMYK, and its transparency, if any."""
    if picture.mode == "P" or "transparency" in picture.info:
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    elif picture.mode == "PA":
        picture = picture.convert("RGBA")
    if picture.mode in ("LA", "RGBA"):
        return picture.convert(picture.mode[:-1]), picture.getchannel("A")
    return picture, None


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Transform | str | None:
    """Return the transform from a mode to sRGB; "same" if none is needed, None if impossible."""
    if mode not in ("L", "RGB", "CMYK"):
        return None
    try:
        made = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        probe = _probe(mode)
        found = ImageCms.applyTransform(probe, made)
    except Exception:  # readers of broken profiles raise anything
        return None
    assert found is not None
    if mode == "CMYK":
        return made
    before, after = probe.convert("RGB").tobytes(), found.tobytes()
    moved = max(abs(a - b) for a, b in zip(before, after, strict=True))
    return "same" if moved <= SAME else made


def _probe(mode: str) -> Image.Image:
    """Return a picture with colours from the whole range."""
    if mode != "RGB":
        return Image.new(mode, (1, 1)) if mode == "CMYK" else Image.linear_gradient("L")
    colours = [bytes((r, g, b)) for r in STEPS for g in STEPS for b in STEPS]
    return Image.frombytes("RGB", (len(colours), 1), b"".join(colours))
