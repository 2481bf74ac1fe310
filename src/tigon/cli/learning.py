"""tigon train, resume and demo: learn a model, and show what was learned."""

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Generic, NamedTuple, TypeVar

import tyro

from tigon.cli import INTERRUPTED
from tigon.cli.common import (
    Data,
    Flag,
    Json,
    MaskPlace,
    Moved,
    Result,
    RunFolder,
    moved_line,
    tell_of_data,
)
from tigon.cli.evaluating import evaluated
from tigon.cli.interrupts import interruptible
from tigon.cli.progress import SLOW, Unseen, busy, counted, introduction, progress, tell
from tigon.data.images import ImageSet
from tigon.data.sources import is_pattern
from tigon.distributed import TIMEOUT, launched, process_group
from tigon.errors import TigonError
from tigon.files import in_shell
from tigon.recipes import Recipe, recipes
from tigon.report import render, section, write_report
from tigon.runs.evaluation import saved_findings
from tigon.runs.experiment import choose_device, load, train
from tigon.runs.images import perhaps_moved
from tigon.runs.run import Experiment, Run
from tigon.training.callbacks.tensorboard import require_tensorboard
from tigon.training.checkpoint_folder import latest_checkpoint
from tigon.training.trainer import Callback, Trainer

MEASURED, STARTS = 200, 2  # most held-out images that a finished run is measured on; chains each
EMBEDDED = "embedded:animal-faces"
R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Train(Generic[R]):
    """Learn a model: start a new run, or continue the same one.

    Arguments:
        data: a folder of images, a .npz with `images`, hf:NAME, embedded:animal-faces, or a
            pattern with * of pictures or shards
        out: the run folder
        mask: values of the images are missing: a folder with a picture for each image, of the same
            name and of --image-size, white where values were observed and black or transparent
            where they are missing; one such picture for all images; or alpha: missing is where
            images are transparent
        recipe: what is learned, and how
        origin: of a recipe with latents: the run of a generator of the same images, where this run
            begins: with its weights and latents, and the form of its images, held-out share,
            --latent-dim, --components, --network.*, --sigma, --start and --expand, where these
            have their default values here
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        checkpoint_every: iterations between checkpoints, >= 1
        tensorboard: write RUN/tensorboard too, for TensorBoard (extra `tensorboard`)
        keep: how many of the latest checkpoints to keep, >= 1; the best is kept too
        timeout: seconds without an answer after which one of torchrun's processes counts as
            lost, > 0
        continue_with: go on with settings different from those of the run in --out
        no_report: end when the model is learned: measure, diagnose and report nothing, which
            `tigon evaluate` and `tigon report` do later
        json: print one JSON object instead of text
    """

    data: Data
    out: Path
    recipe: Annotated[R, tyro.conf.arg(name="")]
    mask: MaskPlace = None
    origin: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    device: str = "auto"
    checkpoint_every: int = 100
    tensorboard: Flag = False
    keep: int = 2
    timeout: float = TIMEOUT
    continue_with: Flag = False
    no_report: Flag = False
    json: Json = False

    def run(self) -> Result:
        """Train, then write the report."""
        _refuse_two_budgets(self.recipe)
        origin = None if self.origin is None else str(self.origin)
        experiment = Experiment(
            self.recipe.name, self.recipe, self.data, origin=origin, mask=self.mask
        )
        experiment = experiment.begun(Run(self.out))
        how = Keeping(self.checkpoint_every, self.keep, self.timeout, self.tensorboard)
        end = learn(experiment, self.out, self.device, how, self.continue_with)
        return finished(self.out, end, self.device, self.no_report)


@dataclass(frozen=True)
class Resume:
    """Continue a run that was stopped, or make a finished one longer.

    Arguments:
        run_folder: the run folder
        iterations: the new total; by default the run's own
        data: where the run's training images are now, if they have moved
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        checkpoint_every: iterations between checkpoints, >= 1
        tensorboard: write RUN/tensorboard too, for TensorBoard (extra `tensorboard`)
        keep: how many of the latest checkpoints to keep, >= 1; the best is kept too
        timeout: seconds without an answer after which one of torchrun's processes counts as
            lost, > 0
        no_report: end when the model is learned; see `tigon train --help`
        json: print one JSON object instead of text
    """

    run_folder: RunFolder
    iterations: int | None = None
    data: Moved = None
    device: str = "auto"
    checkpoint_every: int = 100
    tensorboard: Flag = False
    keep: int = 2
    timeout: float = TIMEOUT
    no_report: Flag = False
    json: Json = False

    def run(self) -> Result:
        """Continue training, then write the report."""
        run = Run(self.run_folder, data=self.data)
        experiment = run.experiment
        if self.iterations is not None:
            experiment = longer(run, self.iterations)
        how = Keeping(self.checkpoint_every, self.keep, self.timeout, self.tensorboard)
        end = learn(experiment, self.run_folder, self.device, how, True)
        return finished(self.run_folder, end, self.device, self.no_report)


@dataclass(frozen=True)
class Demo:
    """Learn a generator and a descriptor on the embedded photographs, and write a report.

    Arguments:
        out: folder for the two runs and the report
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        json: print one JSON object instead of text
    """

    out: Path = Path("tigon-demo")
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Train both, then write one report about both."""
        shown = demonstrated()
        self._refuse_other(shown)
        for number, (name, recipe) in enumerate(shown.items(), 1):
            title = f"{number} of {len(shown)}: {name}"
            experiment = Experiment(name, recipe, EMBEDDED)
            end = learn(experiment, self.out / name, self.device, title=title)
            if not end.finished:
                return interrupted(self.out / name, end)
        if end.rank > 0:
            return Result("", {})
        with busy("diagnosing the chains and writing the report", log=True):
            sections = [section(Run(self.out / name)) for name in shown]
        report = render(sections, self.out / "report.html", "tigon demo").resolve()
        return Result(f"report: {report}", {"report": str(report)})

    def _refuse_other(self, shown: Collection[str]) -> None:
        """Refuse a folder that is not the demo's.

        Raises:
            TigonError: if it is not empty and has no run of the demo
        """
        if self.out.exists() and not self.out.is_dir():
            raise TigonError(f"--out {self.out}: is a file, not a folder")
        begun = any(Run(self.out / name).config.exists() for name in shown)
        if not begun and self.out.exists() and any(self.out.iterdir()):
            raise TigonError(f"--out {self.out}: is not empty and not a demo; give another folder")


def demonstrated() -> dict[str, Recipe]:
    """Return the recipes that the demo learns, by name."""
    return {name: kind() for name, kind in recipes().items() if kind.demo}


def _refuse_two_budgets(recipe: Recipe) -> None:
    """Refuse a number of iterations beside another end of the run.

    Raises:
        TigonError: it names the options
    """
    if not recipe.by_iterations and recipe.iterations != type(recipe).iterations:
        raise TigonError(
            f"--iterations and --{recipe.ends_by}: give one of them, which ends the run"
        )


class Keeping(NamedTuple):
    """Options outside the experiment: when and what to write, how long processes wait."""

    every: int = 100
    keep: int = 2
    timeout: float = TIMEOUT
    tensorboard: bool = False


USUAL = Keeping()


class End(NamedTuple):
    """How training ended here.

    Attributes:
        finished: whether the run is over
        rank: this process's rank
        iteration: the last one
        held_out: whether some images were held out
    """

    finished: bool
    rank: int
    iteration: int
    held_out: bool = False


def longer(run: Run, iterations: int) -> Experiment:
    """Return a run's experiment with a different number of iterations.

    Raises:
        TigonError: if it has another kind of budget
    """
    recipe = run.experiment.recipe
    if not recipe.by_iterations:
        option = recipe.ends_by
        raise TigonError(
            f"--iterations: run {run.folder} ends by a budget of {option.replace('-', ' ')}; give "
            f"another with tigon train --continue-with --{option}"
        )
    return replace(run.experiment, recipe=replace(recipe, iterations=iterations))


def finished(out: Path, end: End, device: str, no_report: bool = False) -> Result:
    """Measure the model on held-out images, write the report, and return what was done.

    The first process does all of this, unless no report is wanted.
    """
    if not end.finished:
        return interrupted(out, end)
    if end.rank > 0:
        return Result("", {})
    run = Run(out)
    report, said = None, f"no report; tigon report {in_shell(out)} writes it"
    try:
        if not no_report:
            report = _reported(run, end, device)
            said = f"report: {report}"
    except TigonError as error:
        if not (launched() and is_pattern(run.experiment.data)):
            raise
        said = f"no report, which needs all shards on this machine: {error}"
    last = run.records()[-1]
    text = f"{out}: {counted(last['iteration'], 'iteration')} done\n{said}"
    return Result(text, last | {"run": str(out), "report": report})


def _reported(run: Run, end: End, device: str) -> str:
    """Measure the model on held-out images, if there are any, and write the report."""
    if end.held_out:
        _evaluate(run, device)
    with busy("diagnosing the chains and writing the report", log=True):
        return str(write_report(run).resolve())


def _evaluate(run: Run, device: str) -> None:
    """Measure a run's model on its held-out images, unless that is already done.

    If that fails, a line says why, and the report is still written.
    """
    if saved_findings(run):
        return
    try:
        evaluated(run, device, MEASURED, STARTS)
    except TigonError as error:
        tell(f"not measured on held-out images: {error}")


def learn(
    experiment: Experiment,
    out: Path,
    device: str,
    how: Keeping = USUAL,
    changed: bool = False,
    title: str = "",
) -> End:
    """Train with progress on stderr, together with torchrun's other processes.

    Arguments:
        title: start of each progress line; by default the recipe's name
    """
    title = title or experiment.name
    if how.tensorboard:
        require_tensorboard()
    with process_group(choose_device(device), how.timeout) as (rank, _):
        first = rank == 0
        run = Run(out, data=experiment.data)
        experiment = run.as_begun(experiment)
        images = _read(experiment, title, first, run.config.exists())
        experiment = experiment.resolved(images)
        told: list[Callback] = [_Introduction(title, run, experiment), Unseen(title)]
        callbacks = told if first else []
        with interruptible(first) as stop, progress(title, first) as shown:
            trainer = train(
                experiment, out, device, how.every, [*callbacks, shown], stop, images, changed,
                how.keep, how.tensorboard,
            )  # fmt: skip
    return End(trainer.finished, rank, trainer.iteration, images.held_out is not None)


class _Introduction(Callback):
    """Says what is learned, from which images, and for how long.

    Arguments:
        title: start of each line
        run: the run as it was before, with the images that it continues with
        experiment: the experiment with all its numbers set
    """

    def __init__(self, title: str, run: Run, experiment: Experiment) -> None:
        self.title, self.run, self.why = title, run, experiment.why
        self.before = run.moved_from() if run.config.exists() else None
        self.lost = run.metrics.exists() and latest_checkpoint(run.checkpoints) is None

    def on_begin(self, trainer: Trainer) -> None:
        assert self.run.data is not None
        tell(introduction(self.title, trainer, self.run.data, self.run.folder))
        if self.why:
            made = "; ".join(f"{name} {c} ({c.why})" for name, c in self.why.items())
            tell(f"{self.title}: chosen for these images: {made}")
        if self.before is not None:
            tell(moved_line(self.run, self.before))
        if self.lost:
            tell(f"{self.title}: run {self.run.folder} has no checkpoint left: it begins anew")


def _read(experiment: Experiment, title: str, told: bool, again: bool) -> ImageSet:
    """Load an experiment's images.

    Arguments:
        told: say if this takes long, and what is left out
        again: whether a run has already learned from them
    """
    reading = busy(f"{title}: reading {experiment.data}", log=True, after=SLOW)
    try:
        with reading if told else nullcontext():
            images = load(experiment)
    except TigonError as error:
        place = experiment.data, experiment.mask
        raise perhaps_moved(error, *place) if again else error from error
    if told:
        tell_of_data(images)
    return images


def interrupted(out: Path, end: End) -> Result:
    """Return, in the first process, that a run was stopped, and how to continue it."""
    if end.rank > 0:
        return Result("", {}, INTERRUPTED)
    text = (
        f"{out}: interrupted after {counted(end.iteration, 'iteration')}, state saved; the same "
        "command continues"
    )
    return Result(text, {"run": str(out), "interrupted": True}, INTERRUPTED)
