"""A kernel moves points towards a log-density: what every kernel shares.

A kernel is a frozen dataclass of numbers with `init(log_density, x, step_size)` and
`step(log_density, state, rng)`. `State` is carried from step to step and caches the gradient, so
that a step costs one gradient evaluation; `Info` describes the step and is not carried.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from tigon.densities import LogDensity, sum_event, value_and_grad
from tigon.streams import Rng, uniform


class State(NamedTuple):
    """Where the chains are: points (B, *), log-density (B,), gradient (B, *), step size (B,)."""

    x: Tensor
    log_density: Tensor
    gradient: Tensor
    step_size: Tensor


class Info(NamedTuple):
    """What a step did: the probability with which each chain's proposal was accepted, (B,)."""

    accept_prob: Tensor


class Kernel(Protocol):
    """Anything with this `init` and `step` can be run by `MCMC`."""

    @property
    def step_size(self) -> float:
        """Return the step size s that chains start with."""

    def init(self, log_density: LogDensity, x: Tensor, step_size: Tensor | None = None) -> State:
        """Return the state at points x (B, *): one gradient evaluation."""

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every chain once."""


def evaluate(log_density: LogDensity, x: Tensor, step_size: Tensor) -> State:
    """Return the state at x (B, *): one gradient evaluation."""
    value, gradient = value_and_grad(log_density, x)
    return State(x.detach(), value, gradient, step_size)


def start(log_density: LogDensity, x: Tensor, step_size: float, own: Tensor | None) -> State:
    """Return the first state of chains at x (B, *), each with its `own` step size or the same."""
    sizes = x.new_full(x.shape[:1], step_size) if own is None else own
    return evaluate(log_density, x, sizes)


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """View (B,) so that it multiplies the rows of `like` (B, *)."""
    return values.view(-1, *[1] * (like.dim() - 1))


def metropolis(old: State, new: State, log_ratio: Tensor, rng: Rng) -> tuple[State, Info]:
    r"""Accept each row of `new` with probability min(1, exp(log_ratio)), else keep `old`.

    A proposal whose log-density or gradient is not finite is rejected; its accept_prob is 0.

    Arguments:
        log_ratio: log of pi(x') q(x | x') / (pi(x) q(x' | x)), (B,)
    References:
        Metropolis et al. (1953); Hastings (1970).
    """
    finite = torch.isfinite(log_ratio) & torch.isfinite(sum_event(new.gradient))
    probability = torch.where(finite, log_ratio.clamp(max=0).exp(), torch.zeros_like(log_ratio))
    accepted = uniform(rng, old.x) < probability
    rows = [torch.where(per_row(accepted, b), b, a) for a, b in zip(old[:3], new[:3], strict=True)]
    return State(rows[0], rows[1], rows[2], old.step_size), Info(probability)
