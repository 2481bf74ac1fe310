"""tigon explore as a command: its address, its end, and what it refuses."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from explored import Page, hub_of, make_pictures, make_run
from small import generator_recipe
from tigon.cli import exploring
from tigon.cli.main import main
from tigon.errors import install
from tigon.explorer.curves import Tail
from tigon.explorer.serving import listen
from tigon.runs.run import Experiment, Run


def command(*words):
    return [sys.executable, "-m", "tigon", "explore", *map(str, words), "--no-browser"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_serves_and_ends_with_0_when_it_is_stopped(runs, number):
    words = command(runs["generator"].folder, "--port", 0)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url) as answer:
        assert b"tigon explorer" in answer.read()
    process.send_signal(number)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0 and out == ""
    assert "Traceback" not in err and "Error" not in err


def refused(capsys, *words) -> str:
    """The one line on stderr of a command that ends with status 2."""
    assert main(["explore", *map(str, words), "--no-browser"]) == 2
    streams = capsys.readouterr()
    assert streams.out == "" and streams.err.count("\n") == 1
    return streams.err


def test_a_port_in_use_is_refused_in_one_line(runs, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused(capsys, runs["generator"].folder, "--port", port)
    assert f"--port {port}: cannot be had (Address already in use)" in said


def test_what_is_no_run_and_no_port_is_refused(runs, tmp_path, capsys):
    assert "no such folder" in refused(capsys, tmp_path / "nowhere")
    assert "is not a run folder" in refused(capsys, tmp_path)
    assert "--port 70000" in refused(capsys, runs["generator"].folder, "--port", 70000)


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(tmp_path, capsys):
    run = Run(tmp_path / "run")
    (run.checkpoints / "5").mkdir(parents=True)
    run.write_config(Experiment("generator", generator_recipe(), "embedded:animal-faces"))
    assert "is damaged" in refused(capsys, run.folder, "--port", 0)


def test_without_its_packages_it_says_what_to_install(runs, capsys, monkeypatch):
    monkeypatch.setattr(exploring, "NEEDED", ("uvicorn", "no_such_package"))
    said = refused(capsys, runs["generator"].folder)
    assert f"no_such_package not installed; do: {install('explore')}" in said


def test_only_this_machine_can_reach_it():
    with listen(0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_a_run_whose_images_are_gone_is_shown_without_them(tmp_path):
    data = make_pictures(tmp_path / "pictures")
    run = make_run(tmp_path / "run", "generator", generator_recipe(), data)
    for path in data.iterdir():
        os.unlink(path)
    page = Page(hub_of(run))
    (model,) = page.of("model")
    assert "no images in this folder" in model["note"] and model["latents"].shape == (5, 2)
    assert model["thumbnails"].shape[0] == 0 and model["names"][0] == "image 1"


def test_a_new_checkpoint_is_taken_and_one_that_cannot_be_read_is_told(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs["generator"].folder, folder)
    newest = folder / "checkpoints" / "6"
    kept = tmp_path / "6"
    newest.rename(kept)
    hub = hub_of(Run(folder))
    page = Page(hub)
    assert page.of("model") == [] and hub.model is None
    (folder / "checkpoints" / "6").mkdir()
    hub.check()
    hub.worker._jobs.pop()()
    hub.check()
    assert "damaged" in page.of("training")[-1]["problem"] and page.of("model") == []
    (folder / "checkpoints" / "6").rmdir()
    kept.rename(newest)
    hub.worker._jobs.pop()()
    assert page.of("model")[0]["iteration"] == 6
    hub.check()
    assert page.of("training")[-1]["problem"] == ""


def test_a_new_run_in_the_folder_of_another_is_taken(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs["generator"].folder, folder)
    hub = hub_of(Run(folder))
    hub.check()
    assert not hub.worker._jobs
    (folder / "checkpoints" / "6").rename(tmp_path / "6")
    hub.check()
    (tmp_path / "6").rename(folder / "checkpoints" / "6")
    hub.check()
    assert len(hub.worker._jobs) == 1


def test_records_that_come_are_told_to_all_pages(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs["descriptor"].folder, folder)
    metrics = folder / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(lines[:2]))
    hub = hub_of(Run(folder))
    pages = [Page(hub), Page(hub)]
    assert pages[0].of("training")[0]["state"] == "training"
    metrics.open("a").writelines(lines[2:])
    hub.check()
    for page in pages:
        assert [len(told["rows"]) for told in page.of("curves")] == [2, 4]
        assert page.of("training")[-1]["state"] == "finished"
        assert page.of("training")[-1]["progress"] == 1
    assert Tail(metrics, hub.tail.metrics).read().rows == hub.tail.rows
