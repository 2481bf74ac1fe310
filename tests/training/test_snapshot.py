"""Runs whose chains are in files: the same as in memory, from the same checkpoints."""

import json

import pytest
import torch

from small import generator_recipe, image_set
from tigon.errors import TigonError
from tigon.mcmc import store_files
from tigon.recipes.settings import LatentChains
from tigon.training.checkpoint import load_checkpoint, save_checkpoint
from tigon.training.checkpoint_folder import latest_checkpoint
from tigon.training.guard import Guard

MEMORY, FILES = LatentChains(), LatentChains(store="files")


@pytest.fixture(autouse=True)
def few_rows_at_once(monkeypatch, tmp_path):
    """Chunks smaller than the set, and scratch files where they are seen."""
    monkeypatch.setattr(store_files, "CHUNK", 7)
    monkeypatch.setenv("TIGON_CACHE", str(tmp_path / "cache"))


def begun(chains, iterations=8, every=2):
    recipe = generator_recipe(
        iterations=iterations, batch_size=6, chains=chains, guard=Guard(every=every)
    )
    return recipe.trainer(image_set(20))


def rows(trainer):
    learner = trainer.learner
    return {"points": learner.store.points.clone(), "size": torch.tensor(learner.step_size)}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_in_files_is_the_run_in_memory():
    ends = []
    for chains in (MEMORY, FILES):
        trainer = begun(chains)
        records = [{**r, "seconds": 0} for r in trainer.fit()]
        ends.append((records, rows(trainer), trainer.learner.state_dict()))
    (records, points, weights), (others, theirs, other_weights) = ends
    assert records == others
    assert same(points, theirs) and same(weights, other_weights)


def test_files_have_no_name_and_leave_nothing_behind(tmp_path):
    trainer = begun(FILES)
    trainer.fit()
    assert trainer.learner.files is not None
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("first", [MEMORY, FILES])
@pytest.mark.parametrize("then", [MEMORY, FILES])
def test_a_checkpoint_continues_in_memory_and_in_files(first, then, tmp_path):
    """With the states that the guard goes back to."""
    whole = begun(MEMORY)
    expected = whole.fit()
    stopped = begun(first)
    stopped.fit(stop=lambda: stopped.iteration == 5)
    path = save_checkpoint(tmp_path / "run", stopped)
    assert (path / "chains" / "points.npy").exists() == (first is FILES)
    continued = begun(then)
    load_checkpoint(latest_checkpoint(tmp_path / "run"), continued)
    assert len(continued.guard.good) == 2
    records = continued.fit()
    drop = {"seconds": 0}
    assert [r | drop for r in records] == [r | drop for r in expected[5:]]
    assert same(rows(whole), rows(continued))


def test_a_state_in_files_is_put_back_as_it_was():
    trainer = begun(FILES)
    trainer.fit(stop=lambda: trainer.iteration == 3)
    snapshot, before = trainer.snapshot(), rows(trainer)
    trainer.fit()
    assert not same(before, rows(trainer))
    trainer.put_back(snapshot)
    assert same(before, rows(trainer)) and trainer.iteration == 3


def test_chains_in_files_that_were_changed_are_damage(tmp_path, capsys):
    trainer = begun(FILES)
    for _ in range(2):
        trainer.step()
        save_checkpoint(tmp_path, trainer)
    points = tmp_path / "2" / "chains" / "points.npy"
    points.write_bytes(points.read_bytes()[:-4] + b"\0\0\0\1")
    assert latest_checkpoint(tmp_path).name == "1"
    assert "wrong checksum of chains/points.npy" in capsys.readouterr().err


def test_a_manifest_names_only_files_of_a_checkpoint(tmp_path):
    trainer = begun(FILES)
    trainer.step()
    manifest = save_checkpoint(tmp_path, trainer) / "manifest.json"
    sums = json.loads(manifest.read_text())
    sums["sha256"]["../../secret"] = "0"
    manifest.write_text(json.dumps(sums))
    with pytest.raises(TigonError, match="names '../../secret'"):
        latest_checkpoint(tmp_path)
