"""A recipe is a named set of numbers: everything about a run but its data and its folder."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tigon.data.images import ImageSet, load_images
from tigon.data.pixels import Fit
from tigon.data.stream import open_stream, refuse_stream
from tigon.densities import EnergyModel, GeneratorModel
from tigon.distributed import Ownership
from tigon.errors import TigonError
from tigon.learners.base import Learner
from tigon.learners.descriptor import DescriptorLearner, start_images, starts_in_batches
from tigon.learners.generator import Annealing, GeneratorLearner
from tigon.networks.dcgan import ConvDescriptor, DCGANGenerator
from tigon.settings import (
    DescriptorNetwork,
    GeneratorNetwork,
    ImageChains,
    LatentChains,
    require,
)
from tigon.streams import make_rng
from tigon.training.iteration import Training
from tigon.training.settings import Guard, Length, Optimizer

BYTES = 127.5


@dataclass(frozen=True)
class Recipe(ABC):
    """What every recipe has.

    Arguments:
        image_size: height and width in pixels
        fit: stretch each image to the square, or crop its centre
        channels: 3 (RGB) or 1 (grey)
        mirror: learn from mirrored copies too
        stream: read hf: data as they come, without an index and without a copy on the disk
        iterations: parameter updates
        gradient_evaluations: a budget that ends the run instead of a number of iterations:
            forward and backward passes of the network over the whole set (of a stream: a batch)
        batch_size: images per parameter update
        seed: of weights, chains and data order, >= 0
        optimizer: Adam and the schedule of its rate
        guard: what watches over the run and goes back where it diverges
    """

    persistent: ClassVar[bool] = False  # whether a chain is kept for each image

    image_size: int = 64
    fit: Fit = "stretch"
    channels: Literal[1, 3] = 3
    mirror: bool = False
    stream: bool = False
    iterations: int = 300
    gradient_evaluations: int | None = None
    batch_size: int = 64
    seed: int = 0
    optimizer: Optimizer = Optimizer()
    guard: Guard = Guard()

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, f"batch_size is at least 1, not {self.batch_size}")
        require(self.seed >= 0, f"seed is at least 0, not {self.seed}")
        _ = self.length

    @property
    def length(self) -> Length:
        """When a run of this recipe ends."""
        return Length(self.iterations, self.gradient_evaluations)

    @abstractmethod
    def learner(self, images: ImageSet) -> Learner:
        """Return a new learner for these images."""

    @abstractmethod
    def restored(self, chains: dict[str, Tensor]) -> Learner:
        """Return a learner with the chains of a checkpoint, its weights still to be loaded."""

    def load(self, data: str) -> ImageSet:
        """Load images in the form that this recipe learns from.

        Raises:
            TigonError: if they cannot be read, or a stream is asked for that cannot be
        """
        if self.stream:
            refuse_stream(data, self.persistent, self.mirror)
            return open_stream(data, self.image_size, self.fit, self.channels)
        return load_images(data, self.image_size, self.fit, self.channels, self.mirror)

    def training(
        self,
        images: ImageSet,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Training:
        """Return a new training of this recipe on these images, in their size and channels."""
        channels: Literal[1, 3] = 3 if images.channels == 3 else 1
        recipe = replace(self, image_size=images.image_size, channels=channels)
        learner = recipe.learner(images).to(device, dtype)
        return Training(
            learner,
            images,
            self.length,
            self.optimizer,
            self.batch_size,
            self.seed,
            self.guard,
        )


@dataclass(frozen=True)
class Generator(Recipe):
    """Learn a generator by real inference: latents move by MALA, weights by gradient.

    Arguments:
        latent_dim: d; with 2 the latent plane can be seen, with 100 images are sharper
        sigma: standard deviation of the noise around f(z), on the scale of [-1, 1]
        annealing: of sigma, from a larger one at the beginning
        expand: give all inferred latents the prior's moments after each update
        average_likelihood: weigh the likelihood by 1/n as the original did; for comparison only
        network: Table 1
        chains: inference of latents
    """

    persistent: ClassVar[bool] = True

    latent_dim: int = 2
    sigma: float = 0.3
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
        require(self.sigma > 0, f"sigma is above 0, not {self.sigma}")
        require(self.annealing.start > 0, "annealing.start is above 0")

    def learner(self, images: ImageSet) -> GeneratorLearner:
        """Return a new generator learner."""
        return self._build(len(images), images.ownership)

    def restored(self, chains: dict[str, Tensor]) -> GeneratorLearner:
        """Return a generator learner with these chain rows."""
        learner = self._build(len(chains["points"]))
        learner.load_chains(chains)
        return learner

    def _build(self, count: int, ownership: Ownership | None = None) -> GeneratorLearner:
        network = DCGANGenerator(
            self.latent_dim,
            self.image_size,
            self.channels,
            self.network.width,
            self.network.kernel_size,
            self.network.norm,
            make_rng("weights", self.seed),
        )
        return GeneratorLearner(
            GeneratorModel(network, self.latent_dim, self.sigma),
            count,
            self.chains.build(),
            self.expand,
            self.annealing,
            self.average_likelihood,
            make_rng("latents", self.seed),
            ownership,
        )


@dataclass(frozen=True)
class Descriptor(Recipe):
    """Learn a descriptor by real sampling: short Langevin chains from mean images.

    Arguments:
        scale: standard deviation of the reference density, on the scale of [-1, 1]
        network: Table 2
        chains: synthesis of images
    """

    scale: float = 0.7
    iterations: int = 300
    network: DescriptorNetwork = DescriptorNetwork()
    chains: ImageChains = ImageChains()
    optimizer: Optimizer = Optimizer(5e-2, (0.5, 0.95), warm_up=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scale > 0, f"scale is above 0, not {self.scale}")

    def learner(self, images: ImageSet) -> DescriptorLearner:
        """Return a new descriptor learner, whose chains start from these images' means."""
        start = self.chains.start
        return self._build(start_images(images, start), starts_in_batches(images, start))

    def restored(self, chains: dict[str, Tensor]) -> DescriptorLearner:
        """Return a descriptor learner with these start images."""
        learner = self._build(chains["starts"])
        learner.load_chains(chains)
        return learner

    def _build(self, starts: Tensor, in_batches: bool = False) -> DescriptorLearner:
        model = EnergyModel(self._network(bytes_range=False), self.scale)
        chains = self.chains.build()
        return DescriptorLearner(model, starts, self.image_size, chains, False, in_batches)

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
class GeneratorSeed(Generator):
    """The original generator algorithm, FOR COMPARISON ONLY: it averages the likelihood over the
    batch and lets chains share batch statistics, so its latents do not follow their posterior.

    Arguments:
        latent_dim: d
        sigma: standard deviation of the noise around f(z), on the scale of [-1, 1]
        annealing: of sigma; none, since it is sigma at once
        expand: give all inferred latents the prior's moments after each update
        average_likelihood: weigh the likelihood by 1/n, and share batch statistics
        network: Table 1
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


@dataclass(frozen=True)
class DescriptorSeed(Descriptor):
    """The original descriptor algorithm, FOR COMPARISON ONLY: pixels from 0 to 255, batch
    statistics shared by the chains, and a rate at which its loss swings by millions.

    Arguments:
        scale: standard deviation of the reference density, on the scale of [-1, 1]
        network: Table 2
        chains: synthesis of images
    """

    scale: float = 50 / BYTES
    iterations: int = 1000
    network: DescriptorNetwork = DescriptorNetwork(norm="batch")
    chains: ImageChains = ImageChains(30, 0.3 / BYTES, 1.0, 1.0, denoise=False)
    optimizer: Optimizer = Optimizer(0.1, (0.5, 0.999), "constant")
    guard: Guard = Guard(enabled=False)

    def _build(self, starts: Tensor, in_batches: bool = False) -> DescriptorLearner:
        model = EnergyModel(self._network(bytes_range=True), self.scale, loc=-1.0)
        chains = self.chains.build()
        return DescriptorLearner(model, starts, self.image_size, chains, True, in_batches)


RECIPES: dict[str, type[Recipe]] = {
    "generator": Generator,
    "descriptor": Descriptor,
    "generator-seed": GeneratorSeed,
    "descriptor-seed": DescriptorSeed,
}


def recipe_type(name: str) -> type[Recipe]:
    """Return the recipe class of this name.

    Raises:
        TigonError: if there is none
    """
    if name not in RECIPES:
        raise TigonError(f"recipe {name!r}: there are {', '.join(RECIPES)}")
    return RECIPES[name]
