"""The recipe that trains a generator, and a descriptor that revises its images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch

from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.errors import CAUSES
from tigon.learners.base import RECENT, Learner, Record
from tigon.learners.cooperative import CooperativeLearner, Reviser
from tigon.learners.generator import GeneratorLearner
from tigon.learners.metrics import GAP, by_name, sampled
from tigon.models.base import Model
from tigon.models.cooperative import CooperativeModel
from tigon.models.energy import EnergyModel, short_run
from tigon.nn.dcgan import ConvDescriptor
from tigon.random.streams import RowRng, make_rng
from tigon.recipes.base import Recipe, RunContext
from tigon.recipes.descriptor import SHOWN, ImageGuard
from tigon.recipes.generator import GeneratorRecipe
from tigon.recipes.settings import require
from tigon.sizes import ImageSize, image_size, sides, size_text

if TYPE_CHECKING:
    from tigon.diagnostics.examination import Examination
    from tigon.diagnostics.rules.base import Finding
    from tigon.figures import Figure

SCALE = 0.7  # of the descriptor's reference density
SLOWER = "lower the descriptor's learning rate (--revision.rate)"
BOTH = f"{SLOWER} or the generator's (--optimizer.learning-rate)"
SHORTER = "lower the step size of its chains (--revision.step-size)"


@dataclass(frozen=True)
class RevisionSettings:
    """The descriptor that revises the generator's images, and how it is learned.

    Arguments:
        width: channels of its first convolution; the second has twice as many, >= 2
        steps: chain steps from a proposal to a revised image, >= 1
        step_size: size s of the first step, in units of [-1, 1], > 0
        shrink: ratio of the last step size to the first, in (0, 1]; it falls geometrically
        temperature: T >= 0: the noise is s sqrt(T), and chains target p^(1/T)
        rate: learning rate of the descriptor, > 0; the generator's schedule applies to it
        betas: decay rates of its Adam's two moments, each in [0, 1)
        lead: share of the run in which the generator learns alone, in [0, 1)
        teach: weight of the revised images in the generator's loss, >= 0
        pool: side of the squares of pixels whose means the descriptor revises; what it moves is
            interpolated. 1 revises single pixels; by default 2 where that leaves the descriptor
            even sides of at least 8, otherwise 1
    """

    width: int = 64
    steps: int = 15
    step_size: float = 0.06
    shrink: float = 0.33
    temperature: float = 0.001
    rate: float = 0.04
    betas: tuple[float, float] = (0.5, 0.95)
    lead: float = 0.6
    teach: float = 0.0
    pool: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("width", 2), ("steps", 1), ("temperature", 0), ("teach", 0)):
            value = getattr(self, name)
            require(value >= least, f"revision.{name} must be at least {least}, not {value}")
        pool = self.pool
        require(pool is None or pool >= 1, f"revision.pool must be at least 1, not {pool}")
        for name in ("step_size", "rate"):
            value = getattr(self, name)
            require(value > 0, f"revision.{name} must be above 0, not {value}")
        require(0 < self.shrink <= 1, f"revision.shrink must be in (0, 1], not {self.shrink}")
        require(0 <= self.lead < 1, f"revision.lead must be in [0, 1), not {self.lead}")
        require(
            all(0 <= beta < 1 for beta in self.betas),
            f"revision.betas must be in [0, 1), not {self.betas}",
        )


@dataclass(frozen=True)
class RevisionGuard(ImageGuard):
    """A guard for a generator, and for chains that revise its images.

    | cause | what is detected | what is halved |
    |---|---|---|
    | gap | beyond `gap` | learning rates |
    | chains | saturated beyond `saturation` | learning rates, step sizes |
    | collapse | chains retain less than `collapse` of the proposals' differences | step sizes |

    Arguments:
        enabled: whether the guard is active; without it, a loss that is not finite ends the run
        attempts: number of rollbacks before it gives up, >= 0
        every: iterations between saved good states; at least a tenth of an epoch
        gradient: multiple of the median norm of the last 50 iterations that is an explosion, > 1
        patience: iterations in a row before a collapse or a dead network counts, >= 1
        gap: size of the gap, mean f(revised) - mean f(observed), that is an explosion, in nats
            per dimension, > 0
        saturation: fraction of the chains' values far outside the images' range that is too much
        collapse: chains that retain less of the differences between proposals have collapsed
    """

    causes: ClassVar[Mapping[str, tuple[str, str]]] = {
        **CAUSES,
        "chains": (CAUSES["chains"][0], f"{SHORTER} or {SLOWER}"),
        "gap": (CAUSES["gap"][0], f"{SLOWER}, or take more chain steps (--revision.steps)"),
        "collapse": (CAUSES["collapse"][0], SHORTER),
        "network": (CAUSES["network"][0], f"{BOTH}, or {SHORTER}"),
        "gradient": (CAUSES["gradient"][0], BOTH),
    }
    shown: ClassVar[tuple[str, ...]] = ("gap", "gradient_norm", "saturation", "revised_spread")

    def trouble(self, record: Record, usual_gradient: float) -> str | None:
        """Return the cause of trouble that a single record shows, or None."""
        return super().trouble({"saturation": 0.0} | record, usual_gradient)

    def suspicions(self, record: Record) -> dict[str, bool]:
        """Return, by cause, whether a record is suspicious."""
        spreads = {
            "spread": record.get("revised_spread", 1.0),
            "start_spread": record.get("proposed_spread", 1.0),
        }
        return super().suspicions(record | spreads)


@dataclass(frozen=True)
class CooperativeRecipe(GeneratorRecipe):
    """Train a generator by real inference, and then also a descriptor, by real sampling from the
    generator's images: the generator proposes, the descriptor revises.

    Arguments:
        latent_dim: d, the number of latents; chosen for the images if not given
        revision: the descriptor, and how it is learned
    """

    model_type: ClassVar[type[Model]] = CooperativeModel
    name: ClassVar = "cooperative"
    about: ClassVar = "a generator proposes images, and a descriptor revises them"
    noun: ClassVar = "generator with a descriptor"
    demo: ClassVar = False
    card: ClassVar = "cooperative-card.md.jinja"
    learner_type: ClassVar[type[GeneratorLearner]] = CooperativeLearner
    drawn: ClassVar[str] = "f(z), revised by the descriptor's chains,"
    parts: ClassVar[tuple[str, ...]] = ("revision",)

    revision: RevisionSettings = RevisionSettings()
    guard: RevisionGuard = RevisionGuard()

    @property
    def _pool(self) -> int:
        """Side of the squares of pixels that the descriptor revises."""
        if self.revision.pool is not None:
            return self.revision.pool
        return 2 if all(side % 4 == 0 and side >= 16 for side in sides(self.image_size)) else 1

    @property
    def grid(self) -> ImageSize:
        """Size of the images that the descriptor revises.

        Raises:
            ValueError: if the descriptor would have odd sides, or less than 8
        """
        size, pool = sides(self.image_size), self._pool
        require(
            all(side % (2 * pool) == 0 and side >= 8 * pool for side in size),
            f"revision.pool {pool}: images {size_text(self.image_size)} must be even multiples of "
            "it, and at least 8 times as large",
        )
        return image_size(*(side // pool for side in size))

    def model(self) -> CooperativeModel:
        """Return the generator and the descriptor with their initial weights."""
        generator, chains, grid = super().model(), self.revision, self.grid
        network = ConvDescriptor(
            grid,
            self.channels,
            chains.width,
            rng=make_rng("descriptor", self.seed),
        )
        descriptor = EnergyModel(
            network,
            SCALE,
            chains=short_run(chains.steps, chains.step_size, chains.temperature, chains.shrink),
            starts=torch.zeros(1, self.channels, 1, 1),
            image_size=grid,
        )
        model = CooperativeModel(
            generator.network,
            descriptor,
            self._dim,
            self._first_sigma,
            generator.prior,
            generator.guess,
            generator.residuals,
        )
        model.fit = self.fit
        return model

    def _options(self) -> dict[str, Any]:
        return {"lead": self.revision.lead, "teach": self.revision.teach}

    def optimizers(self, learner: Learner) -> torch.optim.Optimizer:
        """Return Adam, with the descriptor's own rate and moments."""
        assert isinstance(learner, CooperativeLearner)
        own, numbers = learner.model.descriptor.parameters(), self.revision
        return self.optimizer.build_apart(
            learner.parameters(), own, lr=numbers.rate, betas=numbers.betas
        )

    def begun_from(self, origin: Recipe) -> Self:
        """Return this recipe with the numbers of another's model, and without a lead."""
        found = super().begun_from(origin)
        if self.revision.lead != RevisionSettings.lead:
            return found
        return replace(found, revision=replace(found.revision, lead=0.0))

    def describe(self) -> str:
        """Say what the generator is, and what the descriptor does with its images."""
        chains = self.revision
        return (
            f"{super().describe()} A descriptor revises the generator's images"
            f"{self._averaged()}: chains of {chains.steps} Langevin steps at temperature "
            f"{chains.temperature:g} start at f(z). "
            "What they return is the model's image: this is a sampler, and the descriptor's "
            "log-density does not say how probable an image is."
        )

    def _averaged(self) -> str:
        pool = self._pool
        return "" if pool == 1 else f", averaged over squares of {pool} x {pool} pixels"

    def results(self, context: RunContext) -> dict[str, str]:
        """Return a generator's numbers, and the gap and the change of the revision."""
        return super().results(context) | self._revised(context.records)

    def summary(self, records: list[Record]) -> dict[str, str]:
        """Return a generator's numbers, and the gap and the change of the revision."""
        return super().summary(records) | self._revised(records)

    def _revised(self, records: list[Record]) -> dict[str, str]:
        recent = [record for record in records if "gap" in record][-RECENT:]
        if not recent:
            return {"revision": "the descriptor has not begun to learn"}
        gap, said = median(abs(record["gap"]) for record in recent), f"last {len(recent)} logged"
        moved = by_name(self.metrics, "moved").mean(recent)
        return {
            "|gap| of the revision": f"{gap:.3f} nats per dimension of f, "
            f"{sampled([gap], self.revision.temperature)} (0 is best, healthy: below {GAP:g} of "
            f"f; median of the {said})",
            "moved by the revision": f"{moved:.4f}, mean square on [-1, 1] (mean of the {said})",
        }

    def samples(self, context: RunContext, count: int) -> np.ndarray:
        """Draw `count` images and revise them."""
        return Recipe.samples(self, context, count)

    def figures(self, context: RunContext) -> Iterator["Figure"]:
        """Yield a generator's figures, and what the revision makes of its images."""
        from tigon import figures

        yield from super().figures(context)
        rng = RowRng(self.seed, 0, range(SHOWN), "report revision")
        revision = context.learner.revision(SHOWN, rng)
        rows = [("f(z)", to_uint8(revision.proposed)), ("revised", to_uint8(revision.revised))]
        yield figures.Figure(
            "revision",
            "What the descriptor revises",
            "What the generator proposes for draws from the prior, and what the descriptor's "
            "chains make of it.",
            figures.stages(rows),
            f"Two rows of {SHOWN} images: {' and '.join(label for label, _ in rows)}.",
        )
        yield from self.curves(context, "gap", "saturation", "moved")

    def judge(self, records: list[Record]) -> list["Finding"]:
        """Judge the generator; and of the revision its gap, saturation, and variation."""
        from tigon.diagnostics.rules.course import of_gap, of_saturation, of_spread

        found = super().judge(records)
        revised = [record for record in records if "gap" in record]
        if not revised:
            return found
        gaps = [record["gap"] for record in revised]
        spreads = [record | {"spread": record["revised_spread"]} for record in revised]
        of_revision = {
            "gap": of_gap(gaps, self.revision.temperature),
            "chains": of_saturation(revised),
            "collapse": of_spread("revised images", "", spreads),
        }
        for cause, findings in of_revision.items():
            remedy = RevisionGuard.causes[cause][1]
            found += [
                one._replace(name=f"{one.name} of the revision", remedy=one.remedy and remedy)
                for one in findings
            ]
        return found

    def examine(
        self,
        learner: GeneratorLearner,
        images: ImageSet,
        records: list[Record],
        length: int,
        seed: int,
    ) -> "Examination":
        """Run chains on latents, and chains that revise for `length` times as long."""
        from tigon.diagnostics.examine import examine_synthesis

        assert isinstance(learner, CooperativeLearner)
        found = super().examine(learner, images, records, length, seed)
        revision = examine_synthesis(Reviser(learner), images, length, seed)
        found.include(revision, "of the revision")
        return found
