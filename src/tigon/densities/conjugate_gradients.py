"""Solve linear equations that a Gaussian density gives, by products alone.

References:
    Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", Journal of
    Research of the National Bureau of Standards 1952.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tigon.densities.log_density import sum_event

LONGEST = 1000  # iterations

LinearMap = Callable[[Tensor], Tensor]


class Solved(NamedTuple):
    """What conjugate gradients found.

    Attributes:
        solution: u, (B, *)
        precise: whether every row is as precise as was asked
    """

    solution: Tensor
    precise: bool


@torch.no_grad()
def conjugate_gradients(
    product: LinearMap,
    values: Tensor,
    precise: float = 1e-5,
    precondition: LinearMap | None = None,
    longest: int = LONGEST,
) -> Solved:
    """Solve K u = r for each row, (B, *), with a product by K, symmetric and not negative.

    A row that is precise stays as it is, so that no row depends on the others.

    Arguments:
        product: K u for each row
        values: r
        precise: of the solution, its residual as a fraction of r, in the norm of `precondition`
        precondition: about K^-1 r for each row, symmetric and positive
        longest: number of iterations after which they end in any case
    """
    near = precondition or (lambda r: r)
    u, residual, direction = torch.zeros_like(values), values, near(values)
    square = sum_event(residual * direction)
    enough = precise**2 * square
    for _ in range(longest):
        going = ~(square <= enough)  # so that what is not finite is no solution
        if not going.any():
            return Solved(u, True)
        along = product(direction)
        size = torch.where(going, square / sum_event(direction * along), 0)
        size = size.view(-1, *[1] * (values.dim() - 1))
        u, residual = u + size * direction, residual - size * along
        nearly = near(residual)
        fresh = sum_event(residual * nearly)
        ratio = torch.where(going, fresh / square, 0).view_as(size)
        direction = torch.where(going.view_as(size), nearly + ratio * direction, direction)
        square = torch.where(going, fresh, square)
    return Solved(u, bool((square <= enough).all()))
