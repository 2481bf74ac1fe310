"""Start, checkpoint and memory of a run with many images, its latents in memory and in files.

    python benchmarks/large.py [--counts 1000 100000 1000000] [--write benchmarks/RESULTS.md]

Each run learns from 32 x 32 pixels with a small network and 64 latents, and is measured in two
processes: one begins it (40 iterations, a checkpoint at the end), one continues it from there for
40 more. The images are decoded before. The peak of resident memory is what Linux tells (VmHWM).
"""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Literal

from measuring import alone, arguments, peak, publish
from results import machine, table
from size import make

ITERATIONS, DIM = 40, 64
Store = Literal["memory", "files"]


def measure(data: str, out: Path, store: Store, iterations: int) -> None:
    """Learn up to so many iterations in this process; print what it took."""
    import torch

    from tigon.recipes import GeneratorRecipe
    from tigon.recipes.settings import GeneratorNetwork, LatentChains
    from tigon.runs.experiment import train
    from tigon.runs.run import Experiment

    torch.set_num_threads(1)
    recipe = GeneratorRecipe(
        start="prior",  # else each image is read once before the first iteration
        image_size=32,
        latent_dim=DIM,
        iterations=iterations,
        batch_size=64,
        network=GeneratorNetwork(width=8),
        chains=LatentChains(store=store),
    )
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # which imports much of torch
    imported, began, seen = peak(), time.perf_counter(), []
    trainer = train(
        Experiment("generator", recipe, data),
        out,
        "cpu",
        10**9,
        [lambda training, record: seen.append((time.perf_counter(), record["seconds"]))],
        changed=True,
    )
    ended = time.perf_counter()
    first, last = seen[0], seen[-1]
    steps = len(seen) - 1
    start = first[0] - began - (last[1] - first[1]) / steps
    print(json.dumps([start, ended - last[0], peak(), imported]))
    assert trainer.finished


def rows_of(count: int, folder: Path) -> list[dict[str, str]]:
    """Measure runs of so many images, in memory and in files."""
    data = folder / f"{count}.npz"
    make("npz", count, data)
    found = []
    for store in ("memory", "files"):
        out = folder / f"{count}-{store}"
        for iterations, what in ((ITERATIONS, "begun"), (2 * ITERATIONS, "continued")):
            words = ("--data", data, "--out", out, "--store", store, "--iterations", iterations)
            found.append(row(count, store, what, *alone(__file__, *words)))
    return found


def row(
    count: int,
    store: str,
    what: str,
    start: float,
    end: float,
    most: float,
    of: float,
) -> dict[str, str]:
    """Return one run's row of the table."""
    return {
        "images": f"{count}",
        "latents in": store,
        "run": what,
        "seconds to start": f"{start:.2f}",
        "seconds for a checkpoint": f"{end:.2f}",
        "peak of resident memory, MB": f"{most:.0f}",
        "of it imports": f"{of:.0f}",
    }


def main() -> None:
    """Measure runs one after another and print the table."""
    parser = arguments(__doc__, "large")
    parser.add_argument("--counts", type=int, nargs="+", default=[10**3, 10**5, 10**6])
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--data", help="only measure one run, in this process")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--store")
    parser.add_argument("--iterations", type=int)
    options = parser.parse_args()
    if options.data:
        return measure(options.data, options.out, options.store, options.iterations)
    rows = []
    for count in options.counts:
        with tempfile.TemporaryDirectory(dir=options.scratch, prefix="tigon-large-") as folder:
            os.environ["TIGON_CACHE"] = str(Path(folder, "cache"))
            rows += rows_of(count, Path(folder))
    text = f"## Runs with many images\n\n{table(rows)}\n\n{note()}"
    publish(options.write, "large", text)


def note() -> str:
    """Return what the table depends on."""
    return (
        f"Printed by `python benchmarks/large.py` on {machine('numpy')}; generator of width 8, "
        f"{DIM} latents, batches of 64, seed 0. The first start of each number of images decodes "
        "them, too. What an iteration takes is in `scaling.py`'s tables."
    )


if __name__ == "__main__":
    main()
