"""The gradient of a convolution that halves images, with respect to the images."""

import torch
from torch import Tensor
from torch.nn import functional

STRIDE, PADDING = 2, 1


def halved(images: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return a convolution of 4 x 4 with stride 2, (B, c, 2 h, 2 w) to (B, width, h, w).

    Arguments:
        weight: (width, c, 4, 4)
    """
    return functional.conv2d(images, weight, bias, STRIDE, PADDING)


def doubled(features: Tensor, weight: Tensor) -> Tensor:
    """Return its transpose, which is its gradient, (B, width, h, w) to (B, c, 2 h, 2 w).

    On a CPU it is slow for images of few channels, since libraries vectorise over those. Of the
    4 x 4 weights, each pixel meets the 2 x 2 of its parity. So it is written as a transposed
    convolution of 2 x 2 to 4 c channels, c for each parity, which takes half of the time.
    """
    if features.device.type != "cpu":
        return functional.conv_transpose2d(features, weight, None, STRIDE, PADDING)
    count, _, height, width = features.shape
    channels = weight.shape[1]
    by_parity = functional.pixel_unshuffle(weight, 2).contiguous(memory_format=torch.channels_last)
    found = functional.conv_transpose2d(features, by_parity).permute(0, 2, 3, 1)
    found = found.reshape(count, height + 1, width + 1, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
    whole = found.reshape(count, channels, 2 * height + 2, 2 * width + 2)
    return whole[:, :, PADDING:-PADDING, PADDING:-PADDING]
