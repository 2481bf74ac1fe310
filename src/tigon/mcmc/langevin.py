r"""Langevin dynamics, unadjusted and with Metropolis adjustment.

With step size s and temperature T, both propose

.. math:: x' = x + \tfrac{s^2}{2} \nabla \log p(x) + s \sqrt{T}\, U, \qquad U \sim N(0, I)
          \qquad \text{(2), (5)}

whose stationary density, as s goes to 0, is p^(1/T). Equations (2) and (5) have T = 1. Some
libraries call s^2 / 2 the step size; here it is always s.

References:
    Roberts and Tweedie, "Exponential convergence of Langevin distributions", Bernoulli 1996.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tigon.densities import LogDensity, sum_event
from tigon.mcmc.kernel import Info, State, evaluate, metropolis, per_row, start
from tigon.streams import Rng, normal


@dataclass(frozen=True)
class Langevin:
    """Unadjusted Langevin dynamics: every proposal is taken, so the step size biases the draws.

    Arguments:
        step_size: s > 0, in units of x
        temperature: T >= 0; 0 is gradient ascent
    """

    step_size: float = 0.1
    temperature: float = 1.0

    def init(self, log_density: LogDensity, x: Tensor, step_size: Tensor | None = None) -> State:
        """Return the state at x (B, *), each chain with its own `step_size` (B,) if given."""
        return start(log_density, x, self.step_size, step_size)

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every chain by (2): one gradient evaluation."""
        x = propose(state, self.temperature, rng)
        return evaluate(log_density, x, state.step_size), Info(torch.ones_like(state.log_density))


@dataclass(frozen=True)
class MALA:
    """Metropolis-adjusted Langevin: samples p^(1/T) exactly at any step size.

    Arguments:
        step_size: s > 0 that chains start with, in units of x
        temperature: T > 0
    """

    step_size: float = 0.1
    temperature: float = 1.0

    def init(self, log_density: LogDensity, x: Tensor, step_size: Tensor | None = None) -> State:
        """Return the state at x (B, *), each chain with its own `step_size` (B,) if given."""
        return start(log_density, x, self.step_size, step_size)

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Propose by (2), accept by Metropolis and Hastings: one gradient evaluation."""
        new = evaluate(log_density, propose(state, self.temperature, rng), state.step_size)
        log_ratio = (new.log_density - state.log_density) / self.temperature
        log_ratio = log_ratio + _log_proposal(new, state.x, self.temperature)
        log_ratio = log_ratio - _log_proposal(state, new.x, self.temperature)
        return metropolis(state, new, log_ratio, rng)


def propose(state: State, temperature: float, rng: Rng) -> Tensor:
    """Return x + s^2/2 gradient + s sqrt(T) U, (B, *)."""
    noise = temperature**0.5 * normal(rng, state.x) if temperature else 0.0
    return _drifted(state) + per_row(state.step_size, state.x) * noise


def _drifted(state: State) -> Tensor:
    return state.x + per_row(state.step_size, state.x) ** 2 / 2 * state.gradient


def _log_proposal(state: State, target: Tensor, temperature: float) -> Tensor:
    """Return log q(target | state) up to a constant that both directions share, (B,)."""
    distance = sum_event((target - _drifted(state)) ** 2)
    return -distance / (2 * temperature * state.step_size**2)
