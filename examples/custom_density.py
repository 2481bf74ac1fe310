"""A custom density: two separate modes, which only replica exchange weights correctly."""

import torch

import tigon

CENTRES = torch.tensor([[-3.0, 0.0], [3.0, 0.0]])
WEIGHTS = torch.tensor([0.8, 0.2])


def two_modes(x: torch.Tensor) -> torch.Tensor:
    """Return the log-density of a mixture, (B, 2) to (B,): any such callable will do."""
    squares = ((x[:, None] - CENTRES) ** 2).sum(2) / (2 * 0.5**2)
    return torch.logsumexp(WEIGHTS.log() - squares, 1)


def left(x: torch.Tensor) -> float:
    """Return the fraction of draws (..., 2) in the left mode; 0.8 is correct."""
    return (x[..., 0] < 0).float().mean().item()


rng = tigon.make_rng("two modes", 0)
start = 3 * torch.randn(64, 2, generator=rng)

cold = tigon.MALA(0.5)
alone = tigon.MCMC(cold, steps=1000).run(two_modes, start, rng, keep=1)

replicas = tigon.ReplicaExchange(cold, (1.0, 3.0, 9.0, 27.0))
together = tigon.MCMC(replicas, steps=1000).run(two_modes, start, rng, keep=1)

print(f"in the left mode (0.80 is correct): MALA {left(alone.trajectory[200:]):.2f}, ", end="")
print(f"replica exchange {left(together.trajectory[200:]):.2f}")
