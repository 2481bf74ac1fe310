"""The verbs of the command line: each a dataclass of its options, and `run`, which does it.

`run` returns a `Result`: the text for stdout, and the values that `--json` prints instead.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
import tyro
from torch import Tensor

from tigon.data.images import ImageSet, load_images
from tigon.data.pixels import saturation, to_uint8
from tigon.errors import TigonError
from tigon.experiment import choose_device, train
from tigon.learners.generator import GeneratorLearner
from tigon.outputs import check_out, write_images
from tigon.progress import interruptible, progress
from tigon.recipes import RECIPES, Descriptor, Generator, Recipe
from tigon.report import render, section, write_report
from tigon.runs import Experiment, Run
from tigon.streams import Streams
from tigon.tasks.interpolation import latent_plane, line
from tigon.tasks.reconstruction import ColdStart, Reconstruction, infer_latents

EMBEDDED = "embedded:animal-faces"
SAMPLE, COLD = 5, 6
INTERRUPTED = 130
R = TypeVar("R", bound=Recipe)
Json = Annotated[bool, tyro.conf.FlagCreatePairsOff]
RunFolder = tyro.conf.Positional[Path]


class Result(NamedTuple):
    """What a verb has to say: text for people, values for programs, and the exit status."""

    text: str
    values: dict[str, Any]
    status: int = 0


@dataclass(frozen=True)
class Train(Generic[R]):
    """Learn a model: a new run, or the continuation of the same one.

    Arguments:
        data: a folder of images, a .npz with `images`, or embedded:animal-faces
        out: the run folder
        recipe: what is learned, and how
        device: auto, cpu, cuda or cuda:N
        checkpoint_every: iterations between checkpoints, >= 1
        json: print one JSON object instead of text
    """

    data: str
    out: Path
    recipe: Annotated[R, tyro.conf.arg(name="")]
    device: str = "auto"
    checkpoint_every: int = 100
    json: Json = False

    def run(self) -> Result:
        """Train, then write the report."""
        name = next(name for name, kind in RECIPES.items() if type(self.recipe) is kind)
        experiment = Experiment(name, self.recipe, self.data)
        if learn(experiment, self.out, self.device, self.checkpoint_every):
            return interrupted(self.out)
        report = write_report(Run(self.out)).resolve()
        last = Run(self.out).records()[-1]
        text = f"{self.out}: {last['iteration']} iterations done\nreport: {report}"
        return Result(text, last | {"run": str(self.out), "report": str(report)})


@dataclass(frozen=True)
class Demo:
    """Learn both seed models on the embedded photographs, and write a report.

    Arguments:
        out: folder of the two runs and of the report
        device: auto, cpu, cuda or cuda:N
        json: print one JSON object instead of text
    """

    out: Path = Path("tigon-demo")
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Train both, then write one report about both."""
        recipes = {"generator": Generator(), "descriptor": Descriptor(iterations=150)}
        for name, recipe in recipes.items():
            if learn(Experiment(name, recipe, EMBEDDED), self.out / name, self.device):
                return interrupted(self.out / name)
        sections = [section(Run(self.out / name)) for name in recipes]
        report = render(sections, self.out / "report.html", "tigon demo").resolve()
        return Result(f"report: {report}", {"report": str(report)})


@dataclass(frozen=True)
class Sample:
    """Draw images of a model: from the prior, or one chain per start image, in order.

    Arguments:
        run_folder: the run folder
        out: a .npz, a .png (a grid) or a folder of PNGs
        count: number of images
        seed: of the draws, >= 0
        device: auto, cpu, cuda or cuda:N
        json: print one JSON object instead of text
    """

    run_folder: Annotated[RunFolder, tyro.conf.arg(name="run", metavar="RUN")]
    out: Path
    count: int = 64
    seed: int = 0
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Draw, and write."""
        if self.count < 1 or self.seed < 0:
            raise TigonError("--count is at least 1, and --seed at least 0")
        check_out(self.out)
        place = choose_device(self.device)
        learner = Run(self.run_folder).learner().to(place)
        rng = Streams(self.seed, SAMPLE, range(self.count), place)
        images = learner.sample(self.count, rng)
        write_images(self.out, to_uint8(images))
        outside = saturation(images).item()
        note = f"; {100 * outside:.2f} % of values lay outside [-1, 1] by more than 0.1"
        text = f"{self.count} images: {self.out}{note if outside else ''}"
        values = {"out": str(self.out), "count": self.count, "saturation": outside}
        return Result(text, values)


@dataclass(frozen=True)
class Reconstruct:
    """Infer latents of images the model has not seen, decode them, and print the error.

    Arguments:
        run_folder: folder of a generator's run
        data: a folder of images, a .npz with `images`, or one picture
        out: a .png (images above their reconstructions), a .npz or a folder of PNGs
        starts: chains for each image, each from its own draw of the prior; the best is kept
        seed: of the chains, >= 0
        device: auto, cpu, cuda or cuda:N
        json: print one JSON object instead of text
    """

    run_folder: Annotated[RunFolder, tyro.conf.arg(name="run", metavar="RUN")]
    data: str
    out: Path
    starts: int = 16
    seed: int = 0
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Infer, write, and print errors."""
        if self.starts < 1 or self.seed < 0:
            raise TigonError("--starts is at least 1, and --seed at least 0")
        check_out(self.out)
        learner = generator_of(Run(self.run_folder), "reconstruct", self.device)
        recipe = Run(self.run_folder).experiment.recipe
        images = load_images(self.data, recipe.image_size, recipe.fit, recipe.channels)
        warn_of_skipped(images)
        found = infer(learner, images.read(), self.starts, self.seed)
        self._write(images, found)
        errors = dict(zip(images.names, found.errors.tolist(), strict=True))
        lines = [f"{name}: {error:.5f}" for name, error in errors.items()]
        mean = found.errors.mean().item()
        lines.append(f"mean squared error {mean:.5f} over {len(images)} images, on [-1, 1]")
        values = {"out": str(self.out), "mean_squared_error": mean, "errors": errors}
        return Result("\n".join(lines), values)

    def _write(self, images: ImageSet, found: Reconstruction) -> None:
        pixels = to_uint8(found.images)
        if self.out.suffix == ".png":
            pixels, columns = interleave(np.asarray(images.pixels), pixels, 10)
            write_images(self.out, pixels, columns)
            return
        latents, errors = found.latents.cpu().numpy(), found.errors.cpu().numpy()
        write_images(self.out, pixels, latents=latents, errors=errors)


@dataclass(frozen=True)
class Interpolate:
    """Walk through the latent space: a grid over [-2, 2]^2, or a line between two images.

    Arguments:
        run_folder: folder of a generator's run
        out: a .png
        start: picture that the line starts at
        end: picture that the line ends at
        count: images on the line, or on each side of the grid, >= 2
        seed: of the chains that infer the two latents, >= 0
        device: auto, cpu, cuda or cuda:N
        json: print one JSON object instead of text
    """

    run_folder: Annotated[RunFolder, tyro.conf.arg(name="run", metavar="RUN")]
    out: Path
    start: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    end: Annotated[Path | None, tyro.conf.arg(name="to")] = None
    count: int = 8
    seed: int = 0
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Decode the grid or the line, and write it."""
        if self.count < 2 or self.seed < 0:
            raise TigonError("--count is at least 2, and --seed at least 0")
        if (self.start is None) != (self.end is None):
            raise TigonError("--from and --to: give both, or neither for the grid")
        check_out(self.out, (".png",))
        learner = generator_of(Run(self.run_folder), "interpolate", self.device)
        latents = self._line(learner) if self.start else self._grid(learner)
        write_images(self.out, to_uint8(learner.decode(latents)), self.count)
        return Result(f"{len(latents)} images: {self.out}", {"out": str(self.out)})

    def _grid(self, learner: GeneratorLearner) -> Tensor:
        points = learner.store.points
        ticks = torch.linspace(-2, 2, self.count, device=points.device)
        return latent_plane(points).grid(ticks)

    def _line(self, learner: GeneratorLearner) -> Tensor:
        recipe = Run(self.run_folder).experiment.recipe
        pictures = [
            load_images(path, recipe.image_size, recipe.fit, recipe.channels).read()[:1]
            for path in (self.start, self.end)
            if path is not None
        ]
        found = infer(learner, torch.cat(pictures), ColdStart().starts, self.seed)
        return line(found.latents[0], found.latents[1], self.count)


@dataclass(frozen=True)
class Report:
    """Write RUN/report.html, self-contained, and RUN/figures.

    Arguments:
        run_folder: the run folder
        json: print one JSON object instead of text
    """

    run_folder: Annotated[RunFolder, tyro.conf.arg(name="run", metavar="RUN")]
    json: Json = False

    def run(self) -> Result:
        """Make the figures and the page."""
        report = write_report(Run(self.run_folder)).resolve()
        return Result(f"report: {report}", {"report": str(report)})


def learn(experiment: Experiment, out: Path, device: str, checkpoint_every: int = 100) -> bool:
    """Train with progress on stderr; returns whether the user stopped it before the end."""
    images = experiment.recipe.load(experiment.data)
    warn_of_skipped(images)
    with interruptible() as stop, progress(experiment.name) as watch:
        training = train(experiment, out, device, checkpoint_every, [watch], stop, images)
    return not training.finished


def interrupted(out: Path) -> Result:
    """Say that a run was stopped, and how it goes on."""
    text = f"{out}: interrupted, state saved; the same command continues"
    return Result(text, {"run": str(out), "interrupted": True}, INTERRUPTED)


def warn_of_skipped(images: ImageSet) -> None:
    """Say on stderr which files were left out."""
    if images.skipped:
        shown = "; ".join(images.skipped[:5]) + ("; ..." if len(images.skipped) > 5 else "")
        print(f"left out {len(images.skipped)} files: {shown}", file=sys.stderr)


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
    learner: GeneratorLearner, images: Tensor, starts: int, seed: int, chunk: int = 16
) -> Reconstruction:
    """Infer latents of images (B, C, H, W), a few images at a time."""
    device = learner.store.points.device
    parts = []
    for first in range(0, len(images), chunk):
        part = images[first : first + chunk].to(device)
        index = range(first * starts, (first + len(part)) * starts)
        rng = Streams(seed, COLD, index, device)
        parts.append(infer_latents(learner.model, part, rng, ColdStart(starts)))
    return Reconstruction(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def interleave(above: np.ndarray, below: np.ndarray, columns: int) -> tuple[np.ndarray, int]:
    """Lay two sets of images (N, H, W, C) out as pairs of rows; returns them and the columns."""
    columns = min(columns, len(above))
    blank = np.full((-len(above) % columns, *above.shape[1:]), 255, np.uint8)
    sets = [np.concatenate([images, blank]) for images in (above, below)]
    rows = [images.reshape(-1, columns, *images.shape[1:]) for images in sets]
    return np.stack(rows, 1).reshape(-1, *above.shape[1:]), columns
