"""The cost of reaching a loss: over several runs, and of one contestant relative to another."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from results import Figure

UNITS = ("gradient_evaluations", "seconds")
Record = Mapping[str, Any]


class Cost(NamedTuple):
    """The cost of one run, in one unit, until its first record at a threshold.

    Where it did not come to it, `amount` is all that it took until it ended, and `reached` False.
    """

    amount: float
    reached: bool


ORIGINAL = 2 * 0.3**2  # the original code prints its error over this


def reached(records: Sequence[Record], threshold: float) -> Record | None:
    """Return the first record whose error, as the original code prints it, is at most this."""
    most = ORIGINAL * threshold
    return next((record for record in records if record["reconstruction_error"] <= most), None)


def cost(records: Sequence[Record], threshold: float, unit: str) -> Cost:
    """Return the cost of a run until a threshold."""
    record = reached(records, threshold)
    return Cost((record or records[-1])[unit], record is not None)


def middle(costs: Sequence[Cost]) -> Cost:
    """Return the median of some runs' costs; it is reached if it is known.

    What did not reach it costs more than its amount: where more than half of the runs did, the
    others being longer, the median is known; else it is more than the median of the amounts.
    """
    known = sorted(cost.amount for cost in costs if cost.reached)
    longest = [cost.amount for cost in costs if not cost.reached]
    sure = len(known) * 2 > len(costs) and known[len(costs) // 2] <= min(longest, default=1e99)
    return Cost(statistics.median(cost.amount for cost in costs), not longest or sure)


def told(costs: Sequence[Cost]) -> str:
    """Return the median and the range of some runs' costs."""
    last = max(costs, key=lambda cost: (not cost.reached, cost.amount))
    first, median = min(cost.amount for cost in costs), middle(costs)
    above = "" if last.reached else "more than "
    shown = f"{median.amount:.0f}" if median.reached else f"not within {median.amount:.0f}"
    if not any(cost.reached for cost in costs):
        return shown
    return f"{shown} ({first:.0f} to {above}{last.amount:.0f})"


def over(theirs: Sequence[Cost], ours: Sequence[Cost]) -> str:
    """Return the ratio of their median cost to ours."""
    a, b = middle(theirs), middle(ours)
    if not b.reached:
        return "unknown"
    return f"{'' if a.reached else 'more than '}{a.amount / b.amount:.1f}"


def rows(
    runs: Mapping[str, Sequence[Sequence[Record]]], ours: str, threshold: float
) -> list[dict[str, str]]:
    """Return a row for each contestant: medians, ranges, and times what `ours` takes.

    Arguments:
        runs: the records of each run of each contestant
    """
    found = []
    for name, of_runs in runs.items():
        row = {f"to the original's loss {threshold:g}": name}
        for unit in UNITS:
            mine = [cost(records, threshold, unit) for records in of_runs]
            base = [cost(records, threshold, unit) for records in runs[ours]]
            row[unit.replace("_", " ")] = told(mine)
            row[f"times {ours}'s" + " " * UNITS.index(unit)] = over(mine, base)
        count = sum(reached(records, threshold) is not None for records in of_runs)
        found.append(row | {"reached it": f"{count} of {len(of_runs)}"})
    return found


def figure(
    theirs: Sequence[Sequence[Record]],
    ours: Sequence[Sequence[Record]],
    threshold: float,
    least: float,
) -> Figure:
    """Return the criterion of seconds: the ratio of medians, from the least ratio to the most."""
    a, b = ([cost(records, threshold, "seconds") for records in runs] for runs in (theirs, ours))
    both = middle(a), middle(b)
    ratio, known = both[0].amount / both[1].amount, both[0].reached and both[1].reached
    least_ratio = min(cost.amount for cost in a) / max(cost.amount for cost in b)
    most = max(cost.amount for cost in a) / min(cost.amount for cost in b)
    ended = all(cost.reached for cost in [*a, *b])
    return {
        "criterion": f"seconds to a loss of {threshold:g}, the original's over the default's",
        "limit": f"at least {least:g}",
        "median": ratio if known else None,
        "low": least_ratio if known else ratio if both[1].reached else None,
        "high": most if ended else None,
        "unit": "times",
        "met": ratio >= least if both[1].reached else None,
    }
