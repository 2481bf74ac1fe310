"""How far a run is, on stderr: a bar on a terminal, a line now and then in a log."""

import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    track,
)

from tigon.training.iteration import Record, Training
from tigon.training.loop import Watcher

LINE_EVERY = 15.0
T = TypeVar("T")


def summary(record: Record) -> str:
    """Return the figures of a record to be watched, in a few words."""
    if "seed_loss" in record:
        return f"seed loss {record['seed_loss']:.4f}  acceptance {record['accept']:.2f}"
    return f"gap {record['gap']:+.3f}  saturation {100 * record['saturation']:.1f} %"


@contextmanager
def progress(title: str, shown: bool = True) -> Iterator[Watcher]:
    """Give a watcher that shows how far the run is, or one that does nothing if not `shown`."""
    if not shown:
        yield lambda training, record: None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("iteration {task.fields[iteration]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[summary]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=1.0, iteration=0, summary="")
        yield _Bar(bar, task)


def steps_shown(steps: Sequence[T], title: str) -> Iterable[T]:
    """Return `steps`, with a bar on stderr while they are gone through, on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return steps
    return track(steps, title, console=console)


@contextmanager
def busy(title: str, log: bool = False) -> Iterator[None]:
    """Say what is being done, on a terminal, while it is being done.

    Arguments:
        log: say it in a line where stderr is no terminal, too
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        if log:
            print(f"{title} ...", file=sys.stderr, flush=True)
        yield
        return
    with console.status(title):
        yield


class _Bar:
    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def __call__(self, training: Training, record: Record) -> None:
        if "event" in record:
            self.bar.console.print(f"{record['event']}: {record['message']}", style="yellow")
            return
        done = 1.0 if training.finished else training.progress
        self.bar.update(
            self.task, completed=done, iteration=record["iteration"], summary=summary(record)
        )


class _Lines:
    def __init__(self, title: str) -> None:
        self.title, self.last = title, time.monotonic()

    def __call__(self, training: Training, record: Record) -> None:
        now = time.monotonic()
        if "event" in record:
            text = f"{self.title}: {record['event']}: {record['message']}"
            print(text, file=sys.stderr, flush=True)
            return
        if now - self.last < LINE_EVERY and not training.finished:
            return
        self.last = now
        done = 100 if training.finished else round(100 * training.progress)
        text = f"{self.title}: iteration {record['iteration']} ({done} %)  {summary(record)}"
        print(text, file=sys.stderr, flush=True)


class Interruption:
    """Whether the user has asked to stop: call it."""

    asked = False

    def __call__(self) -> bool:
        """Return whether a signal to stop has come."""
        return self.asked


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let SIGINT and SIGTERM ask for a stop between two iterations; a second one stops at once."""
    state = Interruption()

    def ask(number: int, frame: FrameType | None) -> None:
        if state.asked:
            raise KeyboardInterrupt
        state.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
