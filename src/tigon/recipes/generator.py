"""Recipes that learn a generator by real inference."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from tigon.data.images import ImageSet, cache_folder
from tigon.distributed import Ownership
from tigon.learners.generator import GeneratorLearner
from tigon.learners.noise import FIRST, Annealing, LearnedNoise
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.models.generator import GeneratorModel
from tigon.nn.dcgan import DCGANGenerator
from tigon.random.streams import make_rng
from tigon.recipes.base import Recipe
from tigon.settings import (
    GeneratorNetwork,
    LatentChains,
    require,
)
from tigon.training.settings import Guard, Optimizer


@dataclass(frozen=True)
class GeneratorRecipe(Recipe):
    """Learn a generator by real inference: latents move by MALA, weights by gradient.

    Arguments:
        latent_dim: d, the number of latents; with 2 the latent plane can be seen, with 100 images
            are sharper
        sigma: standard deviation of the noise around f(z), on the scale of [-1, 1]; `learn`
            follows the chains' residuals, by maximum likelihood
        sigma_floor: that a learned sigma does not fall below; 0.01 is 1.3 of 255 grey levels
        annealing: of sigma, from a larger one at the beginning
        expand: give all inferred latents the prior's moments after each update
        average_likelihood: weigh the likelihood by 1/n as the original did; for comparison only
        network: a fully connected layer and transposed convolutions
        chains: inference of latents
    """

    model_type: ClassVar[type[Model]] = GeneratorModel
    persistent: ClassVar[bool] = True

    latent_dim: int = 2
    sigma: float | Literal["learn"] = 0.3
    sigma_floor: float = 0.01
    iterations: int = 400
    annealing: Annealing = Annealing()
    expand: bool = True
    average_likelihood: bool = False
    network: GeneratorNetwork = GeneratorNetwork()
    chains: LatentChains = LatentChains()
    optimizer: Optimizer = Optimizer(learning_rate=2e-3)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.latent_dim >= 1, f"latent_dim is at least 1, not {self.latent_dim}")
        require(self._first_sigma > 0, f"sigma is above 0, not {self.sigma}")
        require(self.sigma_floor > 0, f"sigma_floor is above 0, not {self.sigma_floor}")
        require(
            not (self.average_likelihood and self.sigma == "learn"),
            "sigma cannot be learned where the likelihood is averaged: give a number, or use "
            "generator instead of generator-original",
        )
        require(self.annealing.start > 0, "annealing.start is above 0")

    @property
    def _first_sigma(self) -> float:
        """The sigma that learning begins with."""
        return max(FIRST, self.sigma_floor) if self.sigma == "learn" else self.sigma

    def model(self) -> GeneratorModel:
        """Return the generator, with the weights that learning begins with."""
        network = DCGANGenerator(
            self.latent_dim,
            self.image_size,
            self.channels,
            self.network.width,
            self.network.kernel_size,
            self.network.norm,
            make_rng("weights", self.seed),
        )
        model = GeneratorModel(network, self.latent_dim, self._first_sigma)
        model.fit = self.fit
        return model

    def learner(self, images: ImageSet) -> GeneratorLearner:
        """Return a new generator learner."""
        return self._build(len(images), images.ownership)

    def restored(
        self, chains: dict[str, Tensor], files: ChainStore | None = None
    ) -> GeneratorLearner:
        """Return a generator learner with these chain rows."""
        learner = self._build(len(chains["points"]) if files is None else files)
        learner.load_chains(chains, files)
        return learner

    def _build(
        self, chains: int | ChainStore, ownership: Ownership | None = None
    ) -> GeneratorLearner:
        return GeneratorLearner(
            self.model(),
            chains,
            self.chains.build(),
            self.expand,
            self.annealing,
            self.average_likelihood,
            make_rng("latents", self.seed),
            cache_folder() if self.chains.store == "files" else None,
            ownership,
            LearnedNoise(self.sigma_floor) if self.sigma == "learn" else None,
        )


@dataclass(frozen=True)
class OriginalGeneratorRecipe(GeneratorRecipe):
    """The original generator algorithm, FOR COMPARISON ONLY: it averages the likelihood over the
    batch and lets chains share batch statistics, so its latents do not follow their posterior.

    Arguments:
        latent_dim: d, the number of latents
        sigma: standard deviation of the noise around f(z), on the scale of [-1, 1]; `learn` goes
            with --no-average-likelihood alone
        sigma_floor: that a learned sigma does not fall below
        annealing: of sigma; none, since it is sigma at once
        expand: give all inferred latents the prior's moments after each update
        average_likelihood: weigh the likelihood by 1/n, and share batch statistics
        network: a fully connected layer and transposed convolutions
        chains: inference of latents
    """

    iterations: int = 600
    annealing: Annealing = Annealing(0.3, 0.0)
    expand: bool = False
    average_likelihood: bool = True
    network: GeneratorNetwork = GeneratorNetwork(kernel_size=5, norm="batch")
    chains: LatentChains = LatentChains(steps=30, step_size=0.3, kernel="langevin")
    optimizer: Optimizer = Optimizer(1e-3, (0.5, 0.999), "constant")
    guard: Guard = Guard(enabled=False)
