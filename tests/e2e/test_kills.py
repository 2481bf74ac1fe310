"""A run that is killed repeatedly equals a run that was never killed. Long."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tigon.runs.run import Run
from tigon.training.checkpoint_folder import measured, numbered

pytestmark = pytest.mark.slow
KILLS = 10
COMMON = ["--image-size", "8", "--network.width", "4", "--batch-size", "2"]
RECIPES = {
    "generator": [*COMMON, "--iterations", "250"],
    "descriptor": [*COMMON, "--iterations", "250", "--chains.steps", "4", "--guard.gap", "0.05",
                   "--optimizer.learning-rate", "0.01", "--guard.attempts", "20"],
}  # fmt: skip


def start(recipe: str, pictures: Path, out: Path) -> subprocess.Popen:
    words = ["train", recipe, "--data", str(pictures), "--out", str(out), *RECIPES[recipe]]
    words += ["--checkpoint-every", "3"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tigon", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(out: Path) -> int:
    metrics = out / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def writes(out: Path) -> bool:
    return bool(list((out / "checkpoints").glob(".new-*")))


def kill_at_random(process: subprocess.Popen, out: Path, chance: random.Random) -> str:
    """Kill a run some iterations after it has gone on, or then while it writes a checkpoint."""
    before, onwards, writing = lines(out), chance.randint(1, 9), chance.random() < 0.5
    while process.poll() is None and lines(out) == before:
        time.sleep(0.001)
    begun = lines(out)
    while process.poll() is None and lines(out) < begun + onwards:
        time.sleep(0.001)
    until = time.monotonic() + 5
    while process.poll() is None and writing and not writes(out) and time.monotonic() < until:
        pass
    if process.poll() is not None:
        return "finished"
    half = writes(out)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return "while writing" if half else "between"


def worth(out: Path) -> dict[str, float | None]:
    """Which checkpoints there are, and the measure of each."""
    return {path.name: measured(path) for path in numbered(out / "checkpoints")}


def told(run: Run) -> list[dict]:
    text = (run.folder / "metrics.jsonl").read_text()
    return [json.loads(line) | {"seconds": 0} for line in text.splitlines()]


@pytest.mark.parametrize("recipe", RECIPES)
def test_ten_kills_change_nothing(recipe, pictures, tmp_path):
    chance = random.Random(7)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(recipe, pictures, whole)
    assert process.wait() == 0, process.stderr.read()
    ends = []
    while len(ends) < KILLS:
        process = start(recipe, pictures, killed)
        ends.append(kill_at_random(process, killed, chance))
        if ends[-1] == "finished":
            assert process.wait() == 0, process.stderr.read()
            break
    process = start(recipe, pictures, killed)
    assert process.wait() == 0, process.stderr.read()
    print(recipe, {end: ends.count(end) for end in set(ends)})
    assert ends.count("finished") == 0 and ends.count("while writing") >= 3
    last = max((path.name for path in (whole / "checkpoints").iterdir()), key=int)
    for name in ("model.safetensors", "chains.safetensors"):
        one, two = (out / "checkpoints" / last / name for out in (whole, killed))
        assert one.read_bytes() == two.read_bytes(), name
    assert told(Run(whole)) == told(Run(killed))
    assert worth(whole) == worth(killed) and len(worth(whole)) >= 2
    assert Run(whole).events() == Run(killed).events()
    for one, two in zip(Run(whole).snapshots(), Run(killed).snapshots(), strict=True):
        assert one[0] == two[0] and (one[1] == two[1]).all()
