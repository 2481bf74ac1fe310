"""The recipe that trains a generator together with the prior of its latents."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from tigon.learners.base import Learner
from tigon.learners.generator import GeneratorLearner
from tigon.learners.latent_ebm import LatentEBMLearner
from tigon.mcmc.chain import MCMC
from tigon.mcmc.langevin import MALA
from tigon.models.energy_prior import STEP_SIZE, EnergyPrior, LatentTilt
from tigon.random.streams import make_rng
from tigon.recipes.base import RunContext
from tigon.recipes.generator import GeneratorRecipe
from tigon.recipes.settings import require

if TYPE_CHECKING:
    from tigon.figures import Figure


@dataclass(frozen=True)
class TiltSettings:
    """The perceptron that tilts the prior of latents, and how it is learned.

    Arguments:
        width: of the perceptron's two hidden layers, >= 1
        rate: learning rate of the prior, as a part of the decoder's, > 0
        steps: MALA steps from draws of the mixture to draws of the prior, >= 1
        step_size: their step size, in standard deviations of N(0, I), > 0
    """

    width: int = 200
    rate: float = 0.2
    steps: int = 20
    step_size: float = STEP_SIZE

    def __post_init__(self) -> None:
        require(self.width >= 1, f"tilt.width must be at least 1, not {self.width}")
        require(self.rate > 0, f"tilt.rate must be above 0, not {self.rate}")
        require(self.steps >= 1, f"tilt.steps must be at least 1, not {self.steps}")
        require(self.step_size > 0, f"tilt.step_size must be above 0, not {self.step_size}")


@dataclass(frozen=True)
class LatentEBMRecipe(GeneratorRecipe):
    """Train a generator and the prior of its latents: inferred latents against prior draws.

    Arguments:
        latent_dim: d, the number of latents; chosen for the images if not given
        tilt: what the prior has besides a mixture, and how it is learned
    """

    name: ClassVar = "latent-ebm"
    about: ClassVar = "a generator whose prior of latents is learned, too"
    noun: ClassVar = "generator with a learned prior"
    demo: ClassVar = False
    card: ClassVar = "latent-ebm-card.md.jinja"
    learner_type: ClassVar[type[GeneratorLearner]] = LatentEBMLearner
    parts: ClassVar[tuple[str, ...]] = ("tilt",)

    tilt: TiltSettings = TiltSettings()

    @property
    def prior(self) -> str:
        """The prior of the latents, in words."""
        return f"{super().prior}, tilted by a network that is learned"

    def _prior(self) -> EnergyPrior:
        network = LatentTilt(self._dim, self.tilt.width, make_rng("tilt", self.seed))
        chains = MCMC(MALA(self.tilt.step_size), self.tilt.steps)
        return EnergyPrior(network, self._dim, chains, self._mixture())

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
