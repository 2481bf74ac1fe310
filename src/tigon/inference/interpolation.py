"""Move through the latent space: the grid of the original experiments, and straight lines."""

from typing import NamedTuple

import torch
from torch import Tensor

from tigon.models.generator import principal_directions


class Plane(NamedTuple):
    """Two directions of the latent space, (2, d), a name for each, and what they span."""

    directions: Tensor
    names: tuple[str, str]
    span: str

    def coordinates(self, latents: Tensor) -> Tensor:
        """Return the coordinates in this plane of latents (N, d), (N, 2)."""
        return latents @ self.directions.T

    def grid(self, ticks: Tensor) -> Tensor:
        """Return latents (k * k, d) at all pairs of `ticks` (k,), second coordinate descending."""
        second, first = torch.meshgrid(ticks.flip(0), ticks, indexing="ij")
        return torch.stack([first, second], -1).flatten(0, 1) @ self.directions


def latent_plane(latents: Tensor) -> Plane:
    """Return the plane on which to view the inferred latents (N, d).

    With d = 2 it is the latent space; with more, the first two principal directions of the
    latents; with one, its axis and zero.
    """
    centred = latents - latents.mean(0)
    return plane_along(principal_directions(centred.T @ centred))


def plane_along(directions: Tensor) -> Plane:
    """Return the plane along the directions (2, d) that `latent_plane` found."""
    dim = directions.shape[1]
    if dim == 2:
        return Plane(directions, ("z1", "z2"), "the latent plane")
    if dim == 1:
        return Plane(directions, ("z", "(no second latent)"), "the only latent, left to right")
    names = ("first principal direction", "second principal direction")
    return Plane(directions, names, "the plane through 0 in which the latents vary most")


def line(start: Tensor, end: Tensor, count: int) -> Tensor:
    """Return `count` evenly spaced latents from `start` (d,) to `end` (d,), (count, d)."""
    part = torch.linspace(0, 1, count, dtype=start.dtype, device=start.device)[:, None]
    return start + part * (end - start)
