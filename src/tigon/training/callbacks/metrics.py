"""metrics.jsonl: one JSON object per iteration or event, appended, and read back."""

import json
import os
from collections.abc import Collection
from pathlib import Path

from tigon.distributed import world
from tigon.errors import TigonError
from tigon.files import named, open_regular, refusal, replace_file, writing
from tigon.learners.base import Record
from tigon.learners.metrics import optional_names
from tigon.training.trainer import Callback, Trainer


class MetricsLog(Callback):
    """Appends records, and the guard's events, to a file.

    A run that is resumed from iteration N keeps the records up to N and drops later ones, since
    those iterations are repeated. A rollback has the iteration to which the run returned; one
    that the run's checkpoint does not include yet is repeated too.

    Arguments:
        path: path of the file, in an existing folder
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_begin(self, trainer: Trainer) -> None:
        """Drop records of iterations that will be repeated."""
        if world().rank == 0:
            with writing(self.path.parent):
                optional = optional_names(trainer.learner.metrics)
                cut_metrics(self.path, trainer.iteration, trainer.rollbacks, optional)

    def on_iteration(self, trainer: Trainer, record: Record) -> None:
        """Append a record."""
        if world().rank:
            return
        with writing(self.path.parent):
            try:
                with self.path.open("a") as file:
                    file.write(json.dumps(record) + "\n")
            except OSError as error:
                raise named(error, self.path) from error

    def on_event(self, trainer: Trainer, event: Record) -> None:
        """Append an event."""
        self.on_iteration(trainer, event)


def cut_metrics(
    path: Path, iteration: int = 0, rollbacks: int = 0, optional: Collection[str] = ()
) -> None:
    """Drop records of iterations that a resumed run will repeat from a metrics file.

    Arguments:
        path: path of metrics.jsonl
        iteration: iteration from which the run continues
        rollbacks: number of rollbacks that its checkpoint includes
        optional: see `read_lines`
    """
    lines = read_lines(path, optional)
    backs = [k for k, line in enumerate(lines) if "number" in line]
    known = [k for k in backs if lines[k]["number"] <= rollbacks]
    unknown = [k for k in backs if lines[k]["number"] > rollbacks]
    settled, end = (known or [-1])[-1] + 1, (unknown or [len(lines)])[0]
    after = [line for line in lines[settled:end] if line["iteration"] <= iteration]
    kept = lines[:settled] + after
    replace_file(path, "".join(json.dumps(record) + "\n" for record in kept))


def read_metrics(path: Path, optional: Collection[str] = ()) -> list[Record]:
    """Return the records of the iterations of a run, in order.

    Iterations that the guard rolled back are left out, and so are its events; see `read_events`.

    Arguments:
        optional: see `read_lines`
    Raises:
        TigonError: if a line is damaged
    """
    valid: list[Record] = []
    for line in read_lines(path, optional):
        if "event" not in line:
            valid.append(line)
        elif line["event"] == "rollback":
            valid = [record for record in valid if record["iteration"] <= line["iteration"]]
    return valid


def read_events(path: Path, optional: Collection[str] = ()) -> list[Record]:
    """Return the guard's events: records with `event`, `cause` and `message`, in order.

    A stop that the run was continued after is left out.

    Arguments:
        optional: see `read_lines`
    Raises:
        TigonError: if a line is damaged
    """
    events, went_on = list[Record](), False
    for line in reversed(read_lines(path, optional)):
        if "event" not in line:
            went_on = True
        elif line["event"] != "stopped" or not went_on:
            events.append(line)
    return events[::-1]


def _refuse_odd(record: Record, first: Record, optional: Collection[str]) -> None:
    """Check that a value is a record with all numbers that the first record has.

    Raises:
        KeyError, TypeError: if it is not
    """
    if type(record["iteration"]) is not int:
        raise TypeError("iteration is no count")
    if "event" in record:
        return
    for name in {*first, *record} - ({*optional} - {*record}):
        values = record[name] if isinstance(record[name], list) else [record[name]]
        if not all(type(value) in (int, float) for value in values):
            raise TypeError(f"{name} is no number")


def read_lines(path: Path, optional: Collection[str] = ()) -> list[Record]:
    """Return all lines of a metrics file, without a last one that was truncated by a kill.

    Arguments:
        optional: names of numbers that a record may lack though the first one has them
    Raises:
        TigonError: if another line is damaged
    """
    if not path.exists():
        return []
    try:
        with open_regular(path) as file:
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError as error:
        raise TigonError(f"{path}: cannot be read ({refusal(error)})") from error
    records: list[Record] = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            record = json.loads(line)
            first = next((r for r in records if "event" not in r), {})
            _refuse_odd(record, first, optional)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise TigonError(f"{path}, line {number}: is not a record of an iteration") from error
        records.append(record)
    return records
