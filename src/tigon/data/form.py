"""The form that every image of a set is converted to."""

from dataclasses import dataclass
from typing import Literal

from tigon.choices import require_choices
from tigon.data.pixels import Fit
from tigon.errors import TigonError
from tigon.sizes import ImageSize, sides, size_text

Frames = Literal["first", "all"]
SMALLEST, LARGEST = 8, 8192  # pixels of a side
MAX_PIXELS = 100_000_000
LONGEST, NARROW = 100_000, 1000  # strips take memory by their side: longer ones count 1000 times


@dataclass(frozen=True)
class Form:
    """The form that every image of a set is converted to, and which pictures are read.

    Arguments:
        image_size: height and width in pixels; one number for a square
        fit: `stretch` to this size, or `crop` the centre
        channels: 3 (RGB) or 1 (grey)
        frames: read the `first` or `all` pages or frames of a file
        max_pixels: largest picture to read, >= 1; a side above 100,000 counts 1000 times
        alpha: whether another channel follows: 255 where values were observed, 0 where pictures
            are transparent
    Raises:
        TigonError: if one of these is invalid
    """

    image_size: ImageSize = 64
    fit: Fit = "stretch"
    channels: int = 3
    frames: Frames = "first"
    max_pixels: int = MAX_PIXELS
    alpha: bool = False

    def __post_init__(self) -> None:
        require_choices(self)
        fits = all(SMALLEST <= side <= LARGEST for side in sides(self.image_size))
        if not fits or self.channels not in (1, 3):
            raise TigonError(
                f"image size {size_text(self.image_size)} and {self.channels} channels: images "
                f"have at least {SMALLEST} pixels a side and at most {LARGEST}, and 1 or 3 "
                "channels"
            )
        if self.max_pixels < 1:
            raise TigonError(f"max_pixels is at least 1, not {self.max_pixels}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, (H, W, C), with the channel of its transparency if there is one."""
        return (*sides(self.image_size), self.channels + self.alpha)

    def too_large(self, size: tuple[int, int]) -> str:
        """Return why a picture of this width and height is too large; "" if it is not."""
        needed, side = size[0] * size[1], max(size)
        if side > LONGEST:
            needed = max(needed, NARROW * side)
        return too_many(needed, self.max_pixels) if needed > self.max_pixels else ""


def too_many(pixels: int, most: int) -> str:
    """Return the message about a picture with too many pixels."""
    return f"has too many pixels; --max-pixels {pixels} reads it (the limit is {most})"
