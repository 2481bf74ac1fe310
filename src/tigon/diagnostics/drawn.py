"""How far drawn images are from held-out ones: cheap enough to ask while a model learns."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from tigon.data.batches import even_rows
from tigon.data.images import ImageSet
from tigon.diagnostics.distances import kid
from tigon.diagnostics.features import features
from tigon.diagnostics.two_samples import energy_distance
from tigon.errors import TigonError
from tigon.models.base import Model
from tigon.random.streams import RowRng

FEWEST, MOST = 16, 128  # images in each of the two sets


@dataclass(frozen=True)
class DrawnDistance:
    """A distance of drawn images to held-out ones, beside that of training images.

    It is KID-lite0 where the extra `features` is installed, and otherwise the energy distance of
    pixels on [-1, 1]. `tigon evaluate` measures more, on more images.

    Arguments:
        name: of the distance
        count: images in each set, at most 128
        training: distance of as many training images, the floor
        to_held_out: computes the distance of images (N, C, H, W)
    """

    name: str
    count: int
    training: float
    to_held_out: Callable[[Tensor], float]

    def of(self, model: Model) -> float:
        """Return the distance of images that the model draws, always from the same streams."""
        rng = RowRng(0, 0, range(self.count), "drawn")
        return self.to_held_out(model.sample(self.count, rng).cpu().float())


def drawn_distance(training: ImageSet) -> DrawnDistance | None:
    """Return the distance to the held-out images of these; None if they are fewer than 16."""
    unseen = training.held_out
    count = 0 if unseen is None else min(MOST, len(unseen), len(training))
    if unseen is None or count < FEWEST:
        return None
    real, seen = (one.read(even_rows(len(one), count)) for one in (unseen, training))
    try:
        known = features(real)
    except TigonError:  # the extra is not installed: pixels need none

        def by_pixels(images: Tensor) -> float:
            points = images.clamp(-1, 1).flatten(1)
            return energy_distance(points[None], real.flatten(1)).item()

        return DrawnDistance("energy distance", count, by_pixels(seen), by_pixels)

    def by_features(images: Tensor) -> float:
        return kid(features(images), known)

    return DrawnDistance("KID-lite0", count, by_features(seen), by_features)
