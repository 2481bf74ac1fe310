"""The same model trained by a plain PyTorch loop, as an experienced user would write it.

    python benchmarks/plain.py [--seed 0] [--until 0.05] [--iterations 3000]

Uses nothing of tigon except to load images: a DCGAN generator of the default recipe's size with
PyTorch's own initial weights, one persistent latent vector an image, a few Langevin steps on the
exact posterior (every step taken, the parameters' gradients not computed), then one step of Adam.
Its numbers are those that came to the original's loss 0.1 soonest of those tried on seed 0: steps,
step size and rate of 5, 0.1, 1e-3 (582 gradient evaluations); 1, 0.1, 2e-3 (396); 2, 0.03, 1e-3
(264); 10, 0.1, 1e-3 (not within 968); 5, 0.05, 5e-4 (660).
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

LATENT_DIM, SIGMA, WIDTH = 2, 0.3, 64
STEPS, STEP_SIZE, LEARNING_RATE = 2, 0.03, 1e-3
DATA = Path(__file__).parents[2] / "shared" / "data" / "seed" / "lion_tiger"


class Generator(nn.Module):
    """Latents (B, d) to images (B, 3, 64, 64) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(LATENT_DIM, 8 * WIDTH * 16)
        self.rest = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(8 * WIDTH, 4 * WIDTH, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(4 * WIDTH, 2 * WIDTH, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(WIDTH, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Decode latents."""
        return self.rest(self.first(z).view(-1, 8 * WIDTH, 4, 4))


def langevin(generator: Generator, images: Tensor, z: Tensor) -> Tensor:
    """Move latents (B, d) by (2), with s = STEP_SIZE, towards their posterior."""
    for _ in range(STEPS):
        z = z.detach().requires_grad_()
        energy = ((images - generator(z)) ** 2).sum() / (2 * SIGMA**2) + (z**2).sum() / 2
        (gradient,) = torch.autograd.grad(energy, z)
        z = z - STEP_SIZE**2 / 2 * gradient + STEP_SIZE * torch.randn_like(z)
    return z.detach()


def learn(images: Tensor, seed: int) -> Iterator[dict[str, float]]:
    """Learn from images (N, 3, 64, 64) in batches of all of them, and yield one record per step.

    Seconds are of learning alone, and gradient evaluations are passes over the set, as in the
    records of tigon's runs.
    """
    torch.manual_seed(seed)
    generator, z = Generator(), torch.randn(len(images), LATENT_DIM)
    optimizer = torch.optim.Adam(generator.parameters(), LEARNING_RATE)
    seconds, evaluations = 0.0, 0
    while True:
        began = time.perf_counter()
        z = langevin(generator, images, z)
        error = ((images - generator(z)) ** 2).flatten(1)
        optimizer.zero_grad()
        (error.sum(1).mean() / (2 * SIGMA**2)).backward()
        optimizer.step()
        loss = error.mean().item() / (2 * SIGMA**2)
        seconds += time.perf_counter() - began
        evaluations += STEPS + 1
        yield {
            "seconds": seconds,
            "gradient_evaluations": evaluations,
            "reconstruction_error": loss * 2 * 0.3**2,
        }


def main() -> None:
    """Learn, and print the cost of each loss that was reached."""
    from tigon import load_images

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until", type=float, default=0.05)
    parser.add_argument("--iterations", type=int, default=3000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [t for t in (0.2, 0.1, 0.05) if t >= options.until]
    for number, record in enumerate(learn(load_images(DATA).read(), options.seed), 1):
        while wanted and record["reconstruction_error"] <= wanted[0] * 2 * 0.3**2:
            print(wanted.pop(0), number, record, flush=True)
        if not wanted or number == options.iterations:
            break
    print(number, record)


if __name__ == "__main__":
    main()
