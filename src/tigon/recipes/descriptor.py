"""Recipes that train a descriptor by real sampling."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from tigon.data.batches import ImageData
from tigon.data.images import ImageSet
from tigon.errors import CAUSES
from tigon.learners.base import RECENT, Record
from tigon.learners.descriptor import DescriptorLearner, start_images, starts_in_batches
from tigon.learners.metrics import GAP, SATURATION, sampled
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.models.energy import EnergyModel
from tigon.nn.dcgan import ConvDescriptor
from tigon.random.streams import make_rng
from tigon.recipes.base import ORIGINAL, SAMPLES, Recipe, RunContext, Stages
from tigon.recipes.settings import (
    DescriptorNetwork,
    ImageChains,
    require,
)
from tigon.training.guard import Guard
from tigon.training.settings import AdamSettings

if TYPE_CHECKING:
    from tigon.diagnostics.examination import Examination
    from tigon.diagnostics.rules.base import Finding
    from tigon.figures import Figure

BYTES = 127.5


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
        if abs(record["gap"]) > self.gap:
            return "gap"
        saturated = record["saturation"] > self.saturation
        return super().trouble(record, usual_gradient) or ("chains" if saturated else None)

    def suspicions(self, record: Record) -> dict[str, bool]:
        """Return, by cause, whether a record is suspicious."""
        collapsed = record["spread"] < self.collapse * record["start_spread"]
        return {"collapse": collapsed, **super().suspicions(record)}


@dataclass(frozen=True)
class DescriptorRecipe(Recipe):
    """Train a descriptor by real sampling: short Langevin chains from mean images.

    Chains target p^(1/T), which is p^1000 by default: see `learners.descriptor`.

    Arguments:
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
    stages: ClassVar = Stages(
        "figure-5-synthesised",
        "Synthesised images as the model learns",
        "The first training images, and below them what the chain from the start image of each "
        "synthesises after some iterations. Values outside [-1, 1] are clipped for display.",
    )
    batch_statistics: ClassVar[bool] = False  # whether images of a batch share them in chains
    panels: ClassVar[tuple[str, ...]] = ("chain", "curves")
    bytes_range: ClassVar[bool] = False  # whether the network sees pixels from 0 to 255
    loc: ClassVar[float] = 0.0  # mean of the reference density

    scale: float = 0.7
    iterations: int = 300
    network: DescriptorNetwork = DescriptorNetwork()
    chains: ImageChains = ImageChains()
    compile: bool = False
    optimizer: AdamSettings = AdamSettings(5e-2, (0.5, 0.95), warm_up=20)
    guard: ImageGuard = ImageGuard()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scale > 0, f"scale must be above 0, not {self.scale}")

    def model(self, starts: Tensor | None = None) -> EnergyModel:
        """Return the descriptor with its initial weights.

        Arguments:
            starts: start images of its chains; grey if not given, until a loaded state replaces
                them
        """
        if starts is None:
            starts = torch.zeros(1, self.channels, 1, 1)
        model = EnergyModel(
            self._network(self.bytes_range),
            self.scale,
            self.loc,
            self.chains.build(),
            starts,
            self.image_size,
        )
        model.fit = self.fit
        return model

    def learner(self, images: ImageData) -> DescriptorLearner:
        """Return a new descriptor learner, whose chains start from these images' means."""
        start = self.chains.start
        model = self.model(start_images(images, start))
        return self._build(model, starts_in_batches(images, start))

    def restored(
        self, chains: dict[str, Tensor], files: ChainStore | None = None
    ) -> DescriptorLearner:
        """Return a descriptor learner, whose start images are loaded with its model's state."""
        return self._build(self.model())

    def _build(self, model: EnergyModel, in_batches: bool = False) -> DescriptorLearner:
        return DescriptorLearner(model, self.batch_statistics, in_batches, self.compile)

    def _network(self, bytes_range: bool) -> ConvDescriptor:
        return ConvDescriptor(
            self.image_size,
            self.channels,
            self.network.width,
            self.network.norm,
            bytes_range,
            make_rng("weights", self.seed),
        )

    def describe(self) -> str:
        """Say what the model is, and that it is a sampler."""
        return (
            f"A descriptor, learned with chains of {self.chains.steps} Langevin steps at "
            f"temperature {self.chains.temperature:g} that start from mean images. {self._aim()}: "
            "this is a sampler, not a density, trained by contrast with its own images, and its "
            "log-density does not say how probable an image is."
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
        return {
            "temperature": f"{temperature:g}",
            "|gap|": f"{median(recent):.3f} nats per dimension of f, "
            f"{sampled([median(recent)], temperature)} (0 is best, healthy: below {GAP:g} of f; "
            f"median of the last {len(recent)} logged, at most {max(gaps):.3f})",
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
        yield from self.curves(context, "saturation", "energy_distance")

    def judge(self, records: list[Record]) -> list["Finding"]:
        """Judge the gap, saturation, and how much synthesised images vary."""
        from tigon.diagnostics.rules.course import of_gap, of_saturation, of_spread

        return [
            *of_gap([record["gap"] for record in records], self.chains.temperature),
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
        from tigon.diagnostics.examine import examine_synthesis

        return examine_synthesis(learner, images, records, length, seed)


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
    iterations: int = 1000
    network: DescriptorNetwork = DescriptorNetwork(norm="batch")
    chains: ImageChains = ImageChains(30, 0.3 / BYTES, 1.0, 1.0, noiseless_last_step=False)
    optimizer: AdamSettings = AdamSettings(0.1, (0.5, 0.999), "constant")
    guard: ImageGuard = ImageGuard(enabled=False)

    def describe(self) -> str:
        """Say what the model is, and what the original algorithm does differently."""
        return (
            f"{super().describe()} This is the original algorithm, for comparison only: its "
            "chains share batch statistics."
        )
