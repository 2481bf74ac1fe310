"""Time and memory of data sets with many images: first read, start of a run, resumption.

    python benchmarks/size.py [--counts 1000 100000 1000000] [--write benchmarks/RESULTS.md]

Data sets of 32 x 32 pixels are made in a temporary folder in `--scratch`: a `.npz`, and a folder
of JPEG and PNG files. For each, one process after another fills the cache, starts to learn a
descriptor from it, up to the first batch, and reads an epoch in batches of 64. The peak of
resident memory is what Linux tells (VmHWM).
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from measuring import alone, arguments, peak, publish
from results import machine, table

SIZE, BATCH, TOGETHER = 32, 64, 1000
STEPS = ("import", "fill", "start", "epoch")
FILES = 10**5  # most that a folder is made of


def images(count: int, size: int = SIZE) -> Iterator[np.ndarray]:
    """Yield smooth random images, uint8, a thousand (N, size, size, 3) at a time."""
    rng = np.random.default_rng(0)
    for first in range(0, count, TOGETHER):
        coarse = rng.integers(0, 256, (min(TOGETHER, count - first), 4, 4, 3), np.uint8)
        yield coarse.repeat(size // 4, 1).repeat(size // 4, 2)


def make(kind: str, count: int, path: Path, size: int = SIZE) -> None:
    """Make a data set without holding it in memory."""
    if kind == "npz":
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
        with (
            zipfile.ZipFile(path, "w") as archive,
            archive.open("images.npy", "w", force_zip64=True) as file,
        ):
            np.lib.format.write_array_header_1_0(file, header)
            for some in images(count, size):
                file.write(some.tobytes())
        return
    path.mkdir()
    for first, some in enumerate(images(count, size)):
        for number, pixels in enumerate(some, first * TOGETHER):
            ending, stream = ("jpg", "png")[number % 2], io.BytesIO()
            Image.fromarray(pixels).save(stream, ("JPEG", "PNG")[number % 2])
            (path / f"{number:07d}.{ending}").write_bytes(stream.getvalue())


def measure(step: str, data: str) -> None:
    """Take one step in this process; print its seconds, its images and the peak in MB."""
    import torch

    from tigon.data.batches import BatchOrder
    from tigon.recipes import DescriptorRecipe
    from tigon.runs.images import describe_images

    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # imports what it needs when first made
    recipe, read = DescriptorRecipe(image_size=SIZE, batch_size=BATCH), 0
    began = time.perf_counter()
    if step != "import":
        found = recipe.load(data)
        read = len(found)
    if step == "start":
        describe_images(found)
        trainer = recipe.trainer(found)
        assert len(trainer.order.read(found, 0, trainer.like).images) == BATCH
    if step == "epoch":
        order, like = BatchOrder(len(found), BATCH, 0), torch.zeros(())
        seen = sum(len(order.read(found, k, like).images) for k in range(order.batches))
        assert seen == len(found)
    print(json.dumps([time.perf_counter() - began, read, peak()]))


def row(kind: str, count: int, scratch: Path) -> dict[str, Any]:
    """Make one data set, take all steps, and return the table's row."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix="tigon-size-") as folder:
        data = Path(folder) / f"images{'.npz' if kind == 'npz' else ''}"
        make(kind, count, data)
        os.environ |= {"TIGON_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": "1"}
        found = {step: alone(__file__, "--measure", step, "--data", data) for step in STEPS}
    start = found["start"]
    return {
        "images": f"{count:,}",
        "from": kind,
        "fill the cache, s": f"{found['fill'][0]:.1f}",
        "peak, MB": f"{found['fill'][2]:.0f}",
        "start, s": f"{start[0]:.2f}",
        "peak, MB ": f"{start[2]:.0f}",
        "epoch, images/s": f"{count / found['epoch'][0]:,.0f}",
        "peak, MB  ": f"{found['epoch'][2]:.0f}",
        "of it imports, MB": f"{found['import'][2]:.0f}",
    }


def main() -> None:
    """Measure data sets one after another and print the table."""
    parser = arguments(__doc__, "size")
    parser.add_argument("--counts", type=int, nargs="+", default=[10**3, 10**5, 10**6])
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--measure", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        return measure(options.measure, options.data)
    rows = []
    for kind, most in (("npz", max(options.counts)), ("folder", FILES)):
        for count in options.counts:
            if count <= most:
                rows.append(row(kind, count, options.scratch))
                print(rows[-1], file=sys.stderr, flush=True)
    text = f"## Data sets of many images\n\n{table(rows)}\n\n{note()}"
    publish(options.write, "size", text)


def note() -> str:
    """Return what the table depends on."""
    return (
        f"Printed by `python benchmarks/size.py` on {machine('numpy', 'pillow')}. Images of "
        f"{SIZE} x {SIZE} pixels, batches of {BATCH}; every step in a process of its own, whose "
        "peak of resident memory holds what was imported. Start: the second time, from the call "
        "to the first batch of a descriptor's training, without the imports. Epoch: all images "
        "once in random order, from a file that the system has in its own cache."
    )


if __name__ == "__main__":
    main()
