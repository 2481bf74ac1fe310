"""What one GPU does with chains and with training, in the order of worth, in so many minutes.

    python benchmarks/gpu.py [--minutes 8] [--out build/gpu] [--write benchmarks/RESULTS.md]
    python benchmarks/gpu.py --found gpu.json --write benchmarks/RESULTS.md  # from that machine

First its matrix products, then chains of both models at each batch: as they are, as CUDA graphs,
and compiled, in float32 and in bfloat16; what iterations of training wait for; then `tigon train
descriptor` on cifar10 and `tigon train generator` on clothing64 for the minutes left, with
KID-lite0 to held-out images. What does not work is a row that says why. --out gets gpu.json, after
each part, so that a run that is cut short has what it measured. On a CPU it does the same with
small batches and no graphs.
"""

import json
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from measuring import arguments, publish
from networks import operations
from recipes import EMBEDDED, SHARED, clothing, evaluated, packed, stored, tigon
from results import machine, table
from tigon import (
    MALA,
    MCMC,
    Compiled,
    ConvDescriptor,
    DCGANGenerator,
    DescriptorRecipe,
    EnergyModel,
    GeneratorModel,
    GeneratorRecipe,
    Graphed,
    Langevin,
    RowRng,
    load_images,
    make_rng,
)
from tigon.densities.log_density import LogDensity, frozen
from tigon.mcmc.kernel import Kernel
from tigon.recipes.base import Recipe
from tigon.runs.run import Run

STEPS, SIDE, LEAST = 10, 4096, 0.3  # chain steps, of products, seconds that are measured
TF32 = "float32 rounded to tf32"  # what convolutions of float32 do on a GPU, unless told not to
WAYS, PRECISIONS = ("eager", "graph", "compiled"), ("float32", "bfloat16")
Row = dict[str, Any]


class Subject(NamedTuple):
    """Chains on one network."""

    name: str
    model: torch.nn.Module
    density: LogDensity
    kernel: Kernel
    x: Tensor


def synchronised(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the mean duration of the work, which is done once before it is measured."""
    work()
    synchronised(device)
    began, times = time.perf_counter(), 0
    while (taken := time.perf_counter() - began) < LEAST:
        work()
        synchronised(device)
        times += 1
    return taken / times


def products(device: torch.device) -> dict[str, float]:
    """Return the rate of a square matrix product by precision, in operations a second."""
    side, found = SIDE if device.type == "cuda" else SIDE // 4, {}
    allowed = torch.backends.cuda.matmul.allow_tf32
    for name in (*PRECISIONS, TF32):
        a, b = torch.randn(2, side, side, device=device)
        if name != TF32:
            a, b = (each.to(getattr(torch, name)) for each in (a, b))
        torch.backends.cuda.matmul.allow_tf32 = name == TF32
        found[name] = 2.0 * side**3 / seconds(lambda a=a, b=b: a @ b, device)  # type: ignore[misc]
    torch.backends.cuda.matmul.allow_tf32 = allowed
    return found


def subjects(batch: int, device: torch.device) -> Iterator[Subject]:
    """Yield the chains of both recipes at 64 x 64."""
    rng = make_rng("points", batch)
    images = (torch.rand(batch, 3, 64, 64, generator=rng) * 2 - 1).to(device)
    generator = GeneratorModel(DCGANGenerator(100, rng=make_rng("weights")), 100).to(device)
    latents = torch.randn(batch, 100, generator=rng).to(device)
    yield Subject("generator, MALA", generator, generator.posterior(images), MALA(0.01), latents)
    descriptor = EnergyModel(ConvDescriptor(64, rng=make_rng("weights"))).to(device)
    yield Subject("descriptor, Langevin", descriptor, descriptor, Langevin(0.01), images)


def stepping(subject: Subject, way: str, rounded: bool) -> Callable[[], object]:
    """Return work that takes the steps, in one of the `WAYS`."""
    density = subject.density
    if way == "compiled":
        density = Compiled(density)
    if way == "graph":
        density = Graphed(density, subject.model)
    kind = subject.x.device.type
    rng = RowRng(0, 0, range(len(subject.x)))

    def run() -> Tensor:
        with frozen(subject.model), torch.autocast(kind, torch.bfloat16, enabled=rounded):
            found = MCMC(subject.kernel, STEPS).run(density, subject.x, rng).x
        if way == "graph" and not density.captures:  # type: ignore[attr-defined]
            raise RuntimeError("cannot be captured")
        return found

    return run


def chain_rows(
    batches: tuple[int, ...], device: torch.device, rates: dict[str, float], end: float
) -> Iterator[Row]:
    """Measure chains, until it is `end` by the clock."""
    ways = WAYS if device.type == "cuda" else [way for way in WAYS if way != "graph"]
    for way, batch in product(ways, batches):
        for subject in subjects(batch, device):
            count = operations(subject.model.network, subject.x)  # type: ignore[arg-type]
            for precision in PRECISIONS:
                if time.monotonic() > end:
                    return
                row: Row = {"chains": subject.name, "batch": batch, "way": way}
                row["products in"] = precision
                try:
                    work = stepping(subject, way, precision == "bfloat16")
                    taken = seconds(work, device) / STEPS
                except (RuntimeError, AttributeError) as error:
                    yield row | {"why not": " ".join(str(error).split())[:120]}
                    continue
                rate = rates[TF32 if precision == "float32" else precision]
                part = 100 * count / taken / rate
                yield row | {
                    "steps a second": round(1 / taken, 1),
                    "rows x steps a second": round(batch / taken),
                    "% of the product's rate": round(part, 1),
                }


def iteration_rows(device: torch.device) -> Iterator[Row]:
    """Time iterations of training, and what the GPU does in them."""
    sets: list[tuple[str, str, Recipe, Callable[[], Any]]] = [
        (
            "descriptor",
            "ten photographs",
            DescriptorRecipe(),
            lambda: load_images(EMBEDDED, image_size=64),
        ),
    ]
    if SHARED.is_dir():
        sets += [
            (
                "descriptor",
                "cifar10",
                DescriptorRecipe(iterations=1000),
                lambda: packed("cifar10/test.npz")[0],
            ),
            (
                "generator",
                "clothing64",
                GeneratorRecipe(iterations=1000, batch_size=64),
                lambda: clothing("train"),
            ),
        ]
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA][: 1 + (device.type == "cuda")]
    for word, name, recipe, images in sets:
        trainer = recipe.trainer(images(), device=device)
        for _ in range(3):
            trainer.step()
        taken = seconds(trainer.step, device)
        with profile(activities=activities) as profiled:
            trainer.step()
            synchronised(device)
        events = profiled.key_averages()
        row = {"iteration of": word, "on": name, "ms": round(1e3 * taken, 1)}
        if device.type == "cuda":
            row["ms of kernels"] = round(sum(e.self_device_time_total for e in events) / 1e3, 1)
            row["kernels"] = sum(e.count for e in events if "LaunchKernel" in e.key)
        yield row


def trained(recipe: str, size: int, data: Path, unseen: Path, out: Path, minutes: float) -> Row:
    """Train for so many minutes with the default recipe, and evaluate."""
    run, row = Run(out / recipe), {"learned by": recipe, "from": data.stem, "minutes": minutes}
    words = ["--data", data, "--out", run.folder, "--image-size", size, "--minutes", minutes]
    try:
        tigon("train", recipe, *words)
        tigon("evaluate", run.folder, "--data", unseen)
    except CalledProcessError as error:
        return row | {"why not": f"status {error.returncode}"}
    samples = evaluated(run)["samples"]
    return row | {
        "iterations": run.records()[-1]["iteration"],
        "gradient evaluations": round(run.records()[-1]["gradient_evaluations"], 1),
        **{f"KID-lite0 of {name}": round(drawn["kid"], 2) for name, drawn in samples.items()},
    }


def shown(rows: list[Row]) -> str:
    """Return rows as a table in which each has what any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return table([{name: row.get(name, "") for name in names} for row in rows])


def told(found: dict[str, Any]) -> str:
    """Return the section of what was found."""
    rated = ", ".join(f"{name} {rate:.2f}" for name, rate in found["products"].items())
    parts = [
        "## On a GPU",
        f"`python benchmarks/gpu.py --minutes {found['minutes']:g}`: {found['machine']}.",
        f"Matrix products, TFLOP/s: {rated}. Chains of {STEPS} steps on images of 64 x 64, d = "
        "100; a step's operations are those of its matrix products and convolutions. On a GPU, "
        "convolutions of float32 round to TF32 unless PyTorch is told not to, so that more than "
        "the rate of float32's products can be reached.",
        *(shown(found[part]) for part in ("chains", "iterations", "training") if found.get(part)),
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Measure, write gpu.json after each part, and print the tables."""
    parser = arguments(__doc__, "gpu")
    parser.add_argument("--minutes", type=float, default=8.0, help="of the whole")
    parser.add_argument("--out", type=Path, default=Path("build") / "gpu")
    parser.add_argument("--batches", nargs="+", type=int, help="64 256 1024 on a GPU, else 8")
    parser.add_argument("--found", type=Path, help="a gpu.json to print; nothing is measured")
    options = parser.parse_args()
    if options.found:
        publish(options.write, "gpu", told(json.loads(options.found.read_text())))
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    begun = time.monotonic()
    whole = begun + 60 * options.minutes
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU"
    found: dict[str, Any] = {
        "machine": f"{gpu}; {machine(threads=torch.get_num_threads())}",
        "minutes": options.minutes,
    }
    options.out.mkdir(parents=True, exist_ok=True)

    def keep(**parts: object) -> None:
        found.update(parts)
        (options.out / "gpu.json").write_text(json.dumps(found, indent=1))

    rates = products(device)
    keep(products={name: rate / 1e12 for name, rate in rates.items()})
    batches = tuple(options.batches or ((64, 256, 1024) if device.type == "cuda" else (8,)))
    chains: list[Row] = []
    for row in chain_rows(batches, device, rates, begun + 20 * options.minutes):
        chains.append(row)
        keep(chains=chains)
    keep(iterations=list(iteration_rows(device)))
    training: list[Row] = []
    if SHARED.is_dir():
        data = options.out / "data"
        half = [
            ("descriptor", 32, lambda: packed("cifar10/train.npz")[0], "cifar10",
             lambda: packed("cifar10/test.npz")[0]),
            ("generator", 64, lambda: clothing("train"), "clothing64", lambda: clothing("test")),
        ]  # fmt: skip
        for number, (recipe, size, learned, name, unseen) in enumerate(half):
            paths = stored(data / f"{name}.npz", learned), stored(data / f"{name}-t.npz", unseen)
            left = max(0.1, (whole - time.monotonic()) / 60 / (2 - number) - 0.3)
            training.append(trained(recipe, size, *paths, options.out, round(left, 2)))
            keep(training=training)
    publish(options.write, "gpu", told(found))


if __name__ == "__main__":
    main()
