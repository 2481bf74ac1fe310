"""KID-lite0: the kernel inception distance on features of EfficientNet-Lite0.

The weights come with a package, so nothing is downloaded. KID-lite0 is neither FID nor the KID of
papers; it orders sets of images seen by the same features. The unbiased estimate can be below 0.

    python benchmarks/lite0.py FOLDER_OR_NPZ FOLDER_OR_NPZ

References:
    Binkowski et al., "Demystifying MMD GANs", ICLR 2018.
"""

import sys

import torch
from torch import Tensor

from tigon import load_images
from tigon.diagnostics.distances import kid
from tigon.diagnostics.features import features


def covered(images: Tensor, training: Tensor) -> int:
    """Return how many rows of `training` are the nearest one of some row of `images`."""
    distances = torch.cdist(images.flatten(1), training.flatten(1))
    return len(distances.argmin(1).unique())


if __name__ == "__main__":
    one, two = (features(load_images(data).read()) for data in sys.argv[1:3])
    print(f"KID-lite0 {kid(one, two):.3f} ({len(one)} and {len(two)} images)")
