"""What scaling.py measures: one case of learning, in a process that waits for its turns.

    python benchmarks/scaling_cases.py CASE [--joined]

CASE is JSON, the fields of `Case`. A line on stdin asks for a block of iterations, whose time and
memory are then a line of JSON on stdout. With `--joined`, one of the processes that torchrun
started measures one block, and the first prints it.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from measuring import peak, serve

PAUSE = 0.4  # seconds of a block that is not of so many iterations


@dataclass(frozen=True)
class Case:
    """What one process learns, and how long a block of it is.

    Arguments:
        data: what the recipe loads; random images in memory, a batch of them at least, if empty
        iterations: of a block; 0 as many as take `PAUSE` seconds
    """

    kind: Literal["generator", "descriptor"] = "generator"
    data: str = ""
    store: Literal["memory", "files"] = "memory"
    batch: int = 64
    steps: int = 5
    latent_dim: int = 32
    size: int = 32
    width: int = 16
    iterations: int = 0


GENERATOR = Case()
DESCRIPTOR = Case("descriptor", steps=10)


def learner_of(case: Case) -> Any:  # noqa: ANN401
    """Return the trainer of a case."""
    import numpy as np

    from size import images
    from tigon.data.images import ImageSet
    from tigon.recipes import DescriptorRecipe, GeneratorRecipe
    from tigon.recipes.settings import (
        DescriptorNetwork,
        GeneratorNetwork,
        ImageChains,
        LatentChains,
    )
    from tigon.training.settings import AdamSettings

    numbers: dict[str, Any] = {
        "image_size": case.size,
        "batch_size": case.batch,
        "iterations": 10**6,
        "optimizer": AdamSettings(1e-6, schedule="constant"),  # no case is to diverge
    }
    recipe: Any
    if case.kind == "generator":
        recipe = GeneratorRecipe(
            start="prior",  # else each image is read once before the first iteration
            **numbers,
            latent_dim=case.latent_dim,
            network=GeneratorNetwork(case.width),
            chains=LatentChains(case.steps, store=case.store),
        )
    else:
        network, chains = DescriptorNetwork(case.width), ImageChains(case.steps)
        recipe = DescriptorRecipe(**numbers, network=network, chains=chains)
    if case.data:
        return recipe.trainer(recipe.load(case.data))
    pixels = np.concatenate(list(images(max(64, case.batch), case.size)))
    return recipe.trainer(ImageSet(pixels, [str(row) for row in range(len(pixels))], []))


def block_of(case: Case) -> Callable[[], dict[str, float]]:
    """Build a case in this process; return what measures one block of it."""
    import torch

    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # which imports much of torch
    import tigon.recipes  # noqa: F401

    imported, trainer = peak(), learner_of(case)
    runner, iterations = trainer.guard, case.iterations

    def block() -> dict[str, float]:
        nonlocal iterations
        iterations = iterations or _as_many_as_fit(lambda: runner.step(trainer))
        evaluated = trainer.learner.gradient_evaluations
        wall, cpu = time.perf_counter(), time.process_time()
        seen = sum(_taken(runner, trainer) for _ in range(iterations))
        return {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "iterations": iterations,
            "images": seen,
            "evaluations": trainer.learner.gradient_evaluations - evaluated,
            "memory": peak() - imported,
        }

    return block


def _as_many_as_fit(step: Callable[[], object]) -> int:
    step()
    began = time.perf_counter()
    step()
    return max(1, math.ceil(PAUSE / (time.perf_counter() - began)))


def _taken(runner: Any, trainer: Any) -> int:  # noqa: ANN401
    """Take one iteration; return how many images its batch had.

    Raises:
        RuntimeError: if the guard goes back: the time would be of something else
    """
    size = trainer.order.size(trainer.iteration)
    for record in runner.step(trainer):
        if "event" in record:
            raise RuntimeError(record["message"])
    return size


def joined(case: Case) -> None:
    """Measure a case as one of the processes that torchrun joins; the first prints it."""
    import torch

    from tigon.distributed import leave, process_group, world

    with process_group(torch.device("cpu"), timeout=60):
        block = block_of(case)
        block()
        found = block()
        if world().rank == 0:
            print(json.dumps(found))
    leave(0)


def main() -> None:
    """Measure when asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("case", type=json.loads)
    parser.add_argument("--joined", action="store_true")
    options = parser.parse_args()
    case = Case(**options.case)
    if options.joined:
        joined(case)
    else:
        serve(block_of(case))


if __name__ == "__main__":
    main()
