"""What the verbs share: their result, their options' types, and how they open a run."""

import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import tyro
from torch import Tensor

from tigon.data.images import ImageSet, load_images
from tigon.errors import TigonError
from tigon.experiment import choose_device
from tigon.learners.generator import GeneratorLearner
from tigon.progress import steps_shown
from tigon.runs import Run
from tigon.streams import Streams
from tigon.tasks.reconstruction import ColdStart, Reconstruction, infer_latents

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Json = Flag
Which = Annotated[str, tyro.conf.arg(name="checkpoint", metavar="last|best|N")]
RunFolder = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(name="run", metavar="RUN")]
RunFolders = Annotated[
    tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(name="run", metavar="RUN [RUN ...]")
]


class Result(NamedTuple):
    """What a verb has to say: text for people, values for programs, and the exit status."""

    text: str
    values: dict[str, Any]
    status: int = 0


def warn_of_skipped(images: ImageSet) -> None:
    """Say on stderr which files were left out."""
    if images.skipped:
        shown = "; ".join(images.skipped[:5]) + ("; ..." if len(images.skipped) > 5 else "")
        print(f"left out {len(images.skipped)} files: {shown}", file=sys.stderr)


def images_for(run: Run, data: str | Path) -> ImageSet:
    """Load images that a run has not seen, in the form that its model knows."""
    recipe = run.experiment.recipe
    images = load_images(data, recipe.image_size, recipe.fit, recipe.channels)
    warn_of_skipped(images)
    return images


def generator_of(run: Run, verb: str, device: str) -> GeneratorLearner:
    """Return the generator of a run.

    Raises:
        TigonError: if the run has none
    """
    learner = run.learner().to(choose_device(device))
    if not isinstance(learner, GeneratorLearner):
        raise TigonError(
            f"run {run.folder}: is a {run.experiment.name}, which has no latents; "
            f"{verb} needs a generator"
        )
    return learner


def infer(
    learner: GeneratorLearner, images: Tensor, starts: int, seed: int, chunk: int = 4
) -> Reconstruction:
    """Infer latents of images (B, C, H, W), a few images at a time."""
    device = learner.like.device
    parts = []
    for first in steps_shown(range(0, len(images), chunk), "inferring latents"):
        part = images[first : first + chunk].to(device)
        index = range(first * starts, (first + len(part)) * starts)
        rng = Streams(seed, 0, index, "reconstruct", device)
        parts.append(infer_latents(learner.model, part, rng, ColdStart(starts)))
    return Reconstruction(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
