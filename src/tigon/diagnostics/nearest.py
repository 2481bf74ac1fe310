"""The drawn images that are most like training images, and these training images."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.data.batches import MOST, chunks, even_rows
from tigon.data.images import ImageSet
from tigon.diagnostics.copies import Neighbours
from tigon.files import printable

SHOWN = 8  # drawn images
PIXELS, FEATURES = "pixels", "features"  # what images are compared in


class Nearest(NamedTuple):
    """Some drawn images, and their nearest training images by pixels, and perhaps features.

    Attributes:
        drawn: images of the model, in [-1, 1], (K, C, H, W)
        training: the nearest training image of each, by what it is nearest in, (K, C, H, W)
        names: of these, K by what they are nearest in
        relative: distances to these over those to the nearest held-out image, K by what they are
            measured in, near 0 for copies; empty where no images were held out
        drew: number of images that the drawn ones were chosen from
        among: the training images that were looked at, in words
    """

    drawn: Tensor
    training: dict[str, Tensor]
    names: dict[str, list[str]]
    relative: dict[str, list[float]]
    drew: int
    among: str

    @property
    def suspects(self) -> list[str]:
        """Names of the training images that the drawn ones are most like, each once, in order."""
        spaces = [
            min(self.relative, key=lambda space: self.relative[space][place])
            for place in range(len(self.drawn) if self.relative else 0)
        ]
        return list(dict.fromkeys(self.names[s][place] for place, s in enumerate(spaces)))

    def to_plain(self) -> dict[str, list[dict[str, str | float]]]:
        """Return names and relative distances as a JSON object, without the images."""
        return {
            space: [
                {"image": name, "relative": value}
                for name, value in zip(self.names[space], values, strict=True)
            ]
            for space, values in self.relative.items()
        }


def most_suspicious(
    drawn: Tensor, training: ImageSet, rows: Tensor, spaces: Mapping[str, Neighbours]
) -> Nearest:
    """Return the drawn images that lie nearest to training images, relative to held-out ones.

    The first has the smallest relative distance, in pixels or in features.

    Arguments:
        drawn: images of the model, (N, C, H, W)
        training: those that it learned from
        rows: rows (M,) of the training images that were looked at
        spaces: neighbours of the drawn images among these M, by what they are measured in
    Example:
        found = {"pixels": neighbours(*(x.flatten(1) for x in (drawn, held_out, training[:])))}
        most_suspicious(drawn, training, torch.arange(len(training)), found)
    """
    least = torch.stack([found.relative for found in spaces.values()]).min(0).values
    some = least.argsort(stable=True)[:SHOWN]
    nearest = {space: rows[found.rows[some]] for space, found in spaces.items()}
    relative = {space: found.relative[some].tolist() for space, found in spaces.items()}
    return _shown(drawn[some], training, nearest, relative, len(drawn), len(rows))


def nearest_in_pixels(drawn: Tensor, training: ImageSet) -> Nearest:
    """Return the nearest training images of drawn images (K, C, H, W), by pixels.

    Of more than 4096 training images, 4096 evenly spaced ones are looked at.
    """
    x = drawn.flatten(1).double()
    least = torch.full((len(x),), torch.inf, dtype=torch.double)
    rows = torch.zeros(len(x), dtype=torch.long)
    looked = even_rows(len(training), MOST)
    for part in chunks(looked.tolist()):
        distances, places = torch.cdist(x, training.read(part).flatten(1).double()).min(1)
        rows = torch.where(distances < least, part[places], rows)
        least = torch.minimum(distances, least)
    return _shown(drawn, training, {PIXELS: rows}, {}, len(drawn), len(looked))


def _shown(
    drawn: Tensor,
    training: ImageSet,
    nearest: dict[str, Tensor],
    relative: dict[str, list[float]],
    drew: int,
    looked: int,
) -> Nearest:
    names = {
        space: [printable(training.name(row)) for row in rows.tolist()]
        for space, rows in nearest.items()
    }
    images = {space: training.read(rows) for space, rows in nearest.items()}
    among = f"all {looked} training images"
    if training.streamed:
        among = f"the first {looked} training images of the stream"
    elif looked < len(training):
        among = f"{looked} of {len(training)} training images"
    return Nearest(drawn, images, names, relative, drew, among)
