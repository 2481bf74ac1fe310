"""ESS per gradient evaluation and per second: tigon's kernels compared with others'.

    python benchmarks/chains.py [--chains 48] [--repeats 4] [--write benchmarks/RESULTS.md]

Contestants on one target have the same step size (eps = s^2 / 2 where a library asks for that),
the same starts, drawn from the density, the same seeds and the same number of steps; they take
turns. One thread.
"""

import argparse
import statistics
import time
from typing import NamedTuple

import torch
from arviz_stats.base import array_stats
from torch import Tensor

from contestants import LEAPFROG, Sampler, Target, contestants, targets
from measuring import arguments, publish
from results import machine, table
from tigon import make_rng

STEPS = {
    "Langevin": 3000,
    "MALA": 2000,
    "HMC": 500,
    "UnderdampedLangevin": 2000,
    "ReplicaExchange": 2000,
}
ROUNDS, SECONDS = 40, 0.02
Row = dict[str, str]


class Figures(NamedTuple):
    """Measurements of one sampler on one target.

    Attributes:
        cost: gradient evaluations a step
        ess: of each repeat, over its steps
        bias: variance of the draws over that of the density, less 1, (d,)
        seconds: CPU seconds a step, of each round
    """

    cost: float
    ess: list[float]
    bias: Tensor
    seconds: list[float]


def gradients_a_step(sampler: Sampler, target: Target) -> float:
    """Count the backward passes through the log-density of 50 steps beyond the first 10."""
    count = 0

    def counting(x: Tensor) -> Tensor:
        value = target.log_density(x)
        if value.requires_grad:
            value.register_hook(counted)
        return value

    def counted(_: Tensor) -> None:
        nonlocal count
        count += 1

    counts = []
    for steps in (10, 60):
        count = 0
        sampler(counting, target.draws[:2], steps, 0)
        counts.append(count)
    return (counts[1] - counts[0]) / 50


def smallest_ess(trajectory: Tensor) -> float:
    """Return the least bulk ESS over coordinates and their squares of (steps, B, d)."""
    x = trajectory.double().transpose(0, 1)
    x = x - x.mean((0, 1))
    both = torch.cat([x, x**2], 2).numpy()
    return min(
        float(array_stats.ess(both[..., k], chain_axis=0, draw_axis=1))
        for k in range(both.shape[2])
    )


def starts(target: Target, chains: int, seed: int) -> Tensor:
    """Return draws from the density, (chains, d)."""
    order = torch.randperm(len(target.draws), generator=make_rng("start", seed))
    return target.draws[order[:chains]]


def mixing(
    samplers: dict[str, Sampler], target: Target, steps: int, chains: int, repeats: int
) -> dict[str, tuple[list[float], Tensor]]:
    """Return each sampler's ESS a step, repeat by repeat, and the bias of its variance, (d,)."""
    found = {}
    for name, sampler in samplers.items():
        runs = [
            sampler(target.log_density, starts(target, chains, seed), steps, seed).double()
            for seed in range(repeats)
        ]
        variance = torch.stack([run.flatten(0, 1).var(0) for run in runs]).mean(0)
        ess = [smallest_ess(run) / steps for run in runs]
        found[name] = ess, variance / target.variance - 1
    return found


def speeds(samplers: dict[str, Sampler], target: Target, chains: int) -> dict[str, list[float]]:
    """Return each sampler's CPU seconds a step, round by round; they take turns in each."""
    x = starts(target, chains, 0)
    found: dict[str, list[float]] = {name: [] for name in samplers}
    lengths = {}
    for name, sampler in samplers.items():
        began = time.process_time()
        sampler(target.log_density, x, 50, 0)
        lengths[name] = max(20, int(50 * SECONDS / (time.process_time() - began)))
    for turn in range(ROUNDS):
        for name in sorted(samplers, reverse=bool(turn % 2)):
            began = time.process_time()
            samplers[name](target.log_density, x, lengths[name], turn)
            found[name].append((time.process_time() - began) / lengths[name])
    return found


def compete(target: Target, kernel: str, chains: int, repeats: int, length: float) -> list[Row]:
    """Measure the samplers of one kind on a target, and compare each with the first."""
    samplers = contestants(kernel, target.sizes[kernel])
    steps = max(100, int(length * STEPS[kernel]))
    mixed = mixing(samplers, target, steps, chains, repeats)
    timed = speeds(samplers, target, chains)
    figures = {
        name: Figures(gradients_a_step(sampler, target), *mixed[name], timed[name])
        for name, sampler in samplers.items()
    }
    ours = figures["tigon"]
    kind = str(target.draws.dtype).removeprefix("torch.")
    return [
        {
            "target": f"{target.name}, {kind}",
            "kernel": kernel,
            "s": f"{target.sizes[kernel]:g}",
            "library": name,
            "gradients a step": f"{one.cost:g}",
            "ESS per 1000 gradients": f"{1000 * statistics.mean(one.ess) / one.cost:.1f}",
            "µs a step": f"{1e6 * statistics.median(one.seconds):.0f}",
            "variance off by": f"{100 * one.bias[one.bias.abs().argmax()]:+.1f} %",
            "ratio per gradient": "" if one is ours else shown(*per_gradient(ours, one)),
            "ratio per second": "" if one is ours else shown(*per_second(ours, one)),
        }
        for name, one in figures.items()
    ]


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """Return the median of the paired ratios, and the standard error of their mean."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    spread = float(torch.tensor(each).std())
    return statistics.median(each), spread / len(each) ** 0.5


def per_gradient(ours: Figures, theirs: Figures) -> tuple[float, float]:
    """Return our ESS per gradient evaluation relative to theirs, and its error."""
    value, error = ratio(ours.ess, theirs.ess)
    return value * theirs.cost / ours.cost, error * theirs.cost / ours.cost


def per_second(ours: Figures, theirs: Figures) -> tuple[float, float]:
    """Return our ESS per CPU second relative to theirs, and its error."""
    (mixed, one), (faster, other) = (
        ratio(ours.ess, theirs.ess),
        ratio(theirs.seconds, ours.seconds),
    )
    return mixed * faster, mixed * faster * ((one / mixed) ** 2 + (other / faster) ** 2) ** 0.5


def shown(value: float, error: float) -> str:
    """Return a ratio with its standard error."""
    return f"{value:.2f} ± {error:.2f}"


def main() -> None:
    """Run everything and print the table."""
    parser = arguments(__doc__, "chains")
    parser.add_argument("--chains", type=int, default=48, help="side by side, in one batch")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--length", type=float, default=1.0, help="times the default steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, rows = time.time(), []
    for target in targets():
        for kernel in target.sizes:
            rows += compete(target, kernel, options.chains, options.repeats, options.length)
            print(f"{time.time() - began:4.0f} s: {target.name}, {kernel}", flush=True)
    publish(options.write, "chains", page(rows, options, time.time() - began))


def page(rows: list[Row], options: argparse.Namespace, seconds: float) -> str:
    """Return the table with what it depends on."""
    steps = ", ".join(f"{kernel} {int(options.length * n)}" for kernel, n in STEPS.items())
    return "\n\n".join(
        [
            "## Effective draws per gradient evaluation and per second",
            "Printed by `python benchmarks/chains.py` on "
            f"{machine('ebmkit', 'torchebm', 'arviz-stats')}; {seconds:.0f} s in all. "
            f"{options.chains} chains side by side, seeds 0 to {options.repeats - 1}; steps: "
            f"{steps}. ESS is the least bulk ESS (arviz-stats) over coordinates and their "
            "squares; a gradient evaluation is one backward pass through the log-density, of all "
            f"chains; µs are of CPU time, the median of {ROUNDS} rounds in which contestants take "
            "turns. A ratio is the figure of the row `tigon` over this row's, ± its standard "
            "error: above 1, tigon has more. `variance off by` is the coordinate with the largest "
            "error: the bias of unadjusted samplers, and the noise of exact ones.",
            table(rows),
            NOTES.format(ebmkit=LEAPFROG + 1, torchebm=2 * LEAPFROG).strip(),
        ]
    )


NOTES = """
- Langevin, MALA and HMC without jitter draw the same noise in the same order as ebmkit's, and the
  Langevin of torchebm too (its HMC as well in float32), so draws agree and ratios per gradient are
  exact: MALA caches one of ebmkit's two gradients a step, HMC one of its {ebmkit} and half of
  torchebm's {torchebm}.
- The row `tigon, jitter 0.2` is the default of tigon's HMC: trajectories of one length resonate
  with a density, so that a fixed length is worth a fraction of it.
- Where `Langevin` and `UnderdampedLangevin` give fewer draws per second than ebmkit's: every chain
  has a step size of its own (tensors where ebmkit has one number), log-density and acceptance are
  kept, shapes are checked, and BAOAB has more terms than ebmkit's symplectic Euler. This hardly
  grows with the density. `peers.py` has other networks, and compiled ones.
- ebmkit's underdamped Langevin is at one and the same s a little less correlated, and more biased.
  BAOAB is exact on Gaussians and takes longer steps: `tigon, 1.5 s`.
- Replica exchange: tigon tries all neighbours in each step, the hottest first, so that a point can
  come down at once; ebmkit tries every other pair, and evaluates again what tigon remembers.
"""

if __name__ == "__main__":
    main()
