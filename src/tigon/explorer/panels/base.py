"""The base of panels: what they show about a model, and the requests that they answer.

A page consists of panels. When a model is loaded, each adds its part to the message to the page.
A request of the page is answered by the panel that knows it, at once or over many turns.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tigon.data.images import ImageSet
from tigon.data.pixels import to_float
from tigon.errors import TigonError
from tigon.explorer.calibration import Calibration
from tigon.explorer.frames import pack, thumbnails
from tigon.learners.base import Learner
from tigon.sizes import ImageSize, sides

Number = Annotated[int, Field(ge=0, le=2**53)]
SHOWN, FEW = 300, 100  # training images that are shown; up to so many, larger


@dataclass(frozen=True)
class Request:
    """A request from a page."""

    type: str

    @property
    def slot(self) -> str:
        """Its purpose: of several waiting requests with the same purpose, the last is answered."""
        return self.type

    @property
    def urgent(self) -> bool:
        """Whether it is answered before all other requests."""
        return False


@dataclass(frozen=True)
class Question(Request):
    """A request whose answers have its number."""

    id: Number


@dataclass(frozen=True)
class Adjustment(Request):
    """A request about the chains that the page watches."""


class Course(Iterator[bytes]):
    """Work that takes many turns: chains that a page watches, with one message per step.

    Arguments:
        id: number of the question that it answers
        messages: one message per step
    """

    def __init__(self, id: int, messages: Iterator[bytes]) -> None:
        self.id, self._messages = id, messages

    @property
    def pause(self) -> float:
        """Minimum number of seconds between messages."""
        return 0.0

    def __next__(self) -> bytes:
        """Take a step, and return the message about it."""
        return next(self._messages)

    def adjust(self, request: Adjustment) -> bool:
        """Continue with other settings from the page; return whether steps are left."""
        return False


@dataclass(frozen=True)
class Part:
    """A panel's part of a model's message: values under its name, arrays under their own names."""

    values: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


class Panel:
    """A part of the page.

    Attributes:
        name: its name in a recipe's `panels`, and that of its module in `static/panels`
        requests: types of the requests that it answers
    """

    name: ClassVar[str]
    requests: ClassVar[tuple[type[Request], ...]] = ()

    def count(self, model: "Model") -> int:
        """Return the number of training images that it can show."""
        return 0

    def part(self, model: "Model") -> Part:
        """Return the panel's part of the message about a model.

        Raises:
            TigonError: if the model cannot do what the panel shows
        """
        return Part()

    def answer(self, model: "Model", request: Request) -> bytes | Course:
        """Return the answer to one of its requests.

        Raises:
            TigonError: if the model cannot do it, or the request does not fit the model
        """
        raise NotImplementedError(f"panel {self.name!r} answers nothing")


@dataclass(frozen=True)
class Model:
    """A learner for display only: its parameters require no gradient.

    Arguments:
        iteration: iteration of the checkpoint
        learner: the learner, with its model and its chains
        image_size: height and width of its images in pixels; one number for a square
        channels: channels of its images, 1 or 3
        panels: panels that show it
        images: its training images, if they can still be read
        note: the reason why they cannot
    """

    iteration: int
    learner: Learner
    image_size: ImageSize
    channels: int
    panels: tuple[Panel, ...]
    images: ImageSet | None
    note: str

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next(self.learner.parameters()).device

    @cached_property
    def mean_image(self) -> Tensor:
        """The mean of the training images, (1, C, H, W).

        Raises:
            TigonError: if they cannot be read
        """
        if self.images is None:
            raise TigonError(f"there is no mean image: {self.note}")
        return self.images.mean_image()[None].to(self.device)

    @cached_property
    def calibration(self) -> Calibration:
        """The scores of held-out images, computed once for all pages, while one of them waits."""
        return Calibration(self.learner.model, self.images, self.note)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of its images."""
        height, width = sides(self.image_size)
        return height, width, self.channels

    def picture(self, pixels: bytes) -> Tensor:
        """Return a picture of the page, uint8 (H, W, C), as an image (1, C, H, W).

        Raises:
            TigonError: if it has another size
        """
        if len(pixels) != math.prod(self.shape):
            size = " x ".join(map(str, self.shape))
            raise TigonError(f"a picture for this model has {size} bytes")
        found = np.frombuffer(pixels, np.uint8).reshape(1, *self.shape)
        return to_float(found).to(self.device)

    @cached_property
    def count(self) -> int:
        """The number of training images that the panels know of."""
        return max((panel.count(self) for panel in self.panels), default=0)

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows of the training images that are shown: all, or evenly spaced ones."""
        even = np.linspace(0, self.count - 1, min(self.count, SHOWN))
        return np.unique(even.round().astype(np.int64))

    @cached_property
    def message(self) -> bytes:
        """The message about this model: its training images, and each panel's part."""
        small, names = self._images()
        header: dict[str, Any] = {
            "type": "model",
            "iteration": self.iteration,
            "note": self.note,
            "count": self.count,
            "rows": self.rows.tolist(),
            "names": names,
        }
        arrays = {"thumbnails": small}
        for panel in self.panels:
            part = panel.part(self)
            header[panel.name] = part.values
            arrays |= part.arrays
        return pack(header, **arrays)

    def _images(self) -> tuple[np.ndarray, list[str]]:
        """Return thumbnails (n, h, w, 4) and names of training images."""
        if self.images is None or not self.count:
            return np.zeros((0, 1, 1, 4), np.uint8), [f"image {row + 1}" for row in self.rows]
        side = 64 if len(self.rows) <= FEW else 32
        pixels = np.stack([self.images.pixels[row] for row in self.rows])
        return thumbnails(pixels, side), [self.images.names[row] for row in self.rows]
