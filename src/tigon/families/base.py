"""What a family of models says and shows of its runs; the vocabulary of reports.

House style: a figure is as wide as `figures.WIDTH`, shows values as they are, and is a `Picture`
with a caption (what it means, and what is healthy) and a description (what is seen, for those who
cannot see it). A number that can be drawn over a run is a `Measure`: it becomes a curve in the
report of one run, and one figure with all runs in a comparison of several.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, NamedTuple, TypeVar

from matplotlib.figure import Figure
from torch import Tensor

from tigon import figures
from tigon.data.images import ImageSet
from tigon.figures import Pixels
from tigon.learners.base import Learner
from tigon.recipes import Recipe
from tigon.runs.run import Run
from tigon.training.iteration import Record

R = TypeVar("R", bound=Recipe)
L = TypeVar("L", bound=Learner)
Line = tuple[Sequence[float], Sequence[float]]
RECENT = 50
ORIGINAL = " This is the original algorithm, for comparison only: it"


class Picture(NamedTuple):
    """A figure of a run.

    Attributes:
        name: of its file, without ending
        title: its heading
        caption: what it means, and what is healthy
        figure: the figure itself
        description: what is seen in it, for those who cannot see it
    """

    name: str
    title: str
    caption: str
    figure: Figure
    description: str


@dataclass(frozen=True)
class Measure:
    """A number of every iteration that is drawn over gradient evaluations.

    Arguments:
        name: of its figure's file; runs that have a measure of this name share a figure
        title: of its figure, and how it is called in a sentence
        axis: what the vertical axis says, with the unit
        caption: what it means, and what is healthy
        value: the number of a record that is drawn
        scale: of the vertical axis; `signed` is linear to +-1 and logarithmic beyond it where
            values reach beyond +-10
        marks: heights of dashed lines, by label; a label that begins with _ is not shown
    """

    name: str
    title: str
    axis: str
    caption: str
    value: Callable[[Record], float]
    scale: Literal["linear", "log", "signed"] = "linear"
    marks: Mapping[str, float] = field(default_factory=dict)

    def picture(self, runs: Mapping[str, list[Record]]) -> Picture:
        """Draw the measure of one run or more, over the same axes.

        Arguments:
            runs: records by the run's name; "" stands for the measure itself
        """
        lines = {
            run or self.title.lower(): (
                [float(record["gradient_evaluations"]) for record in records],
                [float(self.value(record)) for record in records],
            )
            for run, records in runs.items()
        }
        figure = figures.curves(lines, self.axis, self._scale(lines), self.marks)
        return Picture(self.name, self.title, self.caption, figure, spoken(self.title, lines))

    def _scale(self, lines: Mapping[str, Line]) -> figures.Scale:
        if self.scale != "signed":
            return self.scale
        far = any(abs(value) > 10 for _, values in lines.values() for value in values)
        return "symlog" if far else "linear"


def spoken(title: str, lines: Mapping[str, Line]) -> str:
    """Say in words what a line chart shows: where each line begins, ends, and what it spans."""
    said = [
        f"{label} begins at {values[0]:.3g}, ends at {values[-1]:.3g} after {x[-1]:.6g} gradient "
        f"evaluations, and stays between {min(values):.3g} and {max(values):.3g}"
        for label, (x, values) in lines.items()
    ]
    return f"Line chart of {title.lower()}: {'; '.join(said)}."


@dataclass(frozen=True)
class Shown(Generic[R, L]):
    """A run that is opened to be shown.

    Attributes:
        run: its folder
        recipe: its numbers
        learner: of its newest checkpoint
        images: that it learned from
        records: of its iterations, at least one
        files: checksums of the run's files from before these were read; None where not taken
    """

    run: Run
    recipe: R
    learner: L
    images: ImageSet
    records: list[Record]
    files: dict[str, str] | None = None


class Stages(NamedTuple):
    """How snapshots are shown: the name of the figure's file, its title and caption."""

    name: str
    title: str
    caption: str


class Family(ABC, Generic[R, L]):
    """How models of one kind are described and drawn.

    Attributes:
        recipe: the recipes that it speaks for
        noun: what one of its models is called
        measures: what can be drawn over a run; the first is what a run is judged by
        stages: how its snapshots are shown
    """

    recipe: type[R]
    noun: ClassVar[str]
    measures: ClassVar[tuple[Measure, ...]]
    stages: ClassVar[Stages]

    @abstractmethod
    def what(self, recipe: R) -> str:
        """Say in words what kind of model this is, and whether it is a density."""

    @abstractmethod
    def results(self, shown: Shown[R, L]) -> dict[str, str]:
        """Return the figures that sum a run up, by name, besides those of every run."""

    @abstractmethod
    def samples(self, shown: Shown[R, L], count: int) -> Pixels:
        """Draw images of the model, uint8 (count, H, W, C), the same ones at every call."""

    @abstractmethod
    def pictures(self, shown: Shown[R, L]) -> Iterator[Picture]:
        """Yield the family's own pictures of a run, one by one."""

    def histograms(self, learner: L) -> dict[str, Tensor]:
        """Return what TensorBoard shows the distribution of, by name; nothing in most families.

        In several processes, of the rows of the first.
        """
        return {}


def mean(records: list[Record], name: str) -> float:
    """Return the mean of a number of some records."""
    return sum(record[name] for record in records) / len(records)
