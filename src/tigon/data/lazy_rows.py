"""Arrays of images whose rows are read on demand."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np


class LazyRows(ABC):
    """Rows (N, *) that are indexed like an array and read on demand.

    Arguments:
        shape: N, and the shape of a row
        dtype: type of the rows
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:  # noqa: ANN401
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        self.nbytes = int(np.prod(shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, rows: Any) -> np.ndarray:  # noqa: ANN401
        """Return rows as an array does, by a number, a slice or an index (B,)."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401
        return self[:].astype(dtype or self.dtype, copy=False)


class Layers(LazyRows):
    """Some channels of an array of images (N, H, W, C), read on demand.

    Arguments:
        whole: the array
        which: a slice of channels, or one of them, which leaves out the dimension
    """

    def __init__(self, whole: Any, which: slice | int) -> None:  # noqa: ANN401
        channels = () if isinstance(which, int) else (len(range(whole.shape[3])[which]),)
        super().__init__((*whole.shape[:3], *channels), whole.dtype)
        self.whole, self.which = whole, which

    def __getitem__(self, rows: Any) -> np.ndarray:  # noqa: ANN401
        """Return rows as an array does, by a number, a slice or an index (B,)."""
        return np.ascontiguousarray(self.whole[rows][..., self.which])


def layered(whole: Any, alpha: bool) -> tuple[Any, Any]:  # noqa: ANN401
    """Return images and their masks, from an array (N, H, W, C + 1) of a `Form` with alpha.

    Without alpha, these are the array (N, H, W, C) and None.
    """
    return (Layers(whole, slice(-1)), Layers(whole, -1)) if alpha else (whole, None)


def parted(pixels: np.ndarray, alpha: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the same of an array in memory."""
    return (pixels[..., :-1], pixels[..., -1]) if alpha else (pixels, None)
