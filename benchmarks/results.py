"""Markdown that several benchmarks write to: each has a section of its own and keeps to it."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def write_section(path: Path, name: str, text: str) -> None:
    """Put `text` between `<!-- name -->` and `<!-- /name -->` in a Markdown file.

    A section that is not there yet is appended; a file that is not there is begun with a title.
    What is outside the section stays as it is.

    Raises:
        ValueError: if the section is there more than once, or has no end
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    counts = [len(re.findall(f"^{re.escape(mark)}$", page, re.M)) for mark in (first, last)]
    section = f"{first}\n\n{text.strip()}\n\n{last}"
    if counts == [0, 0]:
        page = f"{page.rstrip()}\n\n{section}\n"
    elif counts == [1, 1]:
        pattern = f"^{re.escape(first)}$.*?^{re.escape(last)}$"
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


def machine(*packages: str) -> str:
    """Return the processor, its cores, the versions of torch and of `packages`, and the time."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return f"{names[0]}, {os.cpu_count()} cores (1 thread used), {versions}, {now}"
