"""Shards in two processes that see different disks: the run is that of one which sees them all."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from small import descriptor_recipe, generator_recipe
from tigon.data import shards
from tigon.data.load import load_images
from tigon.distributed import all_objects, leave, process_group, world
from tigon.errors import TigonError
from tigon.training.checkpoint import load_checkpoint, save_checkpoint
from tigon.training.checkpoint_folder import latest_checkpoint

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
COUNTS, ITERATIONS = (4, 3, 5), 8
RECIPES = {"generator": generator_recipe, "descriptor": descriptor_recipe}


def work(name: str, folder: str, iterations: str, out: str) -> None:
    """Learn in double precision, on from a checkpoint in `out` if there is one."""
    torch.set_num_threads(1)
    with process_group(torch.device("cpu"), timeout=60) as (rank, size):
        os.environ["TIGON_CACHE"] = f"{out}/cache{rank}"
        if size == 2 and rank:
            opened = shards.open_pattern
            shards.open_pattern = lambda pattern: (opened(pattern)[0], opened(pattern)[1][:2])
        images = load_images(f"{folder}/part-*.npz", 8)
        trainer = RECIPES[name](iterations=ITERATIONS, batch_size=5).trainer(
            images, dtype=torch.float64
        )
        path = latest_checkpoint(Path(out) / "checkpoints")
        if path is not None:
            load_checkpoint(path, trainer)
        left = iter([False] * int(iterations))
        records = trainer.fit(stop=lambda: next(left, True))
        save_checkpoint(Path(out) / "checkpoints", trainer)
        state = trainer.learner.chain_tensors() | trainer.learner.state_dict()
        held = all_objects([shard.path for shard in images.shards if shard.owner == rank])
        entries = all_objects(len(list(Path(os.environ["TIGON_CACHE"]).iterdir())))
        if world().rank == 0:
            found = {"records": records, "state": state, "held": held, "entries": entries}
            torch.save(found | {"images": [len(images), images.fingerprint()]}, f"{out}/end.pt")


def run(processes: int, name: str, folder: Path, out: Path, iterations: int = ITERATIONS) -> dict:
    out.mkdir(exist_ok=True)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    words = [name, str(folder), str(iterations), str(out)]
    done = subprocess.run(
        [*TORCHRUN, str(processes), __file__, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return torch.load(out / "end.pt", weights_only=True)


def same(one: dict, two: dict, records: slice = slice(None)) -> None:
    """Latents start where components in single precision say, which differ by rounding."""
    assert one["images"] == two["images"]
    for first, second in zip(one["records"][records], two["records"], strict=True):
        for name in first.keys() - {"seconds"}:
            assert first[name] == pytest.approx(second[name], rel=1e-4, abs=1e-5), name
    for name, value in one["state"].items():
        assert torch.allclose(value, two["state"][name], rtol=1e-4, atol=1e-5), name


@pytest.fixture
def parts(tmp_path):
    """Three shards in a folder."""
    rng = np.random.default_rng(0)
    for k, count in enumerate(COUNTS):
        pixels = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
        np.savez(tmp_path / f"part-{k}.npz", images=pixels)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_read_their_own_shards_and_make_the_run_of_one(parts, name):
    """The third shard is seen by the first process alone; a run of two goes on with one."""
    one = run(1, name, parts, parts / "one")
    two = run(2, name, parts, parts / "two")
    assert [[Path(path).name for path in held] for held in two["held"]] == [
        ["part-2.npz"],
        ["part-0.npz", "part-1.npz"],
    ]
    assert two["entries"] == [1, 2] and one["entries"] == [3]
    same(one, two)
    run(2, name, parts, parts / "parts", 3)
    same(one, run(1, name, parts, parts / "parts", ITERATIONS - 3), slice(3, None))


@pytest.mark.slow
def test_a_shard_that_one_process_cannot_read_ends_all_with_one_line(parts):
    (parts / "part-1.npz").write_text("text")
    with pytest.raises(AssertionError) as caught:
        run(2, "generator", parts, parts / "out")
    assert "part-1.npz': is not a readable .npz" in str(caught.value)
    assert "timed out" not in str(caught.value).lower()


if __name__ == "__main__":
    try:
        work(*sys.argv[1:])
    except TigonError as error:
        print(error, file=sys.stderr)
        leave(2)
    leave(0)
