"""One run on two machines: two network namespaces of this one, joined by a cable. Long.

Each namespace has its own addresses and its own torchrun; nothing is sent outside them. Only root
may make them.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tigon.runs.run import Run

pytestmark = pytest.mark.slow
SMALL = ["--image-size", "8", "--network.width", "4", "--batch-size", "3", "--seed", "1"]
TIMEOUT = 15


def ip(*words: str) -> str:
    """Run `ip`, from iproute2."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Machine:
    """A network namespace with one end of a cable, and what runs in it."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address, self.link = name, address, f"{name}-eth"
        self.launched: list[subprocess.Popen] = []

    def join(self) -> None:
        """Give this end of the cable its address."""
        ip("link", "set", self.link, "netns", self.name)
        ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", self.link)
        ip("-n", self.name, "link", "set", self.link, "up")
        ip("-n", self.name, "link", "set", "lo", "up")

    def launch(self, words: list[str], meet: str, **environment: str) -> subprocess.Popen:
        """Start torchrun here, for one process, to meet the other's at an address."""
        node = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        node += ["--nproc_per_node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", meet]
        host = "true" if meet.startswith(f"{self.address}:") else "false"
        node += ["--rdzv-conf", f"join_timeout=60,is_host={host}", "--local-addr", self.address]
        command = ["ip", "netns", "exec", self.name, *node, "-m", "tigon", *words]
        log = open(environment.pop("log"), "w")
        process = subprocess.Popen(
            command,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.launched.append(process)
        return process

    def kill(self) -> None:
        """Kill all that runs here, as a machine that loses its power does."""
        for pid in ip("netns", "pids", self.name).split():
            os.kill(int(pid), signal.SIGKILL)
        for process in self.launched:
            process.wait(30)


@pytest.fixture
def machines():
    """Two machines with a cable between them, gone again whatever happens."""
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` here (iproute2)")
    tag = f"tigon{os.getpid() % 100000}"
    pair = [Machine(f"{tag}a", "10.83.0.1"), Machine(f"{tag}b", "10.83.0.2")]
    made = []
    try:
        try:
            for machine in pair:
                ip("netns", "add", machine.name)
                made.append(machine)
            ip("link", "add", pair[0].link, "type", "veth", "peer", "name", pair[1].link)
            for machine in pair:
                machine.join()
            ip("netns", "exec", tag + "a", "true")
        except OSError as error:
            pytest.skip(f"network namespaces are refused here: {error}")
        yield pair
    finally:
        for machine in made:
            machine.kill()
            ip("netns", "del", machine.name)


def train(pictures: Path, out: Path, iterations: int) -> list[str]:
    words = ["train", "generator", "--data", str(pictures), "--out", str(out), *SMALL]
    words += ["--iterations", str(iterations), "--checkpoint-every", "5"]
    return [*words, "--timeout", str(TIMEOUT)]


def start(machines, words, logs: Path) -> list[subprocess.Popen]:
    """Start a run on both machines."""
    meet = f"{machines[0].address}:29500"
    return [
        machine.launch(words, meet, log=str(logs / f"{n}.log"), GLOO_SOCKET_IFNAME=machine.link)
        for n, machine in enumerate(machines)
    ]


def alone(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "tigon", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def said(logs: Path) -> str:
    return "\n".join(path.read_text()[-3000:] for path in sorted(logs.glob("*.log")))


def wait_for(run: Run, iteration: int, logs: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if run.metrics.exists() and run.metrics.read_text().count("\n") >= iteration:
            return
        time.sleep(0.05)
    raise AssertionError(said(logs))


def test_two_machines_make_the_run_of_one(machines, pictures, tmp_path):
    alone(train(pictures, tmp_path / "one", 12))
    nodes = start(machines, train(pictures, tmp_path / "two", 12), tmp_path)
    assert [node.wait(180) for node in nodes] == [0, 0], said(tmp_path)
    one, two = Run(tmp_path / "one"), Run(tmp_path / "two")
    assert two.environment["processes"] == 2
    chains = [run.learner().chain_tensors()["points"] for run in (one, two)]
    assert torch.allclose(*chains, atol=1e-3)
    losses = [
        torch.tensor([r["reconstruction_error"] for r in run.records()]) for run in (one, two)
    ]
    assert len(losses[0]) == 12 and torch.allclose(*losses, rtol=1e-3)


@pytest.mark.parametrize("accident", ["the first dies", "the second dies", "the cable is cut"])
def test_where_a_machine_is_lost_the_other_ends_with_a_line_and_the_run_goes_on_with_one(
    machines, pictures, tmp_path, accident
):
    run, lost = Run(tmp_path / "run"), 0 if "first" in accident else 1
    nodes = start(machines, train(pictures, run.folder, 100_000), tmp_path)
    wait_for(run, 12, tmp_path)
    if "dies" in accident:
        machines[lost].kill()
    else:
        ip("-n", machines[lost].name, "link", "set", machines[lost].link, "down")
    began = time.monotonic()
    other = nodes[1 - lost]
    assert other.wait(TIMEOUT + 60) != 0, said(tmp_path)
    print(accident, f"{time.monotonic() - began:.0f} s")
    text = (tmp_path / f"{1 - lost}.log").read_text()
    assert "tigon: another process was lost; what was saved is intact" in text, text[-3000:]
    for machine in machines:
        machine.kill()
    reached = max(int(path.name) for path in run.checkpoints.iterdir() if path.name.isdecimal())
    assert reached >= 10
    alone([*train(pictures, run.folder, reached + 3), "--continue-with"])
    records = run.records()
    assert [record["iteration"] for record in records] == list(range(1, reached + 4))
    assert Run(run.folder).environment["processes"] == 1
