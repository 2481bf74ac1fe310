"""Chain steps per second compared with ebmkit, torchebm and a bare loop, on the same networks.

    python benchmarks/peers.py [--rounds 12] [--write benchmarks/RESULTS.md]

All contestants move the same points by the same network with the same step size, and take turns
in every round; a ratio is the median over rounds of the two rates of one round. One thread, CPU
seconds. The bare loop is what PyTorch itself takes: gradient, noise, update, and nothing else.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import ebm
import torch
from torch import Tensor, nn
from torchebm.samplers import LangevinDynamics

from contestants import Energy
from measuring import Spread, arguments, judged, publish, spread
from networks import networks
from results import Figure, machine, table
from tigon import MALA, MCMC, Compiled, Langevin, keep_freed_memory, make_rng

STEP_SIZE, BATCHES, SECONDS, MOST, FIRST = 0.05, (1, 16, 128), 0.15, 30, 10
SMALL, EQUAL, AHEAD = "perceptron 2-128-128-1", 1.0, 1.3
OURS = ("tigon", "tigon, compiled")
Steps = Callable[[int], object]


class Row(NamedTuple):
    """One contestant on one network.

    Attributes:
        seconds: CPU seconds a step, of each round
    """

    network: str
    kernel: str
    batch: int
    library: str
    seconds: list[float]


def bare(network: nn.Module, x: Tensor) -> Steps:
    """Return Langevin dynamics in as few PyTorch operations as possible."""

    def run(steps: int) -> None:
        y = x
        for _ in range(steps):
            y = y.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(network(y).sum(), y)
            y = y.detach() + STEP_SIZE**2 / 2 * gradient + STEP_SIZE * torch.randn_like(y)

    return run


def contestants(network: nn.Module, x: Tensor) -> dict[str, dict[str, Steps]]:
    """Return what takes so many steps from x, by kernel and library."""
    eps, density = STEP_SIZE**2 / 2, network.__call__
    faster = Compiled(density)

    def ours(kernel: Langevin | MALA, log_density: Callable[[Tensor], Tensor]) -> Steps:
        end = isinstance(kernel, MALA)  # a Langevin chain of n steps takes n gradients, as theirs
        return lambda steps: MCMC(kernel, steps, evaluate_end=end).run(
            log_density, x, make_rng("noise")
        )

    def ebmkits(sampler: ebm.Sampler) -> Steps:
        return lambda steps: sampler.sample(lambda y: -network(y), x, steps=steps)

    peer = LangevinDynamics(Energy(density, x.dtype), step_size=eps, dtype=x.dtype)
    return {
        "Langevin": {
            "tigon": ours(Langevin(STEP_SIZE), density),
            "tigon, compiled": ours(Langevin(STEP_SIZE), faster),
            "ebmkit": ebmkits(ebm.LangevinDynamics(eps)),
            "torchebm": lambda steps: peer.sample(x=x, n_steps=steps),
            "bare loop": bare(network, x),
        },
        "MALA": {
            "tigon": ours(MALA(STEP_SIZE), density),
            "tigon, compiled": ours(MALA(STEP_SIZE), faster),
            "ebmkit": ebmkits(ebm.MALA(eps)),
        },
    }


def taken(run: Steps, steps: int) -> float:
    """Return the CPU seconds of so many steps, for one."""
    began = time.process_time()
    run(steps)
    return (time.process_time() - began) / steps


def race(rounds: int) -> list[Row]:
    """Measure everything, each network and batch in its own rounds."""
    rows = []
    for name, (network, shape) in networks().items():
        for batch in BATCHES:
            x = torch.randn(batch, *shape, generator=make_rng("points", name, batch))
            for kernel, runs in contestants(network, x).items():
                first = min(taken(run, FIRST) for run in runs.values() for _ in range(2))
                steps = max(MOST, int(SECONDS / first))
                found: dict[str, list[float]] = {library: [] for library in runs}
                for turn in range(rounds):
                    for library in sorted(runs, reverse=bool(turn % 2)):
                        found[library].append(taken(runs[library], steps))
                rows += [Row(name, kernel, batch, *pair) for pair in found.items()]
            print(f"{name}, batch {batch}", flush=True)
    return rows


def ratio(ours: Row, theirs: Row) -> Spread:
    """Return the ratio of their seconds to ours."""
    return spread([b / a for a, b in zip(ours.seconds, theirs.seconds, strict=True)])


def line(row: Row, rows: Sequence[Row]) -> dict[str, str]:
    """Return the table's line of one contestant, with how many times as fast ours are."""
    like = {one.library: one for one in rows if one[:3] == row[:3]}
    ratios = {
        f"{ours} / it": "{1:.2f} ({0:.2f} to {2:.2f})".format(*ratio(like[ours], row))
        if ours in like and row.library not in OURS
        else ""
        for ours in OURS
    }
    return {
        "network": row.network,
        "batch": str(row.batch),
        "kernel": row.kernel,
        "by": row.library,
        "steps a second": f"{1 / statistics.median(row.seconds):.4g}",
        **ratios,
    }


def figures(rows: Sequence[Row]) -> list[Figure]:
    """Return the criteria: the worst ratio to any peer, of small networks and of the others."""
    found = []
    for small, limit in ((True, AHEAD), (False, EQUAL)):
        for kernel in ("Langevin", "MALA"):
            some = [r for r in rows if r.kernel == kernel and is_small(r) == small]
            peers = [r for r in some if r.library in ("ebmkit", "torchebm")]
            worst = min((best(peer, some) for peer in peers), key=lambda q: q.median)
            where = "perceptron at batch 1 and 16" if small else "all else"
            criterion = f"{kernel} steps a second over the peers', worst row, {where}"
            met = worst.median >= limit
            found.append(judged(criterion, f"at least {limit:g}", worst, "times", met))
    return found


def is_small(row: Row) -> bool:
    """Return whether overhead dominates: a small network and few points."""
    return row.network == SMALL and row.batch <= 16


def best(peer: Row, rows: Sequence[Row]) -> Spread:
    """Return the ratio of our faster row, plain or compiled, to a peer's."""
    ours = [row for row in rows if row.library in OURS and row[:3] == peer[:3]]
    return max((ratio(row, peer) for row in ours), key=lambda q: q.median)


def page(rows: Sequence[Row], rounds: int) -> str:
    """Return the table with what it depends on."""
    return "\n\n".join(
        [
            "## Chain steps per second beside other libraries",
            f"Printed by `python benchmarks/peers.py` on {machine('ebmkit', 'torchebm')}; medians "
            f"and quartiles of {rounds} rounds in which contestants take turns, chains of at "
            f"least {MOST} steps, CPU seconds, float32, freed memory kept for all. A ratio is "
            "how many times as many steps a second ours take as the row's: above 1, tigon is "
            "faster.",
            table([line(row, rows) for row in rows]),
            NOTES.strip(),
        ]
    )


NOTES = """
- The bare loop is the limit of what is not compiled: no library that asks PyTorch's autograd for a
  gradient can be much faster. Where tigon's plain Langevin is below it, that is since every chain
  has a step size of its own, and log-density and acceptance are kept.
- A chain of n Langevin steps takes n gradients of all libraries here (`evaluate_end=False` of
  tigon's); MALA's takes n + 1.
- Compiled chains take eight steps by one function; compiling comes before the clock. The criteria
  take the faster of the two, plain or compiled.
- MALA keeps the gradient of the point where it is; ebmkit evaluates it again; torchebm has none.
- Compiling takes up to a minute for a kind of chain on the residual network.
"""


def main() -> None:
    """Measure, print, and write."""
    parser = arguments(__doc__, "peers")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = race(options.rounds)
    publish(options.write, "peers", page(rows, options.rounds), figures(rows))


if __name__ == "__main__":
    main()
