"""A log-density maps a batch of points (B, *) to (B,), up to a constant.

Row i depends on row i alone, and higher is more probable. Event dimensions are summed, the batch
never.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LogDensity = Callable[[Tensor], Tensor]


def sum_event(x: Tensor) -> Tensor:
    """Sum over all but the batch dimension: (B, *) to (B,)."""
    return x.flatten(1).sum(1)


def value_and_grad(log_density: LogDensity, x: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate a log-density and its gradient: one gradient evaluation.

    Rows are independent, so the gradient of the batch's sum gives each row's own gradient. If the
    log-density has its own `value_and_grad`, as `Compiled` has, that is used.

    Arguments:
        log_density: (B, *) to (B,)
        x: points (B, *)
    Returns:
        values (B,) and gradients (B, *), both detached
    Raises:
        ValueError: if the log-density does not return one number per row
    """
    own = getattr(log_density, "value_and_grad", None)
    return evaluated(log_density, x) if own is None else own(x.detach())


def evaluated(log_density: LogDensity, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values (B,) and gradients (B, *) of a log-density, using autograd.

    Raises:
        ValueError: if the log-density does not return one number per row
    """
    if torch.compiler.is_compiling():  # which follows this, and not `torch.autograd.grad`
        gradient, (_, value) = torch.func.grad_and_value(_summed, has_aux=True)(x, log_density)
        return value, gradient
    if not torch.is_grad_enabled():
        with torch.enable_grad():
            return evaluated(log_density, x)
    x = x.detach().requires_grad_(True)
    total, value = _summed(x, log_density)
    (gradient,) = torch.autograd.grad(total, x)
    return value.detach(), gradient


def _summed(x: Tensor, log_density: LogDensity) -> tuple[Tensor, Tensor]:
    """Return the sum of a log-density over rows, (), and its values (B,)."""
    value = log_density(x)
    if value.shape != x.shape[:1]:
        raise ValueError(
            f"a log-density must map {tuple(x.shape)} to {tuple(x.shape[:1])}, "
            f"but this one returned {tuple(value.shape)}"
        )
    return value.sum(), value


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Disable gradients of the module's parameters within; flags are restored afterwards."""
    asked = [(p, p.requires_grad) for p in module.parameters()]
    try:
        for parameter, _ in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, flag in asked:
            parameter.requires_grad_(flag)


@contextmanager
def mode(module: nn.Module, training: bool) -> Iterator[None]:
    """Put a module in training or eval mode within; then each part has its own mode again."""
    before = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, its in before:
            part.training = its
