"""The base of all kernels: a kernel moves points towards a log-density.

A kernel is a frozen dataclass of numbers with `init(log_density, x, step_size)` and
`step(log_density, state, rng)`. `State` is carried from step to step and caches the gradient, so
that a Langevin or MALA step costs one gradient evaluation; `Info` describes a step and is not
carried.
"""

import math
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from tigon.densities.log_density import LogDensity, sum_event, value_and_grad
from tigon.random.streams import Rng, uniform


class State(NamedTuple):
    """The state of the chains.

    Attributes:
        x: points, (B, *)
        log_density, gradient: those at x, (B,) and (B, *), of the untempered density
        step_size: s of each chain, (B,)
        adaptation_state: an adaptation's state for each chain, (B, ADAPTATION_SIZE), or None
        momentum: momentum, for kernels that carry one, (B, *)
        others: states of the hotter replicas of `ReplicaExchange`
    """

    x: Tensor
    log_density: Tensor
    gradient: Tensor
    step_size: Tensor
    adaptation_state: Tensor | None = None
    momentum: Tensor | None = None
    others: tuple["State", ...] = ()

    def replaced(self, **fields: Any) -> "State":  # noqa: ANN401
        """Return the state with other fields.

        `_replace` does the same, but torch 2.11 compiles it to a tuple without any fields.
        """
        return State(**{**self._asdict(), **fields})


class Info(NamedTuple):
    """Information about a step.

    Attributes:
        accept_prob: acceptance probability of each chain's proposal, (B,), or () if it is the
            same for all
        swap_prob: probability of exchanges with the next hotter replica, (B, R - 1), if any
        others: information about the step of the hotter replicas
    """

    accept_prob: Tensor
    swap_prob: Tensor | None = None
    others: tuple["Info", ...] = ()


@runtime_checkable
class Kernel(Protocol):
    """Anything with these members can be run by `MCMC`.

    A kernel may have an attribute `target_accept`, the acceptance rate at which it mixes best. It
    is None if the kernel accepts every proposal; its step size then cannot be adapted to an
    acceptance rate.
    """

    @property
    def step_size(self) -> float:
        """The initial step size s of chains."""

    @property
    def gradient_evaluations(self) -> int:
        """Gradient evaluations per step."""

    def init(self, log_density: LogDensity, x: Tensor, step_size: Tensor | None = None) -> State:
        """Return the state at points x (B, *): one gradient evaluation."""

    def step(self, log_density: LogDensity, state: State, rng: Rng) -> tuple[State, Info]:
        """Move every chain once."""


class GradientKernel:
    """Base of kernels that move the points themselves; `init` takes one gradient evaluation."""

    step_size: float

    @property
    def gradient_evaluations(self) -> int:
        """One per step."""
        return 1

    def init(self, log_density: LogDensity, x: Tensor, step_size: Tensor | None = None) -> State:
        """Return the state at x (B, *), with the step size of each chain, (B,), if given."""
        return start(log_density, x, self.step_size, step_size)


def innermost(kernel: Any) -> Any:  # noqa: ANN401
    """Return the kernel that moves the points, inside all wrappers."""
    inner = getattr(kernel, "kernel", None)
    return kernel if inner is None else innermost(inner)


def target_of(kernel: Any) -> float:  # noqa: ANN401
    """Return the acceptance rate at which the kernel mixes best, its `target_accept`.

    A wrapper without one has that of the kernel inside; the default is MALA's.

    Raises:
        ValueError: if it is None, since the kernel accepts every proposal
    """
    inner = getattr(kernel, "kernel", None)
    if inner is not None and not hasattr(kernel, "target_accept"):
        return target_of(inner)
    target = getattr(kernel, "target_accept", 0.574)
    if target is None:
        raise ValueError(
            f"{type(kernel).__name__} accepts every proposal, so its step size cannot be adapted "
            "to an acceptance rate; give a step size, or use a kernel that rejects, such as MALA"
        )
    return target


def tempered(kernel: Any, factor: float) -> Any:  # noqa: ANN401
    """Return the kernel at `factor` times its temperature; a wrapper passes it on."""
    inner = getattr(kernel, "kernel", None)
    if inner is not None:
        return replace(kernel, kernel=tempered(inner, factor))
    return replace(kernel, temperature=temperature_of(kernel) * factor)


def temperature_of(kernel: Any) -> float:  # noqa: ANN401
    """Return the kernel's temperature; a wrapper has that of the kernel inside.

    Raises:
        TypeError: if it has none
    """
    own = innermost(kernel)
    if not hasattr(own, "temperature"):
        raise TypeError(f"{type(own).__name__} has no `temperature` that could be changed")
    return own.temperature


def evaluate(log_density: LogDensity, x: Tensor, like: State) -> State:
    """Return the state at x (B, *), otherwise the same as `like`: one gradient evaluation."""
    value, gradient = value_and_grad(log_density, x)
    return like.replaced(x=x, log_density=value, gradient=gradient)


def unevaluated(x: Tensor, like: State) -> State:
    """Return the state at x (B, *) with NaN log-density and gradient, otherwise as `like`."""
    nan = x.new_full((), math.nan)
    return like.replaced(x=x, log_density=nan.expand(len(x)), gradient=nan.expand_as(x))


def start(log_density: LogDensity, x: Tensor, step_size: float, own: Tensor | None) -> State:
    """Return the first state of chains at x (B, *), with their `own` step sizes (B,) if given."""
    sizes = x.new_full(x.shape[:1], step_size) if own is None else own
    value, gradient = value_and_grad(log_density, x)
    return State(x.detach(), value, gradient, sizes)


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """View values (B,) so that they broadcast over the rows of `like` (B, *)."""
    return values.view(-1, *[1] * (like.dim() - 1))


def metropolis(old: State, new: State, log_ratio: Tensor, rng: Rng) -> tuple[State, Info]:
    r"""Accept each row of `new` with probability min(1, exp(log_ratio)), else keep `old`.

    See `acceptance`.

    Arguments:
        log_ratio: log of pi(x') q(x | x') / (pi(x) q(x' | x)), (B,)
    References:
        Metropolis et al. (1953); Hastings (1970).
    """
    probability = acceptance(old, new, log_ratio)
    accepted = uniform(rng, old.x) < probability
    return chosen(accepted, new, old), Info(probability)


def acceptance(old: State, new: State, log_ratio: Tensor) -> Tensor:
    """Return the acceptance probability of each row of `new`, (B,).

    It is 0 if the new log-density, gradient or ratio is not finite. Otherwise, from a point of
    density 0 it is 1, although the ratio is infinite: chains that start there enter the support.
    """
    outside = old.log_density == -math.inf
    log_ratio = torch.where(outside, new.log_density.abs(), log_ratio)  # any number above 0
    finite = (log_ratio + sum_event(new.gradient)).abs() < math.inf
    return torch.where(finite, log_ratio.clamp(max=0).exp(), 0.0)


def chosen(which: Tensor, yes: State, no: State) -> State:
    """Return point, log-density and gradient of `yes` in the rows `which` (B,), else of `no`.

    Step sizes, momenta and replicas are those of `no`.
    """
    rows = [torch.where(per_row(which, b), b, a) for a, b in zip(no[:3], yes[:3], strict=True)]
    return no.replaced(x=rows[0], log_density=rows[1], gradient=rows[2])


def jittered(state: State, jitter: float, rng: Rng) -> Tensor:
    """Return step sizes (B,) drawn between (1 - jitter) and (1 + jitter) times the state's."""
    if not jitter:
        return state.step_size
    drawn = uniform(rng, state.x).to(state.step_size)
    return state.step_size * (1 + jitter * (2 * drawn - 1))


def require_jitter(jitter: float) -> None:
    """Check that a jitter keeps step sizes positive.

    Raises:
        ValueError: with the number, if not
    """
    if not 0 <= jitter < 1:
        raise ValueError(f"jitter must be in [0, 1), not {jitter}")


def require_positive(**numbers: float) -> None:
    """Check that numbers are above 0.

    Raises:
        ValueError: with the name and the number, if not
    """
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name} must be above 0, not {number}")
