"""Recipes that train a descriptor by real sampling."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from tigon.data.batches import ImageData
from tigon.data.held_out import MANY
from tigon.data.images import ImageSet
from tigon.data.pixels import enlarged, reduced, to_uint8
from tigon.errors import CAUSES
from tigon.learners.base import RECENT, Record
from tigon.learners.descriptor import (
    DescriptorLearner,
    grid_metrics,
    of_grid,
    start_images,
    starts_in_batches,
)
from tigon.learners.metrics import GAP, SATURATION, Metric, by_name, sampled
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.models.energy import EnergyModel
from tigon.nn.dcgan import ConvDescriptor
from tigon.random.streams import RowRng, make_rng
from tigon.recipes.base import ORIGINAL, SAMPLES, Choice, Growth, Recipe, RunContext, Stages
from tigon.recipes.settings import (
    DescriptorNetwork,
    ImageChains,
    require,
)
from tigon.sizes import ImageSize, pyramid, sides, size_text
from tigon.training.guard import Guard
from tigon.training.settings import AdamSettings

if TYPE_CHECKING:
    from tigon.diagnostics.examination import Examination
    from tigon.diagnostics.rules.base import Finding
    from tigon.figures import Figure

BYTES = 127.5
NARROW, WIDE = 32, 64  # widths of networks for few images, and for many
SHOWN = 8  # images in a row of a figure


@dataclass(frozen=True)
class ImageGuard(Guard):
    """A guard for chains that synthesise images, which may also explode, run away or collapse.

    | cause | what is detected | what is halved |
    |---|---|---|
    | gap | beyond `gap` | learning rate |
    | chains | saturated beyond `saturation` | learning rate, step size |
    | collapse | chains retain less than `collapse` of their starts' differences | step size |

    Arguments:
        enabled: whether the guard is active; without it, a loss that is not finite ends the run
        attempts: number of rollbacks before it gives up, >= 0
        every: iterations between saved good states; at least a tenth of an epoch
        gradient: multiple of the median norm of the last 50 iterations that is an explosion, > 1
        patience: iterations in a row before a collapse or a dead network counts, >= 1
        gap: size of the gap, mean f(synthesised) - mean f(observed), that is an explosion, in
            nats per dimension, > 0
        saturation: fraction of the chains' values far outside the images' range that is too much
        collapse: chains that retain less of the differences between their starts have collapsed
    """

    slowed: ClassVar[Mapping[str, tuple[str, ...]]] = {**Guard.slowed, "collapse": ("steps",)}
    shown: ClassVar[tuple[str, ...]] = ("gap", "gradient_norm", "saturation", "spread")

    gap: float = 10.0
    saturation: float = 0.5
    collapse: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gap > 0, "guard: gap must be above 0")
        require(0 < self.saturation <= 1, "guard: saturation must be in (0, 1]")
        require(0 <= self.collapse < 1, "guard: collapse must be in [0, 1)")

    def trouble(self, record: Record, usual_gradient: float) -> str | None:
        """Return the cause of trouble that a single record shows, or None."""
        if any(abs(value) > self.gap for name, value in record.items() if is_gap(name)):
            return "gap"
        saturated = record["saturation"] > self.saturation
        return super().trouble(record, usual_gradient) or ("chains" if saturated else None)

    def suspicions(self, record: Record) -> dict[str, bool]:
        """Return, by cause, whether a record is suspicious."""
        collapsed = record["spread"] < self.collapse * record["start_spread"]
        return {"collapse": collapsed, **super().suspicions(record)}


def is_gap(name: str) -> bool:
    """Return whether a metric is the gap of a grid."""
    return name == "gap" or name.startswith("gap_")


def named(records: list[Record], name: str, own: str) -> list[Record]:
    """Return the records that have a metric called `own`, under the name of another."""
    return [record | {name: record[own]} for record in records if own in record]


@dataclass(frozen=True)
class DescriptorRecipe(Recipe):
    """Train a descriptor by real sampling: short Langevin chains from mean images, grid by grid.

    Chains target p^(1/T), which is p^1000 by default: see `learners.descriptor`.

    Arguments:
        mirror: also learn from a mirrored copy of each image, which makes its images no better;
            `auto` does so for 50 to 5000 images, if left and right do not matter in them
        grids: number of grids, >= 1: images are synthesised on the coarsest, half as large on
            each side for each grid, and then on the next; as many as there are down to 8 pixels
            if not given, and 1 for images synthesised at their full size alone
        scale: standard deviation of the reference density of p, on the scale of [-1, 1]; that of
            the density that chains target is sqrt(T) times as large
        network: two convolutions and a fully connected layer
        chains: synthesis of images
        compile: compile the chains during training, which takes half a minute at the start and
            changes images by rounding
    """

    model_type: ClassVar[type[Model]] = EnergyModel
    name: ClassVar = "descriptor"
    about: ClassVar = "an energy-based model: chains synthesise its images"
    noun: ClassVar = "descriptor"
    demo: ClassVar = True
    card: ClassVar = "descriptor-card.md.jinja"
    learner_type: ClassVar = DescriptorLearner
    growth: ClassVar[Growth] = Growth(600, 0.07)
    chosen: ClassVar[tuple[str, ...]] = (*Recipe.chosen, "network.width")
    stages: ClassVar = Stages(
        "figure-5-synthesised",
        "Synthesised images as the model learns",
        "The first training images, and below them what the chain from the start image of each "
        "synthesises after some iterations. Values outside [-1, 1] are clipped for display.",
    )
    batch_statistics: ClassVar[bool] = False  # whether images of a batch share them in chains
    panels: ClassVar[tuple[str, ...]] = ("chain", "fill", "score", "curves")
    bytes_range: ClassVar[bool] = False  # whether the network sees pixels from 0 to 255
    loc: ClassVar[float] = 0.0  # mean of the reference density

    mirror: Literal["auto", "yes", "no"] = "no"
    scale: float = 0.7
    grids: int | None = None
    iterations: int | None = None
    network: DescriptorNetwork = DescriptorNetwork()
    chains: ImageChains = ImageChains()
    compile: bool = False
    optimizer: AdamSettings = AdamSettings(5e-2, (0.5, 0.95), warm_up=20)
    guard: ImageGuard = ImageGuard()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scale > 0, f"scale must be above 0, not {self.scale}")
        most = None if self.image_size is None else len(pyramid(self.image_size))
        require(
            self.grids is None or 1 <= self.grids <= (most or self.grids),
            f"grids must be at least 1 and, of images of {self.image_size}, at most {most}, "
            f"not {self.grids}",
        )

    def choices(self, images: ImageData) -> dict[str, Choice]:
        """Return what these images decide of what is not given: also the width of networks."""
        found = super().choices(images)
        if self.network.width is None:
            few = Choice(NARROW, f"fewer than {MANY} images")
            many = Choice(WIDE, f"{MANY} images or more")
            found["network.width"] = few if len(images) < MANY else many
        return found

    @property
    def sizes(self) -> list[ImageSize]:
        """Sizes of the grids, the coarsest first."""
        return pyramid(self.image_size, self.grids)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that its learner logs, of each grid."""
        return grid_metrics(self.sizes)

    def model(self, starts: Tensor | None = None) -> EnergyModel:
        """Return the descriptor with its initial weights.

        Arguments:
            starts: start images of its chains; grey if not given, until a loaded state replaces
                them
        """
        coarser = None
        starts = torch.zeros(1, self.channels, 1, 1) if starts is None else starts
        if starts.shape[2:] != (1, 1):
            starts = reduced(starts, sides(self.sizes[0]))
        for size in self.sizes:
            coarser = EnergyModel(
                self._network(size),
                self.scale,
                self.loc,
                self.chains.build(),
                None if coarser else starts,
                size,
                coarser,
            )
        assert coarser is not None
        coarser.fit = self.fit
        return coarser

    def learner(self, images: ImageData) -> DescriptorLearner:
        """Return a new descriptor learner, whose chains start from these images' means."""
        start = self.chains.start
        model, in_batches = (
            self.model(start_images(images, start)),
            starts_in_batches(images, start),
        )
        return self._build(model, in_batches, images.incomplete)

    def restored(
        self, chains: dict[str, Tensor], files: ChainStore | None = None
    ) -> DescriptorLearner:
        """Return a descriptor learner, whose start images are loaded with its model's state."""
        return self._build(self.model())

    def _build(
        self, model: EnergyModel, in_batches: bool = False, completing: bool = False
    ) -> DescriptorLearner:
        statistics = self.batch_statistics
        return DescriptorLearner(model, statistics, in_batches, self.compile, completing)

    def _network(self, size: ImageSize) -> ConvDescriptor:
        return ConvDescriptor(
            size,
            self.channels,
            self.network.width or WIDE,
            self.network.norm,
            self.bytes_range,
            make_rng("weights", self.seed),
        )

    def describe(self) -> str:
        """Say what the model is, and that it is a sampler."""
        return (
            f"A descriptor, learned with chains of {self.chains.steps} Langevin steps at "
            f"temperature {self.chains.temperature:g} that start from mean images"
            f"{self._by_grids()}. {self._aim()}: "
            "this is a sampler, not a density, trained by contrast with its own images, and its "
            "log-density does not say how probable an image is."
        )

    def _by_grids(self) -> str:
        if len(self.sizes) == 1:
            return ""
        sizes = ", ".join(size_text(size) for size in self.sizes[:-1])
        return (
            f" and go through grids of {sizes} and {size_text(self.sizes[-1])} pixels, each with "
            "its own network, from where the coarser one's ended"
        )

    def _aim(self) -> str:
        """Say which density the chains target, and that they do not reach it."""
        temperature, scale = self.chains.temperature, self.scale
        if not temperature:
            return "At T = 0 they are gradient ascent, and there is no density that they target"
        if temperature == 1:
            return "Chains this short do not reach the model's density p"
        return (
            f"At temperature T they target p^(1/T), here p^{1 / temperature:.4g}, whose reference "
            f"density is {scale * temperature**0.5:.3g} wide, while that of p is {scale:.3g}; "
            "chains this short do not reach it"
        )

    def results(self, context: RunContext) -> dict[str, str]:
        """Return temperature, gap and saturation."""
        gaps = [abs(record["gap"]) for record in context.records]
        recent, temperature = gaps[-RECENT:], self.chains.temperature
        coarser = [metric for metric in self.metrics if is_gap(metric.name)][1:]
        of_coarser = {
            f"|{metric.title.lower()}|": f"{median(abs(metric.of(r)) for r in late):.3f} nats per "
            f"dimension of f (median of the last {len(late)} logged)"
            for metric in coarser
            if (late := [r for r in context.records[-RECENT:] if metric.name in r])
        }
        return {
            "temperature": f"{temperature:g}",
            "|gap|": f"{median(recent):.3f} nats per dimension of f, "
            f"{sampled([median(recent)], temperature)} (0 is best, healthy: below {GAP:g} of f; "
            f"median of the last {len(recent)} logged, at most {max(gaps):.3f})",
            **of_coarser,
            "saturation": f"{100 * context.records[-1]['saturation']:.2f} % outside [-1, 1] by "
            f"more than 0.1 (0 is best, healthy: below {100 * SATURATION:g} %)",
        }

    def summary(self, records: list[Record]) -> dict[str, str]:
        """Return gap and saturation, for the model card."""
        recent = records[-RECENT:]
        said = f"last {len(recent)} logged iterations"
        gap = median(abs(record["gap"]) for record in recent)
        outside = fmean(record["saturation"] for record in recent)
        return {
            "gap": f"{gap:.3g} nats per dimension of f, {sampled([gap], self.chains.temperature)} "
            f"(median size over the {said})",
            "saturation": f"{100 * outside:.2g} % of values outside [-1, 1] by more than 0.1",
        }

    def figures(self, context: RunContext) -> Iterator["Figure"]:
        """Yield the gap, the sampler's images, and the other metrics."""
        from tigon import figures

        yield from self.curves(context, "gap")
        count = min(SAMPLES, len(context.images))
        yield figures.Figure(
            "samples",
            "Images of the sampler",
            "One chain from each start image, in order, not selected.",
            figures.image_grid(self.samples(context, count), columns=min(count, 8)),
            f"Grid of {count} images that chains synthesise, {min(count, 8)} in a row.",
        )
        if len(self.sizes) > 1:
            yield self._grids(context)
        yield from self.curves(context, "saturation", "energy_distance")

    def curves(self, context: RunContext, *names: str) -> Iterator["Figure"]:
        """Yield the figures of these metrics, with a line for each grid."""
        from tigon import figures

        for name in names or [metric.name for metric in self.metrics if metric.figure]:
            *coarser, finest = self.sizes
            lines = {
                f"grid {size_text(size)}": named(context.records, name, of_grid(name, size))
                for size in coarser
            }
            own = f"grid {size_text(finest)}" if coarser else ""
            lines = {label: records for label, records in lines.items() if records}
            if any(name in record for record in context.records):
                yield figures.curve(by_name(self.metrics, name), lines | {own: context.records})

    def _grids(self, context: RunContext) -> "Figure":
        """Show what chains synthesise on each grid, from the same starts."""
        from tigon import figures

        count = min(SHOWN, len(context.images))
        index = torch.arange(count, device=context.learner.model.device)
        rng = RowRng(self.seed, 0, range(count), "report grids")
        rows = [("training images", to_uint8(context.images.read(index.cpu())))]
        drawn = context.learner.model.on_grids(index, rng)
        for size, images in zip(self.sizes, drawn, strict=True):
            shown = to_uint8(enlarged(images, sides(self.image_size), "nearest"))
            rows.append((f"grid {size_text(size)}", shown))
        return figures.Figure(
            "grids",
            "From grid to grid",
            "What the chains of the same rows synthesise on each grid: each grid's chains go on "
            "from the images of the coarser one, and the first from mean colours.",
            figures.stages(rows),
            f"Rows of {count} images: {'; '.join(label for label, _ in rows)}.",
        )

    def judge(self, records: list[Record]) -> list["Finding"]:
        """Judge the gap on each grid, saturation, and how much synthesised images vary."""
        from tigon.diagnostics.rules.course import of_gap, of_saturation, of_spread

        gaps = {
            metric.title.lower(): [record[metric.name] for record in records]
            for metric in self.metrics
            if is_gap(metric.name)
        }
        found = [of_gap(values, self.chains.temperature, name) for name, values in gaps.items()]
        return [
            *(finding for of_grid in found for finding in of_grid),
            *of_saturation(records),
            *of_spread("synthesised images", CAUSES["collapse"][1], records),
        ]

    def examine(
        self,
        learner: DescriptorLearner,
        images: ImageSet,
        records: list[Record],
        length: int,
        seed: int,
    ) -> "Examination":
        """Run chains for `length` times as long as in training."""
        from tigon.diagnostics.examine import examine_grids

        grids = dict(zip(map(size_text, self.sizes), learner.of_grids(), strict=True))
        return examine_grids(grids, images, records, length, seed)


@dataclass(frozen=True)
class OriginalDescriptorRecipe(DescriptorRecipe):
    """The original descriptor algorithm, FOR COMPARISON ONLY: pixels from 0 to 255, batch
    statistics shared by the chains, and a learning rate at which its loss swings by millions.

    Arguments:
        scale: standard deviation of the reference density, on the scale of [-1, 1]
        network: two convolutions and a fully connected layer
        chains: synthesis of images
    """

    name: ClassVar = "descriptor-original"
    demo: ClassVar = False
    about: ClassVar = "the original descriptor algorithm, for comparison only"
    remark: ClassVar = ORIGINAL
    batch_statistics: ClassVar[bool] = True
    bytes_range: ClassVar[bool] = True
    loc: ClassVar[float] = -1.0  # black

    scale: float = 50 / BYTES
    grids: int | None = 1
    iterations: int | None = 1000
    batch_size: int = 64
    network: DescriptorNetwork = DescriptorNetwork(WIDE, norm="batch")
    chains: ImageChains = ImageChains(30, 0.3 / BYTES, 1.0, 1.0, noiseless_last_step=False)
    optimizer: AdamSettings = AdamSettings(0.1, (0.5, 0.999), "constant")
    guard: ImageGuard = ImageGuard(enabled=False)

    def describe(self) -> str:
        """Say what the model is, and what the original algorithm does differently."""
        return (
            f"{super().describe()} This is the original algorithm, for comparison only: its "
            "chains share batch statistics."
        )
