"""Figures: drawing functions return a matplotlib figure, and save nothing.

A `Figure` is such a drawing with its title, caption and description.

Images are uint8 (N, H, W, C) and are shown unchanged: never scaled by their own minimum and
maximum, so that saturation is visible. Figures are small, `WIDTH` inches wide, so that their text
is still legible on a phone that shows them 8 cm wide.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray

from tigon.choices import require_choice
from tigon.learners.metrics import Metric

Pixels = NDArray[np.uint8]
Scale = Literal["linear", "log", "symlog"]
WIDTH, DPI, TEXT = 5.6, 150, 11
GAP = 2  # pixels between images of a grid
INK, FAINT, ACCENT, SECOND = "#24292f", "#6a737d", "#b35900", "#1f6f8b"
COLOURS = (ACCENT, SECOND, "#5b7f3a", "#7a4b8c")
DASHES = ("-", "--", ":", "-.")
LINES = len(COLOURS) * len(DASHES)


class Figure(NamedTuple):
    """A figure of a run, `WIDTH` inches wide.

    Attributes:
        name: name of its file, without extension
        title: its heading
        caption: what it means, and what is healthy
        drawing: the figure itself
        description: what it shows, for those who cannot see it
    """

    name: str
    title: str
    caption: str
    drawing: Canvas
    description: str


def curve(metric: Metric, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draw a metric of one or more runs over gradient evaluations.

    Arguments:
        runs: records by the run's name, at least one that has the metric; "" is the metric itself
    """
    lines = {}
    for run, records in runs.items():
        having = [record for record in records if metric.name in record]
        evaluations = [float(record["gradient_evaluations"]) for record in having]
        lines[run or metric.title.lower()] = evaluations, [metric.of(r) for r in having]
    scale: Scale = "linear" if metric.axis == "signed" else metric.axis
    if metric.axis == "signed" and any(
        abs(v) > 10 for _, values in lines.values() for v in values
    ):
        scale = "symlog"
    drawing = curves(lines, metric.label, scale, metric.marks)
    return Figure(metric.figure, metric.title, metric.caption, drawing, _spoken(metric, lines))


def _spoken(metric: Metric, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """Describe a line chart in words: where each line begins and ends, and its range."""
    said = [
        f"{label} begins at {values[0]:.3g}, ends at {values[-1]:.3g} after {x[-1]:.6g} gradient "
        f"evaluations, and stays between {min(values):.3g} and {max(values):.3g}"
        for label, (x, values) in lines.items()
    ]
    return f"Line chart of {metric.title.lower()}: {'; '.join(said)}."


def tile(images: Pixels, columns: int, gap: int = GAP) -> Pixels:
    """Lay out images (N, H, W, C) in rows of `columns` on white; return (H', W', 3)."""
    tiles = Tiles(len(images), images.shape[1:3], columns, gap)
    tiles.add(images)
    return tiles.canvas


def tiled(count: int, sides: tuple[int, int], columns: int, gap: int = GAP) -> tuple[int, int]:
    """Return height and width of a grid of images with these sides, in pixels."""
    (height, width), rows = sides, -(-count // columns)
    return rows * (height + gap) + gap, columns * (width + gap) + gap


class Tiles:
    """A grid of images in rows of `columns` on white, which come a few at a time.

    Arguments:
        count: of images
        sides: height and width of each, in pixels
        columns: images in a row
        gap: pixels between them

    Attributes:
        canvas: what is laid out so far, uint8 (H', W', 3)
    """

    def __init__(
        self, count: int, sides: tuple[int, int], columns: int = 8, gap: int = GAP
    ) -> None:
        self.sides, self.columns, self.gap = sides, columns, gap
        self.canvas: Pixels = np.full((*tiled(count, sides, columns, gap), 3), 255, np.uint8)
        self.laid = 0

    def add(self, images: Pixels) -> None:
        """Lay out the next images, (N, H, W, C)."""
        height, width = self.sides
        for number, image in enumerate(images, self.laid):
            row, column = divmod(number, self.columns)
            top = self.gap + row * (height + self.gap)
            left = self.gap + column * (width + self.gap)
            self.canvas[top : top + height, left : left + width] = image
        self.laid += len(images)


def image_grid(images: Pixels, columns: int = 8) -> Canvas:
    """Show images (N, H, W, C) in rows of `columns`, scaled by a whole number."""
    canvas = tile(images, min(columns, len(images)))
    full = tile(images[:1], 1).shape[1] * columns
    zoom = max(1, round(WIDTH * DPI / full))
    height, width = (zoom * side / DPI for side in canvas.shape[:2])
    figure = Canvas((width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(canvas, interpolation="nearest")
    axes.axis("off")
    return figure


def stages(rows: Sequence[tuple[str, Pixels]]) -> Canvas:
    """Show rows of images one below the other, each under its label.

    Arguments:
        rows: label and images (N, H, W, C); N is the same in every row
    """
    images = len(rows[0][1])
    across, label = min(0.9, WIDTH / images), 0.3
    size = across * rows[0][1].shape[1] / rows[0][1].shape[2]
    figure = Canvas((max(across * images, WIDTH / 2), (size + label) * len(rows)))
    width, height = figure.get_size_inches()
    for number, (words, pixels) in enumerate(rows):
        bottom = 1 - (number + 1) * (size + label) / height
        axes = figure.add_axes((0, bottom, across * images / width, size / height))
        axes.imshow(tile(pixels, images), interpolation="nearest", aspect="auto")
        axes.axis("off")
        axes.text(0, 1.0, words, transform=axes.transAxes, va="bottom", color=INK, fontsize=TEXT)
    return figure


def latent_grid(images: Pixels, ticks: NDArray[np.float64], names: tuple[str, str]) -> Canvas:
    """Show images on a square grid of two latent coordinates, with labelled axes.

    Arguments:
        images: (k * k, H, W, C), the first row at the top: highest second coordinate
        ticks: the k coordinates of each axis, increasing
        names: names of the two axes
    """
    count, half = len(ticks), (ticks[1] - ticks[0]) / 2
    ratio = images.shape[1] / images.shape[2]
    figure = Canvas((WIDTH, WIDTH * ratio), layout="constrained")
    axes = figure.add_subplot()
    extent = (ticks[0] - half, ticks[-1] + half, ticks[0] - half, ticks[-1] + half)
    axes.imshow(tile(images, count, gap=1), extent=extent, aspect=ratio, interpolation="nearest")
    axes.set_xticks(ticks, [f"{tick:.2f}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:.2f}" for tick in ticks])
    axes.set_xlabel(names[0], fontsize=TEXT)
    axes.set_ylabel(names[1], fontsize=TEXT)
    axes.spines[:].set_visible(False)
    return figure


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    ylabel: str,
    scale: Scale = "linear",
    marks: Mapping[str, float] | None = None,
    xlabel: str = "gradient evaluations",
) -> Canvas:
    """Plot curves, each with its own x, and horizontal `marks` (label: height).

    Arguments:
        lines: maps labels to x and values; up to `LINES` lines can be told apart
        scale: scale of the vertical axis; symlog is linear between -1 and 1
    """
    require_choice("scale", scale, Scale)
    figure, axes = _plain(xlabel, ylabel)
    looks = product(DASHES, COLOURS)
    for (dash, colour), (label, (x, values)) in zip(looks, lines.items(), strict=False):
        axes.plot(x, values, color=colour, linestyle=dash, linewidth=1.2, label=label)
    for label, height in (marks or {}).items():
        axes.axhline(height, color=FAINT, linewidth=0.8, linestyle="--", label=label)
    axes.set_yscale(scale, **({"linthresh": 1.0} if scale == "symlog" else {}))
    _legend(figure, axes, len(lines) + len(marks or {}))
    return figure


def _legend(figure: Canvas, axes: Axes, entries: int) -> None:
    """Add a legend: within the axes for a few lines, below them for many."""
    if 1 < entries <= 4:
        axes.legend(fontsize=TEXT - 1, framealpha=0.8, edgecolor="none")
    elif entries > 4:
        figure.set_figheight(figure.get_figheight() + 0.2 * -(-entries // 2))
        figure.legend(frameon=False, fontsize=TEXT - 1, ncols=2, loc="outside lower left")


def traces(values: NDArray[np.float64], ylabel: str, xlabel: str = "chain step") -> Canvas:
    """Plot parallel chains over their steps, one colour per image.

    Arguments:
        values: (K, chains, images)
    """
    figure, axes = _plain(xlabel, ylabel)
    for image in range(values.shape[2]):
        colour = COLOURS[image % len(COLOURS)]
        axes.plot(values[:, :, image], color=colour, linewidth=0.7, alpha=0.8)
    return figure


def panels(
    values: NDArray[np.float64], each: str, ylabel: str, xlabel: str = "chain step"
) -> Canvas:
    """Plot parallel chains over their steps, one panel per image, on a common scale.

    Arguments:
        values: (K, chains, images)
        each: what a panel shows, followed by its number in the panel's title
    """
    count = values.shape[2]
    columns = min(2, count)
    rows = -(-count // columns)
    figure = Canvas((WIDTH, 0.9 + 1.5 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for number, axes in enumerate(grid):
        axes.set_visible(number < count)
        for chain in range(values.shape[1] if number < count else 0):
            colour = COLOURS[chain % len(COLOURS)]
            axes.plot(values[:, chain, number], color=colour, linewidth=0.7, alpha=0.8)
        axes.set_title(f"{each} {number + 1}", fontsize=TEXT - 1, loc="left")
        _tidy(axes)
    figure.supxlabel(xlabel, fontsize=TEXT)
    figure.supylabel(ylabel, fontsize=TEXT)
    return figure


def _plain(xlabel: str, ylabel: str) -> tuple[Canvas, Axes]:
    """Return a figure with the axes that every chart has."""
    figure = Canvas((WIDTH, 2.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, fontsize=TEXT)
    axes.set_ylabel(ylabel, fontsize=TEXT)
    _tidy(axes)
    return figure, axes


def _tidy(axes: Axes) -> None:
    axes.tick_params(labelsize=TEXT - 1)
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def latent_plane(points: NDArray[np.float64], images: Pixels, names: tuple[str, str]) -> Canvas:
    """Show each training image at its inferred latent, with the prior's contours.

    Arguments:
        points: two coordinates of each image's latent, (N, 2)
        images: the first n images, (n, H, W, C); the others are dots
        names: names of the two axes
    """
    reach = max(3.0, float(np.abs(points).max()) * 1.15)
    figure = Canvas((WIDTH, WIDTH), layout="constrained")
    axes = figure.add_subplot(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in (1, 2, 3):
        axes.plot(radius * np.cos(angle), radius * np.sin(angle), color=FAINT, linewidth=0.8)
        label = f"{100 * (1 - np.exp(-(radius**2) / 2)):.0f} %"
        axes.text(0, radius, label, color=FAINT, fontsize=TEXT - 1, ha="center", va="bottom")
    axes.scatter(points[:, 0], points[:, 1], s=4, color=ACCENT)
    zoom = 32 / max(images.shape[1:3]) * min(1.0, (40 / len(images)) ** 0.5)
    for point, image in zip(points, images, strict=False):
        picture = OffsetImage(np.broadcast_to(image, (*image.shape[:2], 3)), zoom=zoom)
        axes.add_artist(AnnotationBbox(picture, tuple(point), pad=0.1))
    axes.set_xlabel(names[0], fontsize=TEXT)
    axes.set_ylabel(names[1], fontsize=TEXT)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
