"""Panels for every model: images drawn from it, and the curves of its training."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from tigon.explorer.frames import pack, pictures
from tigon.explorer.panels.base import Model, Number, Panel, Question, Request
from tigon.random.streams import RowRng


@dataclass(frozen=True)
class Draw(Question):
    """Draw images from the model, all at once."""

    type: Literal["draw"]
    count: Annotated[int, Field(ge=1, le=64)]
    seed: Number


class PicturesPanel(Panel):
    """Images drawn from the model, as by `tigon sample` with the same seed and number."""

    name = "pictures"
    requests = (Draw,)

    def answer(self, model: Model, request: Request) -> bytes:
        """Return images from the model, RGBA, uint8 (count, H, W, 4)."""
        assert isinstance(request, Draw)
        rng = RowRng(request.seed, 0, range(request.count), "sample")
        images = model.learner.sample(request.count, rng)
        header = {"type": "drawn", "id": request.id, "seed": request.seed}
        return pack(header, pixels=pictures(images))


class CurvesPanel(Panel):
    """The curves of the recipe's metrics, which pages receive as records arrive."""

    name = "curves"
