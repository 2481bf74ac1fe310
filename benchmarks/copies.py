"""What a model that knows its images by heart would draw: training images, at random.

It learns nothing. `rivals.py` measures it, so that the table shows what a perfect copier gets from
every measure, and that the test of copies convicts it.
"""

from typing import Any

import torch
from torch import Tensor

from tigon.data.images import ImageSet
from tigon.models.base import Model
from tigon.random.streams import Rng, make_rng


class Copies(Model):
    """Draws images of a set, with equal probability, as they are.

    Arguments:
        images: the set
        seed: of the draws
    """

    def __init__(self, images: ImageSet, seed: int) -> None:
        super().__init__()
        self.images, self.seed = images, seed

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.images.read(slice(0, 1)).shape[1:]
        return channels, height, width

    def sample(self, count: int, rng: Rng) -> Tensor:
        """Draw images, (count, C, H, W): the same at every call."""
        own = make_rng("copies", self.seed)
        return self.images.read(torch.randint(len(self.images), (count,), generator=own))

    def config(self) -> dict[str, Any]:
        """Return nothing: its images are no settings."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Copies":
        """Refuse: it is made of images."""
        raise ValueError("copies are made of images, not of settings")
