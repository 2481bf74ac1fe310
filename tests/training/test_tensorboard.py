"""TensorBoard shows what metrics.jsonl contains, whatever happened to the run."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from small import descriptor_recipe, generator_recipe, parameters
from tigon.cli.main import main
from tigon.errors import TigonError, install
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run
from tigon.training.callbacks.tensorboard import scalars
from tigon.training.guard import GuardRunner

pytest.importorskip("tensorboard")
RECIPES = {"generator": generator_recipe(latent_dim=3), "descriptor": descriptor_recipe()}


def board(run):
    """What TensorBoard makes of a run's events."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = dict.fromkeys(("scalars", "images", "histograms", "tensors"), 0)
    return EventAccumulator(str(run.folder / "tensorboard"), everything).Reload()


def assert_board_tells_metrics(run):
    """Every number of every iteration, once, in order, and nothing else."""
    shown, records = board(run), run.records()
    expected = {}
    for record in records:
        for tag, value in scalars(record).items():
            expected.setdefault(tag, []).append((record["iteration"], np.float32(value)))
    assert set(shown.Tags()["scalars"]) == set(expected)
    for tag, points in expected.items():
        assert [(e.step, np.float32(e.value)) for e in shown.Scalars(tag)] == points, tag
    said = shown.Tensors("guard/text_summary") if shown.Tags()["tensors"] else []
    texts = [(e.step, e.tensor_proto.string_val[0].decode()) for e in said]
    assert texts == [
        (e["iteration"], f"**{e['event']}** ({e['cause']}): {e['message']}") for e in run.events()
    ]


@pytest.fixture(params=RECIPES)
def experiment(request, pictures):
    """An experiment of each recipe."""
    return Experiment(request.param, RECIPES[request.param], str(pictures))


def test_every_number_grid_and_latent_of_a_run_can_be_seen(experiment, tmp_path):
    run = Run(tmp_path / "run")
    train(experiment, run.folder, tensorboard=True)
    assert_board_tells_metrics(run)
    shown, taken = board(run), run.snapshots()
    grids = shown.Images("images")
    assert [grid.step for grid in grids] == [iteration for iteration, _ in taken]
    assert (grids[-1].width, grids[-1].height) == (5 * 8, 8)
    if experiment.name == "generator":
        latents = shown.Histograms("latents/all")
        assert [found.step for found in latents] == [iteration for iteration, _ in taken]
        points = run.learner().store.points
        found = latents[-1].histogram_value
        assert found.num == points.numel() and found.max == pytest.approx(points.max().item())
        assert {f"latents/z{k}" for k in (1, 2, 3)} < set(shown.Tags()["histograms"])
    else:
        assert shown.Tags()["histograms"] == []


def test_training_is_bit_identical_with_and_without(experiment, tmp_path):
    torch.manual_seed(0)
    with_board = train(experiment, tmp_path / "with", tensorboard=True)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    without = train(experiment, tmp_path / "without")
    assert torch.equal(parameters(with_board.learner), parameters(without.learner))
    assert torch.equal(torch.get_rng_state(), state)
    for name, chains in without.learner.chain_tensors().items():
        assert torch.equal(with_board.learner.chain_tensors()[name], chains)
    assert not (tmp_path / "without" / "tensorboard").exists()
    configs = [(tmp_path / name / "config.toml").read_text() for name in ("with", "without")]
    assert configs[0] == configs[1]


def stop_at(iterations):
    """Return a stop that lets so many iterations happen, of a `train` it watches."""
    seen = []
    return [lambda trainer, record: seen.append(1)], lambda: len(seen) >= iterations


@pytest.mark.parametrize("switched", ([1, 0, 1], [0, 1, 0, 1], [0, 0, 1], [1, 1]), ids=str)
def test_a_run_may_go_on_with_or_without_it(pictures, tmp_path, switched):
    experiment = Experiment("generator", generator_recipe(iterations=8), str(pictures))
    run = Run(tmp_path / "run")
    for number, on in enumerate(switched, 1):
        noted, stop = stop_at(2) if number < len(switched) else ([], lambda: False)
        train(experiment, run.folder, callbacks=noted, stop=stop, tensorboard=bool(on))
    assert [record["iteration"] for record in run.records()] == list(range(1, 9))
    assert_board_tells_metrics(run)
    grids = [grid.step for grid in board(run).Images("images")]
    assert grids == [iteration for iteration, _ in run.snapshots()]


def test_iterations_taken_again_after_a_kill_stand_once(pictures, tmp_path):
    """The last checkpoint is at 4; events up to 7 are on the disk when the process dies."""
    experiment = Experiment("generator", generator_recipe(iterations=10), str(pictures))
    run = Run(tmp_path / "run")

    class Killed(BaseException):
        pass

    def kill(trainer, record):
        if trainer.iteration == 8:
            raise Killed

    with pytest.raises(Killed):
        train(experiment, run.folder, checkpoint_every=4, callbacks=[kill], tensorboard=True)
    assert board(run).Scalars("seconds")[-1].step == 7
    train(experiment, run.folder, tensorboard=True)
    assert_board_tells_metrics(run)


def spoil(monkeypatch, failing):
    """Let the guard see trouble at these iterations, once each."""
    left = set(failing)
    seen = GuardRunner.trouble

    def trouble(self, record):
        if record["iteration"] in left:
            left.remove(record["iteration"])
            return "gap"
        return seen(self, record)

    monkeypatch.setattr(GuardRunner, "trouble", trouble)


def test_what_the_guard_took_back_is_hidden_and_what_it_says_is_text(
    pictures, tmp_path, monkeypatch
):
    recipe = generator_recipe(iterations=12)
    recipe = replace(recipe, guard=replace(recipe.guard, every=3))
    spoil(monkeypatch, {5, 8})
    run = Run(tmp_path / "run")
    train(Experiment("generator", recipe, str(pictures)), run.folder, tensorboard=True)
    assert [event["iteration"] for event in run.events()] == [3, 6]
    assert_board_tells_metrics(run)


def test_a_rollback_while_it_was_switched_off_is_made_up_for(pictures, tmp_path, monkeypatch):
    recipe = generator_recipe(iterations=12)
    recipe = replace(recipe, guard=replace(recipe.guard, every=3))
    experiment = Experiment("generator", recipe, str(pictures))
    run = Run(tmp_path / "run")
    for on, count in ((True, 5), (False, 4), (True, 99)):
        spoil(monkeypatch, {} if on else {6})
        noted, stop = stop_at(count)
        train(experiment, run.folder, callbacks=noted, stop=stop, tensorboard=on)
    assert [event["iteration"] for event in run.events()] == [3]
    assert_board_tells_metrics(run)


def test_without_tensorboard_nothing_is_written_and_one_line_says_what_to_install(
    pictures, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    words = ["train", "generator", "--data", str(pictures), "--out", str(tmp_path / "run")]
    assert main([*words, "--tensorboard"]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"tigon: --tensorboard: TensorBoard is not installed; {install('tensorboard')}\n"
    )
    experiment = Experiment("generator", generator_recipe(), str(pictures))
    with pytest.raises(TigonError, match="TensorBoard is not installed"):
        train(experiment, tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_said_in_one_line(pictures, tmp_path):
    experiment = Experiment("generator", generator_recipe(iterations=4), str(pictures))
    noted, stop = stop_at(2)
    train(experiment, tmp_path / "run", callbacks=noted, stop=stop)
    (tmp_path / "run" / "tensorboard").write_text("a file")
    with pytest.raises(TigonError, match="tensorboard: cannot be written"):
        train(experiment, tmp_path / "run", tensorboard=True)
    assert train(experiment, tmp_path / "run").finished


def test_files_of_the_future_are_refused_and_can_be_made_again(pictures, tmp_path):
    """A clock that was set back would let TensorBoard read new files before old ones."""
    experiment = Experiment("generator", generator_recipe(), str(pictures))
    run = Run(tmp_path / "run")
    noted, stop = stop_at(3)
    train(experiment, run.folder, callbacks=noted, stop=stop, tensorboard=True)
    (file,) = (run.folder / "tensorboard").iterdir()
    file.rename(file.with_name("events.out.tfevents.4000000000.host.1.0"))
    with pytest.raises(TigonError, match="events of the future"):
        train(experiment, run.folder, tensorboard=True)
    shutil.rmtree(run.folder / "tensorboard")
    train(experiment, run.folder, tensorboard=True)
    assert_board_tells_metrics(run)


@pytest.mark.slow
def test_a_process_that_is_killed_loses_and_doubles_no_event(pictures, tmp_path):
    words = ["train", "generator", "--data", str(pictures), "--out", str(tmp_path / "run")]
    words += ["--image-size", "8", "--network.width", "4", "--iterations", "150"]
    words += ["--checkpoint-every", "20", "--tensorboard"]
    run = Run(tmp_path / "run")
    for enough in (30, 90):
        process = subprocess.Popen([sys.executable, "-m", "tigon", *words])
        while process.poll() is None and count(run) < enough:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert subprocess.run([sys.executable, "-m", "tigon", *words, "--json"]).returncode == 0
    assert len(run.records()) == 150
    assert_board_tells_metrics(run)


def count(run):
    """How many whole lines metrics.jsonl has now."""
    text = run.metrics.read_text() if run.metrics.exists() else ""
    return len([json.loads(line) for line in text.split("\n")[:-1]])
