"""Findings, and what becomes of those about a run that is too short."""

from collections.abc import Iterable
from enum import Enum
from typing import Any, NamedTuple

from tigon.data.notes import percent as percent
from tigon.diagnostics.distances import finite

Record = dict[str, Any]


class Level(Enum):
    """How much a finding matters, in the order of a report."""

    BAD = 0
    NOTE = 1
    GOOD = 2


class Finding(NamedTuple):
    """One finding about a run.

    Attributes:
        name: what it is about
        level: bad, note or good
        what: the finding in words, with its numbers
        remedy: what to do, if anything
        value: the number that it is based on
    """

    name: str
    level: Level
    what: str
    remedy: str = ""
    value: float | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return it as a JSON object, in which a value that is not finite is null."""
        return self._asdict() | {"level": self.level.name.lower(), "value": finite(self.value)}

    @staticmethod
    def from_plain(values: dict[str, Any]) -> "Finding":
        """Return the finding in a JSON object.

        Raises:
            KeyError, TypeError: if it is not a finding
        """
        return Finding(**(values | {"level": Level[values["level"].upper()]}))


def too_short(findings: Iterable[Finding]) -> list[Finding]:
    """Turn findings about a run of too few iterations into notes without a judgement or remedy."""
    return [
        finding._replace(level=Level.NOTE, what=f"too short to judge: {finding.what}", remedy="")
        for finding in findings
    ]


def logged(records: list[Record]) -> str:
    """Return the number of logged iterations, as a clause."""
    return f"{len(records)} iteration{'s are' if len(records) != 1 else ' is'} logged"


def longer(ends_by: str) -> str:
    """Return the command that makes a run longer, which this option ends."""
    if ends_by == "iterations":
        return "tigon resume RUN --iterations N"
    return f"tigon train --continue-with --{ends_by} N, and the other options as before"
