r"""Replica exchange: hot chains cross barriers that a cold one cannot, and pass points down.

Replica k follows p^(1/T_k). After each step, neighbours exchange their points with probability

.. math:: \min\left(1, \exp\left[\left(\tfrac1{T_k} - \tfrac1{T_{k+1}}\right)
          (\log p(x_{k+1}) - \log p(x_k))\right]\right)

from the hottest pair to the coldest, so that a point can move all the way down in one step. The
log-densities are cached in the states, so an exchange costs no evaluation. No colder replica
accepts a point whose log-density or gradient is not finite.

References:
    Swendsen and Wang, "Replica Monte Carlo simulation of spin glasses", Physical Review Letters
    1986. Geyer, "Markov chain Monte Carlo maximum likelihood", 1991.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tigon.densities.log_density import LogDensity
from tigon.mcmc.kernel import (
    Info,
    Kernel,
    State,
    acceptance,
    chosen,
    temperature_of,
    tempered,
)
from tigon.random.streams import Rng, uniform


@dataclass(frozen=True)
class ReplicaExchange:
    """Any kernel with a temperature, run at several; the coldest replica is the chain.

    Arguments:
        kernel: moves each replica, at its temperature times the kernel's own
        temperatures: increasing from 1, at least two; neighbours should exchange in at least 20 %
            of the steps, which takes more temperatures in more dimensions
    """

    kernel: Kernel
    temperatures: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.temperatures, self.temperatures[1:], strict=False))
        if len(self.temperatures) < 2 or self.temperatures[0] != 1 or not rising:
            raise ValueError(
                f"temperatures must increase from 1, at least two, not {self.temperatures}"
            )

    @property
    def step_size(self) -> float:
        """The initial step size of every replica."""
        return self.kernel.step_size

    @property
    def gradient_evaluations(self) -> int:
        """Those of the inner kernel, for each replica."""
        return len(self.temperatures) * self.kernel.gradient_evaluations

    def init(self, log_density: LogDensity, x: Tensor, step_size: Tensor | None = None) -> State:
        """Return the state with all replicas at x (B, *): one gradient evaluation."""
        first = self.kernel.init(log_density, x, step_size)
        return first.replaced(others=(first,) * (len(self.temperatures) - 1))

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every replica with the kernel, then let neighbours exchange points."""
        moved, infos = [], []
        replicas = (state.replaced(others=()), *state.others)
        for replica, temperature in zip(replicas, self.temperatures, strict=True):
            kernel: Any = tempered(self.kernel, temperature)
            replica, info = kernel.step(log_density, replica, rng)
            moved.append(replica)
            infos.append(info)
        swaps = self._exchange(moved, rng)
        first = moved[0].replaced(others=tuple(moved[1:]))
        return first, Info(infos[0].accept_prob, swaps, tuple(infos[1:]))

    def _exchange(self, replicas: list[State], rng: Rng) -> Tensor:
        """Exchange points between neighbours, in place; return the probabilities, (B, R - 1)."""
        own = temperature_of(self.kernel)
        swaps: list[Tensor] = []
        for k in reversed(range(len(replicas) - 1)):
            cold, hot = replicas[k], replicas[k + 1]
            difference = 1 / self.temperatures[k] - 1 / self.temperatures[k + 1]
            log_ratio = difference / own * (hot.log_density - cold.log_density)
            probability = acceptance(cold, hot, log_ratio)
            swapped = uniform(rng, cold.x) < probability
            replicas[k], replicas[k + 1] = chosen(swapped, hot, cold), chosen(swapped, cold, hot)
            swaps.insert(0, probability)
        return torch.stack(swaps, 1)
