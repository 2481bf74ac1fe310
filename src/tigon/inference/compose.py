r"""Draw images from several models at once: products, quotients and mixtures of their densities.

Chains of images have the composed log-density (`densities.compose`) in the place of a model's own,
with the first model's kernel, number of steps and step size; by grids, that of each grid is
composed of the models' densities on it. They start where the models' own chains start, in turns.
Models that short chains at a low temperature learned are samplers, and so is what is composed of
them: what it draws is to be looked at, and its weights are no probabilities.
"""

from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from tigon.choices import require_choice
from tigon.densities.compose import Mixture, Product
from tigon.densities.log_density import LogDensity, frozen, mode
from tigon.errors import TigonError
from tigon.models.abilities import HasChains, HasGrids, HasReference, grids_of
from tigon.models.base import Model, drawn_in_parts
from tigon.random.streams import Rng

Way = Literal["product", "mixture"]
WAYS: dict[str, type[Product] | type[Mixture]] = {"product": Product, "mixture": Mixture}


class Composed(Model):
    """A model whose log-density is composed of those of others, and that has chains as they do.

    Arguments:
        models: two or more with a log-density and chains of images of one size, by the same grids
        weights: of each; 1 over their number if not given. Those of a product may be negative, for
            what images should not have, as long as their sum is above 0 (of models with different
            references N(loc, scale^2), that of weights over scale^2)
        way: product or mixture
        temperature: T > 0, by which the composed log-density is divided
    Raises:
        TigonError: if a model has no such chains, they do not go together, or the product of
            their references is no density

    Example:
        model = tigon.Composed([cats, dogs], [0.5, 0.5])
        images = model.sample(16, tigon.make_rng(0))
    """

    def __init__(
        self,
        models: Sequence[Model],
        weights: Sequence[float] | None = None,
        way: Way = "product",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        require_choice("way", way, Way)
        _require_alike(models)
        self.models = nn.ModuleList(models)
        self.weights = [1 / len(models)] * len(models) if weights is None else list(weights)
        self.way, self.temperature = way, temperature
        try:
            self._densities = [
                WAYS[way](parts, self.weights, temperature)
                for parts in zip(*self._grids, strict=True)
            ]
        except ValueError as error:
            raise TigonError(f"models cannot be composed: {error}") from error
        if way == "product":
            for parts in zip(*self._grids, strict=True):
                _require_reference(parts, self.weights)

    @property
    def _grids(self) -> list[list[Any]]:
        """The grids of each model, the coarsest first."""
        return [grids_of(cast(HasChains, model)) for model in self.models]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        return cast(Model, self.models[0]).image_shape

    def log_density(self, x: Tensor) -> Tensor:
        """Return the composed log-density of images (B, C, H, W), (B,), up to a constant."""
        return self._densities[-1](x)

    def sample(self, count: int, rng: Rng, chunk: int = 64) -> Tensor:
        """Draw images (count, C, H, W), not clamped to [-1, 1]."""
        return drawn_in_parts(count, rng, chunk, self.sample_rows)

    def sample_rows(self, rows: range, rng: Rng) -> Tensor:
        """Draw these of the images that `sample` draws."""
        images = self._starts(rows)
        with frozen(self), mode(self, training=False):
            for grid, density in zip(self._grids[0], self._densities, strict=True):
                images = self._moved(grid, density, images, rng)
        return images

    def _moved(self, grid: Any, density: LogDensity, images: Tensor, rng: Rng) -> Tensor:  # noqa: ANN401
        points = grid.entered(images, rng) if isinstance(grid, HasGrids) else images
        sizes = points.new_full((len(points),), float(grid.step_size))
        return grid.chains.run(density, points, rng, sizes).x

    def _starts(self, rows: range) -> Tensor:
        """Return where these rows' chains start on the coarsest grid, the models' in turns."""
        count, first = len(self.models), [grids[0] for grids in self._grids]
        starts = [
            first[row % count].start(torch.tensor([row // count], device=self.device))
            for row in rows
        ]
        return torch.cat(starts)

    def config(self) -> dict[str, Any]:
        """A composition has no file of its own.

        Raises:
            TigonError: always; it says what to save instead
        """
        raise TigonError("a composition of models is not saved: save the models")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Composed":
        """Raise ValueError: a composition has no file."""
        raise ValueError("a composition of models has no file: load the models")


def _require_reference(parts: Sequence[Any], weights: Sequence[float]) -> None:
    r"""Refuse a product of :math:`N(\mu_i, s_i^2)^{w_i}` that is not a Gaussian.

    Its precision is :math:`\sum_i w_i / s_i^2`. If that is 0 or less, images are ever more
    probable the farther they are from any, and chains run away.

    Raises:
        TigonError: if it is
    """
    if not all(isinstance(part, HasReference) for part in parts):
        return
    scales = [torch.as_tensor(part.reference.scale).double().cpu() for part in parts]
    precision = torch.stack([w / s**2 for w, s in zip(weights, scales, strict=True)]).sum(0)
    if not (precision > 0).all():
        raise TigonError(
            f"models cannot be composed: with weights {list(weights)} images are ever more "
            "probable the farther they are from any; raise the weights, so that their sum (of "
            "each over the variance of its model's reference) is above 0"
        )


def _require_alike(models: Sequence[Model]) -> None:
    """Check that models can be composed.

    Raises:
        TigonError: if not; it says why
    """
    if len(models) < 2:
        raise TigonError("composing takes two models or more")
    shapes = []
    for number, model in enumerate(models, 1):
        if not isinstance(model, HasChains):
            raise TigonError(
                f"model {number} of {len(models)} has no log-density of images that chains "
                "sample, as a descriptor has, so it cannot be composed"
            )
        shapes.append([tuple(grid.image_shape) for grid in grids_of(model)])
    if any(shape != shapes[0] for shape in shapes):
        said = "; ".join(" ".join(f"{c}x{h}x{w}" for c, h, w in shape) for shape in shapes)
        raise TigonError(f"models can be composed if they have the same grids, not {said}")
