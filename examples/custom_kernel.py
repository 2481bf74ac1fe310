"""A custom kernel: the Barker proposal (Livingstone and Zanella, JRSS B 2022)."""

from dataclasses import dataclass

import torch
from torch.nn.functional import softplus

import tigon
from tigon.densities.log_density import LogDensity, sum_event
from tigon.mcmc.kernel import GradientKernel, Info, State, evaluate, metropolis, per_row
from tigon.random.streams import Rng, normal


@dataclass(frozen=True)
class Barker(GradientKernel):
    """Keep the sign of each noise coordinate with probability 1 / (1 + exp(-noise gradient)).

    Arguments:
        step_size: s > 0, in units of x
    """

    step_size: float = 0.5
    target_accept = 0.4  # where it mixes best; `warm_up` adapts to it

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        noise = per_row(state.step_size, state.x) * normal(rng, state.x)
        keeps = torch.special.ndtr(normal(rng, state.x)) < torch.sigmoid(noise * state.gradient)
        move = torch.where(keeps, noise, -noise)
        new = evaluate(log_density, state.x + move, state)
        there, back = softplus(-move * state.gradient), softplus(move * new.gradient)
        log_ratio = new.log_density - state.log_density + sum_event(there - back)
        return metropolis(state, new, log_ratio, rng)


scales = torch.tensor([1.0, 3.0])
target = tigon.Gaussian(0.0, scales)
rng = tigon.make_rng("barker", 0)
warm = tigon.warm_up(Barker(), target, torch.zeros(64, 2), rng, steps=300)
draws = tigon.MCMC(warm.kernel, 2000).run(target, warm.x, rng, warm.step_size, keep=1)
print("standard deviations (1 and 3 are correct):", draws.trajectory.std((0, 1)).tolist())
print(f"acceptance {draws.accept_prob.mean().item():.2f}")
