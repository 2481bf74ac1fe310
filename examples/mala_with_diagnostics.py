"""MALA on a density, with effective sample size and R-hat."""

import torch

import tigon
from tigon.diagnostics.statistics import effective_sample_size, split_rhat


def banana(x: torch.Tensor) -> torch.Tensor:
    """A log-density of points (B, 2), up to a constant: (B,)."""
    return -(x[:, 0] ** 2) / 2 - (x[:, 1] - x[:, 0] ** 2 / 2) ** 2 / 2


rng = tigon.make_rng("banana", 0)
start = torch.randn(8, 2, generator=rng)  # eight chains
tuned = tigon.warm_up(tigon.MALA(0.5), banana, start, rng)  # finds step sizes, then freezes them
chains = tigon.MCMC(tuned.kernel, steps=1000)
draws = chains.run(banana, tuned.x, rng, tuned.step_size, keep=1).trajectory  # (1000, 8, 2)
ess, rhat = effective_sample_size(draws), split_rhat(draws)
for name, k in (("x", 0), ("y", 1)):
    print(f"{name}: mean {draws[..., k].mean():.2f}, ESS {ess[k]:.0f}, R-hat {rhat[k]:.3f}")
