"""Image sizes in pixels: one number for a square, or (height, width)."""

import re

from tigon.errors import TigonError

ImageSize = int | tuple[int, int]
AVERAGED = 32  # pixels of the longest side of images that are averaged


def sides(size: ImageSize) -> tuple[int, int]:
    """Return height and width.

    Raises:
        TigonError: if it is no size, such as a text
    """
    both = size if isinstance(size, tuple | list) else (size, size)
    if len(both) != 2 or not all(isinstance(side, int) for side in both):
        raise TigonError(
            f"image size {size!r:.80}: is a number of pixels, or (height, width), such as 64 or "
            "(48, 64)"
        )
    return both[0], both[1]


def image_size(height: int, width: int) -> ImageSize:
    """Return one number for a square, else (height, width)."""
    return height if height == width else (height, width)


def size_text(size: ImageSize) -> str:
    """Return a size in words that `parse_size` reads, such as 64 or 48x64."""
    height, width = sides(size)
    return str(height) if height == width else f"{height}x{width}"


def pyramid(size: ImageSize, most: int | None = None) -> list[ImageSize]:
    """Return a size and its halves, coarsest first: 8, 16, 32 and 64 of 64.

    Halves are even, and at least 8 on each side.

    Arguments:
        most: how many sizes at most, >= 1; as many as there are if not given
    """
    found = [sides(size)]
    while all(side % 4 == 0 and side >= 16 for side in found[0]) and len(found) != most:
        found.insert(0, (found[0][0] // 2, found[0][1] // 2))
    return [image_size(height, width) for height, width in found]


def averaged_size(size: ImageSize) -> ImageSize:
    """Return the size to which images are averaged: the largest half of at most 32 pixels."""
    sizes = pyramid(size)
    return next((s for s in reversed(sizes) if max(sides(s)) <= AVERAGED), sizes[0])


def parse_size(text: str) -> ImageSize:
    """Return the size that a text such as 64 or 48x64 (height x width) names.

    Raises:
        ValueError: if it names none
    """
    if not re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})?", text):
        raise ValueError(
            f"a size is a number of pixels or HEIGHTxWIDTH, such as 48x64, not {text}"
        )
    height, _, width = text.partition("x")
    return image_size(int(height), int(width or height))
