"""metrics.jsonl: one JSON object an iteration, appended, and read back for figures."""

import json
from pathlib import Path

from tigon.errors import TigonError
from tigon.files import replace_file
from tigon.training.loop import Record, Training


class MetricsLog:
    """Appends records to a file; a watcher of `fit`.

    A run that continues from iteration N keeps the records up to N and drops what came after:
    those iterations are taken again.
    """

    def __init__(self, path: Path, iteration: int = 0) -> None:
        self.path = path
        kept = [r for r in read_metrics(path) if r["iteration"] <= iteration]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        replace_file(path, text)

    def __call__(self, training: Training, record: Record) -> None:
        """Append a record."""
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


def read_metrics(path: Path) -> list[Record]:
    """Return the records of a metrics file; a last line cut short by a kill is left out.

    Raises:
        TigonError: if another line is damaged
    """
    if not path.exists():
        return []
    lines = path.read_text(errors="replace").split("\n")
    records = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            record = json.loads(line)
            record["iteration"]
        except (ValueError, TypeError, KeyError) as error:
            raise TigonError(f"{path}, line {number}: is no record of an iteration") from error
        records.append(record)
    return records
