"""The recipe that trains a generator together with the prior of its latents."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import torch

from tigon.data.batches import ImageData
from tigon.densities.mixture import GaussianMixture
from tigon.learners.base import Learner
from tigon.learners.generator import GeneratorLearner
from tigon.learners.latent_ebm import LatentEBMLearner
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.models.energy_prior import STEP_SIZE, EnergyPrior, LatentTilt
from tigon.random.streams import make_rng
from tigon.recipes.base import Choice, Recipe, RunContext
from tigon.recipes.generator import GeneratorRecipe
from tigon.recipes.settings import known, require

if TYPE_CHECKING:
    from tigon.figures import Figure

EACH, MOST = 300, 30  # images for each density of the mixture, and most of these


@dataclass(frozen=True)
class TiltSettings:
    """The prior of latents: a mixture of normal densities, tilted by a perceptron that is learned.

    Arguments:
        components: normal densities that are mixed, fitted to the inferred latents, >= 1; 1 stands
            for N(0, I), whose moments the latents have anyway; if not given, one for 300 images,
            with their mirrored copies, and at most 30
        width: of the perceptron's two hidden layers, >= 1
        rate: learning rate of the prior, as a part of the decoder's, > 0
        steps: MALA steps from draws of the mixture to draws of the prior, >= 1
        step_size: their step size, in standard deviations of N(0, I), > 0
    """

    components: int | None = None
    width: int = 200
    rate: float = 0.2
    steps: int = 20
    step_size: float = STEP_SIZE

    def __post_init__(self) -> None:
        require(
            self.components is None or self.components >= 1,
            f"tilt.components must be at least 1, not {self.components}",
        )
        require(self.width >= 1, f"tilt.width must be at least 1, not {self.width}")
        require(self.rate > 0, f"tilt.rate must be above 0, not {self.rate}")
        require(self.steps >= 1, f"tilt.steps must be at least 1, not {self.steps}")
        require(self.step_size > 0, f"tilt.step_size must be above 0, not {self.step_size}")


@dataclass(frozen=True)
class LatentEBMRecipe(GeneratorRecipe):
    """Train a generator and the prior of its latents: inferred latents against prior draws.

    Arguments:
        latent_dim: d, the number of latents; chosen for the images if not given
        tilt: the prior, and how it is learned
    """

    name: ClassVar = "latent-ebm"
    about: ClassVar = "a generator whose prior of latents is learned, too"
    noun: ClassVar = "generator with a learned prior"
    demo: ClassVar = False
    card: ClassVar = "latent-ebm-card.md.jinja"
    learner_type: ClassVar[type[GeneratorLearner]] = LatentEBMLearner
    prior: ClassVar[str] = "a mixture of normal densities, tilted by a network, both learned"
    chosen: ClassVar[tuple[str, ...]] = (*GeneratorRecipe.chosen, "tilt.components")
    parts: ClassVar[tuple[str, ...]] = ("tilt",)

    tilt: TiltSettings = TiltSettings()

    def choices(self, images: ImageData) -> dict[str, Choice]:
        """Return what these images decide of what is not given: also the mixture's components."""
        found = super().choices(images)
        if self.tilt.components is None:
            why = f"one for {EACH} images, at least 1 and at most {MOST}"
            number = min(max(1, len(images) // EACH), MOST)
            found["tilt.components"] = Choice(number, why)
        return found

    def begun_from(self, origin: Recipe) -> Self:
        """Return this recipe with the numbers of another's model, and its number of densities."""
        found = super().begun_from(origin)
        if self.tilt.components is None and isinstance(origin, LatentEBMRecipe):
            tilt = replace(found.tilt, components=origin.tilt.components)
            return replace(found, tilt=tilt)
        return found

    def _prior(self) -> EnergyPrior:
        network = LatentTilt(self._dim, self.tilt.width, make_rng("tilt", self.seed))
        chains = MCMC(MALA(self.tilt.step_size), self.tilt.steps)
        components = known(self.tilt.components, "tilt.components")
        base = GaussianMixture(self._dim, components) if components > 1 else None
        return EnergyPrior(network, self._dim, chains, base)

    def optimizers(self, learner: Learner) -> torch.optim.Optimizer:
        """Return Adam, with a lower rate for the prior."""
        assert isinstance(learner, LatentEBMLearner)
        rate = self.optimizer.learning_rate * self.tilt.rate
        own = learner.prior.parameters()
        return self.optimizer.build_apart(learner.parameters(), own, lr=rate)

    def figures(self, context: RunContext) -> Iterator["Figure"]:
        """Yield a generator's figures, and the gap of the prior."""
        yield from super().figures(context)
        yield from self.curves(context, "prior_gap")
