"""Figures: each function returns a matplotlib Figure and saves nothing.

Images come as uint8 (N, H, W, C) and are shown as they are: never scaled by their own minimum and
maximum, so what saturates is seen to saturate.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
INK, FAINT, ACCENT, SECOND = "#24292f", "#8c959f", "#b35900", "#1f6f8b"
COLOURS = (ACCENT, SECOND, "#5b7f3a", "#7a4b8c")


def tile(images: Pixels, columns: int, gap: int = 2) -> Pixels:
    """Lay images (N, H, W, C) out in rows of `columns` on white; returns (H', W', 3)."""
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, 3)
    canvas = np.full(shape, 255, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def image_grid(images: Pixels, columns: int = 8) -> Figure:
    """Show images (N, H, W, C) in rows of `columns`."""
    canvas = tile(images, min(columns, len(images)))
    width = 8.0 * min(columns, len(images)) / columns
    figure = Figure((width, width * canvas.shape[0] / canvas.shape[1]))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(canvas, interpolation="nearest")
    axes.axis("off")
    return figure


def stages(rows: Sequence[tuple[str, Pixels]]) -> Figure:
    """Show rows of images one above the other, each with its label at the left.

    Arguments:
        rows: label and images (N, H, W, C); N is the same in every row
    """
    images = len(rows[0][1])
    size = min(0.9, 8.0 / images)
    figure = Figure((size * images + 1.3, size * len(rows)))
    for number, (label, pixels) in enumerate(rows):
        bottom = 1 - (number + 1) / len(rows)
        left = 1.3 / (size * images + 1.3)
        axes = figure.add_axes((left, bottom, 1 - left, 1 / len(rows)))
        axes.imshow(tile(pixels, images), interpolation="nearest", aspect="auto")
        axes.axis("off")
        axes.text(-0.01, 0.5, label, transform=axes.transAxes, ha="right", va="center", color=INK)
    return figure


def latent_grid(images: Pixels, ticks: NDArray[np.float64], names: tuple[str, str]) -> Figure:
    """Show images on a square grid of two latent coordinates, with labelled axes.

    Arguments:
        images: (k * k, H, W, C), the first row at the top: highest second coordinate
        ticks: the k coordinates of each axis, rising
        names: of the two axes
    """
    count, half = len(ticks), (ticks[1] - ticks[0]) / 2
    figure = Figure((7, 7), layout="constrained")
    axes = figure.add_subplot()
    extent = (ticks[0] - half, ticks[-1] + half, ticks[0] - half, ticks[-1] + half)
    axes.imshow(tile(images, count, gap=1), extent=extent, interpolation="nearest")
    axes.set_xticks(ticks, [f"{tick:.2f}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:.2f}" for tick in ticks])
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.spines[:].set_visible(False)
    return figure


def curve(
    x: Sequence[float],
    lines: dict[str, Sequence[float]],
    ylabel: str,
    log: bool = False,
    marks: dict[str, float] | None = None,
    xlabel: str = "gradient evaluations",
) -> Figure:
    """Plot one or more curves over x, with horizontal `marks` (label: height)."""
    figure = Figure((7, 3), layout="constrained")
    axes = figure.add_subplot()
    for colour, (label, values) in zip(COLOURS, lines.items(), strict=False):
        axes.plot(x, values, color=colour, linewidth=1.2, label=label)
    for label, height in (marks or {}).items():
        axes.axhline(height, color=FAINT, linewidth=0.8, linestyle="--", label=label)
    if log:
        axes.set_yscale("log")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) + len(marks or {}) > 1:
        axes.legend(frameon=False, fontsize=8)
    return figure


def traces(values: NDArray[np.float64], ylabel: str, xlabel: str = "chain step") -> Figure:
    """Plot parallel chains over their steps, those of one image in one colour.

    Arguments:
        values: (K, chains, images)
    """
    figure = Figure((7, 3), layout="constrained")
    axes = figure.add_subplot()
    for image in range(values.shape[2]):
        colour = COLOURS[image % len(COLOURS)]
        axes.plot(values[:, :, image], color=colour, linewidth=0.7, alpha=0.8)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def latent_plane(points: NDArray[np.float64], images: Pixels, names: tuple[str, str]) -> Figure:
    """Show each training image at its inferred latent, over the prior's contours.

    Arguments:
        points: two coordinates of each image's latent, (N, 2)
        images: of the first n, (n, H, W, C); the others are dots
        names: of the two axes
    """
    reach = max(3.0, float(np.abs(points).max()) * 1.15)
    figure = Figure((7, 7), layout="constrained")
    axes = figure.add_subplot(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in (1, 2, 3):
        axes.plot(radius * np.cos(angle), radius * np.sin(angle), color=FAINT, linewidth=0.8)
        label = f"{100 * (1 - np.exp(-(radius**2) / 2)):.0f} %"
        axes.text(0, radius, label, color=FAINT, fontsize=8, ha="center", va="bottom")
    axes.scatter(points[:, 0], points[:, 1], s=4, color=ACCENT)
    zoom = 40 / images.shape[1] * min(1.0, (40 / len(images)) ** 0.5)
    for point, image in zip(points, images, strict=False):
        picture = OffsetImage(np.broadcast_to(image, (*image.shape[:2], 3)), zoom=zoom)
        axes.add_artist(AnnotationBbox(picture, tuple(point), pad=0.1))
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.spines[["top", "right"]].set_visible(False)
    return figure
