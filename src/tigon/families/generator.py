"""What runs of generators show: reconstructions, the prior, the latent plane, the loss."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from tigon import figures
from tigon.data.pixels import to_uint8
from tigon.diagnostics.rules import ACCEPT
from tigon.families.base import (
    ORIGINAL,
    RECENT,
    Family,
    Measure,
    Picture,
    Shown,
    Stages,
    mean,
)
from tigon.figures import Pixels
from tigon.inference.interpolation import Plane, latent_plane
from tigon.learners.generator import SEED_SIGMA, GeneratorLearner
from tigon.random.streams import make_rng
from tigon.recipes import GeneratorRecipe
from tigon.training.iteration import Record

PRIOR_COUNT = 64
THUMBNAILS = 100
HISTOGRAM_COORDINATES = 8
BAND = f"{ACCEPT[0]:g} to {ACCEPT[1]:g}"
KERNELS = {
    "mala": "MALA",
    "hmc": "Hamiltonian Monte Carlo",
    "langevin": "unadjusted Langevin dynamics",
}


def _root_mean_variance(record: Record) -> float:
    return float(np.sqrt(np.mean(np.square(record["latent_std"]))))


def _largest_mean(record: Record) -> float:
    return float(np.abs(record["latent_mean"]).max())


LOSS = Measure(
    "figure-4-loss",
    "Seed loss",
    "seed loss",
    f"Mean squared error of the reconstructions over 2 x {SEED_SIGMA}^2, on the scale of [-1, 1]: "
    "the loss that the original code prints; lower is better. One gradient evaluation is one "
    "forward and backward pass of the network over the whole set.",
    lambda record: record["seed_loss"],
    "log",
)
ACCEPTANCE = Measure(
    "acceptance",
    "Acceptance",
    "acceptance",
    f"Mean acceptance of the chains' proposals. Healthy is {BAND}: less where steps are too "
    "long, more where they are too short; MALA mixes best near 0.574 (dashed). Unadjusted "
    "Langevin dynamics takes every step, which counts as 1.",
    lambda record: record["accept"],
    marks={"0.574": 0.574},
)
STEP_SIZE = Measure(
    "step-size",
    "Step size",
    "step size",
    "Step size that all chains share, in standard deviations of the prior. It follows the width "
    "of the posteriors, which narrow as the model learns: neither high nor low is better.",
    lambda record: record["step_size"],
    "log",
)
DEVIATION = Measure(
    "latent-deviation",
    "Standard deviation of the inferred latents",
    "standard deviation",
    "The root of the mean variance over coordinates of the batch's latents, which have moved "
    "since parameter expansion gave latents the prior's 1 (dashed), and before it does so again: "
    "far from 1 is a sign of bad chains, near 1 no evidence of good ones.",
    _root_mean_variance,
    marks={"prior": 1.0},
)
MEAN = Measure(
    "latent-mean",
    "Mean of the inferred latents",
    "largest mean",
    "The mean of the batch's latents in the coordinate where it is furthest from 0, the prior's, "
    "before parameter expansion: far from 0 is a sign of bad chains, near 0 no evidence.",
    _largest_mean,
)


class GeneratorFamily(Family[GeneratorRecipe, GeneratorLearner]):
    """Generators, whose latents chains infer."""

    recipe = GeneratorRecipe
    noun = "generator"
    measures = (LOSS, ACCEPTANCE, STEP_SIZE, DEVIATION, MEAN)
    stages = Stages(
        "figure-1-reconstructions",
        "Reconstructions as the model learns",
        "The first training images, and below them f(z) at their inferred latents after some "
        "iterations.",
    )

    def what(self, recipe: GeneratorRecipe) -> str:
        """Say what the model is, and how its latents are inferred."""
        seed = (
            f"{ORIGINAL} averages the likelihood over the batch, and its chains share batch "
            "statistics."
        )
        noise = "sigma, which is learned" if recipe.sigma == "learn" else f"{recipe.sigma:g}"
        return (
            f"A generator: images are f(z) plus noise of standard deviation {noise}, "
            f"with {recipe.latent_dim} latents z ~ N(0, I). Latents of the training images are "
            f"inferred by {KERNELS[recipe.chains.kernel]} "
            f"at temperature {recipe.chains.temperature:g}."
            f"{seed if recipe.average_likelihood else ''}"
        )

    def results(self, shown: Shown[GeneratorRecipe, GeneratorLearner]) -> dict[str, str]:
        """Return temperature, loss, sigma and acceptance."""
        recent = shown.records[-RECENT:]
        learned = ", learned" if shown.learner.noise else ""
        return {
            "temperature": f"{shown.recipe.chains.temperature:g}",
            "seed loss": f"{mean(shown.records[-20:], 'seed_loss'):.4f} "
            f"(lower is better; mean of the last {len(shown.records[-20:])} logged)",
            "sigma": f"{shown.learner.model.sigma.item():.3g}{learned}, beside a residual of "
            f"{mean(recent, 'residual'):.3g} (root of the reconstructions' mean squared error on "
            f"[-1, 1]; mean of the last {len(recent)} logged)",
            "acceptance": f"{mean(recent, 'accept'):.2f} (healthy: {BAND}; mean of the last "
            f"{len(recent)} logged)",
        }

    def samples(self, shown: Shown[GeneratorRecipe, GeneratorLearner], count: int) -> Pixels:
        """Decode `count` draws of the prior."""
        return to_uint8(shown.learner.sample(count, make_rng("report", shown.recipe.seed)))

    def pictures(self, shown: Shown[GeneratorRecipe, GeneratorLearner]) -> Iterator[Picture]:
        """Yield the prior's images, the latent plane twice, and the curves."""
        yield Picture(
            "figure-2-prior",
            "Images of the model",
            f"f(z) for {PRIOR_COUNT} draws z of the prior N(0, I), none left out.",
            figures.image_grid(self.samples(shown, PRIOR_COUNT)),
            f"Grid of {PRIOR_COUNT} images that the model draws, 8 in a row.",
        )
        plane = latent_plane(shown.learner.latents())
        yield _grid(shown.learner, plane)
        yield LOSS.picture({"": shown.records})
        yield _places(shown, plane)
        for measure in (ACCEPTANCE, STEP_SIZE, DEVIATION, MEAN):
            yield measure.picture({"": shown.records})

    def histograms(self, learner: GeneratorLearner) -> dict[str, Tensor]:
        """Return inferred latents, all coordinates and the first few."""
        points = learner.latents()
        each = {
            f"latents/z{k + 1}": points[:, k]
            for k in range(min(points.shape[1], HISTOGRAM_COORDINATES))
        }
        return {"latents/all": points, **each}


def _grid(learner: GeneratorLearner, plane: Plane) -> Picture:
    ticks = torch.linspace(-2, 2, 8, device=learner.like.device)
    images = to_uint8(learner.decode(plane.grid(ticks)))
    return Picture(
        "figure-3-latent-grid",
        "The latent plane",
        f"f(z) on an 8 x 8 grid over [-2, 2] x [-2, 2] of {plane.span}.",
        figures.latent_grid(images, ticks.cpu().double().numpy(), plane.names),
        "Grid of 8 times 8 images that change from left to right with the first coordinate and "
        "from bottom to top with the second.",
    )


def _places(shown: Shown[GeneratorRecipe, GeneratorLearner], plane: Plane) -> Picture:
    points = plane.coordinates(shown.learner.latents()).cpu().double().numpy()
    pictured = shown.learner.some_rows()[:THUMBNAILS].cpu().numpy()
    inside = int((np.square(points).sum(1) < 9).sum())
    return Picture(
        "latents",
        "Where the training images are",
        "Each training image at its inferred latent, over the circles that hold 39, 86 and 99 % "
        "of the prior. Where inferred latents do not fill the prior, images of the model are bad "
        "though reconstructions are good.",
        figures.latent_plane(points, shown.images.pixels[pictured], plane.names),
        f"Scatter plot of {len(points)} training images over two latent coordinates; {inside} lie "
        "within the circle that holds 99 % of the prior.",
    )
