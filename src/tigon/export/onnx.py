"""The decoder of a latent-variable model as an ONNX file: `z` (B, d) to `images` (B, C, H, W)."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch.export import Dim

from tigon import __version__
from tigon.densities.log_density import frozen, mode
from tigon.errors import TigonError, install
from tigon.models.abilities import HasLatents
from tigon.models.base import Model

NEEDED = ("onnx", "onnxscript")


def require_onnx(model: Model) -> None:
    """Check that a model can be exported to an ONNX file here.

    A model without latents cannot: its images come from chains, which need the gradient of its
    network, and an ONNX file computes none.

    Raises:
        TigonError: if it has no latents, or the extra is not installed
    """
    if not isinstance(model, HasLatents):
        raise TigonError(
            "--onnx: this model has no latents to decode; it samples with the gradient of its "
            "network, which an ONNX file does not compute"
        )
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise TigonError(f"--onnx needs {missing[0]}: {install('onnx')}")


def onnx_bytes(model: Model) -> bytes:
    """Return the decoder f(z) of a latent-variable model as an ONNX file, including weights.

    Raises:
        TigonError: if it is larger than the limit of 2 GB for such a file
    """
    assert isinstance(model, HasLatents)
    example = torch.zeros(2, model.latent_dim)
    with frozen(model), mode(model, training=False), _quiet():
        program = torch.onnx.export(
            model,
            (example,),
            input_names=["z"],
            output_names=["images"],
            dynamic_shapes={"z": {0: Dim("batch")}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _describe(proto, model)
    try:
        return proto.SerializeToString(deterministic=True)
    except ValueError as error:
        raise TigonError(f"--onnx: the model is too large for one file ({error})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks about torchvision and about itself; errors still show."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(before)


def _describe(proto: Any, model: Model) -> None:  # noqa: ANN401
    """Describe the file's content, and remove the paths of the code that wrote it."""
    graph = proto.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
    proto.producer_name, proto.producer_version = "tigon", __version__
    proto.doc_string = (
        "Decoder f(z): z (B, d), draws from the model's prior, to images (B, C, H, W) in [-1, 1], "
        "without the model's noise."
    )
    said = {n: json.dumps(v) for n, v in model.config().items() if isinstance(v, int | float)}
    for name, value in ({"recipe": model.recipe or "none"} | said).items():
        proto.metadata_props.add(key=name, value=value)
