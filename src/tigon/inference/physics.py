r"""How images were observed: :math:`y = A(x) + \text{noise}`, with A any function of images.

A *physics* is a callable from images (B, C, H, W) in [-1, 1] to observations (B, *), row by row,
that autograd can go through: those below, or another library's. deepinv's have the same convention
(`y = physics(x)`, and 1 is what a mask keeps), for images in [0, 1].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tigon.sizes import size_text

Physics = Callable[[Tensor], Tensor]
LUMA = 0.299, 0.587, 0.114  # ITU-R BT.601, as Pillow's conversion to grey


@dataclass(frozen=True)
class Mask:
    """Keep some values, and put 0 for the others.

    Arguments:
        kept: 1 where a value is kept and 0 where it is missing, (H, W), (C, H, W), or one mask
            for each image, (B, 1 or C, H, W)
    """

    kept: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return the values that are kept, (B, C, H, W).

        Raises:
            ValueError: if the mask has another size than the images
        """
        kept = self.kept.to(x)
        if kept.shape[-2:] != x.shape[-2:]:
            raise ValueError(f"the mask is {_size(kept)}, but images are {_size(x)}")
        return x * kept


@dataclass(frozen=True)
class Downsample:
    """Average squares of `factor` x `factor` pixels.

    Arguments:
        factor: >= 2, a divisor of height and width
    """

    factor: int

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"the factor must be at least 2, not {self.factor}")

    def __call__(self, x: Tensor) -> Tensor:
        """Return the averages, (B, C, H / factor, W / factor).

        Raises:
            ValueError: if the factor does not divide height and width
        """
        if any(side % self.factor for side in x.shape[-2:]):
            size = _size(x)
            raise ValueError(f"images of {size} cannot be averaged {self.factor} by {self.factor}")
        return functional.avg_pool2d(x, self.factor)


@dataclass(frozen=True)
class Blur:
    """Convolve with a Gaussian, which is cut off at three standard deviations.

    What lies beyond the border is the border's nearest pixel.

    Arguments:
        width: standard deviation in pixels, > 0
    """

    width: float

    def __post_init__(self) -> None:
        if not 0 < self.width < math.inf:
            raise ValueError(f"the width of a blur must be above 0 and finite, not {self.width}")

    def __call__(self, x: Tensor) -> Tensor:
        """Return the blurred images, (B, C, H, W)."""
        reach, channels = max(1, round(3 * self.width)), x.shape[1]
        place = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
        row = torch.exp(-((place / self.width) ** 2) / 2)
        row = (row / row.sum()).expand(channels, 1, 1, -1)
        padded = functional.pad(x, (reach, reach, reach, reach), mode="replicate")
        across = functional.conv2d(padded, row, groups=channels)
        return functional.conv2d(across, row.mT, groups=channels)


@dataclass(frozen=True)
class Grey:
    """Keep the luma of ITU-R BT.601 alone."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return grey images, (B, 1, H, W).

        Raises:
            ValueError: if they have no three channels
        """
        if x.shape[1] != len(LUMA):
            raise ValueError(f"grey is made of 3 channels, but images have {x.shape[1]}")
        return torch.einsum("bchw,c->bhw", x, x.new_tensor(LUMA))[:, None]


def _size(x: Tensor) -> str:
    height, width = x.shape[-2:]
    return size_text((height, width))
