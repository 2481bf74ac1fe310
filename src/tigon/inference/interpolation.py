r"""Move through the latent space: the grid of the original experiments, lines, arcs, differences.

Under N(0, I) almost all latents have a norm near :math:`\sqrt d`, and the middle of a straight
line between two of them has not. An arc turns from one direction to the other by even angles
(Shoemake, 1985), while the norm changes evenly.
"""

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


def arc(start: Tensor, end: Tensor, count: int) -> Tensor:
    """Return `count` latents on the arc from `start` (d,) to `end` (d,), (count, d).

    Raises:
        ValueError: if one of them is 0, or they are opposite, so that no arc is the shortest
    """
    norms = torch.stack([start.norm(), end.norm()])
    if not (norms > 0).all():
        raise ValueError("there is no arc from or to 0")
    first, last = start / norms[0], end / norms[1]
    across = last - (first @ last) * first
    angle = torch.atan2(across.norm(), first @ last)
    if angle > torch.pi - 1e-3:
        raise ValueError("there is no shortest arc between opposite latents")
    part = torch.linspace(0, 1, count, dtype=start.dtype, device=start.device)
    turned = across / across.norm().clamp(min=torch.finfo(start.dtype).tiny)
    along, aside = (part * angle).cos(), (part * angle).sin()
    directions = torch.outer(along, first) + torch.outer(aside, turned)
    return directions * (norms[0] + part * (norms[1] - norms[0]))[:, None]


def changed(z: Tensor, minus: Tensor, plus: Tensor) -> Tensor:
    """Return z (d,) with the mean of latents `minus` (M, d) replaced by that of `plus` (P, d).

    What two sets of images differ in, such as a label, is often nearly the same direction
    everywhere (Radford, Metz and Chintala, 2016); look at the images to see whether it is.
    """
    return z - minus.mean(0) + plus.mean(0)
