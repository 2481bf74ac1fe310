import json
import math

import pytest
import torch

from small import descriptor_recipe, generator_recipe, image_set, parameters
from tigon.errors import TigonError
from tigon.training.checkpoint import load_checkpoint, load_learner, save_checkpoint
from tigon.training.checkpoint_folder import find_checkpoint, latest_checkpoint

RECIPES = pytest.mark.parametrize(
    "recipe",
    [
        generator_recipe(batch_size=2),
        generator_recipe(batch_size=2, sigma="learn"),
        descriptor_recipe(batch_size=2),
    ],
    ids=["gen", "learned sigma", "desc"],
)


def stopped(recipe, iterations=3):
    trainer = recipe.trainer(image_set())
    for _ in range(iterations):
        trainer.step()
    return trainer


@RECIPES
def test_a_run_that_goes_on_from_a_checkpoint_is_the_run_that_never_stopped(recipe, tmp_path):
    whole = recipe.trainer(image_set())
    expected = whole.fit()[3:]
    path = save_checkpoint(tmp_path, stopped(recipe))
    trainer = recipe.trainer(image_set())
    load_checkpoint(path, trainer)
    records = trainer.fit()
    assert torch.equal(parameters(trainer.learner), parameters(whole.learner))
    for name, tensor in whole.learner.chain_tensors().items():
        assert torch.equal(tensor, trainer.learner.chain_tensors()[name])
    for a, b in zip(records, expected, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}


@RECIPES
def test_a_learner_comes_back_with_weights_and_chains(recipe, tmp_path):
    trainer = stopped(recipe)
    learner = load_learner(save_checkpoint(tmp_path, trainer), recipe.restored)
    for name, tensor in trainer.learner.state_dict().items():
        assert torch.equal(tensor, learner.state_dict()[name])
    for name, tensor in trainer.learner.chain_tensors().items():
        assert torch.equal(tensor, learner.chain_tensors()[name])


def test_the_last_two_are_kept(tmp_path):
    trainer = stopped(generator_recipe(), 0)
    for _ in range(4):
        trainer.step()
        save_checkpoint(tmp_path, trainer)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "4"]
    assert latest_checkpoint(tmp_path).name == "4"


def saved(folder, values, keep=2):
    """Save a checkpoint an iteration, each with a measure or none."""
    trainer = stopped(generator_recipe(), 0)
    for value in values:
        trainer.step()
        save_checkpoint(
            folder, trainer, keep, {} if value is None else {"reconstruction_error": value}
        )
    return sorted(int(path.name) for path in folder.iterdir())


@pytest.mark.parametrize(
    ("values", "keep", "kept", "best"),
    [
        ([3.0, 1.0, 2.0, 4.0, 5.0], 2, [2, 4, 5], "2"),
        ([3.0, 1.0, 2.0, 4.0, 0.5], 2, [4, 5], "5"),
        ([3.0, 1.0, 2.0], 1, [2, 3], "2"),
        ([1.0, 1.0, 2.0, 2.0], 1, [2, 4], "2"),
        ([None, 2.0, None, None, None], 2, [2, 4, 5], "2"),
        ([math.nan, 2.0, -math.inf, 3.0], 2, [2, 3, 4], "2"),
    ],
)
def test_the_best_is_kept_beside_the_last(tmp_path, values, keep, kept, best):
    assert saved(tmp_path, values, keep) == kept
    assert find_checkpoint(tmp_path, "best").name == best
    assert find_checkpoint(tmp_path).name == str(kept[-1])


def test_a_checkpoint_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    saved(tmp_path, [1.0, 2.0, 3.0])
    assert find_checkpoint(tmp_path, "2").name == "2"
    for which in ("7", "first", "-1", "", "\u00b2"):
        with pytest.raises(TigonError, match=r"there are 1 \(the best\), 2, 3$"):
            find_checkpoint(tmp_path, which)
    with pytest.raises(TigonError, match="there is no checkpoint yet"):
        find_checkpoint(tmp_path / "none", "best")


def test_without_a_measure_there_is_no_best(tmp_path):
    saved(tmp_path, [None, None])
    with pytest.raises(TigonError, match="none of the checkpoints was measured; there are 1, 2"):
        find_checkpoint(tmp_path, "best")


def test_a_best_that_is_damaged_is_refused_and_never_replaced_in_silence(tmp_path, capsys):
    saved(tmp_path, [1.0, 2.0, 3.0])
    (tmp_path / "1" / "model.safetensors").write_bytes(b"")
    with pytest.raises(TigonError, match=r"1 is damaged \(wrong checksum.*there are 1"):
        find_checkpoint(tmp_path, "best")
    (tmp_path / "1" / "manifest.json").write_bytes(b"[]")
    assert find_checkpoint(tmp_path, "best").name == "2"
    assert "1 is damaged; it is passed over" in capsys.readouterr().err


def test_what_lies_beyond_an_iteration_gone_back_to_is_dropped_and_never_the_best(tmp_path):
    saved(tmp_path, [3.0, 2.0, 1.0, 0.5])
    trainer = stopped(generator_recipe(), 3)
    save_checkpoint(tmp_path, trainer, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3"]
    with pytest.raises(TigonError, match="none of the checkpoints was measured"):
        find_checkpoint(tmp_path, "best")


def test_a_link_in_the_place_of_a_checkpoint_is_removed_and_not_what_it_leads_to(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("0", "3"):
        (folder / name).symlink_to(tmp_path / "mine")
    save_checkpoint(folder, stopped(generator_recipe()), 1)
    assert [path.name for path in folder.iterdir()] == ["3"] and not (folder / "3").is_symlink()
    assert (tmp_path / "mine" / "file").exists()


def test_a_folder_without_checkpoints_has_no_latest(tmp_path):
    assert latest_checkpoint(tmp_path / "none") is None
    (tmp_path / ".new-7").mkdir()
    assert latest_checkpoint(tmp_path) is None


@pytest.mark.parametrize("name", ["model.safetensors", "chains.safetensors", "training.pt"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_is_refused(tmp_path, name, damage):
    path = save_checkpoint(tmp_path, stopped(generator_recipe()))
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data if damage == "flip" else data[: len(data) // 2])
    if damage == "gone":
        (path / name).unlink()
    with pytest.raises(TigonError, match="is damaged .*start a new run"):
        latest_checkpoint(tmp_path)


def test_where_the_newest_is_damaged_the_one_before_is_used_and_that_is_said(tmp_path, capsys):
    trainer = stopped(generator_recipe())
    before = save_checkpoint(tmp_path, trainer)
    trainer.step()
    newest = save_checkpoint(tmp_path, trainer)
    (newest / "model.safetensors").write_bytes(b"")
    assert latest_checkpoint(tmp_path) == before
    said = capsys.readouterr().err
    assert f"checkpoint {newest} is damaged" in said and f"{before.name}, is used" in said


def test_weights_of_another_shape_are_refused(tmp_path):
    path = save_checkpoint(tmp_path, stopped(generator_recipe()))
    with pytest.raises(TigonError, match="does not fit"):
        load_learner(path, generator_recipe(latent_dim=3).restored)


def test_a_save_that_fails_leaves_earlier_checkpoints_whole(tmp_path, monkeypatch):
    trainer = stopped(generator_recipe())
    save_checkpoint(tmp_path, trainer)
    trainer.step()

    def no_space(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.raises(TigonError, match="earlier ones are intact .*No space left"):
        save_checkpoint(tmp_path, trainer)
    assert [p.name for p in tmp_path.iterdir()] == ["3"]
    assert latest_checkpoint(tmp_path).name == "3"


def test_the_manifest_names_every_file(tmp_path):
    path = save_checkpoint(tmp_path, stopped(generator_recipe()))
    sums = json.loads((path / "manifest.json").read_text())["sha256"]
    assert {p.name for p in path.iterdir()} == set(sums) | {"manifest.json"}
