"""How benchmarks measure, in separate processes that take turns, and how they report."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from results import Figure, write_figures, write_section


class Spread(NamedTuple):
    """The quartiles of some measurements."""

    low: float
    median: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the quartiles of one value or more."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, median, high)


def judged(criterion: str, limit: str, found: Spread, unit: str, met: bool) -> Figure:
    """Return the measurements for a criterion, and whether it is within its limit."""
    low, median, high = found
    return Figure(
        criterion=criterion,
        limit=limit,
        median=median,
        low=low,
        high=high,
        unit=unit,
        met=met,
    )


def peak() -> float:
    """Return this process's peak of resident memory so far, in MB, as Linux tells it (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def alone(script: str, *words: object) -> Any:  # noqa: ANN401
    """Run a script in a separate process; return the JSON of the last line that it printed."""
    command = [sys.executable, script, *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(done.splitlines()[-1])


def until(minutes: float) -> Iterator[float]:
    """Yield which part of so many minutes has passed, in [0, 1), until they are over."""
    began = time.perf_counter()
    while (passed := (time.perf_counter() - began) / 60 / minutes) < 1:
        yield passed


def launch(processes: int, script: str, *words: object) -> str:
    """Run a script in so many processes that torchrun joins; return what they printed.

    Raises:
        RuntimeError: if it fails, with what it said
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc_per_node", str(processes), script, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


class Worker:
    """A process of a script that measures on request, and waits otherwise.

    Arguments:
        script: calls `serve`
        words: its arguments
    """

    def __init__(self, script: str, *words: object) -> None:
        command = [sys.executable, script, *map(str, words)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.communicate()

    def ask(self) -> Any:  # noqa: ANN401
        """Let it measure once; return what it found.

        Raises:
            RuntimeError: if it has ended
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write("measure\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.wait()}")
        return json.loads(answer)


def serve(measure: Callable[[], object]) -> None:
    """Measure whenever `Worker.ask` requests it, until the pipe closes."""
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


def in_turns(script: str, cases: Sequence[Sequence[object]], rounds: int) -> list[list[Any]]:
    """Measure each case, the arguments of a script, in a separate, persistent process.

    They take turns, so that a machine that is busy for a while is so for all of them. The first
    answer of each, which warms it up, is dropped.

    Returns:
        for each case, what it found in each round
    """
    with ExitStack() as stack:
        workers = []
        for case in cases:
            workers.append(stack.enter_context(Worker(script, *case)))
            workers[-1].ask()
        turns = [[worker.ask() for worker in workers] for _ in range(rounds)]
    return [list(found) for found in zip(*turns, strict=True)]


def logged(log: Path) -> list[dict[str, Any]]:
    """Return the rows of a log, one JSON object a line; none if there is no log."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in lines]


def find(log: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Return what was measured, the latest if it was several times; None if it was not."""
    rows = reversed(logged(log))
    return next((row for row in rows if wanted.items() <= row.items()), None)


def record(log: Path, row: dict[str, Any]) -> None:
    """Add a row to a log."""
    with log.open("a") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")


def arguments(doc: str | None, section: str) -> argparse.ArgumentParser:
    """Return a parser with the option of every benchmark: `--write`, a Markdown file."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    told = f"a Markdown file; its section {section} is written"
    parser.add_argument("--write", type=Path, help=told)
    return parser


def publish(
    path: Path | None,
    section: str,
    text: str,
    figures: Sequence[Figure] = (),
    threads: int = 1,
) -> None:
    """Print a benchmark's section; write it, and its figures if it has any, if a file is given."""
    print(text)
    if path is not None:
        write_section(path, section, text)
        if figures:
            write_figures(path, section, figures, threads)
