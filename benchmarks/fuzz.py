"""Fuzz what tigon reads: `python benchmarks/fuzz.py images|archives|checkpoints|configs`.

Mutated files (`fuzz_inputs.py`) are read in process. A finding is any exception but TigonError, a
case of more than 10 s, a crash, memory that runs out at 3 GB, a program started, anything
unpickled, a file touched outside the fuzzer's own folder. Its files and its traceback are saved
in --out. Case n of a seed is always the same case.
"""

import argparse
import multiprocessing as mp
import os
import platform
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from fuzz_inputs import KINDS, Files
from tigon.errors import TigonError

HANG, MEMORY, KEPT = 10.0, 3 * 2**30, 3
COUNTERS = ("cases", "read", "refused", "findings")
DANGEROUS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class")
TOUCHING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod")


class Watch:
    """Notices every file opened for writing and every program started, through audit hooks."""

    def __init__(self, box: Path) -> None:
        self.box, self.heard, self.on = str(box), [], False  # type: ignore[var-annotated]
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in DANGEROUS:
            self.heard.append(f"{event} {arguments[:2]}")
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not (writes or event in TOUCHING) or not isinstance(arguments[0], str | bytes | Path):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not path.startswith(self.box) and path != "/dev/null" and "__pycache__" not in path:
            self.heard.append(f"{event} {path}")


class Worker:
    """Runs cases until it is killed; what it is at stands in shared memory."""

    def __init__(self, kind: str, seed: int, box: Path, out: Path, shared: Any) -> None:  # noqa: ANN401
        self.kind, self.seed, self.box, self.out, self.shared = kind, seed, box, out, shared
        self.signatures: dict[str, int] = {}

    def __call__(self) -> None:
        torch.set_num_threads(1)
        os.environ["TIGON_CACHE"] = str(self.box / "cache")
        target, watch = KINDS[self.kind](self.box), Watch(self.box)
        os.chdir(self.box)
        with open("/dev/null", "w") as null:
            os.dup2(null.fileno(), 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY + _address_space(), -1))
        while True:
            rng = random.Random(f"{self.kind}-{self.seed}-{self.shared['cases'].value}")
            files = target.make(rng)
            _lay_out(self.box, files)
            self.shared["began"].value = time.monotonic()
            watch.on = True
            outcome = self._outcome(target, rng)
            watch.on = False
            if watch.heard:
                outcome = f"touched: {watch.heard}"
                watch.heard.clear()
            self.shared["began"].value = 0.0
            self._count(outcome, files)

    def _outcome(self, target: Any, rng: random.Random) -> str:  # noqa: ANN401
        """Read a case; return `read`, `refused`, or what was found."""
        try:
            target.read(rng)
        except TigonError as error:
            text = str(error)
            if "MemoryError" in text or "allocate" in text:
                return f"memory: {text}"
            return "refused" if "\n" not in text else f"more than one line: {text!r}"
        except Exception as error:
            where = [f for f in traceback.extract_tb(error.__traceback__) if "tigon" in f.filename]
            last = f"{where[-1].filename}:{where[-1].lineno}" if where else "nowhere"
            return f"{last} {type(error).__name__}\n{traceback.format_exc()}"
        return "read"

    def _count(self, outcome: str, files: Files) -> None:
        number = self.shared["cases"].value
        if outcome in ("read", "refused"):
            self.shared[outcome].value += 1
        else:
            self.shared["findings"].value += 1
            signature = outcome.splitlines()[0][:100]
            self.signatures[signature] = self.signatures.get(signature, 0) + 1
            if self.signatures[signature] <= KEPT:
                save(self.out / f"{self.kind}-{self.seed}-{number}", files, outcome)
        self.shared["cases"].value = number + 1


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _lay_out(box: Path, files: Files) -> None:
    for name in ("in", "cache", "run", "again"):
        shutil.rmtree(box / name, ignore_errors=True)
    for name, data in files.items():
        path = box / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def save(folder: Path, files: Files, outcome: str) -> None:
    """Save the files of a finding and its traceback."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "finding.txt").write_text(outcome)
    print(f"finding: {folder}: {outcome.splitlines()[0][:160]}", flush=True)


def run(kind: str, minutes: float, seed: int, first: int, out: Path) -> dict[str, int]:
    """Run one fuzzer, with a new worker after each crash or hang; return its counts."""
    context = mp.get_context("fork")
    shared: dict[str, Any] = {name: context.Value("Q", 0) for name in COUNTERS}
    shared["began"] = context.Value("d", 0.0)
    shared["cases"].value = first
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        box = Path(tempfile.mkdtemp(prefix="tigon-fuzz-", dir=_fast_folder()))
        process = context.Process(target=Worker(kind, seed, box, out, shared), daemon=True)
        process.start()
        ended = _watch(process, shared["began"], end)
        if ended:
            files = {p.name: p.read_bytes() for p in (box / "in").rglob("*") if p.is_file()}
            save(out / f"{kind}-{seed}-{shared['cases'].value}", files, ended)
            shared["findings"].value += 1
            shared["cases"].value += 1
            shared["began"].value = 0.0
        shutil.rmtree(box, ignore_errors=True)
    return {name: shared[name].value for name in COUNTERS} | {"first": first}


def _watch(process: Any, began: Any, end: float) -> str:  # noqa: ANN401
    """Wait for the end of the time, a crash or a hang; return what happened, if anything."""
    while time.monotonic() < end:
        process.join(0.5)
        if not process.is_alive():
            return f"crash: the process ended with {process.exitcode}"
        since = began.value
        if since and time.monotonic() - since > HANG:
            process.kill()
            process.join()
            return f"hang: more than {HANG:g} s"
    process.kill()
    process.join()
    return ""


def _fast_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> int:
    """Run the fuzzer that the command line names, and print its counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    began = time.monotonic()
    counts = run(options.kind, options.minutes, options.seed, options.first, options.out.resolve())
    seconds = time.monotonic() - began
    cases = counts["cases"] - counts["first"]
    print(
        f"{options.kind}, seed {options.seed}: {cases} cases in {seconds:.0f} s "
        f"({cases / seconds:.0f} per second), {counts['read']} read, {counts['refused']} refused, "
        f"{counts['findings']} findings; {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    if not counts["read"]:
        print("nothing was read: what refuses everything was not tested")
    return 0 if counts["read"] and not counts["findings"] else 1


if __name__ == "__main__":
    sys.exit(main())
