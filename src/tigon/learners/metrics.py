"""What a learner logs at each iteration, declared once for everything that displays it.

Progress, metrics.jsonl, TensorBoard, reports, comparisons, diagnoses, cards and the explorer read
these declarations and know no metric by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from tigon.choices import require_choices

# Healthy bands: acceptance; the gap, in nats per dimension of f; the fraction of values outside
# the images' range.
ACCEPT, GAP, SATURATION = (0.15, 0.9), 1.0, 0.02

Axis = Literal["linear", "log", "signed"]
Better = Literal["lower", "higher", "near zero", "neither"]


@dataclass(frozen=True)
class Metric:
    """A number that is logged at every iteration.

    Arguments:
        name: its key in a record of metrics.jsonl
        title: title of its figure, and in lower case its name in a sentence
        unit: unit of the displayed number
        better: which values are better, if any
        healthy: the band of a healthy run, (lowest, highest), for the displayed number
        axis: axis of its figure; `signed` is linear, and logarithmic beyond +-1 if values reach
            beyond +-10
        caption: what it means, and what is healthy, in full sentences
        brief: what it is, for the progress line: "the percentage of ... : it stays small"
        short: its name where space is scarce; the title if not given
        progress: how progress shows it, a format specification such as `.4f`; not shown if empty
        factor: ratio of the displayed number to the logged one, such as 100 for per cent
        marks: heights of dashed lines in its figure, by label; those with _ first are unlabelled
        figure: name of its figure's file without extension; "" means no figure
        value: extracts the number from a record's entry, if that is a list
        optional: whether records may lack it
        follows_rate: whether it falls with the learning rate, as its fluctuations do
    """

    name: str
    title: str
    unit: str = ""
    better: Better = "neither"
    healthy: tuple[float, float] | None = None
    axis: Axis = "linear"
    caption: str = ""
    brief: str = ""
    short: str = ""
    progress: str = ""
    factor: float = 1.0
    marks: Mapping[str, float] = field(default_factory=dict)
    figure: str = ""
    value: Callable[[Any], float] = float
    optional: bool = False
    follows_rate: bool = False

    def __post_init__(self) -> None:
        require_choices(self)

    @property
    def label(self) -> str:
        """The label of an axis: the title in lower case, and the unit."""
        return f"{self.title.lower()}, {self.unit}" if self.unit else self.title.lower()

    def of(self, record: Mapping[str, Any]) -> float:
        """Return the displayed number of a record that has it."""
        return self.factor * self.value(record[self.name])

    def mean(self, records: list[dict[str, Any]]) -> float:
        """Return the mean displayed number over the records that have it, at least one."""
        return fmean(self.of(record) for record in records if self.name in record)

    def shown(self, record: Mapping[str, Any], short: bool = False) -> str:
        """Return the number of a record as progress shows it."""
        unit = " %" if self.unit == "per cent" else ""
        name = short and self.short or self.title.lower()
        return f"{name} {self.of(record):{self.progress}}{unit}"


def optional_names(metrics: tuple[Metric, ...]) -> set[str]:
    """Return the names of the metrics that records may lack."""
    return {metric.name for metric in metrics if metric.optional}


def by_name(metrics: tuple[Metric, ...], name: str) -> Metric:
    """Return the metric with this name.

    Raises:
        KeyError: if there is none
    """
    found = {metric.name: metric for metric in metrics}
    return found[name]


def sampled(gaps: list[float], temperature: float) -> str:
    """Convert gaps from nats per dimension of f to those of p^(1/T), which chains at T target."""
    if not temperature:
        return "and no density is sampled, since T = 0"
    values = " and ".join(f"{float(f'{gap / temperature:.3g}'):g}" for gap in gaps)
    return f"that is {values} of p^(1/T), which chains target, with T = {temperature:g}"
