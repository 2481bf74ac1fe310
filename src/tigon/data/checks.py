"""Check images given from Python, in one place, before anything is computed.

Black is -1 and white 1 in floats, 0 and 255 in bytes. Any other scale would look like black,
white or noise, so it is refused in one line, with what was given, its range, and the call that
converts it.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from tigon.errors import TigonError

FLOATS, BYTES = "floats in [-1, 1], (C, H, W)", "uint8, (H, W, C)"
CHANNELS, WITH_ALPHA = (1, 3), (2, 4)
EDGE = 1e-3  # how far rounding may leave [-1, 1]
FAR = 16.0  # no point of a chain and no draw of a model lies beyond this
# Eight bits in [-1, 1] have no value between 0 and NEXT: an image in [0, 1] has its black there.
NEXT, BRIGHT = 1 / 255, 0.5
WHITES = (255, 4095, 65535)  # in 8, 12 and 16 bits


class Seen(NamedTuple):
    """The type, shape and range of a given tensor or array."""

    tensor: bool
    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float

    @property
    def floats(self) -> bool:
        """Whether values are floats, of any precision."""
        return "float" in self.dtype

    @property
    def signed(self) -> bool:
        """Whether black is -1 and white 1, as far as can be told."""
        return self.floats and self.low >= -1 - EDGE and self.high <= 1 + EDGE and not self.unit

    @property
    def unit(self) -> bool:
        """Whether black is 0 and white 1, as torchvision's ToTensor leaves images."""
        return self.floats and 0 <= self.low < NEXT and BRIGHT < self.high <= 1 + EDGE

    @property
    def white(self) -> int | None:
        """The value of white if black is 0; None if it cannot be told."""
        if self.unit or self.dtype == "bool":
            return 1
        if self.low < 0 or (self.floats and self.high <= FAR):
            return None
        whites = (255, 65535) if self.floats else WHITES
        return next((white for white in whites if self.high <= white), None)

    def said(self, what: str) -> str:
        """Describe what was given."""
        said = f"{what} of {self.dtype} {self.shape}"
        return f"{said} ranges from {self.low:g} to {self.high:g}" if all(self.shape) else said


def require_images(images: Tensor | np.ndarray, what: str, one: bool = False) -> None:
    """Refuse images that are not floats in [-1, 1] or bytes, with 1 or 3 channels.

    Arguments:
        images: floats (N, C, H, W), or bytes (N, H, W, C)
        what: name for them in errors
        one: whether it is one image of many, (C, H, W) or (H, W, C), which may lack black
    Raises:
        TigonError: it says what they are, their range, and the call that converts them
    """
    seen = look(images, what)
    scaled = seen.signed or (one and seen.unit) if seen.floats else seen.dtype == "uint8"
    shape = seen.shape if one else seen.shape[1:]
    _require(seen, what, scaled, shape, not seen.floats, f"{FLOATS}, or {BYTES}")


def require_bytes(pixels: Any, what: str) -> None:  # noqa: ANN401
    """Refuse anything but bytes (N, H, W, C) with 1 or 3 channels.

    Arguments:
        pixels: an array, or an object with an array's type, shape and rows
        what: name for them in errors
    Raises:
        TigonError: as `require_images`
    """
    if isinstance(pixels, Tensor) or not hasattr(pixels, "dtype"):
        kind = type(pixels).__name__
        raise TigonError(f"{what} are a {kind}: images are an array of {BYTES}; as_data takes it")
    bytes_ = pixels.dtype == np.uint8
    seen = Seen(False, "uint8", tuple(pixels.shape), 0, 255) if bytes_ else look(pixels, what)
    _require(seen, what, bytes_, seen.shape[1:], True, BYTES)


def require_points(images: Any, what: str) -> None:  # noqa: ANN401
    """Refuse images whose scale is not a model's.

    Points of chains and draws of models may lie outside [-1, 1]; they are accepted.

    Arguments:
        images: a tensor (B, *)
        what: name for them in errors
    Raises:
        TigonError: as `require_images`
    """
    seen = _look_at_tensor(images, what)
    _require_scale(seen, what, not seen.unit and not (seen.low >= 0 and seen.high > FAR))


def require_drawn(images: Any, what: str) -> None:  # noqa: ANN401
    """Refuse to show images that no model draws: bytes, whole numbers, black at 0.

    Anything else may come from a model that has diverged.

    Arguments:
        images: a tensor (B, *)
        what: name for them in errors
    Raises:
        TigonError: as `require_images`
    """
    seen = _look_at_tensor(images, what)
    black = seen.unit and seen.low == 0
    whole = seen.low >= 0 and seen.high > FAR and bool((images == images.round()).all())
    _require_scale(seen, what, not black and not whole)


def _require_scale(seen: Seen, what: str, scaled: bool) -> None:
    """Refuse anything but floats that are `scaled` as images are."""
    scaled = seen.floats and scaled
    _require(seen, what, scaled, None if scaled else seen.shape[1:], False, FLOATS)


def require_shape(images: Tensor, what: str, shape: Sequence[int]) -> None:
    """Refuse images (B, *) whose shape (*) is not the model's: grey would broadcast to colour.

    Raises:
        TigonError: it says both shapes
    """
    if tuple(images.shape[1:]) != tuple(shape):
        sides = ", ".join(map(str, shape))
        raise TigonError(
            f"{what} of shape {tuple(images.shape)}: those of this model are (B, {sides})"
        )


def _look_at_tensor(images: Any, what: str) -> Seen:  # noqa: ANN401
    if not isinstance(images, Tensor):
        raise TigonError(f"{what} are a {type(images).__name__}: give a tensor of {FLOATS}")
    return look(images, what, finite=False)


def look(images: Any, what: str, finite: bool = True) -> Seen:  # noqa: ANN401
    """Return the type, shape and range of a tensor or an array.

    Raises:
        TigonError: if its values are not real numbers or, with `finite`, not all finite
    """
    tensor, shape = isinstance(images, Tensor), tuple(images.shape)
    dtype = str(images.dtype).removeprefix("torch.")
    if images.is_complex() if tensor else images.dtype.kind not in "buif":
        raise TigonError(f"{what} of {dtype} {shape}: images are {FLOATS}, or {BYTES}")
    if not all(shape):
        return Seen(tensor, dtype, shape, 0, 0)
    if not tensor:
        low, high = float(images.min()), float(images.max())
    else:  # torch cannot take the range of all integer types
        ordered = images.is_floating_point() or dtype == "uint8"
        low, high = map(float, (images if ordered else images.double()).detach().aminmax())
    if finite and not (np.isfinite(low) and np.isfinite(high)):
        raise TigonError(f"{what}: holds values that are not finite")
    return Seen(tensor, dtype, shape, low, high)


def warn_of_unit_range(images: Tensor) -> None:
    """Warn if floats may be in [0, 1], but have no black to tell it by."""
    if images.is_floating_point() and images.min() >= 0 and images.max() > 0:
        warnings.warn(
            "no value of the images is below 0: black is -1 here, but 0 in the output of "
            "torchvision's ToTensor, which 2 * x - 1 maps to [-1, 1]",
            stacklevel=4,
        )


def _require(
    seen: Seen,
    what: str,
    scaled: bool,
    shape: tuple[int, ...] | None,
    as_bytes: bool,
    forms: str,
) -> None:
    """Refuse images with another scale or layout.

    Arguments:
        scaled: whether the values have the right scale
        shape: shape of one image; None if any will do
        as_bytes: whether bytes with channels last are expected, or floats with channels first
        forms: the accepted forms, in words
    """
    if shape is None and scaled:
        return
    layout = _layout(seen.tensor, shape or (), as_bytes)
    if all(seen.shape) and scaled and layout == "{}":
        return
    value = "x" if scaled else _value(seen, as_bytes)
    said = f"{seen.said(what)}: images are {forms}, with 1 or 3 channels"
    if layout is None or not all(seen.shape):
        raise TigonError(said)
    if not value:
        raise TigonError(f"{said}; scale them to this range")
    call = value if layout == "{}" else layout.format(value if value == "x" else f"({value})")
    raise TigonError(f"{said}; convert x by {call}{_on_condition(seen)}")


def _on_condition(seen: Seen) -> str:
    """Return the condition under which a call is the right conversion."""
    if seen.unit:
        return "; or if none of it is meant to be darker than mid grey, give bytes"
    return f", if {seen.white} is white" if seen.white in WHITES[1:] else ""


def _value(seen: Seen, as_bytes: bool) -> str:
    """Return the call that scales x; nothing if it cannot be told."""
    white = seen.white
    if seen.signed and as_bytes:
        return "((x + 1) * 127.5).round().astype('uint8')"
    if white is None:
        return ""
    x = "x" if seen.floats or not seen.tensor else "x.float()"
    if not as_bytes:
        return f"2 * {x} - 1" if white == 1 else f"{x} / {white / 2:g} - 1"
    cast = ".to(torch.uint8)" if seen.tensor else ".astype('uint8')"
    if white == 255:
        return f"{'x.round()' if seen.floats else 'x'}{cast}"
    return f"({x} * {255 if white == 1 else f'(255 / {white})'}).round(){cast}"


def _layout(tensor: bool, shape: tuple[int, ...], last: bool) -> str | None:
    """Return the call that moves the channels of x into place; None if there are none.

    Arguments:
        shape: shape of one image
        last: whether the channels belong last
    """
    if len(shape) == 2:
        if tensor:
            return "{}.unsqueeze(-1)" if last else "{}.unsqueeze(-3)"
        return "{}[..., None]" if last else "{}[..., None, :, :]"
    if len(shape) != 3:
        return None
    here, there = (shape[-1], shape[0]) if last else (shape[0], shape[-1])
    places = "-3, -1" if last else "-1, -3"
    moved = f"{{}}.movedim({places})" if tensor else f"np.moveaxis({{}}, {places})"
    opaque = "[..., :{}]" if last else "[..., :{}, :, :]"
    if here in CHANNELS:
        return "{}"
    if there in CHANNELS:
        return moved
    if here in WITH_ALPHA:
        return "{}" + opaque.format(here - 1)
    return moved + opaque.format(there - 1) if there in WITH_ALPHA else None
