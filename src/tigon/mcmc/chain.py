"""Run chains: the only loop over MCMC steps in the package."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tigon.densities.log_density import LogDensity
from tigon.mcmc.adaptation import Adaptation, DualAveraging, StepSizeDecay, averaged_step_size
from tigon.mcmc.blocks import BlockResult, block_of
from tigon.mcmc.kernel import Info, Kernel, State, target_of
from tigon.mcmc.preconditioning import Preconditioned, estimate_scale
from tigon.random.streams import Rng


class Trace(NamedTuple):
    """The result of a run of chains.

    Attributes:
        state: the last state; `run` continues from it without another evaluation, unless the
            chains' `evaluate_end` is False
        before: log-density at the start of the run, (B,)
        accept_prob: acceptance probability, mean over steps, (B,)
        trajectory: the kept states, (K, B, *), if requested
        log_densities: their log-densities, (K, B)
        swap_prob: probability of exchanges between replicas, mean over steps, (B, R - 1), if any
    """

    state: State
    before: Tensor
    accept_prob: Tensor
    trajectory: Tensor | None = None
    log_densities: Tensor | None = None
    swap_prob: Tensor | None = None

    @property
    def x(self) -> Tensor:
        """The current points, (B, *)."""
        return self.state.x

    @property
    def log_density(self) -> Tensor:
        """The log-density at the current points, (B,)."""
        return self.state.log_density

    @property
    def step_size(self) -> Tensor:
        """Each chain's step size, (B,)."""
        return self.state.step_size

    @property
    def adaptation_state(self) -> Tensor | None:
        """The adaptation's state for each chain, (B, ADAPTATION_SIZE)."""
        return self.state.adaptation_state


@dataclass(frozen=True)
class MCMC:
    """Chains that repeat a kernel.

    Arguments:
        kernel: moves the points
        steps: number of steps, >= 1
        adaptation: changes the step sizes after each step, if given; an adaptation to an
            acceptance rate, that is one with a `target`, needs a kernel that can reject
        final: the kernel of the last step, if different
        evaluate_end: False leaves out the gradient evaluation at the last point, which is only
            needed for another run from `Trace.state`; log-density and gradient are NaN there. Only
            for unadjusted Langevin: other kernels need them to accept. Kept states are always
            evaluated.

    Raises:
        ValueError: if there are no steps, the last step needs the evaluation that is left out, or
            step sizes would be adapted to the acceptance of a kernel that accepts every proposal
    """

    kernel: Kernel
    steps: int
    adaptation: Adaptation | None = None
    final: Kernel | None = None
    evaluate_end: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"chains must take at least one step, not {self.steps}")
        last = self.final or self.kernel
        if not self.evaluate_end and not hasattr(last, "end"):
            raise ValueError(f"{type(last).__name__} needs the density at the end of its chains")
        if hasattr(self.adaptation, "target"):
            for kernel in (self.kernel, last):
                target_of(kernel)

    @property
    def gradient_evaluations(self) -> int:
        """Gradient evaluations of one run: one at the first point, and those of each step."""
        return self.steps * self.kernel.gradient_evaluations + int(self.evaluate_end)

    @property
    def shrink(self) -> float:
        """The ratio of the last step size to the first, with a `StepSizeDecay`; otherwise 1."""
        if isinstance(self.adaptation, StepSizeDecay):
            return self.adaptation.shrink(self.steps)
        return 1.0

    def run(
        self,
        log_density: LogDensity,
        x: Tensor | State,
        rng: Rng,
        step_size: Tensor | None = None,
        adaptation_state: Tensor | None = None,
        keep: int = 0,
    ) -> Trace:
        """Move chains from x (B, *) towards the log-density.

        Arguments:
            x: points, or the state of an earlier run on the same log-density
            step_size: step size of each chain and its replicas, (B,); if None, that of the state,
                or the kernel's
            adaptation_state: the adaptation's state for each chain, (B, ADAPTATION_SIZE); if
                None, that of the state, if any
            keep: return every `keep`-th state; none if 0
        """
        state = self._begin(log_density, x, step_size, adaptation_state)
        course, number = _Course(state, keep), 0
        alike = self.steps - int(self.final is not None or not self.evaluate_end)
        block = block_of(log_density, self.kernel, self.adaptation, keep > 0, alike)
        while number < self.steps:
            if block and block.goes_on_from(state) and number + block.steps <= alike:
                passed = block(state, rng)
                state, number = passed.state, number + block.steps
                course.add_block(passed, number)
                continue
            state, info = self.step(number, log_density, state, rng, keep > 0)
            number += 1
            course.add(state, info, number)
        return course.trace(state, self.steps)

    def _begin(
        self,
        log_density: LogDensity,
        x: Tensor | State,
        step_size: Tensor | None,
        adaptation_state: Tensor | None,
    ) -> State:
        if not isinstance(x, State):
            state = self.kernel.init(log_density, x, step_size)
        else:
            state = x if step_size is None else resized(x, step_size)
        return (
            state
            if adaptation_state is None
            else state.replaced(adaptation_state=adaptation_state)
        )

    def kernel_of(self, number: int) -> Any:  # noqa: ANN401
        """Return the kernel of a step, counted from 0: the last step may have another kernel."""
        last = number == self.steps - 1
        return self.final if last and self.final is not None else self.kernel

    def step(
        self,
        number: int,
        log_density: LogDensity,
        state: State,
        rng: Rng,
        evaluate: bool = True,
    ) -> tuple[State, Info]:
        """Take one step of a run; `run` takes all of them, one after the other.

        Arguments:
            number: number of the step, from 0
            evaluate: evaluate the density after the last step, regardless of `evaluate_end`
        """
        kernel = self.kernel_of(number)
        if number == self.steps - 1 and not self.evaluate_end and not evaluate:
            state, info = kernel.end(state, rng)
        else:
            state, info = kernel.step(log_density, state, rng)
        if self.adaptation is not None:
            state = adapted(self.adaptation, state, info)
        return state, info


class _Course:
    """Collects what a run returns about its steps."""

    def __init__(self, first: State, keep: int) -> None:
        self.before, self.keep = first.log_density, keep
        self.accepted = torch.zeros_like(first.log_density)
        self.swapped: Tensor | None = None
        self.points: list[Tensor] = []
        self.log_densities: list[Tensor] = []

    def add(self, state: State, info: Info, number: int) -> None:
        """Record the step with this number, from 1."""
        self.accepted += info.accept_prob
        if info.swap_prob is not None:
            self.swapped = info.swap_prob + (0 if self.swapped is None else self.swapped)
        if self.keep and number % self.keep == 0:
            self.points.append(state.x)
            self.log_densities.append(state.log_density)

    def add_block(self, passed: BlockResult, number: int) -> None:
        """Record a block of steps, the last of which has this number."""
        self.accepted += passed.accepted
        first = number - len(passed.points) + 1
        kept = [k for k in range(len(passed.points)) if (first + k) % self.keep == 0]
        self.points += [passed.points[k] for k in kept]
        self.log_densities += [passed.log_densities[k] for k in kept]

    def trace(self, last: State, steps: int) -> Trace:
        """Return the result of all steps."""
        return Trace(
            last,
            self.before,
            self.accepted / steps,
            torch.stack(self.points) if self.points else None,
            torch.stack(self.log_densities) if self.points else None,
            None if self.swapped is None else self.swapped / steps,
        )


def adapted(adaptation: Adaptation, state: State, info: Info) -> State:
    """Return the state with new step sizes, including those of its replicas."""
    others = zip(state.others, info.others, strict=True)
    return adaptation.update(state, info).replaced(
        others=tuple(adapted(adaptation, other, of_other) for other, of_other in others)
    )


def resized(state: State, step_size: Tensor) -> State:
    """Return the state with these step sizes (B,), also for its replicas."""
    others = tuple(resized(other, step_size) for other in state.others)
    return state.replaced(step_size=step_size, others=others)


class WarmedUp(NamedTuple):
    """Warmed-up chains; continue with `run(log_density, x, rng, step_size)`.

    Attributes:
        kernel: the kernel, preconditioned if requested
        x: the current points, (B, *)
        step_size: frozen step size of each chain, (B,)
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
    """Find the step size of each chain, and the scale of each coordinate if requested.

    Afterwards, with frozen step sizes, chains sample exactly.

    Arguments:
        x: start points, (B, *)
        steps: steps of each warm-up run, >= 1; there are two runs with `precondition`
        adaptation: `DualAveraging` to the acceptance rate that suits the kernel, if not given
        precondition: estimate scales from the second half of a first run

    Raises:
        ValueError: if the kernel accepts every proposal, so its acceptance cannot be adapted
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
    return WarmedUp(kernel, draws.x, averaged_step_size(draws.step_size, draws.adaptation_state))
