"""Tensors and PyTorch's map-style data sets as images for a learner."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tigon.data.batches import Batch, ImageData, even_rows
from tigon.data.checks import require_images, warn_of_unit_range
from tigon.data.pixels import MISSING, to_float
from tigon.errors import TigonError
from tigon.sizes import ImageSize, image_size

LOOKED_AT = 16  # items that identify a data set


def as_data(
    data: Any,  # noqa: ANN401
    condition: Tensor | None = None,
    mask: Tensor | None = None,
) -> ImageData:
    """Return tensors, arrays and PyTorch data sets as data for a learner.

    Arguments:
        data: the result of `load_images`, returned as it is; images as a tensor or an array,
            floats in [-1, 1] (N, C, H, W) or uint8 (N, H, W, C); or a `torch.utils.data.Dataset`
            with a length, whose items are an image (C, H, W), (image, label), or a dictionary of
            `image`, `mask` and `condition`. Items are read as batches need them
        condition: for a tensor's images: labels (N,) or any tensor (N, *)
        mask: for a tensor's images: 1 where a value was observed and 0 where it is missing,
            broadcastable to (N, C, H, W)
    Raises:
        TigonError: if the data are none of these; it says how to convert them
    """
    if isinstance(data, np.ndarray):
        require_images(data, "images")
        data = torch.from_numpy(np.array(data))  # a copy: arrays may be read-only
    if isinstance(data, Tensor):
        return TensorImages(data, condition, mask)
    if condition is not None or mask is not None:
        raise TigonError("condition and mask go with a tensor; a data set gives them in its items")
    if isinstance(data, ImageData):
        return data
    if isinstance(data, str | os.PathLike):
        raise TigonError(f"data {data!s:.200}: use load_images for a name or a path")
    if isinstance(data, torch.utils.data.DataLoader):
        raise TigonError("a DataLoader has batches of its own: give its data set, loader.dataset")
    indexed = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if not indexed or isinstance(data, Mapping | torch.utils.data.IterableDataset):
        raise TigonError(
            f"data are a {type(data).__name__}: give images as a tensor, or a data set that has a "
            "length and gives its items by number"
        )
    return DatasetImages(data)


class TensorImages(ImageData):
    """Images in memory.

    Arguments:
        images: floats in [-1, 1] (N, C, H, W), or uint8 (N, H, W, C) with 1 or 3 channels
        condition: labels (N,) or any tensor (N, *)
        mask: 1 or True where a value was observed and 0 where it is missing, (N, C, H, W) or
            broadcastable to it with N or 1 rows; values that are missing may be anything
    Raises:
        TigonError: if they are of another type, range or shape; it says how to convert them
    """

    def __init__(
        self, images: Tensor, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> None:
        for name, given, rows in (
            ("condition", condition, {len(images)}),
            ("mask", mask, {len(images), 1}),
        ):
            if given is not None and (not given.dim() or len(given) not in rows):
                raise TigonError(
                    f"{name} of shape {tuple(given.shape)} for {len(images)} images: give a row "
                    "for each"
                )
        looked_at = images if mask is None else _hidden(images, mask, "mask", seen=True)
        require_images(looked_at, "images")
        warn_of_unit_range(looked_at)
        images = images if mask is None else _hidden(images, mask, "mask")
        self.images, self.condition, self.mask = images, condition, mask

    @property
    def _floats(self) -> bool:
        return self.images.is_floating_point()

    @property
    def _form(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        one, two, three = self.images.shape[1:]
        return (one, two, three) if self._floats else (three, one, two)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_size(self) -> ImageSize:
        """Height and width in pixels; one number for a square."""
        return image_size(*self._form[1:])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self._form[0]

    @property
    def incomplete(self) -> bool:
        """Whether values are missing."""
        return self.mask is not None

    def name(self, row: int) -> str:
        """Return the name of an image: its number."""
        return f"[{row}]"

    def batch(self, index: Tensor) -> Batch:
        """Return the images of rows (B,), with mask and condition if there are any."""
        rows = index.to(self.images.device)
        found = self.images[rows]
        images = _last(found) if self._floats else to_float(found.cpu().numpy())
        mask, condition = self.mask, self.condition
        if mask is not None:
            mask = (mask[index.to(mask.device)] if len(mask) > 1 else mask).to(images)
        if condition is not None:
            condition = condition[index.to(condition.device)]
        return Batch(images, index, mask, condition)

    def fingerprint(self) -> str:
        """Return a hash of the shape and at most 4096 of the images, with their masks."""
        digest = hashlib.sha256(json.dumps(list(self.images.shape)).encode())
        for row in even_rows(len(self), 4096).tolist():
            digest.update(self.images[row].cpu().contiguous().numpy().tobytes())
            if self.mask is not None:
                mask = self.mask[row % len(self.mask)] > 0
                digest.update(mask.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


class Item(NamedTuple):
    """One item of a data set: an image (C, H, W), its mask and its condition, if any."""

    image: Tensor
    mask: Tensor | None
    condition: Tensor | None


class DatasetImages(ImageData):
    """A map-style data set whose items are read only when a batch needs them.

    Arguments:
        dataset: has a length, and returns by number an image, (image, label), or a dictionary of
            image, mask and condition; all images have one shape
    Raises:
        TigonError: if it is empty, or one of 16 items has another form
    """

    def __init__(self, dataset: Any) -> None:  # noqa: ANN401
        self.dataset, self.count = dataset, len(dataset)
        if not self.count:
            raise TigonError("the data set is empty")
        self.first = self._item(0)
        some = self.batch(even_rows(self.count, LOOKED_AT))
        images = some.images
        require_images(images, "images")
        warn_of_unit_range(images)
        digest = hashlib.sha256(json.dumps([self.count, *images.shape]).encode())
        for part in (images, some.mask):
            digest.update(b"" if part is None else part.cpu().contiguous().numpy().tobytes())
        self._fingerprint = digest.hexdigest()[:16]

    def __len__(self) -> int:
        return self.count

    @property
    def incomplete(self) -> bool:
        """Whether values are missing."""
        return self.first.mask is not None

    @property
    def image_size(self) -> ImageSize:
        """Height and width in pixels; one number for a square."""
        return image_size(*self.first.image.shape[1:])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.first.image.shape[0]

    def name(self, row: int) -> str:
        """Return the name of an item: its number."""
        return f"[{row}]"

    def batch(self, index: Tensor) -> Batch:
        """Return the items of rows (B,).

        Raises:
            TigonError: if one is not like the first
        """
        items = [self._item(row) for row in index.tolist()]
        for row, item in zip(index.tolist(), items, strict=True):
            if _shapes(item) != _shapes(self.first):
                raise TigonError(
                    f"item {row} has {_said(item)}, and item 0 {_said(self.first)}: all items of "
                    "a data set must be alike"
                )
        parts = [_stacked([item[k] for item in items], like) for k, like in enumerate(self.first)]
        images, mask, condition = parts
        assert images is not None
        return Batch(_last(images), index, mask, condition)

    def fingerprint(self) -> str:
        """Return a hash of the length and at most 16 of the images."""
        return self._fingerprint

    def _item(self, row: int) -> Item:
        """Return an item in the form that batches need."""
        where = f"item {row}"
        image, mask, condition = _parts(self.dataset[row], where)
        image = _tensor(image, where)
        if mask is not None:
            mask = _tensor(mask, f"{where}, mask")
            shown = _hidden(image[None], mask[None], f"{where}, mask", seen=True)[0]
            image = _hidden(image[None], mask[None], f"{where}, mask")[0]
        require_images(image if mask is None else shown, where, one=True)
        if image.dtype == torch.uint8:
            image = to_float(image.cpu().numpy()[None])[0]
        mask = None if mask is None else mask.to(image)
        condition = None if condition is None else _tensor(condition, f"{where}, condition")
        return Item(image, mask, condition)


def _hidden(images: Tensor, mask: Tensor, what: str, seen: bool = False) -> Tensor:
    """Return images, (N, C, H, W) or bytes (N, H, W, C), with mid-grey for missing values.

    Arguments:
        seen: put the mean of the observed ones there instead, which has no effect on their range
    Raises:
        TigonError: if the mask is not one, does not fit them, or nothing of an image was observed
    """
    if images.dim() != 4:
        return images  # which is refused as such
    last = not images.is_floating_point()
    one, two, three = images.shape[1:]
    _require_mask(mask, (three, one, two) if last else (one, two, three), what)
    mask = mask.to(images.device)
    if not ((mask == 0) | (mask == 1)).all():
        raise TigonError(
            f"{what}: must be 1 where a value was observed, and 0 where it is missing"
        )
    empty = ~mask.flatten(1).any(1)
    if empty.any():
        row = f" {int(empty.nonzero()[0])}" if len(mask) > 1 else ""
        raise TigonError(f"{what}{row}: nothing was observed of its image; leave it out")
    known = mask.movedim(1, 3) > 0 if last else mask > 0
    hidden = torch.where(known, images, int(MISSING) if last else 0.0)
    if last or not seen:
        return hidden
    return torch.where(known, images, hidden.sum() / known.expand_as(images).sum())


def _require_mask(mask: Tensor, shape: Sequence[int], what: str) -> None:
    try:
        fits = torch.broadcast_shapes(mask.shape[1:], tuple(shape)) == tuple(shape)
    except RuntimeError:
        fits = False
    if not fits or mask.dim() != 4:
        raise TigonError(
            f"{what} of shape {tuple(mask.shape[-3:])} does not go with images (C, H, W) of "
            f"{tuple(shape)}: give the same shape, or 1 where a side is shared"
        )


def _parts(item: Any, where: str) -> tuple[Any, Any, Any]:  # noqa: ANN401
    """Return the image, mask and condition of a data set's item."""
    if isinstance(item, Mapping):
        unknown = sorted(map(str, item.keys() - {"image", "mask", "condition"}))
        if unknown or "image" not in item:
            raise TigonError(
                f"{where} has the names {', '.join(sorted(map(str, item)))[:200]}: a dictionary "
                "has image, and optionally mask and condition"
            )
        return item["image"], item.get("mask"), item.get("condition")
    if isinstance(item, tuple | list):
        if len(item) not in (1, 2):
            raise TigonError(
                f"{where} has {len(item)} parts: give an image, (image, label), or a dictionary "
                "of image, mask and condition"
            )
        return item[0], None, item[1] if len(item) == 2 else None
    return item, None, None


def _tensor(value: Any, where: str) -> Tensor:  # noqa: ANN401
    """Return a number, an array or a tensor as a tensor."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, float):
        return torch.tensor(value)
    if isinstance(value, int | np.number | np.ndarray):
        return torch.from_numpy(np.array(value))  # a copy: pictures are read-only
    raise TigonError(
        f"{where} is a {type(value).__name__}: give a tensor or an array; for a picture, "
        "numpy.asarray(picture.convert('RGB'))"
    )


def _last(images: Tensor) -> Tensor:
    """Return images (B, C, H, W) with channels last in memory, as all sources do."""
    return images.contiguous(memory_format=torch.channels_last)


def _stacked(values: list[Tensor | None], like: Tensor | None) -> Tensor | None:
    if like is None:
        return None
    present = [value for value in values if value is not None]
    return torch.stack(present) if present else like.new_zeros((0, *like.shape))


def _shapes(item: Item) -> list[tuple[int, ...] | None]:
    return [None if part is None else tuple(part.shape) for part in item]


def _said(item: Item) -> str:
    names = ("image", "mask", "condition")
    parts = zip(names, _shapes(item), strict=True)
    return ", ".join(f"{name} {shape}" for name, shape in parts if shape is not None)
