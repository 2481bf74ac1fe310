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
