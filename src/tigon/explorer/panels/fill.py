"""Panel that fills in what was painted over in a picture, with draws of what may be there."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tigon.errors import TigonError
from tigon.explorer.frames import pack, pictures, shades
from tigon.explorer.panels.base import Course, Model, Number, Panel, Part, Question, Request
from tigon.inference.physics import Mask
from tigon.inference.restore import WHITE, Draws, Restored, restore, restoring, spread_of
from tigon.models.abilities import HasCompletion, HasDecoder
from tigon.random.streams import RowRng

NO_POSTERIOR = (
    "This model has no latents: each draw is the end of one of its own short chains, on what was "
    "painted over. They look like what it has learned, but this is no posterior, and the spread "
    "no uncertainty."
)


@dataclass(frozen=True)
class Fill(Question):
    """Fill in a picture, whose bytes follow: uint8 (H, W, C), as the model's, then its mask.

    The mask is uint8 (H, W): 1 where the picture is kept, and 0 where it was painted over.
    """

    type: Literal["fill"]
    chains: Annotated[int, Field(ge=1, le=32)]
    seed: Number
    pixels: bytes = b""


@dataclass(frozen=True)
class Show(Question):
    """Return a training image in full, to be painted over."""

    type: Literal["image"]
    image: Number


class FillPanel(Panel):
    """What was painted over in a picture, filled by chains, given the rest."""

    name = "fill"
    requests = (Fill, Show)

    def count(self, model: Model) -> int:
        """All training images, if they can be read."""
        return 0 if model.images is None else len(model.images)

    def part(self, model: Model) -> Part:
        """Return what the model's draws are not, if they are not those of a posterior."""
        posterior = isinstance(with_filling(model), HasDecoder)
        return Part({"remark": "" if posterior else NO_POSTERIOR, "white": WHITE})

    def answer(self, model: Model, request: Request) -> bytes | Course:
        """Return a training image, or the chains that fill a picture in.

        The draws are those of `tigon restore --mask` with the same seed and number of chains.

        Raises:
            TigonError: if the model cannot fill in, the picture has another size, or nothing or
                everything was painted over
        """
        if isinstance(request, Show):
            return _image(model, request)
        assert isinstance(request, Fill)
        with_filling(model)
        height, width, channels = model.shape
        size = height * width * channels
        image = model.picture(request.pixels[:size])
        kept = _mask(request.pixels[size:], (height, width)).to(model.device)
        return Course(request.id, _filling(model, image, kept, request))


def with_filling(model: Model) -> HasDecoder | HasCompletion:
    """Return the displayed model if it can fill in what was painted over.

    Raises:
        TigonError: if it cannot
    """
    found = model.learner.model
    if not isinstance(found, HasDecoder | HasCompletion):
        raise TigonError(
            "this run's model has neither latents nor chains that complete images, which filling "
            "in needs"
        )
    return found


def _image(model: Model, request: Show) -> bytes:
    """Return the message with a training image, and where its values were observed.

    Raises:
        TigonError: if it cannot be read, or there is no such image
    """
    images = model.images
    if images is None:
        raise TigonError(f"there are no training images: {model.note}")
    if request.image >= len(images):
        raise TigonError(f"there are {len(images)} training images, and no number {request.image}")
    pixels = np.array(images.pixels[request.image])
    kept = np.ones(pixels.shape[:2], np.uint8)
    if images.masks is not None:
        kept = (np.array(images.masks[request.image]) > 0).astype(np.uint8)
    header = {"type": "image", "id": request.id, "name": images.name(request.image)}
    return pack(header, pixels=pixels, kept=kept)


def _mask(content: bytes, size: tuple[int, int]) -> Tensor:
    """Return what is kept of a picture, (H, W), 1 or 0.

    Raises:
        TigonError: if it has another size, other values, or is the same everywhere
    """
    kept = np.frombuffer(content, np.uint8)
    if len(kept) != size[0] * size[1] or (kept > 1).any():
        raise TigonError(f"a mask for this model has {size[0]} x {size[1]} bytes, each 0 or 1")
    if kept.all():
        raise TigonError("nothing is painted over yet: paint over what is to be filled in")
    if not kept.any():
        raise TigonError("everything is painted over: leave a part of the picture to go by")
    return torch.from_numpy(kept.reshape(size).astype(np.float32))


def _filling(model: Model, image: Tensor, kept: Tensor, request: Fill) -> Iterator[bytes]:
    """Yield messages about the chains, and about draws as they arrive."""
    able, physics = with_filling(model), Mask(kept)
    ways = _by_latents if isinstance(able, HasDecoder) else _by_completion
    return ways(able, physics(image), physics, request)


def _by_latents(able: Any, y: Tensor, physics: Mask, request: Fill) -> Iterator[bytes]:  # noqa: ANN401
    """Yield where the chains are until they draw, with what was kept as it was, and draws."""
    how = Draws(request.chains)
    rng = RowRng(request.seed, 0, range(how.chains), "restore")
    kept = physics.kept.expand_as(y)
    for seen in restoring(able, y, physics, rng, how=how):
        header = _header(request, seen.step, how.length, seen.found)
        if seen.found is None and seen.latents is not None:
            now = torch.where(kept > 0, y, able.decode(seen.latents))
            yield pack(header, pixels=pictures(now))
        elif seen.found is not None and seen.drawn:
            yield _drawn(header, seen.found, how.chains)
        else:
            yield pack(header)


def _by_completion(able: Any, y: Tensor, physics: Mask, request: Fill) -> Iterator[bytes]:  # noqa: ANN401
    """Yield draws one by one: each is the end of a chain, whose noise does not depend on others.

    They equal those that `restore` draws together up to rounding.
    """
    drawn: list[Tensor] = []
    for chain in range(request.chains):
        rng = RowRng(request.seed, 0, [chain], "restore")
        found = restore(able, y, physics, rng, how=Draws(1))
        drawn.append(found.samples)
        samples = torch.cat(drawn, 1)
        spread = spread_of(samples)
        found = found._replace(mean=samples.mean(1), spread=spread, samples=samples)
        header = _header(request, chain + 1, request.chains, found)
        yield _drawn(header, found, len(drawn))


def _header(request: Fill, step: int, steps: int, found: Restored | None) -> dict[str, Any]:
    known = {}
    for name in ("accept", "evidence"):
        value = math.nan if found is None else getattr(found, name).item()
        known[name] = None if math.isnan(value) else value
    return {
        "type": "filling",
        "id": request.id,
        "step": step,
        "steps": steps,
        "draws": 0 if found is None else found.samples.shape[1],
    } | known


def _drawn(header: dict[str, Any], found: Restored, chains: int) -> bytes:
    """Return the message with mean and spread of the draws, and the last draw of each chain."""
    return pack(
        header,
        pixels=pictures(found.samples[0, -chains:]),
        mean=pictures(found.mean),
        spread=shades(found.spread.mean(1) / WHITE),
    )
