"""Run chains: the only loop over MCMC steps in the package."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.densities import LogDensity
from tigon.mcmc.adaptation import Adaptation, DualAveraging, settled
from tigon.mcmc.kernel import Info, Kernel, State, target_of, tempered
from tigon.mcmc.preconditioning import Preconditioned, estimate_scale
from tigon.mcmc.schedules import Schedule
from tigon.streams import Rng


class Draws(NamedTuple):
    """Where the chains ended, and how.

    Attributes:
        state: the last; `run` goes on from it without another evaluation, unless the chains'
            `evaluate_end` is False
        before: log-density where the run began, (B,)
        accept_prob: mean over steps, (B,)
        trajectory: the states kept, (K, B, *), where they were asked for
        log_densities: theirs, (K, B)
        swap_prob: mean over steps of the exchanges between replicas, (B, R - 1), where there are
    """

    state: State
    before: Tensor
    accept_prob: Tensor
    trajectory: Tensor | None = None
    log_densities: Tensor | None = None
    swap_prob: Tensor | None = None

    @property
    def x(self) -> Tensor:
        """Where the chains are, (B, *)."""
        return self.state.x

    @property
    def log_density(self) -> Tensor:
        """The log-density there, (B,)."""
        return self.state.log_density

    @property
    def step_size(self) -> Tensor:
        """Each chain's step size, (B,)."""
        return self.state.step_size

    @property
    def tuning(self) -> Tensor | None:
        """What the adaptation remembers of each chain, (B, 3)."""
        return self.state.tuning


@dataclass(frozen=True)
class MCMC:
    """A kernel repeated.

    Arguments:
        kernel: what moves the points
        steps: how often, >= 1
        adaptation: what changes the step sizes after each step, if anything
        final: the kernel of the last step, where it is another
        temperature: what the kernel's temperature is multiplied with, from the first step
            (progress 0) to the last (progress 1); 1 throughout if not given
        evaluate_end: False leaves out the gradient evaluation at the last point, which nothing
            but another run from `Draws.state` needs; log-density and gradient are NaN there. For
            unadjusted Langevin only: others judge where they end. What a run keeps is evaluated
            all the same.

    Raises:
        ValueError: if there are no steps, or the last one needs what is not to be evaluated
    """

    kernel: Kernel
    steps: int
    adaptation: Adaptation | None = None
    final: Kernel | None = None
    temperature: Schedule | None = None
    evaluate_end: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"chains take at least one step, not {self.steps}")
        last = self.final or self.kernel
        if not self.evaluate_end and not hasattr(last, "end"):
            raise ValueError(f"{type(last).__name__} evaluates the density where its chains end")

    @property
    def gradient_evaluations(self) -> int:
        """Gradient evaluations of one run: the first point's, and each step's."""
        return self.steps * self.kernel.gradient_evaluations + int(self.evaluate_end)

    def run(
        self,
        log_density: LogDensity,
        x: Tensor | State,
        rng: Rng,
        step_size: Tensor | None = None,
        tuning: Tensor | None = None,
        keep: int = 0,
    ) -> Draws:
        """Move chains from x (B, *) towards the log-density.

        Arguments:
            x: points, or the state of an earlier run on this very log-density
            step_size: each chain's own, (B,); the kernel's where it is None
            tuning: what the adaptation remembers of each chain, (B, 3)
            keep: return every `keep`-th state; 0 none
        """
        state = x if isinstance(x, State) else self._begin(log_density, x, step_size, tuning)
        before, swapped = state.log_density, None
        accepted = torch.zeros_like(before)
        kept = []
        for number in range(self.steps):
            kernel = self._kernel(number)
            if number == self.steps - 1 and not self.evaluate_end and not keep:
                state, info = kernel.end(state, rng)  # type: ignore[attr-defined]
            else:
                state, info = kernel.step(log_density, state, rng)
            if self.adaptation is not None:
                state = adapted(self.adaptation, state, info)
            accepted += info.accept_prob
            if info.swap_prob is not None:
                swapped = info.swap_prob + (0 if swapped is None else swapped)
            if keep and (number + 1) % keep == 0:
                kept.append((state.x, state.log_density))
        points, values = zip(*kept, strict=True) if kept else ((), ())
        return Draws(
            state,
            before,
            accepted / self.steps,
            torch.stack(points) if kept else None,
            torch.stack(values) if kept else None,
            None if swapped is None else swapped / self.steps,
        )

    def _begin(
        self, log_density: LogDensity, x: Tensor, step_size: Tensor | None, tuning: Tensor | None
    ) -> State:
        state = self.kernel.init(log_density, x, step_size)
        return state if tuning is None else state._replace(tuning=tuning)

    def _kernel(self, number: int) -> Kernel:
        last = number == self.steps - 1
        kernel = self.final if last and self.final is not None else self.kernel
        if self.temperature is None:
            return kernel
        return tempered(kernel, self.temperature(number / max(1, self.steps - 1)))


def adapted(adaptation: Adaptation, state: State, info: Info) -> State:
    """Return the state with new step sizes, those of its replicas included."""
    others = zip(state.others, info.others, strict=True)
    return adaptation.update(state, info)._replace(
        others=tuple(adapted(adaptation, other, of_other) for other, of_other in others)
    )


class WarmedUp(NamedTuple):
    """Chains that have found the density, and how to go on: run(log_density, x, rng, step_size).

    Attributes:
        kernel: preconditioned where that was asked for
        x: where the chains are, (B, *)
        step_size: each chain's own, to be kept, (B,)
    """

    kernel: Kernel
    x: Tensor
    step_size: Tensor


def warm_up(
    kernel: Kernel,
    log_density: LogDensity,
    x: Tensor,
    rng: Rng,
    steps: int = 500,
    adaptation: Adaptation | None = None,
    precondition: bool = False,
) -> WarmedUp:
    """Find each chain's step size, and each coordinate's scale where that is asked for.

    What follows, with the step sizes frozen, samples exactly.

    Arguments:
        x: where chains start, (B, *)
        steps: of each of the warm-up's runs, >= 1; there are two with `precondition`
        adaptation: `DualAveraging` to the acceptance that suits the kernel, if not given
        precondition: estimate scales from the second half of a first run
    """
    adaptation = adaptation or DualAveraging(target_of(kernel))
    chains = MCMC(kernel, steps, adaptation)
    draws = chains.run(log_density, x, rng, keep=int(precondition))
    if precondition:
        assert draws.trajectory is not None
        found = draws.trajectory[steps // 2 :].flatten(0, 1)
        kernel = Preconditioned(kernel, estimate_scale(found))
        chains = MCMC(kernel, steps, adaptation)
        draws = chains.run(log_density, draws.x, rng)
    return WarmedUp(kernel, draws.x, settled(draws.step_size, draws.tuning))
