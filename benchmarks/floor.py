"""How close chains come to the limits of the machine: its matrix products, and its memory.

    python benchmarks/floor.py [--rounds 9] [--threads 2] [--write benchmarks/RESULTS.md]

What is measured takes turns in every round, so that a busy machine slows all of it alike, and a
fraction is the median over rounds of the two rates of one round. Seconds are of the clock.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from measuring import arguments, judged, publish, spread
from networks import bytes_moved, operations
from results import Figure, machine, table
from tigon import (
    MALA,
    MCMC,
    ConvDescriptor,
    DCGANGenerator,
    EnergyModel,
    GeneratorModel,
    Langevin,
    keep_freed_memory,
    make_rng,
)
from tigon.densities.log_density import LogDensity, frozen
from tigon.mcmc.kernel import Kernel

SIDE, STEPS, LIMIT = 2048, 3, 75.0
Work = Callable[[], object]


class Chain(NamedTuple):
    """Chains on one network, and what a gradient evaluation of all of them takes.

    Attributes:
        run: takes `STEPS` steps, `STEPS` + 1 gradient evaluations
    """

    name: str
    batch: int
    precision: str
    operations: int
    moved: int
    run: Work


def limits() -> dict[str, tuple[float, Work]]:
    """Return what is measured in isolation: operations (or bytes), and the work."""
    a, b, c = (torch.randn(SIDE, SIDE, generator=make_rng("product", k)) for k in range(3))
    nhwc = {"memory_format": torch.channels_last}
    points = torch.randn(16, SIDE, 8, SIDE // 128).contiguous(**nhwc)
    weight = a.view(SIDE, SIDE, 1, 1).contiguous(**nhwc)
    images = torch.randn(16, 256, 32, 32).contiguous(**nhwc)
    kernel = torch.randn(256, 256, 3, 3).contiguous(**nhwc)
    big = torch.empty(1 << 26)
    rounded = (a.bfloat16(), b.bfloat16())
    product = 2.0 * SIDE**3
    convolution = 2.0 * 16 * 32 * 32 * 256 * 256 * 9
    conv = nn.functional.conv2d
    return {
        "torch.mm": (product, lambda: torch.mm(a, b, out=c)),
        "1x1 convolution": (product, lambda: conv(points, weight)),
        "3x3 convolution": (convolution, lambda: conv(images, kernel, padding=1)),
        "torch.mm, bfloat16": (product, lambda: torch.mm(*rounded)),
        "copy": (8.0 * big.numel() / 2, lambda: big[: 1 << 25].copy_(big[1 << 25 :])),
    }


def chains(batches: Sequence[int]) -> list[Chain]:
    """Return chains on the two networks of the recipes, at each batch and precision."""
    generator = GeneratorModel(DCGANGenerator(2, rng=make_rng("weights")), 2).requires_grad_(False)
    descriptor = EnergyModel(ConvDescriptor(64, rng=make_rng("weights"))).requires_grad_(False)
    found = []
    for batch in batches:
        rng = make_rng("points", batch)
        images = torch.rand(batch, 3, 64, 64, generator=rng) * 2 - 1
        latents = torch.randn(batch, 2, generator=rng)
        both = (
            ("generator, latents by MALA", generator, MALA(0.01), latents),
            ("descriptor, images by Langevin", descriptor, Langevin(0.01), images),
        )
        for name, model, kernel, x in both:
            density = model.posterior(images) if isinstance(model, GeneratorModel) else model
            count, moved = operations(model.network, x), bytes_moved(model.network, x)
            for precision in ("float32", "bfloat16")[: 1 + (model is descriptor)]:
                run = stepping(model, density, kernel, x, precision == "bfloat16")
                found.append(Chain(name, batch, precision, count, moved, run))
    return found


def stepping(
    model: nn.Module, density: LogDensity, kernel: Kernel, x: Tensor, rounded: bool
) -> Work:
    """Return work that takes the steps from x."""

    def run() -> None:
        with frozen(model), torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            MCMC(kernel, STEPS).run(density, x, make_rng("noise"))

    return run


def seconds(work: Work) -> float:
    """Return the duration of the work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(
    rounds: int, alone: dict[str, tuple[float, Work]], ours: list[Chain]
) -> tuple[dict[str, list[float]], list[list[float]]]:
    """Return rates of the work in isolation and seconds of an evaluation, round by round."""
    rates: dict[str, list[float]] = {name: [] for name in alone}
    taken: list[list[float]] = [[] for _ in ours]
    for turn in range(rounds + 1):
        for name, (count, work) in alone.items():
            rate = max(count / seconds(work) for _ in range(3))
            rates[name] += [rate] if turn else []
        for one, times in zip(ours, taken, strict=True):
            took = seconds(one.run) / (STEPS + 1)
            times += [took] if turn else []
    return rates, taken


def fractions(one: Chain, times: list[float], limit: list[float]) -> list[float]:
    """Return the percentage of a rate that the chains reach, round by round."""
    return [100 * one.operations / t / r for t, r in zip(times, limit, strict=True)]


def row(one: Chain, times: list[float], rates: dict[str, list[float]]) -> dict[str, str]:
    """Return the table's row of one chain."""
    plain = one.precision == "float32"
    of = {"torch.mm": rates["torch.mm"], "fastest product": fastest(rates, plain)}
    low, middle, high = spread(times)
    shown = {
        f"% of {name}": "{1:.0f} ({0:.0f} to {2:.0f})".format(
            *spread(fractions(one, times, limit))
        )
        for name, limit in of.items()
    }
    return {
        "chains": one.name,
        "batch": str(one.batch),
        "products in": one.precision,
        "GFLOP": f"{one.operations / 1e9:.2f}",
        "MB": f"{one.moved / 1e6:.0f}",
        "ms an evaluation": f"{1e3 * middle:.1f} ({1e3 * low:.1f} to {1e3 * high:.1f})",
        "GFLOP/s": f"{one.operations / middle / 1e9:.0f}",
        **shown,
        "ms by memory alone": f"{1e3 * one.moved / statistics.median(rates['copy']):.1f}",
    }


def fastest(rates: dict[str, list[float]], plain: bool) -> list[float]:
    """Return the fastest matrix product of each round, in float32 or in bfloat16."""
    if not plain:
        return rates["torch.mm, bfloat16"]
    return [max(pair) for pair in zip(rates["torch.mm"], rates["1x1 convolution"], strict=True)]


def figures(
    ours: list[Chain], taken: list[list[float]], rates: dict[str, list[float]]
) -> list[Figure]:
    """Return the criterion for each network at batch 64 in float32."""
    found = []
    for one, times in zip(ours, taken, strict=True):
        if one.batch != 64 or one.precision != "float32":
            continue
        for name, limit in (
            ("torch.mm's rate", rates["torch.mm"]),
            ("the fastest product's rate", fastest(rates, True)),
        ):
            part = spread(fractions(one, times, limit))
            criterion = f"{one.name}, batch 64: part of {name}"
            met = part.median >= LIMIT
            found.append(judged(criterion, f"at least {LIMIT:g}", part, "%", met))
    return found


def page(
    ours: list[Chain], taken: list[list[float]], rates: dict[str, list[float]], threads: int
) -> str:
    """Return both tables with what they depend on."""
    alone = [
        {
            "in isolation": name,
            "rate": "{1:.0f} ({0:.0f} to {2:.0f})".format(*[v / 1e9 for v in spread(values)]),
            "unit": "GB/s" if name == "copy" else "GFLOP/s",
        }
        for name, values in rates.items()
    ]
    return "\n\n".join(
        [
            "## The floor: chains as a fraction of what the machine can do",
            f"Printed by `python benchmarks/floor.py` on {machine(threads=threads)}; medians and "
            f"quartiles of {len(rates['copy'])} rounds in which all take turns; freed memory is "
            "kept, as the command line does. Products are of matrices of "
            f"{SIDE} x {SIDE}; convolutions are channels-last. An evaluation is one gradient of "
            f"the log-density of all chains of the batch, in chains of {STEPS} steps; GFLOP are "
            "those of its matrix products and convolutions, there and back; MB what it moves at "
            "least, without caches.",
            table(alone),
            table([row(*pair, rates) for pair in zip(ours, taken, strict=True)]),
            NOTES.strip(),
        ]
    )


NOTES = """
- `torch.mm` in float32 is MKL's, which on AMD's processors stays below what oneDNN's products
  and convolutions reach: chains can be faster than it. The fastest product is the larger of
  torch.mm and a 1x1 convolution, which is a matrix product by oneDNN.
- In bfloat16 there are a descriptor's chains only; a generator's stay float32.
- The descriptor's first convolution has three channels, of which its backward pass fills three of
  a vector's sixteen lanes, and its activations are large for the few products between them: it
  stays further below the fastest product than the generator.
- With few chains oneDNN brings weights into its own order for little work each time.
- This measures the CPU.
"""


def main() -> None:
    """Measure, print, and write."""
    parser = arguments(__doc__, "floor")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    alone, ours = limits(), chains(options.batches)
    rates, taken = measure(options.rounds, alone, ours)
    text = page(ours, taken, rates, options.threads)
    found = figures(ours, taken, rates)
    publish(options.write, "floor", text, found, options.threads)


if __name__ == "__main__":
    main()
