"""Whether the state in a checkpoint is that of this trainer, before it is taken."""

import math
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

SCHEDULED = {"lr", "initial_lr", "min_lr", "max_lr", "betas", "momentum"}
SCHEDULED |= {"base_momentum", "max_momentum"}


def refuse_other_counters(state: dict[str, Any]) -> None:
    """Refuse counters that are no counts, and factors that are no numbers.

    Raises:
        ValueError, KeyError, AttributeError: if they are so
    """
    for name in ("iteration", "gradient_evaluations", "attempts", "rollbacks"):
        if type(state[name]) is not int or state[name] < 0:
            raise ValueError(f"{name} is no count")
    for name in ("seconds", "rate_factor", "step_factor"):
        if type(state[name]) is not float or not 0 <= state[name] < math.inf:
            raise ValueError(f"{name} is no number")


def load_optimizer(
    optimizer: torch.optim.Optimizer, saved: dict[str, Any], check: bool, scheduled: bool
) -> None:
    """Bring an optimizer to a saved state.

    Arguments:
        check: refuse a state that is not what this optimizer remembers of these parameters
        scheduled: a scheduler may have changed learning rates and momenta
    Raises:
        ValueError, TypeError, KeyError, AttributeError: if it is something else
    """
    if check:
        _refuse_other_settings(saved, optimizer.state_dict(), SCHEDULED if scheduled else {"lr"})
        _refuse_other_moments(saved["state"], _after_a_step(optimizer))
    optimizer.load_state_dict(saved)


def load_scheduler(scheduler: LRScheduler, saved: dict[str, Any]) -> None:
    """Bring a scheduler to a saved state.

    Raises:
        ValueError, AttributeError: if it is another scheduler's
    """
    fresh = scheduler.state_dict()
    if saved.keys() != fresh.keys() or any(
        value is not None and fresh[name] is not None and type(value) is not type(fresh[name])
        for name, value in saved.items()
    ):
        raise ValueError("the scheduler is another")
    scheduler.load_state_dict(saved)


def _refuse_other_settings(saved: dict[str, Any], fresh: dict[str, Any], free: set[str]) -> None:
    """Refuse parameter groups with other settings, but for those in `free`."""
    settings = []
    for groups in (saved["param_groups"], fresh["param_groups"]):
        for group in groups:
            odd = [name for name in free & group.keys() if not _numbers(group[name])]
            if odd:
                raise ValueError(f"the optimizer's {odd[0]} is no number")
        settings.append([group | dict.fromkeys(free & group.keys()) for group in groups])
    if settings[0] != settings[1]:
        raise ValueError("the optimizer's settings are others")


def _numbers(value: Any) -> bool:  # noqa: ANN401
    values = value if isinstance(value, tuple | list) else [value]
    kinds = (int, float, Tensor)
    return all(isinstance(one, kinds) and math.isfinite(one) for one in values)


def _after_a_step(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Any]]:
    """Return what a copy of the optimizer remembers after a step without a gradient to speak of.

    It says what there is to remember of each parameter, and in what shapes.
    """
    copy = deepcopy(optimizer)
    for group in copy.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    copy.step()
    return copy.state_dict()["state"]


def _refuse_other_moments(saved: dict[int, Any], known: dict[int, dict[str, Any]]) -> None:
    """Refuse moments of other names, types and shapes, or that overlap, or steps below 0."""
    for number, moments in saved.items():
        wanted = known[number]
        if {n: _form(v) for n, v in moments.items()} != {n: _form(v) for n, v in wanted.items()}:
            raise ValueError("the optimizer's moments have other shapes")
        tensors = [value for value in moments.values() if isinstance(value, Tensor)]
        dense = all(v.stride() == torch.empty_like(v).stride() for v in tensors)
        if not dense or not moments.get("step", 0) >= 0:
            raise ValueError("the optimizer's moments are no such tensors")


def _form(value: Any) -> Any:  # noqa: ANN401
    """Return the shape and type of a tensor, or the type of something else."""
    return (value.shape, value.dtype) if isinstance(value, Tensor) else type(value)
