"""The original experiments' images from the command line, for a minute. Long: `make test-slow`."""

import json
import statistics

import numpy as np
import pytest

from tigon.cli.main import main
from tigon.data.load import load_images
from tigon.runs.run import Run

pytestmark = pytest.mark.slow


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lions_and_tigers_are_learned_within_1200_gradient_evaluations(shared, tmp_path):
    data, out = str(shared / "seed" / "lion_tiger"), tmp_path / "run"
    assert main(["train", "generator", "--data", data, "--out", str(out)]) == 0
    records = lines(out / "metrics.jsonl")
    last = records[-20:]
    assert records[-1]["gradient_evaluations"] <= 1200
    assert statistics.mean(record["reconstruction_error"] for record in last) <= 0.05 * 0.18
    assert 0.45 <= statistics.mean(record["accept"] for record in last) <= 0.7
    assert max(map(abs, records[-1]["latent_mean"])) < 0.1
    assert max(abs(std - 1) for std in records[-1]["latent_std"]) < 0.1
    reached = next(r for r in records if r["reconstruction_error"] <= 0.1 * 0.18)
    assert reached["gradient_evaluations"] <= 437, "8 times fewer than the original's 3500"

    assert main(["sample", str(out), "--count", "256", "--out", str(tmp_path / "s.npz")]) == 0
    with np.load(tmp_path / "s.npz") as arrays:
        prior = arrays["images"].reshape(256, -1).astype(float)
    training = load_images(data).pixels.reshape(11, -1).astype(float)
    nearest = ((prior[:, None] - training[None]) ** 2).sum(2).argmin(1)
    assert len(set(nearest.tolist())) >= 10

    words = ["--data", data, "--out", str(tmp_path / "r.npz"), "--starts", "4", "--json"]
    assert main(["reconstruct", str(out), *words]) == 0
    with np.load(tmp_path / "r.npz") as arrays:
        assert np.median(arrays["errors"]) < 0.02, "a cold start finds most of the images again"


def test_egrets_gap_stays_small_while_their_outlines_appear(shared, tmp_path):
    data, out = str(shared / "seed" / "egret"), tmp_path / "run"
    words = ["--data", data, "--out", str(out), "--iterations", "60"]
    assert main(["train", "descriptor", *words]) == 0
    records = lines(out / "metrics.jsonl")
    assert max(abs(record["gap"]) for record in records) < 5
    assert records[-1]["saturation"] < 0.02
    images, (_, shown) = Run(out).images(), Run(out).snapshots()[-1]
    squares = (shown / 127.5 - images.pixels[:] / 127.5) ** 2
    flat = (images.pixels.mean((1, 2), keepdims=True) / 127.5 - images.pixels[:] / 127.5) ** 2
    assert squares.mean() < 0.8 * flat.mean()
