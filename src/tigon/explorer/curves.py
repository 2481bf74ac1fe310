"""The curves of a run that may still be training: metrics.jsonl, read as it grows."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from tigon.learners.base import Record
from tigon.learners.metrics import Metric

STOPPED = "stopped: "  # what the event of a stop begins with
MOST = 2000  # rows that a page gets at once
PROGRESS = ("iteration", "gradient_evaluations")
CHUNK = 16 * 2**20  # bytes read at once


class Growth(NamedTuple):
    """What is new in a metrics file.

    Attributes:
        anew: whether everything that was read before must be discarded
        rows: numbers of new iterations
        event: the last new event of the guard, in words
    """

    anew: bool
    rows: list[dict[str, float | None]]
    event: str


class Tail:
    """Reads what has been added to a metrics file since the last time.

    Arguments:
        path: path of metrics.jsonl, which need not exist yet
        metrics: metrics that are drawn

    Attributes:
        rows: numbers of all iterations of the run, in order: their displayed metrics, None if one
            is not finite, and the progress of the run
        event: the guard's last event, in words
        damaged: number of lines that are not records
    """

    def __init__(self, path: Path, metrics: tuple[Metric, ...]) -> None:
        self.path, self.metrics = path, metrics
        self.rows: list[dict[str, float | None]] = []
        self.event, self.damaged = "", 0
        self._file, self._offset = (0, 0), 0

    def read(self) -> Growth | None:
        """Return what is new, or None. An incomplete line waits for the next call."""
        try:
            found = self.path.stat()
            anew = self._replaced(found)
            with self.path.open("rb") as file:
                file.seek(self._offset)
                block = file.read(CHUNK)
        except OSError:
            return None
        end = block.rfind(b"\n") + 1
        self._offset += end
        before = len(self.rows)
        for line in block[:end].splitlines():
            anew = self._take(line) or anew
        if not end and not anew:
            return None
        return Growth(anew, self.rows if anew else self.rows[before:], self.event)

    def age(self) -> float | None:
        """Return how many seconds ago the file was last written, or None if there is none."""
        try:
            return max(0.0, time.time() - self.path.stat().st_mtime)
        except OSError:
            return None

    def _replaced(self, found: os.stat_result) -> bool:
        """Start over if the file was replaced: a run that continues rewrites it."""
        file = (found.st_dev, found.st_ino)
        if file == self._file and found.st_size >= self._offset:
            return False
        anew = self._file != (0, 0)
        self._file, self._offset, self.rows, self.damaged = file, 0, [], 0
        self.event = ""
        return anew

    def _take(self, line: bytes) -> bool:
        """Process one line; return whether it takes back what came before."""
        try:
            record = json.loads(line)
            iteration = record["iteration"]
            if type(iteration) is not int:
                raise TypeError("iteration is no count")
            if "event" not in record:
                self.rows.append(self._numbers(record))
                if self.event.startswith(STOPPED):  # it was continued since
                    self.event = ""
                return False
            self.event = f"{record['event']}: {record.get('message', '')}"
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
            self.damaged += 1
            return False
        if record["event"] != "rollback":
            return False
        self.rows = [row for row in self.rows if (row["iteration"] or 0) <= iteration]
        return True

    def _numbers(self, record: Record) -> dict[str, float | None]:
        """Return the numbers of a record that are drawn, and the progress of the run."""
        row = {name: _finite(record[name]) for name in PROGRESS if name in record}
        for metric in self.metrics:
            if metric.name in record:
                found = record[metric.name]
                _ = found if isinstance(found, list) else _finite(found)
                row[metric.name] = _finite(metric.of(record))
        return row


def thinned(rows: list[Any], most: int = MOST) -> list[Any]:
    """Return at most so many rows, evenly spaced and including the last."""
    every = math.ceil(len(rows) / most) or 1
    return rows[:-1:every] + rows[-1:]


def _finite(value: Any) -> float | None:  # noqa: ANN401
    if type(value) not in (int, float):
        raise TypeError("a metric is no number")
    return value if math.isfinite(value) else None
