"""A log-density whose value and gradient are one compiled function.

On small networks and batches much of a step is the overhead of single operations, which a compiled
gradient evaluation has less of. Large networks gain little on a CPU, which their matrix products
already fill. Compiling takes seconds, for each density and each shape of points.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from tigon.densities import LogDensity, evaluated


class Compiled:
    """A log-density, (B, *) to (B,), evaluated by `torch.compile`; chains take it as any other.

    What it reads besides its argument belongs to what is compiled: parameters may change in
    place; another number (such as a model's `sigma`) or tensor in its place leads to another
    compilation, of which torch.compile makes eight. Where it cannot be compiled (no C++ compiler,
    an operation that is not known, too many compilations), it is evaluated as it is, with one
    RuntimeWarning that says so.

    Arguments:
        log_density: a function of tensors without random numbers
    """

    def __init__(self, log_density: LogDensity) -> None:
        self.log_density, self.compiles = log_density, True
        self._both = torch.compile(_functional(log_density), fullgraph=True)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the log-density of each row, (B,), not compiled."""
        return self.log_density(x)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return values (B,) and gradients (B, *), as `densities.value_and_grad` does."""
        if not self.compiles:
            return evaluated(self.log_density, x)
        try:
            with torch.no_grad():
                return self._both(x)
        except Exception as error:  # whatever torch.compile may raise; what x may, comes again
            values = evaluated(self.log_density, x)
            self.compiles = False
            self._warn(error)
            return values

    def _warn(self, error: Exception) -> None:
        reason = str(error.__cause__ or error).strip().split("\n")[0] or type(error).__name__
        said = f"the log-density cannot be compiled, and is evaluated as it is ({reason})"
        warnings.warn(said, RuntimeWarning, stacklevel=4)


def _functional(log_density: LogDensity) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return the function from points to values and gradients that is compiled."""

    def summed(x: Tensor) -> tuple[Tensor, Tensor]:
        value = log_density(x)
        if value.shape != x.shape[:1]:
            raise ValueError("not one number a row")
        return value.sum(), value

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        gradient, (_, value) = torch.func.grad_and_value(summed, has_aux=True)(x)
        return value, gradient

    return both
