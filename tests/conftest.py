"""What all tests share: a separate cache, small images, and the shared data if available."""

import signal
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from PIL import Image

from small import PHOTOGRAPHS
from tigon.cli.main import main

torch.set_num_threads(1)
settings.register_profile("tigon", deadline=None)
settings.load_profile("tigon")
for number, usual in (
    (signal.SIGINT, signal.default_int_handler),
    (getattr(signal, "SIGHUP", None), signal.SIG_DFL),
):
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)  # `&` and nohup ignore them, and programs inherit that
SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def numbers_that_repeat():
    """A test draws the same numbers whichever tests the same process ran before."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Decoded images go to a folder of the test session."""
    patch = pytest.MonkeyPatch()
    patch.setenv("TIGON_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture
def start():
    """Returns a function that starts a process, which is killed if it outlives the test."""
    started = []

    def begin(*words, **options):
        started.append(subprocess.Popen(*words, **options))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def rng():
    """A seeded generator."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def pictures(tmp_path):
    """A folder of five of the embedded photographs, of 16 x 16 pixels."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k, photograph in enumerate(PHOTOGRAPHS[:5]):
        Image.open(photograph).convert("RGB").resize((16, 16)).save(folder / f"{k}.png")
    return folder


@pytest.fixture
def shared():
    """The folder of shared data; tests that need it skip if it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared data are not at {SHARED}")
    return SHARED


@pytest.fixture
def tigon(capsys, tmp_path, monkeypatch):
    """Run the command line in an empty folder; return status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        status = main([str(word) for word in words])
        streams = capsys.readouterr()
        return status, streams.out, streams.err

    return run
