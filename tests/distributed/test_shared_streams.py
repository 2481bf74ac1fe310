"""A stream in several processes: each decodes what it owns, and the run is that of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hf_sets import tints
from tigon.data import stream
from tigon.data.stream import open_stream
from tigon.distributed import all_objects, leave, process_group, world

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
COUNT, BAD, ITERATIONS = 20, (3, 8), 13


def work(data: str, out: str) -> None:
    """Learn from a stream in double precision; the first process writes what came of it."""
    from small import descriptor_recipe

    torch.set_num_threads(1)
    stream.BLOCK = 8
    decoded: set[int] = set()
    with process_group(torch.device("cpu"), timeout=60):
        images = open_stream(data, 8)
        images.examples.column = Watched(images.examples.column, decoded)
        recipe = descriptor_recipe(stream=True, iterations=ITERATIONS, batch_size=4)
        trainer = recipe.trainer(images, dtype=torch.float64)
        records = trainer.fit()
        parts = all_objects(sorted(decoded))
        if world().rank == 0:
            state = {name: value for name, value in trainer.learner.state_dict().items()}
            torch.save({"records": records, "state": state, "decoded": parts}, out)


class Watched:
    """A column that notes the red of each picture that is decoded."""

    def __init__(self, column, decoded):
        self.column, self.decoded = column, decoded

    def __getattr__(self, name):
        return getattr(self.column, name)

    def decode(self, cell, form):
        found = self.column.decode(cell, form)
        if not isinstance(found, str):
            self.decoded.add(int(found.pixels[0, 0, 0]))
        return found


def run(processes: int, data: str, folder: Path) -> dict:
    out = folder / f"{processes}.pt"
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": paths}
    command = [*TORCHRUN, str(processes), __file__, data, str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("left out 1 of examples 0 to 7") == 1
    return torch.load(out, weights_only=True)


@pytest.mark.slow
def test_two_processes_share_a_stream_and_make_the_run_of_one(tmp_path):
    """Three passes, with unreadable examples, which only one of the processes has seen."""
    data = f"hf:{tints(tmp_path, COUNT, BAD)}"
    one, two = run(1, data, tmp_path), run(2, data, tmp_path)
    good = [k for k in range(COUNT) if k not in BAD]
    assert one["decoded"] == [good]
    assert two["decoded"] == [[k for k in good if k % 2 == rank] for rank in range(2)]
    for first, second in zip(one["records"], two["records"], strict=True):
        for name in first.keys() - {"seconds"}:
            assert first[name] == pytest.approx(second[name], rel=1e-6, abs=1e-9), name
    for name, value in one["state"].items():
        assert torch.allclose(value, two["state"][name], rtol=1e-6, atol=1e-9), name


if __name__ == "__main__":
    work(*sys.argv[1:])
    leave(0)
