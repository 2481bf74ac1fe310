"""The figures of a diagnosis and an evaluation: traces, long chains, nearest training images."""

import numpy as np
import torch

from tigon import figures
from tigon.data.pixels import to_uint8
from tigon.diagnostics.nearest import Nearest
from tigon.diagnostics.probes import ImageProbe, LatentProbe
from tigon.figures import Figure, Pixels

TITLE = "Nearest training images"


def latent_figures(probe: LatentProbe, images: torch.Tensor) -> list[Figure]:
    """Draw parallel chains on the latents of images (B, C, H, W), and their final images."""
    rows = [("training images", to_uint8(images)), *_shown("after the long chains", probe.images)]
    values, chains = probe.log_densities.cpu().double().numpy(), probe.log_densities.shape[1]
    centred = values - np.median(values, (0, 1))
    return [
        Figure(
            "diagnosis-traces",
            "Parallel chains",
            f"Log-density of the latents of {len(probe.images)} training images (one panel each), "
            f"along {chains} chains that start near the inferred latent (one colour each), minus "
            "the image's median. Healthy chains form one band: they cross, and none stays above "
            "or below the others, or rises. Chains that start from the prior are described "
            "under other modes.",
            figures.panels(centred, "image", "log-density"),
            f"{len(probe.images)} line charts, one for each image, of the log-density along "
            f"{chains} chains, minus the image's median; it lies between {centred.min():.3g} and "
            f"{centred.max():.3g}.",
        ),
        Figure(
            "diagnosis-long-run",
            "After long chains",
            "Training images, and f(z) at the end of these chains.",
            figures.stages(rows),
            _rows_seen(rows),
        ),
    ]


def _shown(label: str, images: torch.Tensor) -> list[tuple[str, Pixels]]:
    """Return a row of images, or none if they are not finite and cannot be shown."""
    return [(label, to_uint8(images))] if images.isfinite().all() else []


def _rows_seen(rows: list[tuple[str, Pixels]]) -> str:
    return f"Rows of {len(rows[0][1])} images: {'; '.join(label for label, _ in rows)}."


def image_figures(probe: ImageProbe, images: torch.Tensor) -> list[Figure]:
    """Draw the results of long chains from synthesised images (B, C, H, W), and their traces."""
    values = probe.log_densities.cpu().double().numpy()[:, None] / probe.before[0].numel()
    rows = [
        ("training images", to_uint8(images)),
        *_shown("chains as in training", probe.before),
        *_shown(f"{probe.length} times as long", probe.after),
    ]
    return [
        Figure(
            "diagnosis-long-run",
            "Long-run test",
            "Training images, the results of chains as long as in training, and those of the same "
            f"chains at {probe.length} times that length. Values outside [-1, 1] are clipped.",
            figures.stages(rows),
            _rows_seen(rows),
        ),
        Figure(
            "diagnosis-traces",
            "Long chains",
            "Log-density along these chains, one colour each, in nats per dimension. If it still "
            "rises, chains are on their way to the modes of the density.",
            figures.traces(values, "log-density per dimension", "state along the chain"),
            f"Line chart of the log-density along {values.shape[2]} chains, from "
            f"{values.min():.3g} to {values.max():.3g} nats per dimension.",
        ),
    ]


def nearest_figure(found: Nearest) -> Figure:
    """Draw images of the model, and below each its nearest training images."""
    rows = [("images from the model", to_uint8(found.drawn))]
    rows += [
        (f"nearest training images, by {space}", to_uint8(images))
        for space, images in found.training.items()
    ]
    count, spaces = len(found.drawn), " and by ".join(found.training)
    below = f"below each, its nearest training image by {spaces}, of {found.among}"
    if not found.relative:
        said = (
            f"The first {count} images of the model, not selected; {below}. No images were held "
            "out that could tell how near is too near."
        )
        return Figure("samples-nearest", TITLE, said, figures.stages(rows), _rows_seen(rows))
    first = " and ".join(f"{values[0]:.2g} by {space}" for space, values in found.relative.items())
    said = (
        f"The {count} of {found.drew} drawn images that are most like training images, the most "
        f"suspicious first; {below}. For the first, this distance over that to the nearest "
        f"held-out image is {first}: near 0 it is a copy."
    )
    return Figure("nearest", TITLE, said, figures.stages(rows), _rows_seen(rows))
