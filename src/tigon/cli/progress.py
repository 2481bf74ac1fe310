"""A run's progress on stderr: a bar on a terminal, a line now and then in a log.

A terminal that cannot redraw a line (TERM=dumb), or lacks the characters for a bar, gets lines.
"""

import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    track,
)
from rich.table import Column

from tigon.data.images import ImageSet
from tigon.diagnostics.drawn import DrawnDistance, drawn_distance
from tigon.files import in_shell
from tigon.learners.base import Record
from tigon.learners.metrics import Metric
from tigon.sizes import sides
from tigon.training.trainer import Callback, Trainer

SLOW = 2.0  # seconds; mistakes are found sooner
FIRST_LINE, LINE_EVERY = 3.0, 15.0
SELDOM = 50  # times as long as a measurement takes, until the next
WIDE = 100  # columns; in fewer, a bar shows only the first figure
ROUNDED = ((10, 1), (60, 5), (5400, 60), (36000, 600))  # seconds: (below, rounded to)
T = TypeVar("T")


def summary(metrics: Sequence[Metric], record: Record, narrow: bool = False) -> str:
    """Return a record's main numbers in a few words; only the first if `narrow`."""
    watched = [metric for metric in metrics if metric.progress and metric.name in record]
    return "  ".join(m.shown(record, narrow) for m in (watched[:1] if narrow else watched))


def legend(metrics: Sequence[Metric]) -> str:
    """Explain the numbers of `summary`, and what they do in a healthy run."""
    return "; ".join(f"{m.title.lower()} is {m.brief}" for m in metrics if m.progress)


def duration(seconds: float) -> str:
    """Return a time in words, in its two largest units: `45 s`, `2 min 10 s`, `3 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def about(seconds: float) -> str:
    """Return an estimated time in words, rounded as suits an estimate."""
    unit = next((unit for most, unit in ROUNDED if seconds < most), 3600)
    return f"about {duration(max(1, round(seconds / unit)) * unit)}"


class Clock:
    """How long something has taken, and how long it will still take.

    The first part may have taken longer than the others, so the estimate starts after it.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.first: tuple[float, float] | None = None

    def words(self, done: float) -> str:
        """Return the time taken, and about how much is left when `done`, in [0, 1], is done."""
        now = time.monotonic()
        taken = duration(now - self.began)
        if self.first is None:
            self.first = (now, done)
        at, then = self.first
        if not then < done < 1:
            return taken
        return f"{taken}, {about((now - at) * (1 - done) / (done - then))} left"


def counted(number: int, noun: str) -> str:
    """Return `1 image`, or `5 images`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def introduction(title: str, trainer: Trainer, data: str, out: os.PathLike[str]) -> str:
    """Say what is learned, from which data, how long, in which folder, and where it continues.

    Arguments:
        trainer: the trainer before its first iteration here
    """
    images, budget, done = trainer.data, trainer.budget, trainer.iteration
    size = "x".join(map(str, (*sides(images.image_size), images.channels)))
    many = "a stream of images" if images.streamed else counted(len(images), "image")
    total, so_far = counted(budget.iterations, "iteration"), f"{done} of {budget.iterations}"
    if budget.gradient_evaluations is not None:
        total = counted(budget.gradient_evaluations, "gradient evaluation")
        so_far = f"{done}, after {trainer.evaluations:g} of {total}"
    if budget.minutes is not None:
        total = f"{budget.minutes:g} min of training"
        so_far = f"{done}, after {trainer.seconds / 60:.3g} of {total}"
    what = f"{title}: {many} of {size} from {data}, {total}, run {os.fspath(out)}"
    if trainer.finished:
        longer = f"tigon resume {in_shell(out)} --iterations N makes it longer"
        hint = f"; {longer}" if budget.by_iterations else ""
        return f"{what}: it is already finished, at iteration {so_far}{hint}"
    return f"{what}: continues at iteration {so_far}" if done else what


def redrawn(console: Console) -> bool:
    """Return whether lines can be redrawn: the terminal is not dumb and has the characters."""
    return console.is_interactive and console.encoding.startswith("utf")


@contextmanager
def progress(title: str, shown: bool = True) -> Iterator[Callback]:
    """Yield a callback that shows the run's progress, or does nothing if not `shown`."""
    if not shown:
        yield Callback()
        return
    console = Console(stderr=True)
    if not redrawn(console):
        yield _Lines(title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=8 if console.width < WIDE else 24),
        TextColumn("iteration {task.fields[iteration]}"),
        TimeElapsedColumn(Column(min_width=7)),
        TextColumn("left"),
        TimeRemainingColumn(table_column=Column(min_width=7)),
        TextColumn("{task.fields[summary]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=1.0, iteration=0, summary="")
        yield _Bar(bar, task)


def steps_shown(steps: Sequence[T], title: str) -> Iterable[T]:
    """Return `steps`; iterating over them shows a bar on a terminal, or lines in a log."""
    console = Console(stderr=True)
    if not redrawn(console):
        return _lines_of(steps, title)
    return track(steps, title, console=console)


def _lines_of(steps: Sequence[T], title: str) -> Iterator[T]:
    clock, due = Clock(), time.monotonic() + FIRST_LINE
    for number, step in enumerate(steps, 1):
        yield step
        words = clock.words(number / len(steps))
        if time.monotonic() >= due and 1 < number < len(steps):
            due = time.monotonic() + LINE_EVERY
            tell(f"{title}: {100 * number // len(steps)} %  {words}")


def tell(text: str) -> None:
    """Print a line on stderr at once, above the bar if there is one."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def busy(title: str, log: bool = False, after: float = 0.0) -> Iterator[None]:
    """Show on a terminal what is being done, until it is done.

    Arguments:
        log: also print a line if stderr is not a terminal
        after: seconds, >= 0, before that line is printed; quicker work gets none
    """
    console = Console(stderr=True)
    if redrawn(console):
        with console.status(title):
            yield
        return
    timer = threading.Timer(after, tell, (f"{title} ...",))
    timer.daemon = True
    if log and after:
        timer.start()
    elif log:
        tell(f"{title} ...")
    try:
        yield
    finally:
        timer.cancel()


class Unseen(Callback):
    """Says now and then how far drawn images are from those that were held out, if any were.

    It changes nothing in the run, and takes about a fiftieth of its time.

    Arguments:
        title: start of each line
        every: seconds of training between two measurements, at least
    """

    def __init__(self, title: str, every: float = 60.0) -> None:
        self.title, self.every = title, every
        self.due = math.inf
        self.distance: DrawnDistance | None = None

    def on_begin(self, trainer: Trainer) -> None:
        self.due = trainer.seconds + self.every

    def on_iteration(self, trainer: Trainer, record: Record) -> None:
        if trainer.seconds < self.due or trainer.finished:
            return  # a finished run is measured in full
        began = time.perf_counter()
        if self.distance is None and isinstance(trainer.data, ImageSet):
            self.distance = drawn_distance(trainer.data)
        if self.distance is None:
            self.due = math.inf
            return
        with trainer.averaged() as learner:
            found = self.distance.of(learner.model)
        taken = time.perf_counter() - began
        self.due = trainer.seconds + max(self.every, SELDOM * taken)
        tell(
            f"{self.title}: iteration {trainer.iteration}: {self.distance.name} of "
            f"{self.distance.count} drawn images to held-out ones {found:.3g}, of training images "
            f"{self.distance.training:.3g}"
        )


class _Bar(Callback):
    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task, self.explained = bar, task, False

    def on_event(self, trainer: Trainer, event: Record) -> None:
        self.bar.console.print(f"{event['event']}: {event['message']}", style="yellow")

    def on_iteration(self, trainer: Trainer, record: Record) -> None:
        if not self.explained:
            self.explained = True
            self.bar.console.print(legend(trainer.learner.metrics), highlight=False)
        done = 1.0 if trainer.finished else trainer.progress
        metrics, narrow = trainer.learner.metrics, self.bar.console.width < WIDE
        said = summary(metrics, record, narrow)
        self.bar.update(self.task, completed=done, iteration=record["iteration"], summary=said)


class _Lines(Callback):
    def __init__(self, title: str) -> None:
        self.title, self.clock = title, Clock()
        self.due: float | None = None

    def on_event(self, trainer: Trainer, event: Record) -> None:
        tell(f"{self.title}: {event['event']}: {event['message']}")

    def on_iteration(self, trainer: Trainer, record: Record) -> None:
        if self.due is None:
            self.due = time.monotonic() + FIRST_LINE
            tell(f"{self.title}: {legend(trainer.learner.metrics)}")
        done = 1.0 if trainer.finished else trainer.progress
        times = self.clock.words(done)
        if time.monotonic() < self.due and not trainer.finished:
            return
        self.due = time.monotonic() + LINE_EVERY
        where = f"iteration {record['iteration']} ({round(100 * done)} %)"
        tell(f"{self.title}: {where}  {times}  {summary(trainer.learner.metrics, record)}")
