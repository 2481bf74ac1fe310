"""One run in several processes, started with torchrun and joined by gloo."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tigon.runs.run import Run

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "distributed.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
RATE = 2e-3  # of a generator
SMALL = ["--image-size", "8", "--network.width", "4", "--batch-size", "3", "--seed", "1"]


@pytest.fixture(scope="module")
def benchmark():
    """The script that makes one run with several numbers of processes."""
    spec = importlib.util.spec_from_file_location("distributed_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def differences(benchmark, name, dtype, processes, iterations=20):
    alone = benchmark.run(name, dtype, 1, iterations)
    together = [benchmark.run(name, dtype, n, iterations) for n in processes]
    return [benchmark.differences(alone, run) for run in together]


@pytest.mark.slow
def test_two_processes_make_the_run_of_one_in_double_precision(benchmark):
    """`run` asserts the world's size."""
    (found,) = differences(benchmark, "generator", "float64", [2], 6)
    assert max(found.values()) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["generator", "descriptor"])
def test_two_and_three_processes_make_the_run_of_one(benchmark, name):
    for found in differences(benchmark, name, "float64", [2, 3]):
        assert max(found.values()) < 1e-6


@pytest.mark.slow
def test_two_processes_make_the_run_of_one_whose_images_are_revised(benchmark):
    """Batches of 4 of 10 images: the last one of an epoch has 2, and may be one process's."""
    (found,) = differences(benchmark, "cooperative", "float64", [2], 8)
    assert max(found.values()) < 1e-6


@pytest.mark.slow
def test_two_processes_make_the_run_of_one_but_for_rounding_in_single_precision(benchmark):
    """Chains multiply rounding about twofold an iteration: few are compared.

    Adam's first updates move a weight whose gradient is rounding alone by its rate, either way.
    """
    (found,) = differences(benchmark, "generator", "float32", [2], 6)
    assert max(found["metrics"], found["chains"]) < 1e-3
    assert found["weights"] < 2 * 6 * RATE


def launch(processes, words, **options):
    start = [*TORCHRUN, str(processes), "-m", "tigon"] if processes > 1 else None
    start = start or [sys.executable, "-m", "tigon"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*start, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def train(processes, recipe, pictures, out, iterations, *more):
    words = ["train", recipe, "--data", str(pictures), "--out", str(out), *SMALL, *more]
    return launch(processes, [*words, "--iterations", str(iterations), "--checkpoint-every", "5"])


def end(process):
    out, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return out


def chains(run):
    return run.learner().chain_tensors()["points"]


@pytest.mark.slow
def test_a_run_saved_by_two_processes_is_that_of_one_and_reports_once(pictures, tmp_path):
    out = end(train(2, "generator", pictures, tmp_path / "two", 12))
    assert out.count("report: ") == 1
    end(train(1, "generator", pictures, tmp_path / "one", 12))
    one, two = Run(tmp_path / "one"), Run(tmp_path / "two")
    assert two.environment["processes"] == 2
    assert [r["iteration"] for r in two.records()] == list(range(1, 13))
    assert torch.allclose(chains(one), chains(two), atol=1e-3)


@pytest.mark.slow
def test_two_processes_measure_what_a_generator_leaves_out_of_incomplete_images_as_one(
    pictures, tmp_path
):
    """Of five images in a batch, two or three are completed, in whichever process they are."""
    kept = np.random.default_rng(0).random((8, 8)) < 0.6
    Image.fromarray(np.uint8(255) * kept).save(tmp_path / "mask.png")
    more = "--mask", str(tmp_path / "mask.png"), "--batch-size", "5", "--no-report"
    for processes, name in ((1, "one"), (2, "two")):
        end(train(processes, "generator", pictures, tmp_path / name, 6, *more))
    one, two = (Run(tmp_path / name).model().residuals for name in ("one", "two"))
    assert one.measured
    for own, other in zip(one.buffers(), two.buffers(), strict=True):
        torch.testing.assert_close(own, other, rtol=0.01, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3])
def test_a_process_lost_in_the_middle_ends_the_others_and_the_run_goes_on_with_fewer_or_more(
    pictures, tmp_path, after
):
    process = train(2, "generator", pictures, tmp_path / "run", 4000)
    metrics = tmp_path / "run" / "metrics.jsonl"
    until = time.monotonic() + 180
    while time.monotonic() < until and not (metrics.exists() and lines(metrics) > 12):
        time.sleep(0.05)
    workers = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
    ).stdout.split()
    os.kill(int(workers[1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=600)
    assert process.returncode != 0 and "SIGKILL" in errors
    run = Run(tmp_path / "run")
    reached = max(int(path.name) for path in run.checkpoints.iterdir())
    assert reached >= 10
    config = run.config.read_text().replace("iterations = 4000", f"iterations = {reached + 3}")
    run.config.write_text(config)
    end(train(after, "generator", pictures, tmp_path / "run", reached + 3))
    records = Run(tmp_path / "run").records()
    assert [record["iteration"] for record in records] == list(range(1, reached + 4))
    assert Run(tmp_path / "run").environment["processes"] == after


@pytest.mark.slow
def test_batch_statistics_are_refused_in_several_processes(pictures, tmp_path):
    process = train(2, "generator-original", pictures, tmp_path / "run", 3)
    _, errors = process.communicate(timeout=600)
    assert process.returncode != 0
    assert (
        "norm 'batch'" in errors and "Traceback" not in errors.split("ChildFailedError")[0][:400]
    )


def lines(path):
    return path.read_text().count("\n")


@pytest.mark.slow
def test_two_machines_meet_at_an_address(pictures, tmp_path):
    """Two launchers on one machine, as on two: each starts a process, and they meet by TCP."""
    words = ["train", "generator", "--data", str(pictures), "--out", str(tmp_path / "run"), *SMALL]
    words += ["--iterations", "6"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    node = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nnodes",
        "2",
        "--nproc_per_node",
        "1",
    ]
    node += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TIGON_CACHE": str(tmp_path / "cache")}
    nodes = [
        subprocess.Popen(
            [*node, "-m", "tigon", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=180) for process in nodes]
    assert [process.returncode for process in nodes] == [0, 0], told
    assert Run(tmp_path / "run").environment["processes"] == 2
    assert len(Run(tmp_path / "run").records()) == 6
