"""One run in 1, 2 and 3 processes: how far its metrics, weights and chains differ.

    python benchmarks/distributed.py [--processes 1 2 3] [--iterations 40] [--write RESULTS.md]

Processes are started with torchrun and joined by gloo, on this machine. The same run, the default
recipes on the embedded photographs at 32 x 32 pixels with batches of 4 of 10 images, is made with
each number of processes, in double and in single precision.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from measuring import arguments, launch, publish
from tigon.data.load import load_images
from tigon.distributed import leave, process_group, world
from tigon.recipes import CooperativeRecipe, DescriptorRecipe, GeneratorRecipe, Recipe
from tigon.recipes.cooperative import RevisionSettings
from tigon.recipes.settings import DescriptorNetwork, GeneratorNetwork
from tigon.runs.experiment import describe_machine

SHARED: dict[str, Any] = {"image_size": 32, "batch_size": 4}
RECIPES: dict[str, Recipe] = {
    "generator": GeneratorRecipe(**SHARED, latent_dim=3, network=GeneratorNetwork(8)),
    "descriptor": DescriptorRecipe(**SHARED, network=DescriptorNetwork(8)),
    "cooperative": CooperativeRecipe(
        **SHARED,
        latent_dim=3,
        network=GeneratorNetwork(8),
        revision=RevisionSettings(width=8, steps=3, lead=0.0),
    ),
}


def work(name: str, dtype: str, iterations: int, out: Path) -> None:
    """Make the run in this process; the first one writes the results."""
    torch.set_num_threads(1)
    with process_group(torch.device("cpu"), timeout=60):
        images = load_images("embedded:animal-faces", 32)
        trainer = RECIPES[name].trainer(images, dtype=getattr(torch, dtype))
        left = iter(range(iterations))
        records = trainer.fit(stop=lambda: next(left, None) is None)
        chains = trainer.learner.chain_tensors()
        if world().rank == 0:
            state = {f"weight {k}": v for k, v in trainer.learner.state_dict().items()}
            state |= {f"chain {k}": v for k, v in chains.items()}
            torch.save({"records": records, "state": state, "size": world().size}, out)


def run(name: str, dtype: str, processes: int, iterations: int) -> dict[str, Any]:
    """Start the run with torchrun, and return the results."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "end.pt"
        words = ["--work", name, "--dtype", dtype, "--iterations", iterations]
        began = time.perf_counter()
        launch(processes, __file__, *words, "--out", out)
        end = torch.load(out, weights_only=True)
        assert end["size"] == processes, "as many processes as were asked for"
        return end | {"seconds": time.perf_counter() - began}


def differences(one: dict[str, Any], two: dict[str, Any]) -> dict[str, float]:
    """Return the largest relative differences of metrics, weights and chains between two runs."""
    found = {"metrics": 0.0, "weights": 0.0, "chains": 0.0}
    for first, second in zip(one["records"], two["records"], strict=True):
        assert first.keys() == second.keys()
        for name in first.keys() - {"seconds"}:
            a, b = (torch.tensor(record[name]).double() for record in (first, second))
            found["metrics"] = max(found["metrics"], relative(a, b))
    for name, value in one["state"].items():
        kind = "weights" if name.startswith("weight") else "chains"
        found[kind] = max(found[kind], relative(value, two["state"][name]))
    return found


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference, over the larger of 1e-3 and the largest value."""
    a, b = a.double(), b.double()
    scale = max(a.abs().max().item(), 1e-3)
    return (a - b).abs().max().item() / scale


def table(options: argparse.Namespace) -> str:
    """Make all runs, and return their differences as a Markdown table."""
    lines = [
        "| recipe | precision | processes | metrics | weights | chains | seconds with start-up |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in RECIPES:
        for dtype in ("float64", "float32"):
            alone = None
            for processes in options.processes:
                end = run(name, dtype, processes, options.iterations)
                alone = alone or end
                found = differences(alone, end)
                shown = " | ".join(f"{value:.1e}" for value in found.values())
                lines.append(
                    f"| {name} | {dtype} | {processes} | {shown} | {end['seconds']:.1f} |"
                )
                print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def page(options: argparse.Namespace) -> str:
    """Return the table with what it depends on."""
    machine = describe_machine(torch.device("cpu"))
    return "\n\n".join(
        [
            "## One run in several processes",
            f"Printed by `python benchmarks/distributed.py` on {machine['processor']}, "
            f"{machine['cores']} cores, torch {machine['torch']}, {machine['when']}: "
            f"{options.iterations} iterations, seed 0, batches of 4 of 10 images, gloo on one "
            "machine. Largest difference to the run in one process, over the largest value.",
            table(options),
        ]
    )


def main() -> None:
    """Work, or start the workers and print the table."""
    parser = arguments(__doc__, "distributed")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--work", choices=list(RECIPES), help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="float64", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.dtype, options.iterations, options.out)
        leave(0)
    publish(options.write, "distributed", page(options))


if __name__ == "__main__":
    main()
