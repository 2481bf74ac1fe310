"""RUN/evaluation.json: what `evaluate` measured last, and what it says of the run."""

import json
from typing import Any

from tigon.diagnostics.evaluation import Evaluation
from tigon.diagnostics.rules.base import Finding
from tigon.diagnostics.rules.held_out import of_evaluation
from tigon.files import is_writable, open_regular, replace_file
from tigon.runs.provenance import BROKEN
from tigon.runs.run import Run
from tigon.training.checkpoint_folder import checksum


def save_evaluation(run: Run, data: str, found: Evaluation) -> dict[str, Any]:
    """Write RUN/evaluation.json, unless the run is read-only; returns what it holds."""
    values = {
        "data": data,
        "checkpoint": run.find().name,
        "manifest": checksum(run.find() / "manifest.json"),
        **found.to_plain(),
        "findings": [finding.to_plain() for finding in of_evaluation(found)],
    }
    if is_writable(run.folder):
        replace_file(run.evaluation, json.dumps(values, indent=1))
    return values


def saved_findings(run: Run) -> list[Finding]:
    """Return the findings of the run's evaluation, if it is of the checkpoint that is used."""
    try:
        with open_regular(run.evaluation) as file:
            values = json.loads(file.read().decode("utf-8"))
        if values["manifest"] != checksum(run.find() / "manifest.json"):
            return []
        return [Finding.from_plain(finding) for finding in values["findings"]]
    except BROKEN:
        return []
