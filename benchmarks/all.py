"""Run every benchmark, one after another, and print one table of all criteria.

    python benchmarks/all.py [--only scaling seed] [--write benchmarks/RESULTS.md]
    python benchmarks/all.py --table

Each script runs in its own process and replaces its section of the results. Where one fails,
the others still run; the status is 1 then. `--table` measures nothing: it prints the criteria as
they were last measured, out of `figures/` beside the results.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from results import summary, write_section

HERE = Path(__file__).parent
NAMES = (
    "floor",
    "peers",
    "chains",
    "scaling",
    "effects",
    "seed",
    "store",
    "noise",
    "grids",
    "size",
    "large",
    "distributed",
)
WITH_CRITERIA = ("floor", "peers", "scaling", "seed", "noise", "grids")


def run(names: list[str], path: Path) -> list[str]:
    """Run benchmarks in order; return messages about those that failed."""
    failed = []
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}.py", file=sys.stderr, flush=True)
        began = time.perf_counter()
        script = HERE / f"{name}.py"
        status = subprocess.run([sys.executable, script, "--write", path]).returncode
        took = f"{time.perf_counter() - began:.0f} s"
        print(f"[{number}/{len(names)}] {name}.py: {took}", file=sys.stderr, flush=True)
        if status:
            failed.append(f"{name}.py failed with status {status} after {took}")
    return failed


def main() -> None:
    """Run benchmarks, then print and write the table of criteria."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME")
    parser.add_argument("--write", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    options = parser.parse_args()
    failed = [] if options.table else run(options.only, options.write)
    text = f"## Criteria\n\n{summary(options.write, WITH_CRITERIA)}"
    print(text)
    if not options.table:
        write_section(options.write, "summary", text, first=True)
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
