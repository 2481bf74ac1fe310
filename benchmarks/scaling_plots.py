"""Plots of what scaling.py measured: time and memory by one number."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from measuring import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROWTH = 3


class Curve(NamedTuple):
    """What was measured at some values of one number, some blocks each."""

    label: str
    number: str
    values: Sequence[int]
    blocks: Sequence[Sequence[Mapping[str, float]]]


def plot(path: Path, panels: Sequence[Sequence[Curve]], of: str, unit: tuple[str, float]) -> None:
    """Draw the panels' curves side by side: time above, with quartiles, and memory below.

    Arguments:
        of: what of a block the time is divided by
        unit: that time is shown in: its name, and how many are a second
    """
    from matplotlib.figure import Figure

    columns = len(panels)
    drawn = Figure(figsize=(max(5, 2.9 * columns), 5.2), layout="constrained")
    axes = drawn.subplots(2, columns, squeeze=False, sharex="col")
    for (above, below), curves in zip(axes.T, panels, strict=True):
        for curve in curves:
            times = [spread([b["wall"] / b[of] * unit[1] for b in bs]) for bs in curve.blocks]
            around = [[t.median - t.low for t in times], [t.high - t.median for t in times]]
            medians = [t.median for t in times]
            above.errorbar(curve.values, medians, around, marker="o", ms=4, label=curve.label)
            memory = [bs[-1]["memory"] for bs in curve.blocks]
            below.plot(curve.values, memory, marker="o", ms=4, label=curve.label)
        for axis in (above, below):
            values = curves[0].values
            axis.set_xscale("log")
            axis.set_xticks(values, [f"{value:,}" for value in values])
            axis.minorticks_off()
            axis.set_ylim(0, 1.05 * axis.get_ylim()[1])
            axis.grid(alpha=0.3)
        power = 2 if curves[0].number == "image size" else 1  # a side; pixels are its square
        _show_growth(above, curves[0].values, medians, power)
        below.set_xlabel(curves[0].number)
        if len(curves) > 1:
            below.legend()
    axes[0, 0].set_ylabel(unit[0])
    axes[1, 0].set_ylabel("MB above imports")
    path.parent.mkdir(exist_ok=True)
    drawn.savefig(path, dpi=110)


def _show_growth(axis: "Axes", values: Sequence[int], times: Sequence[float], power: int) -> None:
    """Give times that grow a logarithmic axis, with a dashed line of what is proportional."""
    if max(times) < GROWTH * min(times) or times[-1] < times[0]:
        return
    line = [times[-1] * (value / values[-1]) ** power for value in values]
    axis.plot(values, line, "--", c="grey", lw=1)
    axis.set_yscale("log")
    axis.set_ylim(0.7 * min(times), 1.5 * max(times))
