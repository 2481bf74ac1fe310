"""A kind of model that no file of the package knows: its mean image, learned by gradient.

Who uses it registers it, and takes it back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tigon.data.batches import Batch, ImageData
from tigon.densities.gaussian import Gaussian
from tigon.densities.log_density import LogDensity, sum_event
from tigon.learners.base import Learner, Metrics, mean_over
from tigon.learners.metrics import Metric
from tigon.mcmc.store import ChainStore
from tigon.random.streams import Rng, normal
from tigon.recipes import Recipe
from tigon.training.guard import Guard


class ToyModel(nn.Module):
    """Images around one image."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.middle = nn.Parameter(torch.zeros(3, side, side))


class ToyLearner(Learner):
    """Learns the mean image; it has no chains."""

    metrics = (
        Metric("toy_error", "Toy error", "squared units", "lower", (0.0, 0.5), "log", "Falls."),
    )
    measure = "toy_error"
    evaluations_per_example = 1

    def __init__(self, side: int) -> None:
        super().__init__()
        self.model = ToyModel(side)

    @contextmanager
    def chain_density(self, batch: Batch) -> Iterator[LogDensity]:
        yield Gaussian()

    def run_chains(self, batch: Batch, rng: Rng) -> Tensor:
        return batch.images

    def forward(self, batch: Batch, samples: Tensor) -> tuple[Tensor, Metrics]:
        self.gradient_evaluations += batch.size
        squares = sum_event((samples - self.model.middle) ** 2)
        return squares.mean(), {"toy_error": mean_over(squares, batch)}

    def sample(self, count: int, rng: Rng) -> Tensor:
        like = self.model.middle.detach().expand(count, -1, -1, -1)
        return (like + 0.2 * normal(rng, like)).clamp(-1, 1)

    def show(self, count: int) -> Tensor:
        return self.model.middle.detach().expand(count, -1, -1, -1)

    def chain_tensors(self) -> dict[str, Tensor]:
        return {"none": torch.zeros(1)}

    def load_chains(self, tensors: dict[str, Tensor], files: ChainStore | None = None) -> None:
        pass

    def scale_steps(self, factor: float) -> None:
        pass

    def map_chains(self, function: Callable[[Tensor], Tensor]) -> None:
        pass


@dataclass(frozen=True)
class ToyRecipe(Recipe):
    """Learn the mean image."""

    name: ClassVar = "toy"
    about: ClassVar = "one image"
    noun: ClassVar = "toy"
    learner_type: ClassVar = ToyLearner

    image_size: int = 8
    iterations: int = 6
    guard: Guard = Guard(enabled=False)

    def model(self) -> nn.Module:
        return ToyModel(self.image_size)

    def learner(self, images: ImageData) -> ToyLearner:
        return ToyLearner(images.image_size)

    def restored(self, chains: dict[str, Tensor], files: ChainStore | None = None) -> ToyLearner:
        return ToyLearner(self.image_size)

    def describe(self) -> str:
        return "A toy that knows its mean image."
