"""What every recipe has and declares.

A recipe is a named set of numbers. It declares everything specific to its kind of model: the
metrics that it logs, its figures, how its models are judged, and what the explorer shows.
Reports, comparisons, diagnoses, cards and progress read these declarations and do not depend on
the kind.

Figures are `figures.WIDTH` wide, show values as they are, and have a caption that says what the
figure means and what is healthy, and a description for those who cannot see it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from tigon.choices import require_choices
from tigon.data.batches import ImageData
from tigon.data.datasets import as_data
from tigon.data.form import MAX_PIXELS, Frames
from tigon.data.held_out import MANY, hold_out, share_of
from tigon.data.images import ImageSet
from tigon.data.load import load_images
from tigon.data.mirrored import MirroredSet, mirrored, verdict
from tigon.data.pixels import Fit, to_uint8
from tigon.data.stream import open_stream, refuse_stream
from tigon.errors import TigonError
from tigon.learners.base import RECENT, Learner, Precision, Record
from tigon.learners.metrics import Metric
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.random.streams import RowRng
from tigon.recipes.settings import known, require, require_finite, with_value
from tigon.sizes import ImageSize, sides
from tigon.training.guard import Guard
from tigon.training.settings import AdamSettings, Budget
from tigon.training.trainer import Callback, Trainer

if TYPE_CHECKING:  # they import matplotlib, which a recipe does not need for training
    from tigon.diagnostics.examination import Examination
    from tigon.diagnostics.rules.base import Finding
    from tigon.figures import Figure

SAMPLES = 64
TEN = 10  # images that iterations are given for
LEAST, ROUND = 200, 50  # iterations of many images, and what their number is rounded to
ORIGINAL = (
    "This recipe is the unchanged original algorithm, **for comparison only**: batch statistics "
    "couple its chains, so that\nthey do not follow the density that they should."
)


class Choice(NamedTuple):
    """A number or a word that the images decide.

    Attributes:
        value: of the recipe's field, or with a dot in its name of a part's
        why: in half a sentence; empty where nothing needs to be said
    """

    value: float | str
    why: str

    def __str__(self) -> str:
        return self.value if isinstance(self.value, str) else f"{self.value:g}"


class Growth(NamedTuple):
    """How many iterations a recipe has for so many images, where none are given.

    Attributes:
        first: for ten images, which are learned by heart
        power: of the number of images, with which they grow
        each: at most so many for each of 50 images or more, or 200 if that is more: longer, and
            codes would be learned by heart that mean nothing for other images
    """

    first: int
    power: float = 0.0
    each: float = math.inf

    def chosen(self, count: int) -> Choice:
        """Return the iterations for `count` images, and why."""
        number = self.first * max(1.0, count / TEN) ** self.power
        why = f"{self.first} for {TEN} images, growing with the power {self.power:.2g} of them"
        most = max(LEAST, self.each * count) if count >= MANY else math.inf
        if number > most:
            number = most
            why = f"{self.each:.2g} for each image, at least {LEAST}"
        return Choice(self.first if number == self.first else round(number / ROUND) * ROUND, why)


class Stages(NamedTuple):
    """How snapshots are shown: the figure's file name, title and caption."""

    name: str
    title: str
    caption: str


@dataclass(frozen=True)
class RunContext:
    """A run that has been loaded for display.

    Attributes:
        learner: the learner at its newest checkpoint
        images: the images that it was trained on
        records: the records of its iterations, at least one
    """

    learner: Any
    images: ImageSet
    records: list[Record]


UNDECIDED = (None, "auto")  # what stands for a choice that images make


@dataclass(frozen=True)
class Recipe(ABC):
    """What every recipe has.

    Arguments:
        image_size: side of a square in pixels, or HEIGHTxWIDTH
        fit: stretch each image to this size, or crop its centre
        channels: 3 (RGB) or 1 (grey)
        mirror: also learn from a mirrored copy of each image, as `load` adds them: `auto` does so
            for 50 to 5000 images, if left and right do not matter in them
        frames: for a file with several pages or frames, use the first or all
        max_pixels: largest number of pixels of a picture; larger ones are left out
        stream: of a descriptor: read hf: data as a stream, without an index and without a copy on
            disk
        held_out: share of the images that are never learned from, and that the model is measured
            on, in [0, 1); if not given, a tenth of 50 images or more, and none of fewer
        iterations: number of parameter updates; chosen by the number of images if not given
        gradient_evaluations: a budget that ends the run, instead of a number of iterations:
            forward and backward passes of the network over the whole set (for a stream, a batch)
        minutes: minutes of training that end the run, instead of a number of iterations
        batch_size: images per parameter update
        seed: seed of weights, chains and data order, >= 0
        precision: precision of the network's matrix products in the loss, and in a descriptor's
            chains; bfloat16 is faster on processors that support it; weights, points and sums stay
            float32
        average: decay of a running average of the weights, in [0, 1), which is sampled, shown and
            exported; no averaging if not given
        optimizer: Adam and its learning rate schedule
        guard: watches the run and rolls it back if it diverges
    """

    model_type: ClassVar[type[Model]]  # what `model` returns
    name: ClassVar[str]
    about: ClassVar[str]  # half a line for the command line's help
    noun: ClassVar[str] = "model"  # what one of its models is called
    learner_type: ClassVar[type[Learner]]
    demo: ClassVar[bool] = False  # whether `tigon demo` trains it
    persistent: ClassVar[bool] = False  # whether there is one persistent chain per image
    growth: ClassVar[Growth] = Growth(300)
    chosen: ClassVar[tuple[str, ...]] = ("held_out", "mirror", "iterations")  # by `choices`
    form: ClassVar[tuple[str, ...]] = (  # decides which images are learned from, and in what form
        "image_size", "fit", "channels", "mirror", "frames", "max_pixels", "held_out",
    )  # fmt: skip
    holds_out: ClassVar[str] = "tigon.hold_out(images, share)"
    stages: ClassVar[Stages] = Stages(
        "stages", "What the model shows as it learns", "The first training images, and below them "
        "what the model makes of them after some iterations.",
    )  # fmt: skip
    panels: ClassVar[tuple[str, ...]] = ("pictures", "curves")  # panels of the explorer
    card: ClassVar[str] = "model-card.md.jinja"  # template of the model card
    remark: ClassVar[str] = ""  # remark about the recipe on the model card
    option_of: ClassVar[tuple[str, str] | None] = None  # recipe and option that lead to this one

    image_size: ImageSize = 64
    fit: Fit = "stretch"
    channels: Literal[1, 3] = 3
    mirror: Literal["auto", "yes", "no"] = "auto"
    frames: Frames = "first"
    max_pixels: int = MAX_PIXELS
    stream: bool = False
    held_out: float | None = None
    iterations: int | None = 300
    gradient_evaluations: int | None = None
    minutes: float | None = None
    batch_size: int = 32
    seed: int = 0
    precision: Precision = "float32"
    average: float | None = None
    optimizer: AdamSettings = AdamSettings()
    guard: Guard = Guard()

    def __post_init__(self) -> None:
        require_choices(self)
        require_finite(self)
        if self.image_size is not None:  # of a texture, the picture decides
            sides(self.image_size)  # else a text is a size until images are read
        require(self.batch_size >= 1, f"batch_size must be at least 1, not {self.batch_size}")
        require(self.seed >= 0, f"seed must be at least 0, not {self.seed}")
        require(
            self.average is None or 0 <= self.average < 1,
            f"average must be in [0, 1), not {self.average}",
        )
        require(self.max_pixels >= 1, f"max_pixels is at least 1, not {self.max_pixels}")
        require(
            self.held_out is None or 0 <= self.held_out < 1,
            f"held_out must be in [0, 1), not {self.held_out}",
        )
        _ = self._budget(1)

    @property
    def budget(self) -> Budget:
        """When a run of this recipe ends.

        Raises:
            ValueError: if that depends on the images; a `resolved` recipe knows
        """
        return self._budget(known(self.iterations, "iterations") if self.by_iterations else 1)

    @property
    def by_iterations(self) -> bool:
        """Whether a number of iterations ends the run."""
        return self.ends_by == "iterations"

    @property
    def ends_by(self) -> str:
        """The option that ends a run: iterations, gradient-evaluations or minutes."""
        if self.minutes is not None:
            return "minutes"
        return "iterations" if self.gradient_evaluations is None else "gradient-evaluations"

    def _budget(self, iterations: int) -> Budget:
        iterations = iterations if self.iterations is None else self.iterations
        return Budget(iterations, self.gradient_evaluations, self.minutes)

    def choices(self, images: ImageData) -> dict[str, Choice]:
        """Return what these images decide of what is not given, by name, and why.

        Arguments:
            images: those that are learned from, with those `held_out`
        """
        found = {}
        if self.held_out is None:
            unseen = images.held_out  # where there are none, `tigon diagnose` says what that means
            why = "" if unseen is None else f"{len(unseen)} images, which are not learned from"
            found["held_out"] = Choice(share_of(images), why)
        if self.mirror == "auto":
            found["mirror"] = Choice(*_mirroring(images))
        if self.iterations is None and self.by_iterations:
            found["iterations"] = self.growth.chosen(len(images))
        return found

    def with_choices(self, made: Mapping[str, Choice]) -> Self:
        """Return this recipe with the numbers that were chosen."""
        found = self
        for name, choice in made.items():
            found = with_value(found, name, choice.value)
        return found

    def resolved(self, images: ImageData) -> Self:
        """Return this recipe with every number given: see `choices`."""
        return self.with_choices(self.choices(images))

    @abstractmethod
    def model(self) -> Model:
        """Return the model with its initial weights."""

    @abstractmethod
    def learner(self, images: ImageData) -> Learner:
        """Return a new learner for these images."""

    @abstractmethod
    def restored(self, chains: dict[str, Tensor], files: ChainStore | None = None) -> Learner:
        """Return a learner with the chains of a checkpoint; the model's state is loaded later.

        Arguments:
            chains: chains as returned by `Learner.chain_tensors`
            files: chain rows in files, if the checkpoint has them
        """

    def load(self, data: str, mask: str | None = None) -> ImageSet:
        """Load the images to learn from, in the form that this recipe needs.

        Those that are not learned from are their `held_out`.

        Arguments:
            mask: which values were observed, as `load_images` takes it; all, if not given
        Raises:
            TigonError: if they cannot be read, streaming was requested but is not possible, or
                this kind of model does not learn from images with missing values
        """
        if mask is not None and not self.learner_type.masks:
            raise TigonError(
                f"--mask: a {self.name} learns from complete images alone; leave out --mask, or "
                "use another recipe, such as generator"
            )
        if self.stream:
            if self.held_out:
                raise TigonError(
                    "--stream with --held-out: a stream has no end, and so no share of it can be "
                    "held out; leave out one of the two"
                )
            refuse_stream(data, self.persistent, self.mirror == "yes", self.frames, mask)
            form = self.image_size, self.fit, self.channels, self.max_pixels
            return open_stream(data, *form, alpha=mask is not None)
        kind = self.image_size, self.fit, self.channels, False, self.frames, self.max_pixels
        images = hold_out(load_images(data, *kind, mask=mask), self.held_out)
        if self.mirror == "auto":
            found = verdict(images)
            return mirrored(images, found.why) if found.mirror else images
        return mirrored(images) if self.mirror == "yes" else images

    def trainer(
        self,
        images: ImageData | torch.utils.data.Dataset[Any] | Tensor,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        callbacks: Sequence[Callback | Callable[[Trainer, Record], object]] = (),
        origin: Learner | None = None,
    ) -> Trainer:
        """Return a new trainer of this recipe on these images, with their size and channels.

        Arguments:
            images: as `as_data` takes them
            origin: a learner of the same images, to begin where it ended; see `begun_from`
        Raises:
            ValueError: if it cannot begin there, or `mirror` is yes and no mirrored copies follow
        """
        images = as_data(images)
        if self.mirror == "yes" and not isinstance(images, MirroredSet):
            raise ValueError("mirror: these images are not mirrored; use tigon.mirrored(images)")
        if self.held_out and images.held_out is None:
            raise ValueError(
                f"held_out: no image of these is held out; use recipe.load, or {self.holds_out}"
            )
        channels: Literal[1, 3] = 3 if images.channels == 3 else 1
        sized = replace(self, image_size=images.image_size, channels=channels)
        recipe = sized.resolved(images)
        learner = recipe.learner(images).to(device, dtype)
        learner.precision = self.precision
        if origin is not None:
            try:
                learner.adopt(origin)
            except ValueError as error:
                raise ValueError(f"cannot begin where the other run ended: {error}") from error
        return Trainer(
            learner,
            images,
            recipe.optimizers(learner),
            recipe.optimizer.schedules(),
            recipe.optimizer.clip,
            callbacks,
            recipe.guard,
            recipe.budget,
            recipe.batch_size,
            recipe.seed,
            recipe.average,
        )

    def begun_from(self, origin: "Recipe") -> Self:
        """Return this recipe for a run that begins where another ended, with its model's numbers.

        Those that are given here, other than their defaults, stay as they are.

        Arguments:
            origin: recipe of the run that ended
        Raises:
            ValueError: if this kind of model cannot begin there
        """
        raise ValueError(f"a {self.name} cannot begin where another run ended")

    def optimizers(self, learner: Learner) -> torch.optim.Optimizer:
        """Return what changes a learner's parameters."""
        return self.optimizer.build(learner.parameters())

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that its learner logs."""
        return self.learner_type.metrics

    @property
    def measure(self) -> str:
        """Name of the metric that measures the model's quality (lower is better), or empty."""
        return self.learner_type.measure

    @abstractmethod
    def describe(self) -> str:
        """Say in words what kind of model this is, and whether it is a density."""

    def results(self, context: RunContext) -> dict[str, str]:
        """Return the numbers that summarise a run, by name, besides those that every run has."""
        return _means(self.metrics, context.records)

    def summary(self, records: list[Record]) -> dict[str, str]:
        """Return the numbers about the run that a model card shows, by name."""
        return _means([metric for metric in self.metrics if metric.progress], records)

    def samples(self, context: RunContext, count: int) -> np.ndarray:
        """Draw images from the model, uint8 (count, H, W, C), the same at every call."""
        rng = RowRng(self.seed, 0, range(count), "report")
        return to_uint8(context.learner.sample(count, rng))

    def figures(self, context: RunContext) -> Iterator["Figure"]:
        """Yield the figures of a run, one by one: images from the model, and the metrics."""
        from tigon import figures

        yield figures.Figure(
            "samples",
            "Images from the model",
            "Draws from the model, not selected.",
            figures.image_grid(self.samples(context, SAMPLES)),
            f"Grid of {SAMPLES} images that the model draws, 8 in a row.",
        )
        yield from self.curves(context)

    def curves(self, context: RunContext, *names: str) -> Iterator["Figure"]:
        """Yield the figures of these metrics, or of all that have a figure and were logged."""
        from tigon import figures

        for metric in self.metrics:
            asked = metric.name in names if names else bool(metric.figure)
            if asked and any(metric.name in record for record in context.records):
                yield figures.curve(metric, {"": context.records})

    def judge(self, records: list[Record]) -> list["Finding"]:
        """Judge each metric of a run that has a healthy band."""
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
        """Run a learner's chains and judge them; by default, there is nothing to judge.

        Arguments:
            records: records of the run
            length: length of the long-run test of images, in multiples of the training chains
            seed: seed of the noise
        """
        from tigon.diagnostics.examination import Examination

        return Examination()

    def histograms(self, learner: Any) -> dict[str, Tensor]:  # noqa: ANN401
        """Return tensors whose distribution TensorBoard shows, by name; none by default.

        With several processes, they cover the rows of the first.
        """
        return {}


def _mirroring(images: ImageData) -> tuple[str, str]:
    """Return whether images are mirrored, and why: `Recipe.load` decides that, not whoever gives
    images that were loaded.
    """
    if isinstance(images, MirroredSet):
        return "yes", images.why
    found = verdict(images) if isinstance(images, ImageSet) else None
    return "no", "" if found is None or found.mirror else found.why


def _means(metrics: Sequence[Metric], records: list[Record]) -> dict[str, str]:
    """Return the means of the metrics that were logged over the last records, in words."""
    recent = records[-RECENT:]
    return {
        metric.title.lower(): f"{metric.mean(recent):.4g}{metric.unit and f' {metric.unit}'} "
        f"(mean of the last {len(recent)} logged)"
        for metric in metrics
        if any(metric.name in record for record in recent)
    }
