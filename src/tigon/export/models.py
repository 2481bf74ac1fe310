"""A learned model: what is left of a run once learning is over.

It draws images, and does what its kind can do besides: a generator decodes and infers latents, a
descriptor gives its log-density. It comes out of a run, or out of a model folder
(`tigon.export.folders`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from tigon.densities.energy import EnergyModel
from tigon.densities.generator import GeneratorModel
from tigon.densities.log_density import mode
from tigon.errors import TigonError
from tigon.inference.interpolation import Plane, latent_plane, plane_along
from tigon.inference.reconstruction import ColdStart, Reconstruction, infer_latents
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import GeneratorLearner
from tigon.random.streams import Rng
from tigon.recipes import DescriptorRecipe, GeneratorRecipe, Recipe
from tigon.runs.run import Run

CHUNK = 4


class Card(NamedTuple):
    """A model's card: the text of README.md, and the PNG that it shows, if any."""

    text: str
    picture: bytes = b""


class LearnedModel(nn.Module, ABC):
    """What every learned model has.

    Attributes:
        recipe: the model's own numbers, and those it was learned with, where they are known
        card: its model card, where it came with one
    """

    kind: ClassVar[str]
    recipe: Recipe
    card: Card | None

    @property
    def recipe_name(self) -> str:
        """The name of the recipe that the model was learned by."""
        return self.recipe.name

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @abstractmethod
    def sample(self, count: int, rng: Rng) -> Tensor:
        """Draw images of the model, (count, C, H, W), about [-1, 1]."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return all that sampling needs, by the names of model.safetensors."""


class LearnedGenerator(LearnedModel):
    """A learned generator: latents z ~ N(0, I), images f(z).

    Arguments:
        recipe: its numbers; its sigma becomes the model's, which may have been learned
        model: the generator
        directions: of the latent plane to look at, (2, d), or what finds them when needed
        card: its model card
    """

    kind = "generator"

    def __init__(
        self,
        recipe: GeneratorRecipe,
        model: GeneratorModel,
        directions: Tensor | Callable[[], Tensor],
        card: Card | None = None,
    ) -> None:
        super().__init__()
        own = float(str(model.sigma.float().cpu().numpy()))  # 0.3, not 0.300000012
        self.recipe: GeneratorRecipe = replace(recipe, sigma=own)
        self.model, self._directions, self.card = model, directions, card
        self.eval()

    @property
    def plane(self) -> Plane:
        """The latent plane to look at: of more than two latents, where training latents vary."""
        if not isinstance(self._directions, Tensor):
            self._directions = self._directions()
        return plane_along(self._directions.to(self.device))

    def sample(self, count: int, rng: Rng, noise: bool = False) -> Tensor:
        """Draw images f(z) with z ~ N(0, I), (count, C, H, W); with `noise`, f(z) + sigma eps.

        Only the latter are draws of the model's density; see `GeneratorModel.sample`.
        """
        return self.model.sample(count, rng, noise)

    def decode(self, z: Tensor) -> Tensor:
        """Return f(z) of latents (B, d), (B, C, H, W), without noise."""
        return self.model.decode(z)

    def infer(self, images: Tensor, rng: Rng, how: ColdStart | None = None) -> Reconstruction:
        """Infer latents of images (B, C, H, W) in [-1, 1], see `tigon.infer_latents`.

        Arguments:
            rng: one generator, or streams of B * starts rows
            how: the number of chains, temperatures and steps
        """
        return infer_latents(self.model, images, rng, how)

    def parts(self) -> tuple[GeneratorRecipe, GeneratorModel, Tensor, Card | None]:
        """Return what the model is made of: the arguments of its class."""
        return self.recipe, self.model, self.plane.directions, self.card

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, and the directions of the latent plane; sigma is in the recipe."""
        weights = self.model.state_dict()
        del weights["sigma"]
        return weights | {"plane": self.plane.directions}


class LearnedDescriptor(LearnedModel):
    """A learned descriptor: a sampler of short chains on an unnormalised log-density.

    Arguments:
        recipe: its numbers
        model: the descriptor
        starts: where chains start, (N, C, 1, 1) or (1, C, H, W)
        card: its model card
    """

    kind = "descriptor"

    def __init__(
        self,
        recipe: DescriptorRecipe,
        model: EnergyModel,
        starts: Tensor,
        card: Card | None = None,
    ) -> None:
        super().__init__()
        self.recipe: DescriptorRecipe = recipe
        self.card = card
        self.sampler = DescriptorLearner(model, starts, recipe.image_size, recipe.chains.build())
        self.eval()

    def sample(self, count: int, rng: Rng) -> Tensor:
        """Run one chain per start image, in order, and around again: (count, C, H, W)."""
        return self.sampler.sample(count, rng)

    @torch.no_grad()
    def log_density(self, images: Tensor) -> Tensor:
        """Return f(x) + log N(x; loc, scale^2 I) of images (B, C, H, W), (B,).

        It lacks the unknown constant -log Z, and short chains do not follow it: it says what the
        network ranks higher, and not how probable an image is.
        """
        with mode(self.sampler, training=False):
            return self.sampler.model(images)

    def parts(self) -> tuple[DescriptorRecipe, EnergyModel, Tensor, Card | None]:
        """Return what the model is made of: the arguments of its class."""
        return self.recipe, self.sampler.model, self.sampler.starts, self.card

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, and where chains start."""
        return self.sampler.model.state_dict() | {"starts": self.sampler.starts}


def model_of(run: Run) -> LearnedModel:
    """Return the model of a run's checkpoint.

    Raises:
        TigonError: if there is no checkpoint, or it is damaged
    """
    learner, recipe = run.learner(), run.experiment.recipe
    if isinstance(learner, GeneratorLearner) and isinstance(recipe, GeneratorRecipe):
        latents = learner.latents()
        return LearnedGenerator(recipe, learner.model, lambda: latent_plane(latents).directions)
    if isinstance(learner, DescriptorLearner) and isinstance(recipe, DescriptorRecipe):
        size = learner.step_factor * recipe.chains.step_size  # the guard may have lowered it
        recipe = replace(recipe, chains=replace(recipe.chains, step_size=size))
        return LearnedDescriptor(recipe, learner.model, learner.starts)
    raise TigonError(f"run {run.folder}: a {run.experiment.name} cannot leave its run")
