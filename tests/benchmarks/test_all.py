"""The driver of all benchmarks continues if one fails, and reports it."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
ROW = {
    "criterion": "quick",
    "limit": "at least 1",
    "median": 2.0,
    "low": 1.5,
    "high": 2.5,
    "unit": "times",
    "met": True,
}


def driver(folder, *words):
    """Run a copy of the driver among scripts of this test's own."""
    command = [sys.executable, folder / "all.py", *words]
    return subprocess.run(command, capture_output=True, text=True)


def copied(folder):
    """Copy the driver into a folder with a benchmark that works and one that fails."""
    for name in ("all.py", "results.py"):
        (folder / name).write_text((SCRIPTS / name).read_text())
    write = "from results import *; path = Path(sys.argv[2]); "
    good = f"write_section(path, 'seed', 'measured'); write_figures(path, 'seed', [{ROW}])"
    (folder / "seed.py").write_text(f"import sys; {write}{good}")
    (folder / "scaling.py").write_text("raise SystemExit(3)")


def test_a_benchmark_that_fails_is_named_and_the_others_are_measured(tmp_path):
    copied(tmp_path)
    done = driver(tmp_path, "--only", "scaling", "seed", "--write", tmp_path / "RESULTS.md")
    assert done.returncode == 1 and "scaling.py failed with status 3" in done.stderr
    line = "| quick | at least 1 times | 2 | 1.5 to 2.5 | met | seed |"
    page = (tmp_path / "RESULTS.md").read_text()
    assert line in done.stdout and line in page and "- scaling: not measured yet" in page
    assert page.startswith("# Results\n\n<!-- summary -->") and "measured\n\n<!-- /seed" in page


def test_the_table_can_be_printed_again_and_nothing_is_run(tmp_path):
    copied(tmp_path)
    page = tmp_path / "RESULTS.md"
    page.write_text("# Results\n")
    whole = {"machine": "this one", "rows": [ROW]}
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "floor.json").write_text(json.dumps(whole))
    done = driver(tmp_path, "--table", "--write", page)
    assert done.returncode == 0 and "| met | floor |" in done.stdout
    assert page.read_text() == "# Results\n"
