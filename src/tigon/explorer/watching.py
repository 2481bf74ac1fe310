"""The chains that a page watches, as the messages that it is sent, one a step."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from tigon.data.pixels import to_float
from tigon.errors import TigonError
from tigon.explorer.frames import pack, pictures
from tigon.explorer.inference import watch_inference
from tigon.explorer.models import Model, generator_of
from tigon.explorer.requests import Decode, Infer
from tigon.explorer.synthesis import Synthesis
from tigon.models.cold_start import ColdStart
from tigon.sizes import sides


def decoded(model: Model | None, request: Decode) -> np.ndarray:
    """Return what latents decode to, as RGBA, uint8 (B, H, W, 4).

    Raises:
        TigonError: if there is no generator, or its latents have other lengths
    """
    learner = generator_of(model)
    dim = learner.model.latent_dim
    if any(len(latent) != dim for latent in request.latents):
        raise TigonError(f"latents of this model have {dim} coordinates")
    points = learner.store.points
    latents = torch.tensor(request.latents, dtype=points.dtype, device=points.device)
    with torch.inference_mode():
        return pictures(learner.decode(latents))


def inferring(model: Model | None, request: Infer) -> Iterator[bytes]:
    """Return a message for each step of the chains that infer a picture's latent.

    Raises:
        TigonError: if there is no generator, or its pictures have another size
    """
    learner = generator_of(model)
    assert model is not None
    shape = (*sides(model.image_size), model.channels)
    if len(request.pixels) != math.prod(shape):
        raise TigonError(f"a picture for this model has {' x '.join(map(str, shape))} bytes")
    pixels = np.frombuffer(request.pixels, np.uint8).reshape(1, *shape)
    glances = watch_inference(
        learner, to_float(pixels).to(model.device), request.seed, ColdStart(request.starts)
    )
    return (
        pack(
            {
                "type": "inferring",
                "id": request.id,
                "step": glance.step,
                "steps": glance.steps,
                "temperature": glance.temperature,
                "best": glance.best,
                "error": glance.error,
                "accept": glance.accept,
            },
            pixels=pictures(glance.image),
            latents=glance.latents.float().cpu().numpy(),
        )
        for glance in glances
    )


def synthesising(synthesis: Synthesis, number: int) -> Iterator[bytes]:
    """Yield where a synthesis is, and step it, until all its steps are taken."""
    while True:
        header = {
            "type": "synthesising",
            "id": number,
            "step": synthesis.done,
            "steps": synthesis.settings.steps,
            "log_density": synthesis.log_density,
            "accept": synthesis.accept,
            "step_size": synthesis.state.step_size.item(),
        }
        yield pack(header, pixels=pictures(synthesis.state.x))
        if synthesis.arrived:
            return
        synthesis.step()
