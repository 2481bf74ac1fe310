"""The optimizers of a run and the schedules of their learning rates, as one."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tigon.learners.base import Optimizers, Record
from tigon.training.settings import Schedule

Scheduler = LRScheduler | Schedule
SCHEDULED = {"lr", "initial_lr", "min_lr", "max_lr", "betas", "momentum"}
SCHEDULED |= {"base_momentum", "max_momentum"}


class OptimizerSet:
    """One optimizer, or several by name, which take their steps together.

    Groups keep their own learning rates, which PyTorch schedulers change; schedules that are
    functions, and the guard, multiply them temporarily for each step.

    Arguments:
        given: the optimizer, or several by name
        scheduler: a PyTorch scheduler, a function of iteration and progress, or a list of them
        measure: name of the metric that `ReduceLROnPlateau` uses
    """

    def __init__(
        self, given: Optimizers, scheduler: Scheduler | Sequence[Scheduler] | None, measure: str
    ) -> None:
        self.several = isinstance(given, Mapping)
        self.named = dict(given) if isinstance(given, Mapping) else {"": given}
        every = scheduler if isinstance(scheduler, Sequence) else [scheduler] if scheduler else []
        self.schedulers = [one for one in every if isinstance(one, LRScheduler)]
        self.schedules = [one for one in every if not isinstance(one, LRScheduler)]
        self.measure = measure

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all optimizers, in order."""
        return [group for one in self.named.values() for group in one.param_groups]

    def rates(self, iteration: int, progress: float, factor: float) -> list[float]:
        """Return the learning rate of each group in this iteration."""
        rates = []
        for group in self.groups:
            rate = float(group["lr"])
            for schedule in self.schedules:
                rate *= schedule(iteration, progress)
            rates.append(factor * rate)
        return rates

    def step(self, rates: list[float]) -> None:
        """Let every optimizer take a step with these rates."""
        groups = self.groups
        own = [group["lr"] for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        for optimizer in self.named.values():
            optimizer.step()
        for group, rate in zip(groups, own, strict=True):
            group["lr"] = rate

    def step_schedulers(self, record: Record) -> None:
        """Step the PyTorch schedulers after an iteration."""
        for scheduler in self.schedulers:
            if not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()
            elif self.measure in record:
                scheduler.step(record[self.measure])

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer, or of several by name, and of the schedulers."""
        states = {name: one.state_dict() for name, one in self.named.items()}
        return {
            "optimizer": states if self.several else states[""],
            "scheduler": [one.state_dict() for one in self.schedulers],
        }

    def load_state_dict(self, state: dict[str, Any], check: bool = True) -> None:
        """Continue from a state; rates are those of the state, unless all schedules are functions.

        Arguments:
            check: refuse a state that does not fit these optimizers and parameters
        Raises:
            ValueError, TypeError, KeyError, AttributeError: if it does not fit
        """
        own = [group["lr"] for group in self.groups]
        states = state["optimizer"] if self.several else {"": state["optimizer"]}
        if states.keys() != self.named.keys():
            raise ValueError(f"optimizers are {', '.join(self.named)}, not {', '.join(states)}")
        if len(state["scheduler"]) != len(self.schedulers):
            raise ValueError("the number of schedulers differs")
        for name, optimizer in self.named.items():
            if check:
                _refuse_other(optimizer, states[name], scheduled=bool(self.schedulers))
            optimizer.load_state_dict(states[name])
        for scheduler, held in zip(self.schedulers, state["scheduler"], strict=True):
            _refuse_other_scheduler(scheduler, held)
            scheduler.load_state_dict(held)
        if self.schedules and not self.schedulers:
            for group, rate in zip(self.groups, own, strict=True):
                group["lr"] = rate


def _refuse_other(
    optimizer: torch.optim.Optimizer, saved: dict[str, Any], scheduled: bool
) -> None:
    """Refuse another optimizer's state.

    Arguments:
        scheduled: a scheduler may have changed learning rates and momenta
    """
    free = SCHEDULED if scheduled else {"lr"}
    settings = []
    for groups in (saved["param_groups"], optimizer.state_dict()["param_groups"]):
        for group in groups:
            odd = [name for name in free & group.keys() if not _numbers(group[name])]
            if odd:
                raise ValueError(f"the optimizer's {odd[0]} is not a number")
        settings.append([group | dict.fromkeys(free & group.keys()) for group in groups])
    if settings[0] != settings[1]:
        raise ValueError("the optimizer's settings differ")
    _refuse_other_moments(saved["state"], _after_a_step(optimizer))


def _numbers(value: Any) -> bool:  # noqa: ANN401
    values = value if isinstance(value, tuple | list) else [value]
    kinds = (int, float, Tensor)
    return all(isinstance(one, kinds) and math.isfinite(one) for one in values)


def _after_a_step(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Any]]:
    """Return the state of a copy of the optimizer after a step with zero gradients.

    It has the names and shapes of the state for each parameter.
    """
    copy = deepcopy(optimizer)
    for group in copy.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    copy.step()
    return copy.state_dict()["state"]


def _refuse_other_moments(saved: dict[int, Any], known: dict[int, dict[str, Any]]) -> None:
    """Refuse moments with different names, types or shapes, or that overlap, or negative steps."""
    for number, moments in saved.items():
        wanted = known[number]
        if {n: _form(v) for n, v in moments.items()} != {n: _form(v) for n, v in wanted.items()}:
            raise ValueError("the optimizer's moments have different shapes")
        tensors = [value for value in moments.values() if isinstance(value, Tensor)]
        dense = all(v.stride() == torch.empty_like(v).stride() for v in tensors)
        if not dense or not moments.get("step", 0) >= 0:
            raise ValueError("the optimizer's moments are invalid tensors")


def _form(value: Any) -> Any:  # noqa: ANN401
    """Return the shape and type of a tensor, or the type of something else."""
    return (value.shape, value.dtype) if isinstance(value, Tensor) else type(value)


def _refuse_other_scheduler(scheduler: LRScheduler, saved: dict[str, Any]) -> None:
    """Refuse another scheduler's state."""
    fresh = scheduler.state_dict()
    if saved.keys() != fresh.keys() or any(
        value is not None and fresh[name] is not None and type(value) is not type(fresh[name])
        for name, value in saved.items()
    ):
        raise ValueError("the scheduler is a different one")
