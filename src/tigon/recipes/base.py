"""What every recipe has: data, length, optimizer, guard."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tigon.data.images import ImageSet, load_images
from tigon.data.pixels import Fit
from tigon.data.stream import open_stream, refuse_stream
from tigon.learners.base import Learner, Precision
from tigon.mcmc.store import ChainStore
from tigon.models.base import Model
from tigon.settings import (
    require,
)
from tigon.training.iteration import Training
from tigon.training.settings import Guard, Length, Optimizer


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
        precision: of the network's products in the loss, and in a descriptor's chains; bfloat16
            is faster where the processor multiplies it, and weights, points and sums stay float32
        optimizer: Adam and the schedule of its rate
        guard: what watches over the run and goes back where it diverges
    """

    model_type: ClassVar[type[Model]]  # what `model` returns
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
    precision: Precision = "float32"
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
    def model(self) -> Model:
        """Return the model, with the weights that learning begins with."""

    @abstractmethod
    def learner(self, images: ImageSet) -> Learner:
        """Return a new learner for these images."""

    @abstractmethod
    def restored(self, chains: dict[str, Tensor], files: ChainStore | None = None) -> Learner:
        """Return a learner with the chains of a checkpoint, its model's state still to be loaded.

        Arguments:
            chains: as `Learner.chain_tensors` gave them
            files: chain rows in files, where the checkpoint has them
        """

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
        learner.precision = self.precision
        return Training(
            learner,
            images,
            self.length,
            self.optimizer,
            self.batch_size,
            self.seed,
            self.guard,
        )
