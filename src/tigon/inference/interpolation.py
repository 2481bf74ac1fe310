r"""Move through the latent space: the grid of the original experiments, lines, arcs, differences.

`interpolate`, `latent_arithmetic` and `latent_grid` decode what lies there; the others are about
latents alone.

Under N(0, I) almost all latents have a norm near :math:`\sqrt d`, and the middle of a straight
line between two of them has not. An arc turns from one direction to the other by even angles
(Shoemake, 1985), while the norm changes evenly.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from tigon.choices import require_choice
from tigon.data.checks import require_points, require_shape
from tigon.errors import TigonError
from tigon.models.abilities import HasLatents
from tigon.models.base import Model
from tigon.models.cold_start import ColdStart
from tigon.models.generator import principal_directions
from tigon.random.streams import Rng, rows

Along = Literal["line", "arc"]
TOGETHER = 4  # images whose latents are inferred at once: memory does not grow with their number


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
    return torch.lerp(start, end, part)


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
    """Return z (B, d), less the mean of latents `minus` (M, d), plus that of `plus` (P, d)."""
    return z - minus.mean(0) + plus.mean(0)


class Walk(NamedTuple):
    """What lies on the way from one latent to another, or on several ways.

    Attributes:
        images: f(z) on each way, (B, S, C, H, W), about [-1, 1]
        latents: z on each way, (B, S, d), from end to end
        errors: by the name of an argument that was images, the mean squared error on the scale of
            [-1, 1] with which the model reconstructs each of them: where it is large, the way does
            not begin or end at the image
    """

    images: Tensor
    latents: Tensor
    errors: dict[str, Tensor]


class Grid(NamedTuple):
    """What lies on a plane of the latent space.

    Attributes:
        images: f(z), (k * k, C, H, W), row by row, the highest second coordinate first
        latents: z, (k * k, d)
        plane: its directions, with names for them
    """

    images: Tensor
    latents: Tensor
    plane: Plane


def interpolate(
    model: Model,
    start: Tensor,
    end: Tensor,
    rng: Rng | None = None,
    count: int = 8,
    along: Along = "line",
    how: ColdStart | None = None,
) -> Walk:
    """Go from images to others through the latent space.

    Arguments:
        model: a model with latents
        start: where each way starts: images (B, C, H, W) in [-1, 1], whose latents are inferred,
            or latents (B, d)
        end: where each ends, (B, *), images or latents
        rng: for the chains that infer latents of images: one generator, or streams of `how.starts`
            rows for each image, those of `start` first
        count: S, the images on each way, its ends included, >= 2
        along: a straight `line` in even steps, or an `arc` in even angles, which keeps latents
            where the prior has them: the middle of a line is nearer to 0 than its ends are
        how: the number of chains, temperatures and steps that infer latents
    Returns:
        images and latents on the way; the first and the last image of each are the model's
        reconstructions of those that were given
    Raises:
        TigonError: if the model has no latents, `start` or `end` are not its images or latents, or
            not equally many, images come without `rng`, or `count` is below 2
        ValueError: if there is no shortest arc, from or to 0 or between opposite latents

    Example:
        walk = tigon.interpolate(model, images[:1], images[1:2], tigon.make_rng(0), along="arc")
        walk.images[0]  # (8, C, H, W)
    """
    _require_way(count, along)
    latents, errors = _latents(model, {"start": start, "end": end}, rng, how)
    if len(start) != len(end):
        raise TigonError(f"start has {len(start)} rows and end {len(end)}: give equally many")
    return _walk(model, latents["start"], latents["end"], count, along, errors)


def latent_arithmetic(
    model: Model,
    start: Tensor,
    minus: Tensor,
    plus: Tensor,
    rng: Rng | None = None,
    count: int = 8,
    along: Along = "line",
    how: ColdStart | None = None,
) -> Walk:
    """Go from images to where the difference between two sets of images leads.

    Each way ends at its first latent, less the mean latent of `minus`, plus that of `plus`. What
    two sets differ in, such as a label, is often nearly the same direction everywhere (Radford,
    Metz and Chintala, 2016); look at the images to see whether it is.

    Arguments:
        model: a model with latents
        start: where each way starts: images (B, C, H, W) in [-1, 1], or latents (B, d)
        minus: images (M, C, H, W) or latents (M, d) without what is to be added
        plus: images (P, C, H, W) or latents (P, d) with it
        rng: as for `interpolate`; streams are those of `start`, `minus` and `plus`, in this order
        count: S, the images on each way, its ends included, >= 2
        along: as for `interpolate`
        how: the number of chains, temperatures and steps that infer latents
    Returns:
        images and latents on the way
    Raises:
        TigonError: if the model has no latents, what is given are not its images or latents,
            images come without `rng`, or `count` is below 2
        ValueError: if there is no shortest arc

    Example:
        walk = tigon.latent_arithmetic(model, images[:1], light, dark, tigon.make_rng(0))
        walk.images[0, -1]  # the first image, darker
    """
    _require_way(count, along)
    given = {"start": start, "minus": minus, "plus": plus}
    latents, errors = _latents(model, given, rng, how)
    ends = changed(*latents.values())
    return _walk(model, latents["start"], ends, count, along, errors)


def latent_grid(model: Model, count: int = 8, reach: float = 2.0) -> Grid:
    """Decode a square grid of the plane in which the latents of training images vary most.

    Arguments:
        model: a model with latents; of one that does not know such a plane, the first two latents
        count: k, images on each side, >= 2
        reach: the grid's coordinates are from minus this to this, in standard deviations of the
            prior, > 0
    Raises:
        TigonError: if the model has no latents, or a number is out of range

    Example:
        grid = tigon.latent_grid(model)
        grid.images, grid.plane.names  # (64, C, H, W), ("z1", "z2") with two latents
    """
    able = _with_latents(model)
    if not (count >= 2 and 0 < reach < math.inf):
        raise TigonError("count must be at least 2, and reach above 0 and finite")
    axes = torch.eye(2, able.latent_dim, device=model.device)
    plane = plane_along(getattr(model, "plane", axes))
    latents = plane.grid(torch.linspace(-reach, reach, count).to(plane.directions))
    return Grid(able.decode(latents), latents, plane)


def _require_way(count: int, along: Along) -> None:
    """Refuse a way that there is none of, before latents are inferred."""
    require_choice("along", along, Along)
    if count < 2:
        raise TigonError(f"count must be at least 2, the ends of the way, not {count}")


def _walk(
    model: Model, starts: Tensor, ends: Tensor, count: int, along: Along, errors: dict[str, Tensor]
) -> Walk:
    """Decode `count` latents on each way from latents (B, d) to others (B, d)."""
    way = line if along == "line" else arc
    latents = torch.stack([way(*pair, count) for pair in zip(starts, ends, strict=True)])
    images = _with_latents(model).decode(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
    return Walk(images, latents, errors)


def _with_latents(model: Model) -> HasLatents:
    if not isinstance(model, HasLatents):
        raise TigonError("this model has no latents to go through; a generator has")
    return model


def _latents(
    model: Model, given: Mapping[str, Tensor], rng: Rng | None, how: ColdStart | None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the latents of what was given, by name, and the errors of what was images."""
    able, how = _with_latents(model), how or ColdStart()
    for name, values in given.items():
        _require(able, name, values, model.image_shape)
    pictures = {name: values for name, values in given.items() if values.ndim == 4}
    latents = {name: values.to(next(model.parameters())) for name, values in given.items()}
    if not pictures:
        return latents, {}
    if rng is None:
        raise TigonError("rng: latents of images are inferred by chains; give tigon.make_rng(0)")
    images, found = torch.cat([latents[name] for name in pictures]), []
    for first in range(0, len(images), TOGETHER):
        part = images[first : first + TOGETHER]
        streams = slice(first * how.starts, (first + len(part)) * how.starts)
        found.append(able.infer(part, rows(rng, streams), how))
    counts = [len(values) for values in pictures.values()]
    inferred, errors = (
        dict(zip(pictures, torch.cat(parts).split(counts), strict=True))
        for parts in ([one.latents for one in found], [one.errors for one in found])
    )
    return latents | inferred, errors


def _require(able: HasLatents, name: str, values: Tensor, shape: tuple[int, int, int]) -> None:
    """Refuse what is neither images nor latents of a model."""
    tensor = isinstance(values, Tensor)
    latents = tensor and values.is_floating_point() and values.ndim == 2
    if tensor and values.ndim not in (2, 4):
        sides = ", ".join(map(str, shape))
        kinds = f"images (B, {sides}), or latents (B, {able.latent_dim})"
        raise TigonError(f"{name} of shape {tuple(values.shape)}: give {kinds}")
    if not latents:
        require_points(values, name)
    require_shape(values, name, (able.latent_dim,) if latents else shape)
    if not len(values):
        raise TigonError(f"{name} is empty: give at least one image or latent")
    if not values.isfinite().all():
        raise TigonError(f"{name} holds values that are not finite")
