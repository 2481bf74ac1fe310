"""How near images are to the true ones, image by image (extra `restore`).

References:
    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE TIP 2004.
"""

from importlib.util import find_spec

from torch import Tensor

from tigon.errors import TigonError, install


def psnr_and_ssim(images: Tensor, truth: Tensor) -> tuple[float, float]:
    """Return the peak signal-to-noise ratio in dB, and the structural similarity, at most 1.

    Both are scikit-image's for values that range over [-1, 1], SSIM with its windows of 7 x 7;
    means over the images.

    Arguments:
        images, truth: (N, C, H, W) in [-1, 1]
    Raises:
        TigonError: if scikit-image is not installed
    """
    require_similarity()
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    pairs = list(zip(truth.double().numpy(), images.double().numpy(), strict=True))
    ratios = [peak_signal_noise_ratio(true, seen, data_range=2) for true, seen in pairs]
    similar = [
        structural_similarity(true, seen, data_range=2, channel_axis=0) for true, seen in pairs
    ]
    return float(sum(ratios) / len(pairs)), float(sum(similar) / len(pairs))


def require_similarity() -> None:
    """Refuse to compare images without scikit-image.

    Raises:
        TigonError: if it is not installed
    """
    if find_spec("skimage") is None:
        raise TigonError(f"PSNR and SSIM need scikit-image: {install('restore')}")
