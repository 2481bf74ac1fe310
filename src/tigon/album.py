"""The figures of a run: the seed's six, and what the seed lacks."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from tigon import figures
from tigon.data.images import ImageSet
from tigon.data.pixels import to_uint8
from tigon.evaluation.findings import GAP_RECENT
from tigon.learners.base import Learner
from tigon.learners.descriptor import DescriptorLearner
from tigon.learners.generator import SEED_SIGMA, GeneratorLearner
from tigon.runs import Run
from tigon.streams import Streams, make_rng
from tigon.tasks.interpolation import latent_plane
from tigon.training.iteration import Record

PRIOR_COUNT = 64
THUMBNAILS = 100
BAND = {"agreement": 0.0, "band": GAP_RECENT, "_": -GAP_RECENT}


class Picture(NamedTuple):
    """A figure of a run: its file's name, its title, what it shows, and the figure."""

    name: str
    title: str
    caption: str
    figure: Figure


def album(run: Run, learner: Learner, images: ImageSet) -> Iterator[Picture]:
    """Yield the pictures of a run, one by one."""
    records = run.records()
    yield _stages(run, learner, images)
    if isinstance(learner, GeneratorLearner):
        yield from _generator(run, learner, images, records)
    elif isinstance(learner, DescriptorLearner):
        yield from _descriptor(run, learner, images, records)


def _stages(run: Run, learner: Learner, images: ImageSet) -> Picture:
    snapshots = run.snapshots()
    shown = len(snapshots[-1][1]) if snapshots else min(12, len(images))
    rows = [("training images", images.pixels[:shown])]
    rows += [(f"iteration {iteration}", pixels) for iteration, pixels in snapshots]
    if isinstance(learner, GeneratorLearner):
        caption = (
            "The first training images, and below them f(z) at their inferred latents after some "
            "iterations."
        )
        name, title = "figure-1-reconstructions", "Reconstructions as the model learns"
    else:
        caption = (
            "The first training images, and below them what the chain from each one's start image "
            "synthesises after some iterations. Values outside [-1, 1] are clipped for display."
        )
        name, title = "figure-5-synthesised", "Synthesised images as the model learns"
    return Picture(name, title, caption, figures.stages(rows))


def _generator(
    run: Run, learner: GeneratorLearner, images: ImageSet, records: list[Record]
) -> Iterator[Picture]:
    rng = make_rng("report", run.experiment.recipe.seed)
    prior = to_uint8(learner.sample(PRIOR_COUNT, rng))
    yield Picture(
        "figure-2-prior",
        "Images of the model",
        f"f(z) for {PRIOR_COUNT} draws z of the prior N(0, I), none left out.",
        figures.image_grid(prior),
    )
    latents = learner.latents()
    plane = latent_plane(latents)
    ticks = torch.linspace(-2, 2, 8, device=latents.device)
    grid = to_uint8(learner.decode(plane.grid(ticks)))
    yield Picture(
        "figure-3-latent-grid",
        "The latent plane",
        f"f(z) on an 8 x 8 grid over [-2, 2] x [-2, 2] of {plane.span}.",
        figures.latent_grid(grid, ticks.cpu().double().numpy(), plane.names),
    )
    x = [record["gradient_evaluations"] for record in records]
    yield Picture(
        "figure-4-loss",
        "Loss",
        f"Mean squared error of the reconstructions over 2 x {SEED_SIGMA}^2, on the scale of "
        "[-1, 1]: the seed's loss. One gradient evaluation is one forward and backward pass of "
        "the network over the whole set.",
        figures.curve(x, {"loss": [r["seed_loss"] for r in records]}, "seed loss", log=True),
    )
    thumbnails = images.pixels[learner.some_rows()[:THUMBNAILS].cpu().numpy()]
    points = plane.coordinates(latents).cpu().double().numpy()
    yield Picture(
        "latents",
        "Where the training images are",
        "Each training image at its inferred latent, over the circles that hold 39, 86 and 99 % "
        "of the prior. Where inferred latents do not fill the prior, images of the model are bad "
        "though reconstructions are good.",
        figures.latent_plane(points, thumbnails, plane.names),
    )
    yield from _chain_curves(x, records)


def _descriptor(
    run: Run, learner: DescriptorLearner, images: ImageSet, records: list[Record]
) -> Iterator[Picture]:
    x = [record["gradient_evaluations"] for record in records]
    yield Picture(
        "figure-6-gap",
        "Gap",
        "Mean f(synthesised) - mean f(observed) in nats per dimension, the seed's loss over the "
        "number of dimensions. A healthy gap swings about 0 and stays within the dashed band. One "
        "gradient evaluation is one forward and backward pass of the network over the whole set.",
        figures.curve(x, {"gap": [r["gap"] for r in records]}, "gap", marks=BAND),
    )
    count = min(PRIOR_COUNT, len(images))
    drawn = learner.sample(count, Streams(run.experiment.recipe.seed, 0, range(count), "report"))
    yield Picture(
        "samples",
        "Images of the sampler",
        "One chain from each start image, in order, none left out.",
        figures.image_grid(to_uint8(drawn), columns=min(count, 10)),
    )
    outside = [100 * r["saturation"] for r in records]
    yield Picture(
        "saturation",
        "Saturation",
        "Values of synthesised images outside [-1, 1] by more than 0.1, in per cent.",
        figures.curve(x, {"saturation": outside}, "per cent"),
    )


def _chain_curves(x: list[float], records: list[Record]) -> Iterator[Picture]:
    yield Picture(
        "acceptance",
        "Acceptance",
        "Mean acceptance of the chains' proposals; MALA mixes best near 0.574 (dashed).",
        figures.curve(
            x,
            {"acceptance": [r["accept"] for r in records]},
            "acceptance",
            marks={"0.574": 0.574},
        ),
    )
    yield Picture(
        "step-size",
        "Step size",
        "Mean step size of the chains, in standard deviations of the prior.",
        figures.curve(x, {"step size": [r["step_size"] for r in records]}, "step size", log=True),
    )
    norms = [float(np.sqrt(np.mean(np.square(r["latent_std"])))) for r in records]
    offsets = [float(np.abs(r["latent_mean"]).max()) for r in records]
    yield Picture(
        "latent-moments",
        "Moments of the inferred latents",
        "The prior's are 1 (dashed) and 0: the root of the mean variance over coordinates, and "
        "the largest mean of a coordinate.",
        figures.curve(
            x,
            {"standard deviation": norms, "largest mean": offsets},
            "latents",
            marks={"prior": 1.0},
        ),
    )
