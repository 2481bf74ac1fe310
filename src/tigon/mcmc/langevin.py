r"""Langevin dynamics: unadjusted, with Metropolis adjustment, and with momentum.

With step size s and temperature T, the first two propose

.. math:: x' = x + \tfrac{s^2}{2} \nabla \log p(x) + s \sqrt{T}\, U, \qquad U \sim N(0, I)
          \qquad \text{(2), (5)}

whose stationary density, as s goes to 0, is p^(1/T). Equations (2) and (5) have T = 1. Some
libraries call s^2 / 2 the step size; here it is always s.

References:
    Roberts and Tweedie, "Exponential convergence of Langevin distributions", Bernoulli 1996.
    Leimkuhler and Matthews, "Rational construction of stochastic numerical methods for molecular
    sampling", Applied Mathematics Research eXpress 2013.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tigon.densities import LogDensity, sum_event
from tigon.mcmc.kernel import (
    Direct,
    Info,
    State,
    evaluate,
    metropolis,
    per_row,
    require_positive,
)
from tigon.streams import Rng, normal


@dataclass(frozen=True)
class Langevin(Direct):
    """Unadjusted Langevin dynamics: every proposal is taken, so the step size biases the draws.

    Arguments:
        step_size: s > 0, in units of x
        temperature: T >= 0; 0 is gradient ascent
    """

    step_size: float = 0.1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive(step_size=self.step_size)
        _require_temperature(self.temperature)

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every chain by (2): one gradient evaluation."""
        x = drifted(state)
        if self.temperature:
            x = x + per_row(state.step_size, x) * noise(state, self.temperature, rng)
        return evaluate(log_density, x, state), Info(torch.ones_like(state.log_density))


@dataclass(frozen=True)
class MALA(Direct):
    """Metropolis-adjusted Langevin: samples p^(1/T) exactly at any step size.

    Arguments:
        step_size: s > 0 that chains start with, in units of x
        temperature: T > 0
    """

    step_size: float = 0.1
    temperature: float = 1.0
    target_accept: ClassVar[float] = 0.574

    def __post_init__(self) -> None:
        require_positive(step_size=self.step_size, temperature=self.temperature)

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Propose by (2), accept by Metropolis and Hastings: one gradient evaluation."""
        mean, scale = drifted(state), per_row(state.step_size, state.x)
        new = evaluate(log_density, mean + scale * noise(state, self.temperature, rng), state)
        there, back = sum_event((new.x - mean) ** 2), sum_event((state.x - drifted(new)) ** 2)
        log_ratio = new.log_density - state.log_density
        log_ratio = log_ratio + (there - back) / (2 * state.step_size**2)
        return metropolis(state, new, log_ratio / self.temperature, rng)


@dataclass(frozen=True)
class UnderdampedLangevin(Direct):
    r"""Langevin dynamics with momentum p, by the BAOAB splitting, unadjusted.

    .. math::
        p &\leftarrow p + \tfrac s2 \nabla\log p(x), \quad x \leftarrow x + \tfrac s2 p, \\
        p &\leftarrow c\,p + \sqrt{T (1 - c^2)}\, U, \qquad c = e^{-\gamma s}, \\
        x &\leftarrow x + \tfrac s2 p, \quad p \leftarrow p + \tfrac s2 \nabla\log p(x)

    On a Gaussian the draws of x are exact at any stable step size (s below twice the smallest
    standard deviation); elsewhere the bias is of the order s^2. The momentum is drawn where a run
    starts, and carried from step to step.

    Arguments:
        step_size: s > 0, in units of x (the momentum has unit variance at T = 1)
        friction: gamma > 0, per unit of the time that s measures; large is like `Langevin`
        temperature: T >= 0
    """

    step_size: float = 0.1
    friction: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive(step_size=self.step_size, friction=self.friction)
        _require_temperature(self.temperature)

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every chain once: one gradient evaluation."""
        half, temperature = per_row(state.step_size, state.x) / 2, self.temperature
        momentum = state.momentum
        if momentum is None:
            momentum = noise(state, temperature, rng)
        kept = torch.exp(-2 * self.friction * half)
        momentum = momentum + half * state.gradient
        x = state.x + half * momentum
        momentum = kept * momentum + (1 - kept**2).sqrt() * noise(state, temperature, rng)
        new = evaluate(log_density, x + half * momentum, state)
        momentum = momentum + half * new.gradient
        return new._replace(momentum=momentum), Info(torch.ones_like(state.log_density))


def drifted(state: State) -> Tensor:
    """Return the mean of the proposal, x + s^2/2 gradient, (B, *)."""
    return state.x + per_row(state.step_size, state.x) ** 2 / 2 * state.gradient


def noise(state: State, temperature: float, rng: Rng) -> Tensor:
    """Draw N(0, T I), (B, *)."""
    drawn = normal(rng, state.x)
    return drawn if temperature == 1 else math.sqrt(temperature) * drawn


def _require_temperature(temperature: float) -> None:
    if not temperature >= 0:
        raise ValueError(f"temperature is at least 0, not {temperature}")
