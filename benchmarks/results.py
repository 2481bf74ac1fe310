"""What benchmarks write: each its own section of a Markdown file, and its file of figures."""

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict


class Figure(TypedDict):
    """One criterion and its measurements.

    Attributes:
        criterion: what is measured
        limit: what it is held to, in words: "at least 75"
        median: measured, in `unit`; None where it is only known to lie above `low`
        low: the smallest measured, or the first quartile; None where nothing was measured
        high: the largest measured, or the third quartile; None where it is not known
        unit: of the three numbers, such as "%", "times", "ms"
        met: whether it is within the limit; None where nothing was measured
    """

    criterion: str
    limit: str
    median: float | None
    low: float | None
    high: float | None
    unit: str
    met: bool | None


def write_section(path: Path, name: str, text: str, first: bool = False) -> None:
    """Put `text` between `<!-- name -->` and `<!-- /name -->` in a Markdown file.

    A section that is not there yet is appended, or put after the title if it is to be the first;
    a file that is not there is begun with a title.
    What is outside the section stays as it is.

    Raises:
        ValueError: if the section is there more than once, or has no end
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    counts = [len(re.findall(f"^{re.escape(mark)}$", page, re.M)) for mark in (start, end)]
    section = f"{start}\n\n{text.strip()}\n\n{end}"
    if counts == [0, 0] and first:
        title, _, rest = page.partition("\n")
        page = f"{title}\n\n{section}\n\n{rest.strip()}".rstrip() + "\n"
    elif counts == [0, 0]:
        page = f"{page.rstrip()}\n\n{section}\n"
    elif counts == [1, 1]:
        pattern = f"^{re.escape(start)}$.*?^{re.escape(end)}$"
        page = re.sub(pattern, lambda _: section, page, count=1, flags=re.M | re.S)
    else:
        raise ValueError(f"{path}: section {name} begins {counts[0]} and ends {counts[1]} times")
    path.write_text(page, encoding="utf-8")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join(
        lines + [f"| {' | '.join(str(row[name]) for name in names)} |" for row in rows]
    )


def machine(*packages: str, threads: int = 1) -> str:
    """Return the processor, its cores, the versions of torch and of `packages`, and the time."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    used = f"{threads} thread{'s' if threads > 1 else ''} used"
    return f"{names[0]}, {os.cpu_count()} cores ({used}), {versions}, {now}"


def write_figures(path: Path, name: str, rows: Sequence[Figure], threads: int = 1) -> None:
    """Write what a benchmark measured of its criteria to `figures/NAME.json` beside `path`.

    Arguments:
        path: the Markdown file that the benchmark writes its section to
        name: of the benchmark's section
        threads: that each measured process used
    Raises:
        ValueError: if a row has other fields than a `Figure`, or says that it is met without a
            measurement
    """
    for row in rows:
        if set(row) != set(Figure.__annotations__):
            raise ValueError(f"figures {name}: a row has {sorted(row)}")
        if (row["met"] is None) != (row["low"] is None):
            raise ValueError(f"figures {name}: {row['criterion']} is met exactly if measured")
    folder = path.parent / "figures"
    folder.mkdir(exist_ok=True)
    whole = {"machine": machine(threads=threads), "rows": list(rows)}
    text = json.dumps(whole, indent=1, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def summary(path: Path, names: Sequence[str]) -> str:
    """Return one table of what the benchmarks of these names wrote beside `path`, in order.

    A benchmark that has written no figures is left out, and named below the table.
    """
    rows, notes = [], []
    for name in names:
        file = path.parent / "figures" / f"{name}.json"
        if not file.exists():
            notes.append(f"- {name}: not measured yet")
            continue
        whole = json.loads(file.read_text(encoding="utf-8"))
        rows += [_line(name, row) for row in whole["rows"]]
        notes.append(f"- {name}: {whole['machine']}")
    return "\n\n".join([*([table(rows)] if rows else []), "\n".join(notes)])


def _line(name: str, row: Figure) -> dict[str, str]:
    """Return one criterion's row of the table."""
    met = {True: "met", False: "**not met**", None: "not measured"}[row["met"]]
    return {
        "criterion": row["criterion"],
        "limit": f"{row['limit']} {row['unit']}",
        "median": _shown(row["median"], row["low"]),
        "spread": "" if row["median"] is None else _range(row),
        "": met,
        "by": name,
    }


def _shown(median: float | None, low: float | None) -> str:
    if median is None:
        return "" if low is None else f"more than {_number(low)}"
    return _number(median)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _range(row: Figure) -> str:
    return f"{_number(row['low'])} to {_number(row['high'])}"
