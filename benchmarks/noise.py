"""Time to draw a batch's noise, compared with one `torch.Generator` per row, as in the past.

    python benchmarks/noise.py [--rounds 40] [--write benchmarks/RESULTS.md]

Streams are created and draw, the old and the new ones in turns in one process. On a
CPU the time is the process's own, which a busy machine hardly changes; on a GPU it ends when the
GPU is done.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from measuring import Spread, arguments, judged, publish, spread
from results import machine, table
from tigon import RowRng, make_rng
from tigon.random.philox import kernels_of

CASES = (  # rows, numbers of each, draws
    (64, 64 * 64 * 3, 1),
    (64, 64 * 64 * 3, 10),
    (64, 100, 1),
    (64, 100, 10),
    (64, 2, 1),
    (64, 2, 10),
    (11, 2, 10),
    (1024, 2, 10),  # inference of 64 images from 16 starts each
)
LIMIT = "at most 1"


class OneARow:
    """The former row streams: one generator per row, seeded with 32 bits on a CPU."""

    def __init__(self, index: range, device: torch.device) -> None:
        self.rows = [make_rng("chains", 0, 0, i, device=device) for i in index]

    def normal(self, like: Tensor) -> Tensor:
        """Return a stack of each row's draw."""
        each = like.new_empty(like.shape[1:])
        return torch.stack([torch.empty_like(each).normal_(generator=rng) for rng in self.rows])


def seconds(make: Callable[[], OneARow | RowRng], like: Tensor, draws: int) -> float:
    """Return the time of making streams and drawing."""
    on_gpu = like.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    began = clock()
    streams = make()
    for _ in range(draws):
        streams.normal(like)
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - began


def measured(
    rows: int, numbers: int, draws: int, device: torch.device, rounds: int
) -> tuple[Spread, Spread]:
    """Return the quartiles of the old streams' seconds, and of the new ones'."""
    like = torch.zeros(rows, numbers, device=device)
    makes = (lambda: OneARow(range(rows), device), lambda: RowRng(0, 0, range(rows)))
    turns = [[seconds(make, like, draws) for make in makes] for _ in range(rounds + 1)][1:]
    old, new = (spread(times) for times in zip(*turns, strict=True))
    return old, new


def line(case: tuple[int, int, int], place: str, old: Spread, new: Spread) -> dict[str, str]:
    """Return one case's row of the table."""
    rows, numbers, draws = case
    return {
        "where": place,
        "rows x numbers": f"{rows} x {numbers}",
        "draws": str(draws),
        "one generator a row, ms": told(old),
        "streams, ms": told(new),
        "ratio of medians": f"{new.median / old.median:.2f}",
    }


def told(times: Spread) -> str:
    """Return the median and the quartiles in milliseconds."""
    low, median, high = (1000 * value for value in times)
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Measure on the CPU, and on a GPU if there is one, and print the table."""
    parser = arguments(__doc__, "noise")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    places = {"CPU": torch.device("cpu")}
    if torch.cuda.is_available():
        places[torch.cuda.get_device_name()] = torch.device("cuda", torch.cuda.current_device())
    lines, figures = [], []
    for place, device in places.items():
        for case in CASES:
            old, new = measured(*case, device, options.rounds)
            lines.append(line(case, place, old, new))
            if case == CASES[0]:
                ratio = Spread(*(value / old.median for value in new))
                criterion = f"noise of 64 x {64 * 64 * 3} numbers, {place}: streams over before"
                figures.append(judged(criterion, LIMIT, ratio, "times", ratio.median <= 1))
    text = f"## Noise: streams, and one generator a row\n\n{table(lines)}\n\n{note(places)}"
    publish(options.write, "noise", text, figures)


def note(places: dict[str, torch.device]) -> str:
    """Return what the table depends on."""
    gpu = places.get(torch.cuda.get_device_name()) if len(places) > 1 else None
    how = "No GPU here."
    if gpu is not None:
        how = "On the GPU by " + ("Triton." if kernels_of(gpu) else "PyTorch's operations.")
    return (
        f"Printed by `python benchmarks/noise.py` on {machine('numpy')}. Making the streams and "
        f"drawing normal float32 numbers; medians and quartiles, by turns in one process. {how}"
    )


if __name__ == "__main__":
    main()
