"""Panels for models with latents: the latent plane, the picture at a latent, and inference."""

import time
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tigon.errors import TigonError
from tigon.explorer.frames import pack, pictures
from tigon.explorer.panels.base import Course, Model, Number, Panel, Part, Question, Request
from tigon.inference.interpolation import Plane, latent_plane
from tigon.learners.base import Learner
from tigon.mcmc.store import ChainStore
from tigon.models.abilities import HasLatents
from tigon.models.cold_start import ColdStart, Descent, descend
from tigon.random.streams import RowRng

MEASURED = 20_000  # latents that the principal directions are found from
MOST_AT_ONCE = 64
Finite = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
Latent = Annotated[tuple[Finite, ...], Field(min_length=1, max_length=65536)]


@runtime_checkable
class HasStore(Protocol):
    """A learner that keeps the latents of its training images."""

    store: ChainStore


@dataclass(frozen=True)
class Decode(Question):
    """Decode latents; of several requests for the same `place`, only the last is answered."""

    type: Literal["decode"]
    place: Literal["point", "strip", "grid", "end"]
    latents: Annotated[tuple[Latent, ...], Field(min_length=1, max_length=MOST_AT_ONCE)]

    @property
    def slot(self) -> str:
        """Each place waits separately."""
        return f"decode {self.place}"

    @property
    def urgent(self) -> bool:
        """The point under the pointer goes first."""
        return self.place == "point"


@dataclass(frozen=True)
class Infer(Question):
    """Infer the latent of a picture, whose bytes follow: uint8 (H, W, C), as the model's."""

    type: Literal["infer"]
    starts: Annotated[int, Field(ge=1, le=64)]
    seed: Number
    pixels: bytes = b""


def with_latents(model: Model) -> HasLatents:
    """Return the displayed learner if it has latents.

    Raises:
        TigonError: if it has none
    """
    found = model.learner.model
    if not isinstance(found, HasLatents):
        raise TigonError("this run's model has no latents")
    return found


class PlanePanel(Panel):
    """The latent plane, with the training images at their inferred latents."""

    name = "plane"

    def count(self, model: Model) -> int:
        """All training images whose latents are known."""
        learner = model.learner
        return len(learner.store) if isinstance(learner, HasStore) else 0

    def part(self, model: Model) -> Part:
        """Return inferred latents, and the directions in which they are shown."""
        dim = with_latents(model).latent_dim
        plane, latents = _plane(model.learner, dim), torch.zeros(0, dim)
        if isinstance(model.learner, HasStore):
            points = model.learner.store.points
            latents = points[torch.from_numpy(model.rows).to(points.device)]
        arrays = {"latents": latents, "directions": plane.directions}
        return Part(
            {"dim": dim, "names": list(plane.names)},
            {name: values.float().cpu().numpy() for name, values in arrays.items()},
        )


class PicturePanel(Panel):
    """The picture that the current latent decodes to."""

    name = "picture"
    requests = (Decode,)

    def part(self, model: Model) -> Part:
        """Return the number of latents."""
        return Part({"dim": with_latents(model).latent_dim})

    def answer(self, model: Model, request: Request) -> bytes:
        """Return the pictures of latents, RGBA, uint8 (B, H, W, 4).

        Raises:
            TigonError: if the model has no latents, or its latents have other lengths
        """
        assert isinstance(request, Decode)
        begun = time.perf_counter()
        pixels = self._decoded(model, request)
        took = round(1000 * (time.perf_counter() - begun), 2)
        header = {"type": "decoded", "id": request.id, "place": request.place}
        return pack(header | {"milliseconds": took}, pixels=pixels)

    def _decoded(self, model: Model, request: Decode) -> np.ndarray:
        able = with_latents(model)
        if any(len(latent) != able.latent_dim for latent in request.latents):
            raise TigonError(f"latents of this model have {able.latent_dim} coordinates")
        like = next(model.learner.parameters())
        latents = torch.tensor(request.latents, dtype=like.dtype, device=like.device)
        with torch.inference_mode():
            return pictures(able.decode(latents))


class InferencePanel(Panel):
    """The chains that infer the latent of the user's own picture."""

    name = "inference"
    requests = (Infer,)

    def answer(self, model: Model, request: Request) -> Course:
        """Return the chains before the first step and after each.

        They take the same steps as `infer_latents`, with the noise of `tigon reconstruct --seed`.

        Raises:
            TigonError: if the model has no latents, or its pictures have another size
        """
        assert isinstance(request, Infer)
        able, how = with_latents(model), ColdStart(request.starts)
        image = model.picture(request.pixels)
        rng = RowRng(request.seed, 0, range(how.starts), "reconstruct")
        steps = descend(able, image, rng, how)
        return Course(request.id, (_inferring(able, image, how, request, seen) for seen in steps))


def _plane(learner: Learner, dim: int) -> Plane:
    """Return the plane in which stored latents vary most, or that of two coordinates."""
    if not isinstance(learner, HasStore):
        return Plane(torch.eye(2, dim), ("z1", "z2"), "two coordinates")
    points = learner.store.points
    return latent_plane(points[:: max(1, len(points) // MEASURED)])


def _inferring(
    able: HasLatents, image: Tensor, how: ColdStart, request: Infer, seen: Descent
) -> bytes:
    """Return the message about a step: all chains, and the image of the best one's latent."""
    latents, best = seen.state.x, int(seen.state.log_density.argmax())
    decoded = able.decode(latents[best : best + 1])
    header = {
        "type": "inferring",
        "id": request.id,
        "step": seen.step,
        "steps": how.length,
        "temperature": seen.temperature,
        "best": best,
        "error": ((decoded - image) ** 2).mean().item(),
        "accept": None if seen.accept_prob is None else seen.accept_prob.mean().item(),
    }
    return pack(header, pixels=pictures(decoded), latents=latents.float().cpu().numpy())
