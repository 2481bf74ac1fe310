"""Recipes that learn a descriptor by real sampling."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from tigon.data.batches import ImageData
from tigon.densities.energy import EnergyModel
from tigon.learners.descriptor import DescriptorLearner, start_images, starts_in_batches
from tigon.mcmc.store import ChainStore
from tigon.nn.dcgan import ConvDescriptor
from tigon.random.streams import make_rng
from tigon.recipes.base import Recipe
from tigon.settings import (
    DescriptorNetwork,
    ImageChains,
    require,
)
from tigon.training.settings import Guard, Optimizer

BYTES = 127.5


@dataclass(frozen=True)
class DescriptorRecipe(Recipe):
    """Learn a descriptor by real sampling: short Langevin chains from mean images.

    Chains aim at p^(1/T), with the default at p^1000: see `learners.descriptor`.

    Arguments:
        scale: standard deviation of p's reference density, on the scale of [-1, 1]; sqrt(T) times
            that in the density that chains aim at
        network: two convolutions and a fully connected layer
        chains: synthesis of images
        compile: run the chains by compiled functions while learning, which takes half a minute
            to begin with; it changes images by rounding
    """

    batch_statistics: ClassVar[bool] = False  # whether the images of a batch share them in chains

    scale: float = 0.7
    iterations: int = 300
    network: DescriptorNetwork = DescriptorNetwork()
    chains: ImageChains = ImageChains()
    compile: bool = False
    optimizer: Optimizer = Optimizer(5e-2, (0.5, 0.95), warm_up=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scale > 0, f"scale is above 0, not {self.scale}")

    def model(self) -> EnergyModel:
        """Return the descriptor, with the weights that learning begins with."""
        return EnergyModel(self._network(bytes_range=False), self.scale)

    def learner(self, images: ImageData) -> DescriptorLearner:
        """Return a new descriptor learner, whose chains start from these images' means."""
        start = self.chains.start
        return self._build(start_images(images, start), starts_in_batches(images, start))

    def restored(
        self, chains: dict[str, Tensor], files: ChainStore | None = None
    ) -> DescriptorLearner:
        """Return a descriptor learner with these start images."""
        learner = self._build(chains["starts"])
        learner.load_chains(chains)
        return learner

    def _build(self, starts: Tensor, in_batches: bool = False) -> DescriptorLearner:
        return DescriptorLearner(
            self.model(),
            starts,
            self.image_size,
            self.chains.build(),
            self.batch_statistics,
            in_batches,
            self.compile,
        )

    def _network(self, bytes_range: bool) -> ConvDescriptor:
        return ConvDescriptor(
            self.image_size,
            self.channels,
            self.network.width,
            self.network.norm,
            bytes_range,
            make_rng("weights", self.seed),
        )


@dataclass(frozen=True)
class OriginalDescriptorRecipe(DescriptorRecipe):
    """The original descriptor algorithm, FOR COMPARISON ONLY: pixels from 0 to 255, batch
    statistics shared by the chains, and a rate at which its loss swings by millions.

    Arguments:
        scale: standard deviation of the reference density, on the scale of [-1, 1]
        network: two convolutions and a fully connected layer
        chains: synthesis of images
    """

    batch_statistics: ClassVar[bool] = True

    scale: float = 50 / BYTES
    iterations: int = 1000
    network: DescriptorNetwork = DescriptorNetwork(norm="batch")
    chains: ImageChains = ImageChains(30, 0.3 / BYTES, 1.0, 1.0, noiseless_last_step=False)
    optimizer: Optimizer = Optimizer(0.1, (0.5, 0.999), "constant")
    guard: Guard = Guard(enabled=False)

    def model(self) -> EnergyModel:
        """Return the descriptor of pixels from 0 to 255, around black."""
        return EnergyModel(self._network(bytes_range=True), self.scale, loc=-1.0)
