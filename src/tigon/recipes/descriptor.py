"""Recipes that learn a descriptor by real sampling."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tigon.data.images import ImageSet
from tigon.learners.descriptor import DescriptorLearner, start_images, starts_in_batches
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.models.energy import EnergyModel
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

    model_type: ClassVar[type[Model]] = EnergyModel
    batch_statistics: ClassVar[bool] = False  # whether the images of a batch share them in chains
    bytes_range: ClassVar[bool] = False  # whether the network sees pixels from 0 to 255
    loc: ClassVar[float] = 0.0  # mean of the reference density

    scale: float = 0.7
    iterations: int = 300
    network: DescriptorNetwork = DescriptorNetwork()
    chains: ImageChains = ImageChains()
    compile: bool = False
    optimizer: Optimizer = Optimizer(5e-2, (0.5, 0.95), warm_up=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scale > 0, f"scale is above 0, not {self.scale}")

    def model(self, starts: Tensor | None = None) -> EnergyModel:
        """Return the descriptor, with the weights that learning begins with.

        Arguments:
            starts: where its chains start; grey if not given, until a state that is loaded
                brings others
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

    def learner(self, images: ImageSet) -> DescriptorLearner:
        """Return a new descriptor learner, whose chains start from these images' means."""
        start = self.chains.start
        model = self.model(start_images(images, start))
        return self._build(model, starts_in_batches(images, start))

    def restored(
        self, chains: dict[str, Tensor], files: ChainStore | None = None
    ) -> DescriptorLearner:
        """Return a descriptor learner, whose start images come with its model's state."""
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
    bytes_range: ClassVar[bool] = True
    loc: ClassVar[float] = -1.0  # black

    scale: float = 50 / BYTES
    iterations: int = 1000
    network: DescriptorNetwork = DescriptorNetwork(norm="batch")
    chains: ImageChains = ImageChains(30, 0.3 / BYTES, 1.0, 1.0, noiseless_last_step=False)
    optimizer: Optimizer = Optimizer(0.1, (0.5, 0.999), "constant")
    guard: Guard = Guard(enabled=False)
