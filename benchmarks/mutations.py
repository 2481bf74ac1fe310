"""Break the package in one place at a time: the exactness tests must notice every time.

    python benchmarks/mutations.py [--only NAME] [--jobs 2] [--write benchmarks/RESULTS.md]

Each mutation is made in a copy of src/, and the quick exactness tests run on that copy until four
fail. The exit status is 1 if any mutation survives, or the tests fail without one.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PYTEST = ["-m", "pytest", "tests/exactness", "-m", "exactness and not slow", "-q", "--maxfail=4"]
QUIET = ["-p", "no:cacheprovider", "--tb=no", "-rfE"]


class Mutation(NamedTuple):
    """One mistake: in `file` under src/tigon, `old`, found exactly once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str


LANGEVIN, HMC, KERNEL = "mcmc/langevin.py", "mcmc/hmc.py", "mcmc/kernel.py"
TEMPERED, SCALED, ADAPTED = "mcmc/tempered.py", "mcmc/preconditioning.py", "mcmc/adaptation.py"
DENSITIES, STORE, STREAMS, PHILOX = "densities.py", "chains.py", "streams.py", "philox.py"
GENERATOR, EXPANSION, BASE = "learners/generator.py", "learners/expansion.py", "learners/base.py"

DRIFT = "state.x, size * size, state.gradient, value=0.5"
NOISE = "x.addcmul_(per_row(state.step_size, x), noise(state, self.temperature, rng))"
PROPOSED = "drifted(state).addcmul_(per_row(state.step_size, state.x), drawn)"
HALF = "x.addcmul_(size, momentum, value=0.5)"
TERM = " + return_ratio(state, new, drawn)\n"
PULL = "(old.gradient + new.gradient) * (per_row(old.step_size, drawn) / 2)"
FIRST = "        momentum = torch.addcmul(momentum, size, state.gradient, value=0.5)\n        x ="
LEAP = "    momentum = torch.addcmul(momentum, size, state.gradient, value=0.5)\n    for"
HMC_RATIO = "(new.log_density - state.log_density + kinetic) / self.temperature"
JITTER = "size * (1 + self.jitter * (2 * uniform(rng, state.x) - 1))"
BY_STATE = "state.x.flatten(1)[:, 0].sigmoid()"
SWAP = "1 / self.temperatures[k] - 1 / self.temperatures[k + 1]"
EXCHANGE = "chosen(swapped, hot, cold), chosen(swapped, cold, hot)"
ONE_RNG = "torch.randn(like.shape, generator=rng, dtype=like.dtype, device=rng.device)"
ONE_DRAW = ONE_RNG.replace("like.shape", "like.shape[1:]") + ".expand(like.shape)"
NAMED = "repr((purpose, seed, iteration))"
COUNTER = "block[None], drawn & WORD, index & WORD, index >> 32 & WORD"
TWISTED = 'self.name + b"%d" % i for i in'
SHIFT = "    layer.bias.add_(layer.weight @ mean)\n"
TURN = "    layer.weight.copy_(layer.weight @ root)\n"
SQUARES = "sum_event((images - self.network(z)) ** 2)"
LOSS = "sum_event(squares).sum() / batch.size"
CONTRAST = "f_synthesised.sum() / batch.size - f_observed.sum() / batch.size"
READ = 'where `index` is (CPU or GPU)."""\n'
WRITE = 'written twice")\n'
FLIP = "        index = index.flip(0)\n"

MUTATIONS = [
    Mutation("drift s^2", LANGEVIN, DRIFT, DRIFT.replace("0.5", "1")),
    Mutation("drift s/2", LANGEVIN, DRIFT, DRIFT.replace("size * size", "size")),
    Mutation("unadjusted noise sqrt(2) s", LANGEVIN, NOISE, NOISE[:-1] + ", value=2**0.5)"),
    Mutation("MALA's noise sqrt(2) s", LANGEVIN, PROPOSED, PROPOSED[:-1] + ", value=2**0.5)"),
    Mutation("MALA's noise s^2", LANGEVIN, PROPOSED, PROPOSED.replace(", drawn", " ** 2, drawn")),
    Mutation("noise T, not sqrt(T)", LANGEVIN, "math.sqrt(temperature)", "temperature"),
    Mutation("no proposal term", LANGEVIN, TERM, "\n"),
    Mutation("pull of the proposal alone", LANGEVIN, PULL, PULL.replace("old.gradient + ", "")),
    Mutation("proposal term's sign", LANGEVIN, TERM, TERM.replace("+", "-")),
    Mutation("pull without s", LANGEVIN, PULL, "(old.gradient + new.gradient) / 2"),
    Mutation("pull not halved", LANGEVIN, "drawn, pull, alpha=0.5", "drawn, pull"),
    Mutation("MALA's ratio without 1/T", LANGEVIN, "log_ratio / self.temperature", "log_ratio"),
    Mutation("underdamped noise sqrt(1 - c)", LANGEVIN, "(1 - kept**2)", "(1 - kept)"),
    Mutation("underdamped last half step full", LANGEVIN, HALF, HALF.replace("0.5", "1")),
    Mutation("underdamped first half push full", LANGEVIN, FIRST, FIRST.replace("0.5", "1")),
    Mutation("HMC's momentum T", HMC, "self.temperature**0.5", "self.temperature"),
    Mutation("HMC's ratio without 1/T", HMC, HMC_RATIO, HMC_RATIO.split(" / ")[0]),
    Mutation("no kinetic term", HMC, " + kinetic) /", ") /"),
    Mutation("HMC's last half step full", HMC, "value=1 if left else 0.5", "value=1"),
    Mutation("HMC's first half step full", HMC, LEAP, LEAP.replace("0.5", "1")),
    Mutation(
        "jitter by the state", HMC, JITTER, JITTER.replace("uniform(rng, state.x)", BY_STATE)
    ),
    Mutation("no jitter", HMC, JITTER, "size + 0 * uniform(rng, state.x)"),
    Mutation("accept always", KERNEL, "< probability", "< 1 + probability"),
    Mutation("accept half as often", KERNEL, "< probability", "< probability / 2"),
    Mutation("stale gradient", KERNEL, ", gradient=rows[2])", ")"),
    Mutation("stale log-density", KERNEL, "log_density=rows[1], ", ""),
    Mutation(
        "temperature of the schedule alone", KERNEL, "temperature_of(kernel) * factor", "factor"
    ),
    Mutation(
        "swap ratio's sign",
        TEMPERED,
        "hot.log_density - cold.log_density",
        "cold.log_density - hot.log_density",
    ),
    Mutation(
        "swap by T, not 1/T", TEMPERED, SWAP, "self.temperatures[k + 1] - self.temperatures[k]"
    ),
    Mutation("swap without the kernel's own T", TEMPERED, "difference / own", "difference"),
    Mutation("swap copies", TEMPERED, EXCHANGE, "chosen(swapped, hot, cold), hot"),
    Mutation("gradient not preconditioned", SCALED, "gradient=state.gradient / scale,", ""),
    Mutation(
        "gradient preconditioned upside down", SCALED, "gradient / scale", "gradient * scale"
    ),
    Mutation("dual averaging's sign", ADAPTED, "= centre - steps", "= centre + steps"),
    Mutation(
        "adaptation's sign",
        ADAPTED,
        "(info.accept_prob - self.target)",
        "(self.target - info.accept_prob)",
    ),
    Mutation("rows swapped on write", STORE, WRITE, WRITE + FLIP),
    Mutation("rows swapped on read", STORE, READ, READ + FLIP),
    Mutation("tuning not kept", STORE, WRITE, WRITE + "        tuning = None\n"),
    Mutation("chains coupled: one draw", STREAMS, ONE_RNG, ONE_DRAW),
    Mutation("noise by no seed", STREAMS, NAMED, "repr((purpose, iteration))"),
    Mutation("noise by no iteration", STREAMS, NAMED, "repr((purpose, seed))"),
    Mutation("noise by no purpose", STREAMS, NAMED, "repr((seed, iteration))"),
    Mutation("noise by no example", PHILOX, COUNTER, COUNTER.replace("index", "0 * index")),
    Mutation(
        "noise by 32 bits of the example",
        PHILOX,
        COUNTER,
        COUNTER.replace("index >> 32", "0 * index"),
    ),
    Mutation("noise by no draw", PHILOX, COUNTER, COUNTER.replace("drawn", "0 * drawn")),
    Mutation("draws not counted", STREAMS, "        self.drawn += 1\n", ""),
    Mutation(
        "parts' draws not counted",
        STREAMS,
        "each[part] for each in",
        "each[part].copy() for each in",
    ),
    Mutation("one twister", STREAMS, TWISTED, "self.name for i in"),
    Mutation("twisters begin anew", STREAMS, " if rng is None]", "]"),
    Mutation("nine rounds", PHILOX, "ROUNDS = 10", "ROUNDS = 9"),
    Mutation("Philox's keys as they are", PHILOX, "k0 + 0x9E3779B9", "k0"),
    Mutation("half the circle", PHILOX, "(math.pi * 2**-31)", "(math.pi * 2**-32)"),
    Mutation("radius with no root", PHILOX, "xp.sqrt(-2 *", "(-2 *"),
    Mutation("radius of one number", PHILOX, "xp.sqrt(-2 *", "xp.sqrt(-1 *"),
    Mutation("cosines twice", PHILOX, "radius * xp.sin(angle)", "radius * xp.cos(angle)"),
    Mutation("uniform by 31 bits", PHILOX, "words[0] << 21", "(words[0] >> 1) << 21"),
    Mutation(
        "likelihood over pixels averaged",
        DENSITIES,
        SQUARES,
        SQUARES.replace("sum_event(", "(").replace("** 2)", "** 2).flatten(1).mean(1)"),
    ),
    Mutation("likelihood over sigma", DENSITIES, "(2 * self.sigma**2)", "(2 * self.sigma)"),
    Mutation("no prior", DENSITIES, " - sum_event(z**2) / 2", ""),
    Mutation("prior twice", DENSITIES, "sum_event(z**2) / 2", "sum_event(z**2)"),
    Mutation("no reference density", DENSITIES, " + self.reference.log_prob(x)", ""),
    Mutation("reference at 0", DENSITIES, "Gaussian(loc, scale)", "Gaussian(0.0, scale)"),
    Mutation(
        "likelihood averaged over the batch", GENERATOR, " if self.average_likelihood else 1.0", ""
    ),
    Mutation("loss over sigma", GENERATOR, "(2 * self.model.sigma**2)", "(2 * self.model.sigma)"),
    Mutation("loss averaged over pixels", GENERATOR, LOSS, "squares.mean()"),
    Mutation("expansion without the shift of b", EXPANSION, SHIFT, ""),
    Mutation("expansion without the turn of A", EXPANSION, TURN, ""),
    Mutation("contrast's sign", BASE, CONTRAST, " - ".join(reversed(CONTRAST.split(" - ")))),
]


class Outcome(NamedTuple):
    """What the tests said of one mutation.

    Attributes:
        failed: names of tests that failed, up to four
        seconds: wall-clock time
        timed_out: whether the tests did not end, which counts as noticed
    """

    failed: list[str]
    seconds: float
    timed_out: bool = False

    @property
    def survived(self) -> bool:
        """Whether nothing was noticed."""
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


def run_tests(source: Path, timeout: float) -> Outcome:
    """Run the quick exactness tests on the package in `source`.

    Raises:
        SystemExit: if it is not that package that is imported, or tests could not be run
    """
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    options = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    where = [sys.executable, "-c", "import tigon; print(tigon.__file__)"]
    found = subprocess.run(where, **options).stdout.strip()
    if not found.startswith(str(source)):
        raise SystemExit(f"tests would import {found}, not the copy in {source}")
    begun = time.monotonic()
    try:
        done = subprocess.run([sys.executable, *PYTEST, *QUIET], timeout=timeout, **options)
    except subprocess.TimeoutExpired:
        return Outcome([], time.monotonic() - begun, True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"tests could not be run:\n{done.stdout}\n{done.stderr}")
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode == 1 and not failed:
        raise SystemExit(f"tests ended oddly:\n{done.stdout}")
    return Outcome([name.split("::")[1] for name in failed], time.monotonic() - begun)


def attempt(package: Path, mutation: Mutation | None, timeout: float) -> Outcome:
    """Run the tests on a copy of the package, mutated if that is asked for."""
    with tempfile.TemporaryDirectory(prefix="tigon-mutation-") as folder:
        source = Path(folder).resolve() / "src"
        shutil.copytree(package, source)
        if mutation is not None:
            (source / "tigon" / mutation.file).write_text(mutated(package, mutation))
        outcome = run_tests(source, timeout)
    name, said = (mutation.name, outcome) if mutation else ("none", "; ".join(outcome.failed))
    print(f"{name}: {said} [{outcome.seconds:.0f} s]", file=sys.stderr, flush=True)
    return outcome


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
        "they run until four cases fail.",
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
    parser.add_argument("--write", metavar="FILE", type=Path, help="Markdown file of results")
    return parser.parse_args()


def outcomes_of(
    mutations: list[Mutation], jobs: int, timeout: float
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
        whole = attempt(package, None, timeout)
        if not whole.survived:
            raise SystemExit("the exactness tests fail without any mutation")
        with ThreadPoolExecutor(jobs) as pool:
            found = pool.map(lambda mutation: attempt(package, mutation, timeout), mutations)
            return whole, list(found)


def main() -> int:
    """Run the mutations and print the table."""
    options = parsed()
    known = {mutation.name: mutation for mutation in MUTATIONS}
    names = options.only or list(known)
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no mutation {unknown}; there are: {', '.join(known)}")
    mutations = [known[name] for name in names]
    whole, outcomes = outcomes_of(mutations, options.jobs, options.timeout)
    text = table(mutations, outcomes, whole)
    print(text)
    if options.write:
        from results import write_section

        write_section(options.write, "mutations", text)
    return int(any(outcome.survived for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
