"""A chain store remembers the points: one row per chain, row i belonging to example i."""

import torch
from torch import Tensor


class ChainStore:
    """The points and step sizes of all chains, in memory.

    Arguments:
        points: where the chains are now, (N, *)
        step_size: each chain's own step size s > 0, (N,) or one number for all
    """

    def __init__(self, points: Tensor, step_size: float | Tensor) -> None:
        self.points = points.clone()
        self.step_size = torch.as_tensor(step_size, dtype=points.dtype, device=points.device)
        self.step_size = self.step_size.expand(len(points)).clone()

    def __len__(self) -> int:
        return len(self.points)

    def read(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return copies of the rows `index` (B,): points (B, *) and step sizes (B,)."""
        return self.points[index], self.step_size[index]

    def write(self, index: Tensor, points: Tensor, step_size: Tensor) -> None:
        """Put points (B, *) and step sizes (B,) into the rows `index` (B,), in that order.

        Raises:
            ValueError: if shapes differ, or a row would be written twice
        """
        if points.shape != (len(index), *self.points.shape[1:]) or len(step_size) != len(index):
            raise ValueError(
                f"{len(index)} rows of {tuple(self.points.shape[1:])} expected, "
                f"got {tuple(points.shape)} and {tuple(step_size.shape)}"
            )
        if len(index.unique()) != len(index):
            raise ValueError("a row of the chain store would be written twice")
        self.points[index] = points.detach()
        self.step_size[index] = step_size

    def tensors(self) -> dict[str, Tensor]:
        """Return the rows by name, to be saved."""
        return {"points": self.points, "step_size": self.step_size}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take rows as `tensors` gave them.

        Raises:
            ValueError: if they have other shapes than this store's
        """
        for name, mine in self.tensors().items():
            if tensors[name].shape != mine.shape:
                raise ValueError(f"chain rows {name}: {tuple(tensors[name].shape)} saved, "
                                 f"{tuple(mine.shape)} expected")  # fmt: skip
            mine.copy_(tensors[name])
