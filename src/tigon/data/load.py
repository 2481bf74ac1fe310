"""Load data by their name, or take those that are there: tensors and data sets of PyTorch."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import ImageData
from tigon.data.cache import cached
from tigon.data.datasets import DatasetImages, TensorImages
from tigon.data.images import ImageSet
from tigon.data.pictures import Form
from tigon.data.pixels import Fit
from tigon.data.shards import load_shards
from tigon.data.sources import is_pattern, open_source
from tigon.errors import TigonError
from tigon.sizes import ImageSize


def load_images(
    data: str | os.PathLike[str],
    image_size: ImageSize = 64,
    fit: Fit = "stretch",
    channels: int = 3,
    mirror: bool = False,
) -> ImageSet:
    """Load images of any depth, size and mode in one size.

    Arguments:
        data: a folder (searched to its depths), a `.npz` with `images` (uint8, N H W C), one
            picture file, `hf:NAME` (see `data.hf`), `embedded:animal-faces`, or a pattern with *
            of which each match is a shard (see `data.shards`)
        image_size: height and width in pixels, >= 8; one number for a square
        fit: `stretch` each image to this size, or `crop` its centre
        channels: 3 (RGB) or 1 (grey)
        mirror: whether to append a mirrored copy of every image
    Raises:
        TigonError: if there is nothing that can be read; it says what and why
    """
    form = Form(image_size, fit, channels, mirror)
    if is_pattern(os.fspath(data)):
        return load_shards(os.fspath(data), form)
    return ImageSet(*cached(open_source(os.fspath(data)), form))


def as_data(
    data: Any,  # noqa: ANN401
    condition: Tensor | None = None,
    mask: Tensor | None = None,
) -> ImageData:
    """Return tensors, arrays and data sets of PyTorch as data that a learner can be given.

    Arguments:
        data: what `load_images` gave, as it is; images as a tensor or an array, floats in [-1, 1]
            (N, C, H, W) or uint8 (N, H, W, C); or a `torch.utils.data.Dataset` with a length,
            whose items are an image (C, H, W), (image, label), or a dictionary of `image`, `mask`
            and `condition`. Items are asked for as batches need them
        condition: of a tensor's images: labels (N,) or any tensor (N, *)
        mask: of a tensor's images: 1 where a value was observed, broadcastable to (N, C, H, W)
    Raises:
        TigonError: if they are none of these; it says how to convert them
    """
    if isinstance(data, np.ndarray):
        data = torch.from_numpy(np.array(data))  # a copy: arrays may be read-only
    if isinstance(data, Tensor):
        return TensorImages(data, condition, mask)
    if condition is not None or mask is not None:
        raise TigonError("condition and mask go with a tensor; a data set gives them in its items")
    if isinstance(data, ImageData):
        return data
    if isinstance(data, str | os.PathLike):
        raise TigonError(f"data {data!s:.200}: load_images reads what has a name or a path")
    if isinstance(data, torch.utils.data.DataLoader):
        raise TigonError("a DataLoader has batches of its own: give its data set, loader.dataset")
    indexed = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if not indexed or isinstance(data, Mapping | torch.utils.data.IterableDataset):
        raise TigonError(
            f"data are a {type(data).__name__}: give images as a tensor, or a data set that has a "
            "length and gives its items by number"
        )
    return DatasetImages(data)
