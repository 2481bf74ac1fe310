"""RUN/evaluation.json: the latest results of `evaluate`, and what they say about the run."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from tigon.diagnostics.distances import Estimate
from tigon.diagnostics.evaluation import HELD_OUT, Evaluation
from tigon.diagnostics.likelihood import DRAWN
from tigon.diagnostics.rules.base import Finding
from tigon.diagnostics.rules.held_out import of_evaluation
from tigon.errors import TigonError
from tigon.files import open_regular, replace_file
from tigon.runs.provenance import BROKEN
from tigon.runs.run import Run
from tigon.training.checkpoint_folder import checksum


def to_plain(
    run: Run, data: str, found: Evaluation, figures: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return the content of RUN/evaluation.json.

    Arguments:
        data: what the model was measured on
        figures: what `report.save_figures` returned of the figures that show it, if any
    """
    return {
        "data": data,
        "checkpoint": run.find().name,
        "manifest": checksum(run.find() / "manifest.json"),
        **found.to_plain(),
        "findings": [finding.to_plain() for finding in of_evaluation(found)],
        "figures": list(figures),
    }


def save_evaluation(run: Run, values: dict[str, Any]) -> None:
    """Write RUN/evaluation.json, with this content."""
    replace_file(run.evaluation, json.dumps(values, indent=1))


def saved_findings(run: Run) -> list[Finding]:
    """Return the findings of the run's evaluation, if it is of the run's chosen checkpoint."""
    try:
        return [Finding.from_plain(finding) for finding in saved_evaluation(run)["findings"]]
    except BROKEN:
        return []


def saved_results(run: Run) -> dict[str, str]:
    """Return the numbers of the run's evaluation by name, each with its baselines."""
    try:
        values = saved_evaluation(run)
        of = HELD_OUT if values["data"] == HELD_OUT else f"images of {values['data']}"
        found = {
            f"error on {of}": _beside(
                values["reconstructions"],
                lambda row: f"{row['error']:.4g}",
                f"mean square on [-1, 1] over {values['reconstructed']} images",
            ),
            f"KID-lite0 to {of}": _beside(
                values["samples"],
                lambda row: _estimate(row["kid"], row["kid_error"]).text(2),
                f"{values['drawn']} of each",
            ),
            f"log p of {of}": _beside(
                _likelihoods(values),
                _between,
                "nats per image on [-1, 1]: the bracket",
            ),
        }
    except BROKEN:
        return {}
    return {name: text for name, text in found.items() if text}


def _estimate(value: float, error: float | None) -> Estimate:
    """Return a number and its error, which JSON has as null where it is not known."""
    return Estimate(value, math.inf if error is None else error)


def _between(row: dict[str, Any]) -> str:
    """Return the bracket of mean log p, or the number where it is known."""
    lower, upper = f"{row['lower']:.1f}", f"{row['upper']:.1f}"
    return f"{lower} to {upper}" if row["width"] else lower


def _likelihoods(values: dict[str, Any]) -> dict[str, Any]:
    """Return the likelihoods of held-out images, if they were estimated, the model's first."""
    rows = values.get("likelihood", {}).get("rows", {})
    return {name: row for name, row in rows.items() if name != DRAWN}


def _beside(rows: dict[str, Any], shown: Callable[[dict[str, Any]], str], what: str) -> str:
    """Return the model's number, followed in brackets by what it is and the baselines' numbers."""
    if not rows:
        return ""
    first, *others = [(name, shown(row)) for name, row in rows.items()]
    return f"{first[1]} ({what}; {', '.join(f'{name} {text}' for name, text in others)})"


def saved_evaluation(run: Run) -> dict[str, Any]:
    """Return the content of RUN/evaluation.json.

    Raises:
        BROKEN: if there is none, it cannot be read, or it is of another checkpoint
    """
    with open_regular(run.evaluation) as file:
        values: dict[str, Any] = json.loads(file.read().decode("utf-8"))
    try:
        found = run.find()
    except TigonError as error:
        raise KeyError("checkpoint") from error
    if values["manifest"] != checksum(found / "manifest.json"):
        raise KeyError("manifest")
    return values
