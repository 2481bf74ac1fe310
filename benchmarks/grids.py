"""Time and memory of a descriptor that learns by grids, beside one of a single grid.

    python benchmarks/grids.py [--rounds 7] [--write benchmarks/RESULTS.md]

The default recipe on the embedded photographs at 64 x 64, by 8, 16, 32 and 64 pixels and with
`--grids 1`, each in a process of one thread; they take turns, three iterations each. Chains of the
finest grid alone are timed too: they have the same network, steps and images in both.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median

import torch

from measuring import Spread, arguments, in_turns, judged, peak, publish, serve, spread
from results import machine, table
from tigon.data.load import load_images
from tigon.memory import keep_freed_memory
from tigon.models.energy import EnergyModel
from tigon.random.streams import RowRng
from tigon.recipes import DescriptorRecipe

SIZE, ITERATIONS = 64, 3
SLOWER, RATE, MEMORY = 1.6, 0.9, 1.4


def measure(grids: int) -> Callable[[], dict[str, float]]:
    """Return what times three iterations, and a run of the finest grid's chains."""
    torch.set_num_threads(1)
    keep_freed_memory()
    images = load_images("embedded:animal-faces", SIZE)
    recipe = DescriptorRecipe(image_size=SIZE, grids=grids or None, iterations=10_000)
    trainer = recipe.trainer(images)
    starts = torch.zeros(len(images), 3, SIZE, SIZE)
    model = trainer.learner.model
    assert isinstance(model, EnergyModel)

    def once() -> dict[str, float]:
        began = time.process_time()
        for _ in range(ITERATIONS):
            trainer.step()
        middle = time.process_time()
        model.run_chains(starts, RowRng(0, 0, range(len(images))))
        ended = time.process_time()
        steps = len(images) * model.chains.steps
        return {
            "seconds": (middle - began) / ITERATIONS,
            "rate": steps / (ended - middle),
            "memory": peak(),
        }

    return once


def main() -> None:
    """Measure in turns, and print the ratios and what they are held to."""
    parser = arguments(__doc__, "grids")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        return serve(measure(options.work))
    many, one = in_turns(__file__, [["--work", 0], ["--work", 1]], options.rounds)
    print(json.dumps({"grids": many, "one": one}), file=sys.stderr)

    def ratio(name: str) -> Spread:
        return spread([a[name] / b[name] for a, b in zip(many, one, strict=True)])

    slower, rate, memory = map(ratio, ("seconds", "rate", "memory"))
    rows = [
        {
            "": said,
            "by grids": f"{median(found[name] for found in many):.3g} {unit}",
            "single grid": f"{median(found[name] for found in one):.3g} {unit}",
            "ratio": f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]",
            "asked": limit,
        }
        for said, name, unit, found, limit in (
            ("CPU time of an iteration", "seconds", "s", slower, f"at most {SLOWER}"),
            ("chain steps on the finest grid", "rate", "a CPU second", rate, f"at least {RATE}"),
            ("peak memory", "memory", "MB", memory, f"at most {MEMORY}"),
        )
    ]
    text = (
        "## A descriptor by grids beside a single grid\n\n"
        f"`python benchmarks/grids.py`: the default descriptor on ten photographs at {SIZE} x "
        f"{SIZE}; medians and quartiles of {options.rounds} turns. {machine()}.\n\n{table(rows)}"
    )
    figures = [
        judged(
            "iteration by grids", f"at most {SLOWER}", slower, "times", slower.median <= SLOWER
        ),
        judged("finest chains by grids", f"at least {RATE}", rate, "times", rate.median >= RATE),
        judged("memory by grids", f"at most {MEMORY}", memory, "times", memory.median <= MEMORY),
    ]
    publish(options.write, "grids", text, figures)


if __name__ == "__main__":
    main()
