"""tigon train, resume and demo: learn, and show what was learned."""

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
    Moved,
    Result,
    RunFolder,
    moved_line,
    tell_of_data,
)
from tigon.cli.evaluating import evaluated
from tigon.cli.interrupts import interruptible
from tigon.cli.progress import SLOW, busy, counted, introduction, progress, tell
from tigon.data.images import ImageSet
from tigon.data.sources import is_pattern
from tigon.distributed import TIMEOUT, launched, process_group
from tigon.errors import TigonError
from tigon.recipes import Recipe, recipes
from tigon.report import render, section, write_report
from tigon.runs.evaluation import saved_findings
from tigon.runs.experiment import choose_device, load, train
from tigon.runs.images import perhaps_moved
from tigon.runs.run import Experiment, Run
from tigon.training.callbacks.tensorboard import require_tensorboard
from tigon.training.trainer import Callback, Trainer

MEASURED = 200  # held-out images that a finished run is measured on, at most
EMBEDDED = "embedded:animal-faces"
R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Train(Generic[R]):
    """Learn a model: a new run, or the continuation of the same one.

    Arguments:
        data: a folder of images, a .npz with `images`, hf:NAME, embedded:animal-faces, or pictures
            or shards by a pattern with *
        out: the run folder
        recipe: what is learned, and how
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        checkpoint_every: iterations between checkpoints, >= 1
        tensorboard: write RUN/tensorboard too, for TensorBoard (extra `tensorboard`)
        keep: how many of the last checkpoints are kept, >= 1; the best is kept too
        timeout: seconds after which a process that does not answer counts as lost, > 0, where
            torchrun started several
        continue_with: go on with settings that differ from those of the run in --out
        json: print one JSON object instead of text
    """

    data: Data
    out: Path
    recipe: Annotated[R, tyro.conf.arg(name="")]
    device: str = "auto"
    checkpoint_every: int = 100
    tensorboard: Flag = False
    keep: int = 2
    timeout: float = TIMEOUT
    continue_with: Flag = False
    json: Json = False

    def run(self) -> Result:
        """Train, then write the report."""
        experiment = Experiment(self.recipe.name, self.recipe, self.data)
        how = Keeping(self.checkpoint_every, self.keep, self.timeout, self.tensorboard)
        end = learn(experiment, self.out, self.device, how, self.continue_with)
        return finished(self.out, end, self.device)


@dataclass(frozen=True)
class Resume:
    """Continue a run that was stopped, or make a finished one longer.

    Arguments:
        run_folder: the run folder
        iterations: the new total; the run's own if not given
        data: where the images are that the run learned from, if they have moved
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        checkpoint_every: iterations between checkpoints, >= 1
        tensorboard: write RUN/tensorboard too, for TensorBoard (extra `tensorboard`)
        keep: how many of the last checkpoints are kept, >= 1; the best is kept too
        timeout: seconds after which a process that does not answer counts as lost, > 0, where
            torchrun started several
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
    json: Json = False

    def run(self) -> Result:
        """Train on, then write the report."""
        run = Run(self.run_folder, data=self.data)
        experiment = run.experiment
        if self.iterations is not None:
            experiment = longer(run, self.iterations)
        how = Keeping(self.checkpoint_every, self.keep, self.timeout, self.tensorboard)
        end = learn(experiment, self.run_folder, self.device, how, True)
        return finished(self.run_folder, end, self.device)


@dataclass(frozen=True)
class Demo:
    """Learn a generator and a descriptor on the embedded photographs, and write a report.

    Arguments:
        out: folder of the two runs and of the report
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
            TigonError: if it holds something, and no run of the demo
        """
        if self.out.exists() and not self.out.is_dir():
            raise TigonError(f"--out {self.out}: is a file, not a folder")
        begun = any(Run(self.out / name).config.exists() for name in shown)
        if not begun and self.out.exists() and any(self.out.iterdir()):
            raise TigonError(f"--out {self.out}: is not empty and no demo; give another folder")


def demonstrated() -> dict[str, Recipe]:
    """Return the recipes that the demo learns, by name."""
    return {name: kind() for name, kind in recipes().items() if kind.demo}


class Keeping(NamedTuple):
    """What is no part of an experiment: when and what is written, how long processes wait."""

    every: int = 100
    keep: int = 2
    timeout: float = TIMEOUT
    tensorboard: bool = False


USUAL = Keeping()


class End(NamedTuple):
    """How training ended here.

    Attributes:
        finished: whether the run is over
        rank: this process's number
        iteration: the last one
        held_out: whether there are images that were not learned from
    """

    finished: bool
    rank: int
    iteration: int
    held_out: bool = False


def longer(run: Run, iterations: int) -> Experiment:
    """Return the experiment of a run with another number of iterations.

    Raises:
        TigonError: if it has a budget instead, or more are done already
    """
    recipe = run.experiment.recipe
    if not recipe.budget.by_iterations:
        option = "minutes" if recipe.minutes else "gradient-evaluations"
        raise TigonError(
            f"--iterations: run {run.folder} ends by a budget of {option.replace('-', ' ')}; give "
            f"another with tigon train --continue-with --{option}"
        )
    records = run.records()
    done = records[-1]["iteration"] if records else 0
    if iterations < max(1, done):
        raise TigonError(f"--iterations {iterations}: run {run.folder} has done {done} already")
    return replace(run.experiment, recipe=replace(recipe, iterations=iterations))


def finished(out: Path, end: End, device: str) -> Result:
    """Measure the model on held-out images, write the report, and say what was done.

    All in the first process.
    """
    if not end.finished:
        return interrupted(out, end)
    if end.rank > 0:
        return Result("", {})
    run = Run(out)
    report = None
    try:
        if end.held_out:
            _evaluate(run, device)
        with busy("diagnosing the chains and writing the report", log=True):
            report = str(write_report(run).resolve())
        said = f"report: {report}"
    except TigonError as error:
        if not (launched() and is_pattern(run.experiment.data)):
            raise
        said = f"no report, for which this machine needs all shards: {error}"
    last = run.records()[-1]
    text = f"{out}: {counted(last['iteration'], 'iteration')} done\n{said}"
    return Result(text, last | {"run": str(out), "report": report})


def _evaluate(run: Run, device: str) -> None:
    """Measure a run's model on the images that it held out, unless that was done.

    What cannot be measured is said in a line: the report is written all the same.
    """
    if saved_findings(run):
        return
    try:
        evaluated(run, device, MEASURED)
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
    """Train with progress on stderr, together with the other processes that torchrun started.

    Arguments:
        title: what begins each line of the progress; the recipe's name if not given
    """
    title = title or experiment.name
    if how.tensorboard:
        require_tensorboard()
    with process_group(choose_device(device), how.timeout) as (rank, _):
        first = rank == 0
        run = Run(out, data=experiment.data)
        experiment = run.as_begun(experiment)
        images = _read(experiment, title, first, run.config.exists())
        experiment = _resolved(experiment, images)
        callbacks: list[Callback] = [_Introduction(title, run, experiment)] if first else []
        with interruptible(first) as stop, progress(title, first) as shown:
            trainer = train(
                experiment, out, device, how.every, [*callbacks, shown], stop, images, changed,
                how.keep, how.tensorboard,
            )  # fmt: skip
    return End(trainer.finished, rank, trainer.iteration, images.held_out is not None)


class _Introduction(Callback):
    """Says what is learned, from what, and how long.

    Arguments:
        title: what begins each line
        run: as it was before, with the images that it goes on with
        experiment: with every number given
    """

    def __init__(self, title: str, run: Run, experiment: Experiment) -> None:
        self.title, self.run, self.why = title, run, experiment.why
        self.before = run.moved_from() if run.config.exists() else None

    def on_begin(self, trainer: Trainer) -> None:
        assert self.run.data is not None
        tell(introduction(self.title, trainer, self.run.data, self.run.folder))
        if self.why:
            made = "; ".join(f"{name} {c.value:g} ({c.why})" for name, c in self.why.items())
            tell(f"{self.title}: chosen for these images: {made}")
        if self.before is not None:
            tell(moved_line(self.run, self.before))


def _resolved(experiment: Experiment, images: ImageSet) -> Experiment:
    """Return an experiment whose numbers the images decide where they are not given."""
    try:
        return experiment.resolved(images)
    except ValueError as error:
        raise TigonError(f"{error}") from error


def _read(experiment: Experiment, title: str, told: bool, again: bool) -> ImageSet:
    """Load an experiment's images.

    Arguments:
        told: say so where that takes long, and what is left out
        again: a run has learned from them
    """
    reading = busy(f"{title}: reading {experiment.data}", log=True, after=SLOW)
    try:
        with reading if told else nullcontext():
            images = load(experiment)
    except TigonError as error:
        raise perhaps_moved(error, experiment.data) if again else error from error
    if told:
        tell_of_data(images)
    return images


def interrupted(out: Path, end: End) -> Result:
    """Say, in the first process, that a run was stopped, and how it goes on."""
    if end.rank > 0:
        return Result("", {}, INTERRUPTED)
    text = (
        f"{out}: interrupted after {counted(end.iteration, 'iteration')}, state saved; the same "
        "command continues"
    )
    return Result(text, {"run": str(out), "interrupted": True}, INTERRUPTED)
