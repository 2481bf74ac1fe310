"""Time and memory of a chain store in files, against the number of its rows.

    python benchmarks/store.py [--rows 10000 100000 1000000] [--write benchmarks/RESULTS.md]

Each store is made, walked through once in scattered batches of 64 (read and written), and deleted,
in its own process, whose peak resident memory Linux reports (VmHWM).
"""

import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from measuring import arguments, peak, publish
from results import machine, table
from tigon import ChainStore, make_rng

DIM, BATCH = 128, 64
STRIDE = 618_033_989  # scatters rows without an index of all of them in memory


def measure(rows: int, folder: Path) -> None:
    """Print rows, seconds to make, microseconds a batch, peak and file size in MB."""
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(dir=folder))
    try:
        rng, began = make_rng("store"), time.perf_counter()
        draw = lambda like: torch.randn(like.shape, generator=rng)  # noqa: E731
        store = ChainStore.mapped(folder, rows, (DIM,), draw=draw)
        made = time.perf_counter() - began
        walk(store, rng)
        spent = time.perf_counter() - began - made
        size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20
        print(rows, made, spent / -(-rows // BATCH), peak(), size)
    finally:
        shutil.rmtree(folder)


def walk(store: ChainStore, rng: torch.Generator) -> None:
    """Read and write all rows once, in scattered batches, and check that they were written."""
    rows = len(store)
    assert math.gcd(STRIDE, rows) == 1
    for first in range(0, rows, BATCH):
        index = torch.arange(first, min(first + BATCH, rows)) * STRIDE % rows
        store.write(index, store.read(index) + 100)
    index = torch.randint(rows, (BATCH,), generator=rng)
    assert bool(((store.read(index) - 100).abs() < 10).all())


def main() -> None:
    """Measure stores one after another and print the table."""
    parser = arguments(__doc__, "store")
    parser.add_argument("--rows", type=int, nargs="+", default=[10**4, 10**5, 10**6])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--measure", type=int, help="only measure one store, in this process")
    options = parser.parse_args()
    if options.measure:
        return measure(options.measure, options.folder)
    rows = []
    for count in options.rows:
        if shutil.disk_usage(options.folder).free < max(2e9, 3 * 4 * DIM * count):
            print(f"{count} rows: left out, the disk of {options.folder} is too full")
            continue
        command = [sys.executable, __file__, "--measure", str(count), "--folder", options.folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows.append(line(*map(float, done.split())))
    text = f"## Chain stores in files: rows of {DIM} numbers\n\n{table(rows)}\n\n{note()}"
    publish(options.write, "store", text)


def line(rows: float, made: float, each: float, peak: float, size: float) -> dict[str, str]:
    """Return one store's row of the table."""
    return {
        "rows": f"{rows:.0f}",
        "seconds to make": f"{made:.2f}",
        f"ms to read and write {BATCH} rows": f"{1000 * each:.2f}",
        "peak of resident memory, MB": f"{peak:.0f}",
        "files, MB": f"{size:.0f}",
    }


def note() -> str:
    """Return what the table depends on."""
    return (
        f'Printed by `python benchmarks/store.py` on {machine("numpy")}; generator seed "store". '
        "The memory is that of Python with torch and one batch, at any number of rows."
    )


if __name__ == "__main__":
    main()
