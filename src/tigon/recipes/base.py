"""What every recipe has and declares.

A recipe is a named set of numbers, and says all that is particular about its kind of model: the
metrics it logs, its figures, what is found out about its models, and what the explorer shows.
Reports, comparisons, diagnoses, cards and progress read these declarations, and know no kind.

House style of figures: as wide as `figures.WIDTH`, values as they are, a caption that says what a
figure means and what is healthy, and a description for those who cannot see it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tigon.choices import require_choices
from tigon.data.batches import ImageData
from tigon.data.datasets import as_data
from tigon.data.form import MAX_PIXELS, Frames
from tigon.data.images import ImageSet
from tigon.data.load import load_images
from tigon.data.pixels import Fit, to_uint8
from tigon.data.stream import open_stream, refuse_stream
from tigon.learners.base import RECENT, Learner, Precision, Record
from tigon.learners.metrics import Metric
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.random.streams import RowRng
from tigon.recipes.settings import (
    require,
)
from tigon.sizes import ImageSize, sides
from tigon.training.guard import Guard
from tigon.training.settings import AdamSettings, Budget
from tigon.training.trainer import Callback, Trainer

if TYPE_CHECKING:  # they import matplotlib, which a recipe does not need to learn
    from tigon.diagnostics.examination import Examination
    from tigon.diagnostics.rules.base import Finding
    from tigon.figures import Figure

SAMPLES = 64
ORIGINAL = (
    "This recipe is the original algorithm as it was, **for comparison only**: batch statistics "
    "couple its chains, so that\nthey do not follow the density that they should."
)


class Stages(NamedTuple):
    """How snapshots are shown: the name of the figure's file, its title and caption."""

    name: str
    title: str
    caption: str


@dataclass(frozen=True)
class RunContext:
    """A run that is opened to be shown.

    Attributes:
        learner: of its newest checkpoint
        images: that it learned from
        records: of its iterations, at least one
    """

    learner: Any
    images: ImageSet
    records: list[Record]


@dataclass(frozen=True)
class Recipe(ABC):
    """What every recipe has.

    Arguments:
        image_size: pixels of a side of a square, or HEIGHTxWIDTH
        fit: stretch each image to this size, or crop its centre
        channels: 3 (RGB) or 1 (grey)
        mirror: learn from mirrored copies too
        frames: of a file with several pages or frames, the first or all
        max_pixels: of a picture that is read; larger ones are left out
        stream: read hf: data as they come, without an index and without a copy on the disk
        iterations: parameter updates
        gradient_evaluations: a budget that ends the run instead of a number of iterations:
            forward and backward passes of the network over the whole set (of a stream: a batch)
        batch_size: images per parameter update
        seed: of weights, chains and data order, >= 0
        precision: of the network's products in the loss, and in a descriptor's chains; bfloat16
            is faster where the processor multiplies it, and weights, points and sums stay float32
        average: decay of a running average of the weights, in [0, 1), which is what is sampled,
            shown and exported; none if not given
        optimizer: Adam and the schedule of its rate
        guard: what watches over the run and goes back where it diverges
    """

    model_type: ClassVar[type[Model]]  # what `model` returns
    name: ClassVar[str]
    about: ClassVar[str]  # in half a line, for the command line's help
    noun: ClassVar[str] = "model"  # what one of its models is called
    learner_type: ClassVar[type[Learner]]
    demo: ClassVar[bool] = False  # whether `tigon demo` learns it
    persistent: ClassVar[bool] = False  # whether a chain is kept for each image
    stages: ClassVar[Stages] = Stages(
        "stages", "What the model shows as it learns", "The first training images, and below them "
        "what the model shows of them after some iterations.",
    )  # fmt: skip
    panels: ClassVar[tuple[str, ...]] = ("pictures", "curves")  # of the explorer
    card: ClassVar[str] = "model-card.md.jinja"  # a template
    remark: ClassVar[str] = ""  # of the card, on the recipe

    image_size: ImageSize = 64
    fit: Fit = "stretch"
    channels: Literal[1, 3] = 3
    mirror: bool = False
    frames: Frames = "first"
    max_pixels: int = MAX_PIXELS
    stream: bool = False
    iterations: int = 300
    gradient_evaluations: int | None = None
    batch_size: int = 64
    seed: int = 0
    precision: Precision = "float32"
    average: float | None = None
    optimizer: AdamSettings = AdamSettings()
    guard: Guard = Guard()

    def __post_init__(self) -> None:
        require_choices(self)
        sides(self.image_size)  # else a text is a size until images are read
        require(self.batch_size >= 1, f"batch_size is at least 1, not {self.batch_size}")
        require(self.seed >= 0, f"seed is at least 0, not {self.seed}")
        require(
            self.average is None or 0 <= self.average < 1,
            f"average is in [0, 1), not {self.average}",
        )
        require(self.max_pixels >= 1, f"max_pixels is at least 1, not {self.max_pixels}")
        _ = self.budget

    @property
    def budget(self) -> Budget:
        """When a run of this recipe ends."""
        return Budget(self.iterations, self.gradient_evaluations)

    @abstractmethod
    def model(self) -> Model:
        """Return the model, with the weights that learning begins with."""

    @abstractmethod
    def learner(self, images: ImageData) -> Learner:
        """Return a new learner for these images."""

    @abstractmethod
    def restored(self, chains: dict[str, Tensor], files: ChainStore | None = None) -> Learner:
        """Return a learner with the chains of a checkpoint, its model's state still to be loaded.

        Arguments:
            chains: as `Learner.chain_tensors` gave them
            files: chain rows in files, where the checkpoint has them
        """

    def load(self, data: str) -> ImageSet:
        """Load images in the form that this recipe learns from.

        Raises:
            TigonError: if they cannot be read, or a stream is asked for that cannot be
        """
        if self.stream:
            refuse_stream(data, self.persistent, self.mirror, self.frames)
            return open_stream(data, self.image_size, self.fit, self.channels, self.max_pixels)
        form = self.image_size, self.fit, self.channels, self.mirror, self.frames, self.max_pixels
        return load_images(data, *form)

    def trainer(
        self,
        images: ImageData | torch.utils.data.Dataset[Any] | Tensor,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        callbacks: Sequence[Callback | Callable[[Trainer, Record], object]] = (),
    ) -> Trainer:
        """Return a new trainer of this recipe on these images, in their size and channels.

        Arguments:
            images: as `as_data` takes them
        """
        images = as_data(images)
        channels: Literal[1, 3] = 3 if images.channels == 3 else 1
        recipe = replace(self, image_size=images.image_size, channels=channels)
        learner = recipe.learner(images).to(device, dtype)
        learner.precision = self.precision
        return Trainer(
            learner,
            images,
            self.optimizer.build(learner.parameters()),
            self.optimizer.schedules(),
            self.optimizer.clip,
            callbacks,
            self.guard,
            self.budget,
            self.batch_size,
            self.seed,
            self.average,
        )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What its learner logs."""
        return self.learner_type.metrics

    @property
    def measure(self) -> str:
        """Name of the metric that says how good the model is, lower better; empty if none does."""
        return self.learner_type.measure

    @abstractmethod
    def describe(self) -> str:
        """Say in words what kind of model this is, and whether it is a density."""

    def results(self, context: RunContext) -> dict[str, str]:
        """Return the numbers that sum a run up, by name, besides those of every run."""
        return _means(self.metrics, context.records)

    def summary(self, records: list[Record]) -> dict[str, str]:
        """Return the numbers that a model's card gives of its run, by name."""
        return _means([metric for metric in self.metrics if metric.progress], records)

    def samples(self, context: RunContext, count: int) -> np.ndarray:
        """Draw images of the model, uint8 (count, H, W, C), the same ones at every call."""
        rng = RowRng(self.seed, 0, range(count), "report")
        return to_uint8(context.learner.sample(count, rng))

    def figures(self, context: RunContext) -> Iterator["Figure"]:
        """Yield the figures of a run, one by one: images of the model, and the metrics."""
        from tigon import figures

        yield figures.Figure(
            "samples",
            "Images of the model",
            "Draws of the model, none left out.",
            figures.image_grid(self.samples(context, SAMPLES)),
            f"Grid of {SAMPLES} images that the model draws, 8 in a row.",
        )
        yield from self.curves(context)

    def curves(self, context: RunContext, *names: str) -> Iterator["Figure"]:
        """Yield the figures of these metrics, or of all that have one and were logged."""
        from tigon import figures

        for metric in self.metrics:
            asked = metric.name in names if names else bool(metric.figure)
            if asked and any(metric.name in record for record in context.records):
                yield figures.curve(metric, {"": context.records})

    def judge(self, records: list[Record]) -> list["Finding"]:
        """Judge the metrics of a run: each that has a healthy band, by it."""
        from tigon.diagnostics.rules.course import of_metric

        found = [of_metric(metric, records) for metric in self.metrics]
        return [finding for finding in found if finding is not None]

    def examine(
        self,
        learner: Any,  # noqa: ANN401
        images: ImageSet,
        records: list[Record],
        length: int,
        seed: int,
    ) -> "Examination":
        """Run a learner's chains and judge them; in most kinds nothing is known of these.

        Arguments:
            records: of the run
            length: of the long-run test of images, in multiples of a training's chain
            seed: of the noise
        """
        from tigon.diagnostics.examination import Examination

        return Examination()

    def histograms(self, learner: Any) -> dict[str, Tensor]:  # noqa: ANN401
        """Return what TensorBoard shows the distribution of, by name; nothing in most kinds.

        In several processes, of the rows of the first.
        """
        return {}


def _means(metrics: Sequence[Metric], records: list[Record]) -> dict[str, str]:
    """Return the means of metrics over the last records, in words, of those that were logged."""
    recent = records[-RECENT:]
    return {
        metric.title.lower(): f"{metric.mean(recent):.4g}{metric.unit and f' {metric.unit}'} "
        f"(mean of the last {len(recent)} logged)"
        for metric in metrics
        if any(metric.name in record for record in recent)
    }
