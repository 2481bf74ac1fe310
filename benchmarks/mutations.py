"""Break the package in one place at a time; the exactness tests must notice each time.

    python benchmarks/mutations.py [--only NAME] [--jobs 2] [--log build/mutations.jsonl]
        [--write benchmarks/RESULTS.md]

Each mutation is made in a copy of src/, and the quick exactness tests run on that copy, those that
take the least time first, until two fail. The exit status is 1 if any mutation survives, or the
tests fail without one. The outcome of each is kept in --log: a run that was stopped goes on, and
mutations are tried again only where the mutated file or the tests have changed.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from xml.etree import ElementTree

from mutants import MUTATIONS, Mutation

ROOT = Path(__file__).parents[1]
PYTEST = ["-m", "pytest", "-m", "exactness and not slow", "-q", "--maxfail=2"]
QUIET = ["-p", "no:cacheprovider", "--tb=no", "-rfE"]
TESTS = "tests/exactness"


class Outcome(NamedTuple):
    """The result of the tests for one mutation.

    Attributes:
        failed: names of tests that failed, up to two
        seconds: wall-clock time
        timed_out: whether the tests did not end, which counts as noticed
    """

    failed: list[str]
    seconds: float
    timed_out: bool = False

    @property
    def survived(self) -> bool:
        """Whether no test noticed the mutation."""
        return not self.failed and not self.timed_out

    def __str__(self) -> str:
        if self.timed_out:
            return "(did not end in time)"
        return ", ".join(self.failed) or "**none: it survived**"


def mutated(source: Path, mutation: Mutation) -> str:
    """Return the file's text with the mistake in it.

    Raises:
        SystemExit: if the text to replace is not there exactly once
    """
    text = (source / "tigon" / mutation.file).read_text()
    if text.count(mutation.old) != 1:
        raise SystemExit(
            f"mutation {mutation.name!r}: its text is {text.count(mutation.old)} times in "
            f"{mutation.file}, not once"
        )
    return text.replace(mutation.old, mutation.new)


def quickest_first(report: Path) -> list[str]:
    """Return the tests of a JUnit report, those that took the least time first."""
    cases = ElementTree.parse(report).iter("testcase")
    seconds = {
        f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}": float(
            case.attrib["time"]
        )
        for case in cases
    }
    return sorted(seconds, key=seconds.__getitem__)


def run_tests(source: Path, tests: list[str], timeout: float) -> Outcome:
    """Run quick exactness tests on the package in `source`; the times are in its report.xml.

    Arguments:
        tests: names of tests, in their order
    Raises:
        SystemExit: if it is not that package that is imported, or tests could not be run
    """
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    run = partial(subprocess.run, cwd=ROOT, env=environment, capture_output=True, text=True)
    where = [sys.executable, "-c", "import tigon; print(tigon.__file__)"]
    found = run(where).stdout.strip()
    if not found.startswith(str(source)):
        raise SystemExit(f"tests would import {found}, not the copy in {source}")
    begun = time.monotonic()
    try:
        named = source / "tests.txt"
        named.write_text("\n".join(tests))
        report = f"--junitxml={source / 'report.xml'}"
        done = run([sys.executable, *PYTEST, *QUIET, report, f"@{named}"], timeout=timeout)
    except subprocess.TimeoutExpired:
        return Outcome([], time.monotonic() - begun, True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"tests could not be run:\n{done.stdout}\n{done.stderr}")
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode == 1 and not failed:
        raise SystemExit(f"tests ended oddly:\n{done.stdout}")
    return Outcome([name.split("::")[1] for name in failed], time.monotonic() - begun)


def attempt(package: Path, mutation: Mutation, tests: list[str], timeout: float) -> Outcome:
    """Run the tests on a copy of the package with the mistake in it."""
    with tempfile.TemporaryDirectory(prefix="tigon-mutation-") as folder:
        source = Path(folder).resolve() / "src"
        shutil.copytree(package, source)
        (source / "tigon" / mutation.file).write_text(mutated(package, mutation))
        outcome = run_tests(source, tests, timeout)
    print(f"{mutation.name}: {outcome} [{outcome.seconds:.0f} s]", file=sys.stderr, flush=True)
    return outcome


class Log:
    """Outcomes of mutations, in a file with a line for each.

    Arguments:
        path: of the file, which need not exist
    """

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, Lock()
        lines = path.read_text().splitlines() if path.exists() else []
        self.known = {line.pop("key"): Outcome(**line) for line in map(json.loads, lines)}
        tests = sorted((ROOT / TESTS).rglob("*.py"))
        self.tests = hashlib.sha256(b"".join(path.read_bytes() for path in tests)).hexdigest()

    def of(self, package: Path, mutation: Mutation, run: Callable[[], Outcome]) -> Outcome:
        """Return the known outcome of a mutation; else that of a run, which is then known."""
        whole = f"{self.tests} {mutation.file} {mutated(package, mutation)}"
        key = hashlib.sha256(whole.encode()).hexdigest()
        if key not in self.known:
            self.known[key] = run()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.lock, self.path.open("a") as file:
                file.write(json.dumps({"key": key} | self.known[key]._asdict()) + "\n")
        return self.known[key]


def without_parameters(names: list[str]) -> str:
    """Return each test once, and how many of its cases failed."""
    tests = [name.split("[")[0] for name in names]
    return "; ".join(
        f"`{test}`" + (f" x {tests.count(test)}" if tests.count(test) > 1 else "")
        for test in dict.fromkeys(tests)
    )


def table(mutations: list[Mutation], outcomes: list[Outcome], whole: Outcome) -> str:
    """Return the Markdown table and its last line."""
    lines = [
        f"Without a mutation all quick exactness tests pass, in {whole.seconds:.0f} s. With one, "
        "they run, the quickest first, until two cases fail.",
        "",
        "| mutation | file | noticed by |",
        "|---|---|---|",
    ]
    for mutation, outcome in zip(mutations, outcomes, strict=True):
        noticed = without_parameters(outcome.failed) or str(outcome)
        lines.append(f"| {mutation.name} | `{mutation.file}` | {noticed} |")
    survived = sum(outcome.survived for outcome in outcomes)
    return "\n".join([*lines, "", f"{len(outcomes)} mutations, {survived} survived"])


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="NAME", nargs="+", help="only these mutations")
    parser.add_argument("--jobs", type=int, default=1, help="how many test runs at a time")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one test run")
    log = ROOT / "build" / "mutations.jsonl"
    parser.add_argument("--log", metavar="FILE", type=Path, default=log, help="of outcomes")
    parser.add_argument("--write", metavar="FILE", type=Path, help="Markdown file of results")
    return parser.parse_args()


def outcomes_of(
    mutations: list[Mutation], jobs: int, timeout: float, log: Log
) -> tuple[Outcome, list[Outcome]]:
    """Run the tests without a mutation, then with each, all on the package as it is now.

    Raises:
        SystemExit: if a mutation does not apply, or the tests fail without one
    """
    with tempfile.TemporaryDirectory(prefix="tigon-mutations-") as folder:
        package = Path(folder) / "src"
        shutil.copytree(ROOT / "src", package, ignore=shutil.ignore_patterns("__pycache__"))
        for mutation in mutations:
            mutated(package, mutation)
        whole = run_tests(package, [TESTS], timeout)
        if not whole.survived:
            raise SystemExit(f"the exactness tests fail without any mutation: {whole}")
        print(f"without a mutation [{whole.seconds:.0f} s]", file=sys.stderr, flush=True)
        tests = quickest_first(package / "report.xml")
        with ThreadPoolExecutor(jobs) as pool:
            found = pool.map(
                lambda mutation: log.of(
                    package, mutation, lambda: attempt(package, mutation, tests, timeout)
                ),
                mutations,
            )
            return whole, list(found)


def main() -> int:
    """Run the mutations and print the table."""
    options = parsed()
    known = {mutation.name: mutation for mutation in MUTATIONS}
    names = options.only or list(known)
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no mutation {unknown}; there are: {', '.join(known)}")
    mutations = [known[name] for name in names]
    whole, outcomes = outcomes_of(mutations, options.jobs, options.timeout, Log(options.log))
    text = table(mutations, outcomes, whole)
    print(text)
    if options.write:
        from results import write_section

        write_section(options.write, "mutations", text)
    return int(any(outcome.survived for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
