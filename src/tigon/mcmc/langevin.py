r"""Langevin dynamics: unadjusted, with Metropolis adjustment, and with momentum.

With step size s and temperature T, the first two propose

.. math:: x' = x + \tfrac{s^2}{2} \nabla \log p(x) + s \sqrt{T}\, U, \qquad U \sim N(0, I)
          \qquad \text{(2), (5)}

whose stationary density is p^(1/T) as s goes to 0. Equation (2) has T = 1. Some libraries call
s^2 / 2 the step size; here it is always s.

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
    unevaluated,
)
from tigon.random.streams import Draw, Rng, normal, uniform

ACCEPTED = Info(torch.ones((), device="cpu"))  # for kernels that accept every proposal


@dataclass(frozen=True)
class Langevin(GradientKernel):
    """Unadjusted Langevin dynamics: accepts every proposal, so the step size biases the draws.

    Arguments:
        step_size: s > 0, in units of x
        temperature: T >= 0; 0 is gradient ascent
    """

    step_size: float = 0.1
    temperature: float = 1.0
    target_accept: ClassVar[None] = None

    def __post_init__(self) -> None:
        require_positive(step_size=self.step_size)
        _require_temperature(self.temperature)

    @property
    def noise(self) -> tuple[Draw, ...]:
        """The random numbers of a step."""
        return (normal,) if self.temperature else ()

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every chain with (2): one gradient evaluation."""
        return evaluate(log_density, self._moved(state, rng), state), ACCEPTED

    def end(self, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every chain with (2), without evaluating its end."""
        return unevaluated(self._moved(state, rng), state), ACCEPTED

    def _moved(self, state: State, rng: Rng) -> Tensor:
        x = drifted(state)
        if not self.temperature:
            return x
        return x.addcmul_(per_row(state.step_size, x), noise(state, self.temperature, rng))


@dataclass(frozen=True)
class MALA(GradientKernel):
    """Metropolis-adjusted Langevin: samples p^(1/T) exactly at any step size.

    Arguments:
        step_size: initial s > 0, in units of x
        temperature: T > 0
        jitter: each chain's step size is drawn at each step between (1 - jitter) s and
            (1 + jitter) s, in [0, 1), independently of its state, so that chains with the same s
            on densities of different width all move
    """

    step_size: float = 0.1
    temperature: float = 1.0
    jitter: float = 0.0
    target_accept: ClassVar[float] = 0.574

    def __post_init__(self) -> None:
        require_positive(step_size=self.step_size, temperature=self.temperature)
        require_jitter(self.jitter)

    @property
    def noise(self) -> tuple[Draw, ...]:
        """The random numbers of a step, in order."""
        return (uniform, normal, uniform) if self.jitter else (normal, uniform)

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Propose with (2), accept with Metropolis-Hastings: one gradient evaluation."""
        here = state.replaced(step_size=jittered(state, self.jitter, rng))
        drawn = noise(here, self.temperature, rng)
        x = drifted(here).addcmul_(per_row(here.step_size, here.x), drawn)
        new = evaluate(log_density, x, here)
        log_ratio = new.log_density - here.log_density + return_ratio(here, new, drawn)
        return metropolis(state, new, log_ratio / self.temperature, rng)


@dataclass(frozen=True)
class UnderdampedLangevin(GradientKernel):
    r"""Unadjusted Langevin dynamics with momentum p, using the BAOAB splitting.

    .. math::
        p &\leftarrow p + \tfrac s2 \nabla\log p(x), \quad x \leftarrow x + \tfrac s2 p, \\
        p &\leftarrow c\,p + \sqrt{T (1 - c^2)}\, U, \qquad c = e^{-\gamma s}, \\
        x &\leftarrow x + \tfrac s2 p, \quad p \leftarrow p + \tfrac s2 \nabla\log p(x)

    On a Gaussian, the draws of x are exact at any stable step size (s below twice the smallest
    standard deviation); otherwise the bias is of order s^2. The momentum is drawn at the start of
    a run, and carried from step to step.

    Arguments:
        step_size: s > 0, in units of x (the momentum has unit variance at T = 1)
        friction: gamma > 0, per unit of time; s is the time step. Large values are like `Langevin`
        temperature: T >= 0
    """

    step_size: float = 0.1
    friction: float = 1.0
    temperature: float = 1.0
    target_accept: ClassVar[None] = None
    noise: ClassVar[tuple[Draw, ...]] = (normal,)
    carries_momentum: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_positive(step_size=self.step_size, friction=self.friction)
        _require_temperature(self.temperature)

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every chain once: one gradient evaluation."""
        size, temperature = per_row(state.step_size, state.x), self.temperature
        momentum = state.momentum
        if momentum is None:
            momentum = noise(state, temperature, rng)
        kept = torch.exp(-self.friction * size)
        momentum = torch.addcmul(momentum, size, state.gradient, value=0.5)
        x = torch.addcmul(state.x, size, momentum, value=0.5)
        renewed = noise(state, temperature, rng)
        momentum = (kept * momentum).addcmul_((1 - kept**2).sqrt_(), renewed)
        new = evaluate(log_density, x.addcmul_(size, momentum, value=0.5), state)
        momentum = torch.addcmul(momentum, size, new.gradient, value=0.5)
        return new.replaced(momentum=momentum), ACCEPTED


def drifted(state: State) -> Tensor:
    """Return the mean of the proposal, x + s^2/2 gradient, (B, *)."""
    size = per_row(state.step_size, state.x)
    return torch.addcmul(state.x, size * size, state.gradient, value=0.5)


def return_ratio(old: State, new: State, drawn: Tensor) -> Tensor:
    r"""Return log q(x | x') - log q(x' | x) for the proposal (2) at temperature 1, (B,).

    At temperature T, divide it by T. With h = s (g + g') / 2, for both gradients, it is

    .. math:: -\sum h\,(U + h / 2)

    which needs no difference between points.

    Arguments:
        drawn: U, the noise that led from `old` to `new`, (B, *)
    """
    pull = (old.gradient + new.gradient) * (per_row(old.step_size, drawn) / 2)
    return -sum_event(torch.add(drawn, pull, alpha=0.5).mul_(pull))


def noise(state: State, temperature: float, rng: Rng) -> Tensor:
    """Draw N(0, T I), (B, *)."""
    drawn = normal(rng, state.x)
    return drawn if temperature == 1 else math.sqrt(temperature) * drawn


def _require_temperature(temperature: float) -> None:
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0, not {temperature}")
