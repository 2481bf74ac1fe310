r"""Hamiltonian Monte Carlo: a trajectory of leapfrog steps, then a Metropolis test.

A momentum p ~ N(0, T I) is drawn, then L times

.. math:: p \leftarrow p + \tfrac s2 \nabla\log p(x), \quad x \leftarrow x + s\,p, \quad
          p \leftarrow p + \tfrac s2 \nabla\log p(x)

and the end is accepted with probability min(1, exp(-(H' - H) / T)), H = |p|^2 / 2 - log p(x). With
L = 1 and no jitter this is MALA with the same s.

References:
    Duane, Kennedy, Pendleton and Roweth, "Hybrid Monte Carlo", Physics Letters B 1987.
    Neal, "MCMC using Hamiltonian dynamics", 2011: section 5.4.2.2 on jitter against resonance.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tigon.densities.log_density import LogDensity, sum_event
from tigon.mcmc.kernel import (
    GradientKernel,
    Info,
    State,
    evaluate,
    jittered,
    metropolis,
    per_row,
    require_jitter,
    require_positive,
)
from tigon.random.streams import Draw, Rng, normal, uniform


@dataclass(frozen=True)
class HMC(GradientKernel):
    """Hamiltonian Monte Carlo: samples p^(1/T) exactly.

    Arguments:
        step_size: initial s > 0, in units of x
        leapfrog_steps: L >= 1
        jitter: each chain's step size is drawn at each step between (1 - jitter) s and
            (1 + jitter) s, in [0, 1): trajectories of a fixed length can resonate with the density
            and never forget their start
        temperature: T > 0
    """

    step_size: float = 0.1
    leapfrog_steps: int = 10
    jitter: float = 0.2
    temperature: float = 1.0
    target_accept: ClassVar[float] = 0.651

    def __post_init__(self) -> None:
        require_positive(step_size=self.step_size, temperature=self.temperature)
        if self.leapfrog_steps < 1:
            raise ValueError(f"leapfrog_steps must be at least 1, not {self.leapfrog_steps}")
        require_jitter(self.jitter)

    @property
    def gradient_evaluations(self) -> int:
        """One per leapfrog step."""
        return self.leapfrog_steps

    @property
    def noise(self) -> tuple[Draw, ...]:
        """What a step draws, in order."""
        return (normal, uniform, uniform) if self.jitter else (normal, uniform)

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Follow one trajectory, and accept its end or stay: L gradient evaluations."""
        before = self.temperature**0.5 * normal(rng, state.x)
        size = jittered(state, self.jitter, rng)
        new, after = leapfrog(log_density, state, before, size, self.leapfrog_steps)
        kinetic = (sum_event(before**2) - sum_event(after**2)) / 2
        log_ratio = (new.log_density - state.log_density + kinetic) / self.temperature
        return metropolis(state, new, log_ratio, rng)


def leapfrog(
    log_density: LogDensity, state: State, momentum: Tensor, step_size: Tensor, steps: int
) -> tuple[State, Tensor]:
    """Integrate Hamilton's equations from the state with this momentum (B, *).

    Arguments:
        step_size: s of each chain, (B,)
        steps: leapfrog steps, >= 1, each with one gradient evaluation
    Returns:
        the state and the momentum at the end
    """
    size = per_row(step_size, state.x)
    momentum = torch.addcmul(momentum, size, state.gradient, value=0.5)
    for left in reversed(range(steps)):
        state = evaluate(log_density, torch.addcmul(state.x, size, momentum), state)
        momentum = torch.addcmul(momentum, size, state.gradient, value=1 if left else 0.5)
    return state, momentum
