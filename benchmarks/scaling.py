"""Time and memory of training against the number of images, and other numbers that matter.

    python benchmarks/scaling.py [--rounds 7] [--quick] [--write benchmarks/RESULTS.md]

Every case is trained in its own process, with one thread, and waits while the others take their
turns: a machine that is busy for a while is so for all. Tables have medians and quartiles over the
rounds, processor time beside wall time, and the peak of resident memory above what the imports
take. The plots go to `pictures/`, beside the file that `--write` names.

By the number of images: a generator of width 8 of 16 x 16 pixels with 64 latents, in blocks of 160
iterations, as many as a tenth of an epoch of 100 000 images takes, so that a block has its share
of all that is done once every tenth of an epoch. The images are mapped from the cache.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from measuring import arguments, in_turns, judged, launch, publish, spread
from results import Figure, machine, table
from scaling_cases import DESCRIPTOR, GENERATOR, Case
from scaling_plots import Curve, plot

BLOCK = 160  # iterations, by the number of images
COUNTS = (10, 100, 1000, 10_000, 100_000)
SMALL, LARGE = 1000, 100_000  # images that the criteria compare
LONGER, MORE = 1.1, 10.0  # times the time per image, and MB, that the larger may take
COPIES = 5  # processes whose memory the criterion compares
STEP = "µs an image and gradient evaluation"


CASES = str(Path(__file__).with_name("scaling_cases.py"))
SWEEPS: tuple[tuple[Case, str, tuple[int, ...]], ...] = (
    (GENERATOR, "batch", (1, 4, 16, 64, 256)),
    (GENERATOR, "steps", (1, 2, 5, 10, 20)),
    (GENERATOR, "latent_dim", (2, 8, 32, 128)),
    (GENERATOR, "size", (16, 32, 64, 128)),
    (DESCRIPTOR, "batch", (1, 4, 16, 64, 256)),
    (DESCRIPTOR, "steps", (5, 10, 20, 40)),
    (DESCRIPTOR, "size", (16, 32, 64, 128)),
)
TITLES = {
    "batch": "batch size",
    "steps": "chain steps",
    "latent_dim": "latent dimension",
    "size": "image size",
}


def measured(cases: Sequence[Case], rounds: int) -> list[list[dict[str, float]]]:
    """Measure cases in turns; return each one's blocks."""
    return in_turns(CASES, [(json.dumps(asdict(case)),) for case in cases], rounds)


def per(blocks: Sequence[Mapping[str, float]], time: str, of: str) -> list[float]:
    """Return the time (wall or cpu) of each block for one of its images, iterations, ..."""
    return [block[time] / block[of] for block in blocks]


def shown(values: Sequence[float], unit: float) -> str:
    """Return the median and the quartiles of seconds, in a unit of so many a second."""
    low, median, high = (f"{unit * value:.3g}" for value in spread(values))
    return f"{median} ({low} to {high})"


def by_images(options: argparse.Namespace, folder: Path) -> tuple[str, list[Figure], list[Curve]]:
    """Measure by the number of images; return the table, the criteria and the plots' curves."""
    from size import make
    from tigon import load_images

    cases = []
    for count in options.counts:
        data = folder / f"{count}.npz"
        make("npz", count, data, 16)
        load_images(data, 16)  # decodes them: a run then finds them in the cache
        one = Case(data=str(data), latent_dim=64, steps=1, size=16, width=8, iterations=BLOCK)
        cases += [(count, replace(one, store=store)) for store in ("memory", "files")]
    found = measured([case for _, case in cases], options.rounds)
    rows: list[dict[str, Any]] = []
    blocks: dict[tuple[str, int], list[dict[str, float]]] = {}
    for (count, case), of_case in zip(cases, found, strict=True):
        blocks[case.store, count] = of_case
        rows.append(
            {
                "images": f"{count:,}",
                "latents in": case.store,
                "s an epoch": f"{spread(per(of_case, 'wall', 'images')).median * count:.3g}",
                "µs an image": shown(per(of_case, "wall", "images"), 1e6),
                "of the processor": shown(per(of_case, "cpu", "images"), 1e6),
                "MB above imports": f"{of_case[-1]['memory']:.0f}",
            }
        )
    curves = [
        Curve(
            f"latents in {store}",
            "images",
            options.counts,
            [blocks[store, n] for n in options.counts],
        )
        for store in ("memory", "files")
    ]
    files = {count: case for count, case in cases if case.store == "files"}
    peaks = {count: peak_of(files[count]) for count in (SMALL, LARGE) if count in files}
    return table(rows), criteria(blocks, peaks), curves


def peak_of(case: Case) -> list[float]:
    """Return the peak of memory of `COPIES` processes: heaps differ by some MB."""
    return [blocks[-1]["memory"] for blocks in measured([case] * COPIES, 3)]


def criteria(
    blocks: Mapping[tuple[str, int], Sequence[Mapping[str, float]]],
    peaks: Mapping[int, Sequence[float]],
) -> list[Figure]:
    """Return what 100 000 images take beside 1000, where both were measured.

    Arguments:
        peaks: MB of each of some processes with latents in files, by the number of images
    """
    figures: list[Figure] = []
    for store in ("memory", "files"):
        if (store, SMALL) not in blocks or (store, LARGE) not in blocks:
            continue
        small, large = (per(blocks[store, n], "wall", "images") for n in (SMALL, LARGE))
        ratio = spread([b / a for a, b in zip(small, large, strict=True)])
        name = f"time per image, {LARGE} images over {SMALL}, latents in {store}"
        figures.append(judged(name, f"at most {LONGER}", ratio, "times", ratio.median <= LONGER))
    if SMALL in peaks and LARGE in peaks:
        more = spread([b - a for a, b in zip(peaks[SMALL], peaks[LARGE], strict=True)])
        name = f"peak memory, {LARGE} images over {SMALL}, latents in files"
        figures.append(judged(name, f"at most {MORE:g} more", more, "MB", more.median <= MORE))
    return figures


def by_numbers(options: argparse.Namespace) -> tuple[str, list[list[Curve]]]:
    """Measure a step by the numbers it depends on; return the tables and the plots' curves."""
    parts, curves = [], []
    for base, name, values in SWEEPS:
        values = values[:3] if options.quick else values
        cases = [replace(base, **{name: value}) for value in values]  # type: ignore[arg-type]
        found = measured(cases, options.rounds)
        rows = [
            {
                f"{base.kind}: {TITLES[name]}": value,
                "ms an iteration": shown(per(blocks, "wall", "iterations"), 1e3),
                "of the processor": shown(per(blocks, "cpu", "iterations"), 1e3),
                STEP: shown(per(blocks, "wall", "evaluations"), 1e6),
                "MB above imports": f"{blocks[-1]['memory']:.0f}",
            }
            for value, blocks in zip(values, found, strict=True)
        ]
        parts.append(table(rows))
        curves.append([Curve(base.kind, TITLES[name], values, found)])
        print(f"{base.kind} by {name}", file=sys.stderr, flush=True)
    return "\n\n".join(parts), curves


def by_processes(options: argparse.Namespace) -> str:
    """Measure one process and two, which take turns; return the table."""
    case = replace(GENERATOR, iterations=10 if options.quick else 40)
    blocks: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(2 if options.quick else 4):
        for processes, found in blocks.items():
            told = launch(processes, CASES, json.dumps(asdict(case)), "--joined")
            found.append(json.loads(told.splitlines()[-1]))
    rows = [
        {
            "processes": processes,
            "ms an iteration": shown(per(found, "wall", "iterations"), 1e3),
            "of the first one's processor": shown(per(found, "cpu", "iterations"), 1e3),
            "MB above imports, of the first": f"{found[-1]['memory']:.0f}",
        }
        for processes, found in blocks.items()
    ]
    return table(rows)


def draw(folder: Path, images: Sequence[Curve], numbers: Sequence[Sequence[Curve]]) -> None:
    """Draw all plots into a folder."""
    plot(folder / "scaling-images.png", [images], "images", ("µs an image", 1e6))
    for kind in ("generator", "descriptor"):
        panels = [curves for curves in numbers if curves[0].label == kind]
        unit = ("ms an iteration", 1e3)
        plot(folder / f"scaling-{kind}.png", panels, "iterations", unit)


def page(images: str, numbers: str, processes: str) -> str:
    """Return the tables with what they depend on."""
    return "\n\n".join(
        [
            "## Scaling",
            f"Printed by `python benchmarks/scaling.py` on {machine('numpy')}. Medians and "
            "quartiles over the rounds, in which the cases take turns, each in a process of its "
            "own, with a learning rate that changes next to nothing; memory is the peak of "
            "resident memory above that of the imports.",
            f"### By the number of images\n\n{images}",
            "Generator of width 8, 16 x 16 pixels, 64 latents, one MALA step an iteration, "
            f"batches of 64; blocks of {BLOCK} iterations. Images are mapped from the cache. With "
            "10 images, a batch is 10.",
            "![Microseconds an image and megabytes, by the number of images]"
            "(pictures/scaling-images.png)",
            f"### By the numbers that a step depends on\n\n{numbers}",
            "All others as they are here: generator and descriptor of width 16, 32 x 32 pixels, "
            "batches of 64; 32 latents and 5 steps of MALA; 10 steps of Langevin dynamics. An "
            "iteration has one gradient evaluation more than its chains, for the update. Where "
            "time grows much its axis is logarithmic, and dashed is what grows with the number, "
            "or with the number of pixels.",
            "![Milliseconds an iteration of the generator, and megabytes, by each number]"
            "(pictures/scaling-generator.png)",
            "![Milliseconds an iteration of the descriptor, and megabytes, by each number]"
            "(pictures/scaling-descriptor.png)",
            f"### By the number of processes\n\n{processes}",
            "That generator, its batches of 64 divided among processes joined by gloo on this "
            "machine, one thread each.",
        ]
    )


def main() -> None:
    """Measure everything and print the tables."""
    parser = arguments(__doc__, "scaling")
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="few values, three rounds")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    if options.quick:
        options.rounds = 3
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="tigon-scaling-") as folder:
        os.environ["TIGON_CACHE"] = str(Path(folder, "cache"))
        images, figures, of_images = by_images(options, Path(folder))
        numbers, of_numbers = by_numbers(options)
        text = page(images, numbers, by_processes(options))
    publish(options.write, "scaling", text, figures)
    if options.write:
        draw(options.write.parent / "pictures", of_images, of_numbers)


if __name__ == "__main__":
    main()
