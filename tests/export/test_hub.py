"""The hub's mixin: folders, pushes and downloads; the hub itself is played by a folder."""

import os
import shutil
import sys

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

import tigon
from learned import model_folder, run_of
from tigon.errors import TigonError
from tigon.export import hub
from tigon.export.folders import FILES
from tigon.random.streams import make_rng
from tigon.recipes import recipes


@pytest.mark.parametrize("name", recipes())
def test_a_run_s_model_is_saved_and_loaded_as_it_is(name, tmp_path):
    model = tigon.PretrainedModel.from_run(run_of(name), tigon.Licence("mit"))
    assert model.save_pretrained(tmp_path / "model") is None
    again = tigon.PretrainedModel.from_pretrained(tmp_path / "model")
    assert type(again) is type(model) and again.card == model.card
    assert again.recipe.image_size == 8 and again.recipe_name == name
    assert torch.equal(again.sample(3, make_rng(1)), model.sample(3, make_rng(1)))


def test_a_class_of_one_kind_refuses_the_other(tmp_path):
    folder = model_folder("descriptor", tmp_path / "model")
    with pytest.raises(TigonError, match="is a descriptor, and no PretrainedGenerator"):
        tigon.PretrainedGenerator.from_pretrained(folder)
    assert isinstance(tigon.PretrainedDescriptor.from_pretrained(folder), tigon.LearnedDescriptor)


@pytest.fixture
def far(tmp_path, monkeypatch):
    """A hub in a folder, reached by the two calls that reach the network."""
    repositories = tmp_path / "hub"

    def create_repo(self, repo_id, private=None, exist_ok=False, **_):
        assert exist_ok
        (repositories / repo_id).mkdir(parents=True, exist_ok=True)
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload_folder(self, repo_id, folder_path, repo_type, commit_message, **_):
        shutil.copytree(folder_path, repositories / repo_id, dirs_exist_ok=True)
        return f"https://huggingface.co/{repo_id}/commit/1"

    def snapshot_download(repo_id, allow_patterns, **_):
        if not (repositories / repo_id).is_dir():
            raise LocalEntryNotFoundError("no such\n repository")
        assert set(allow_patterns) == set(FILES)
        return str(repositories / repo_id)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    return repositories


def test_what_is_pushed_is_the_folder_and_comes_back_the_same(far, tmp_path):
    model = tigon.PretrainedModel.from_run(run_of("generator"))
    assert model.push_to_hub("me/faces", commit_message="first").endswith("commit/1")
    pushed = far / "me" / "faces"
    assert sorted(os.listdir(pushed)) == sorted(FILES)
    again = tigon.PretrainedModel.from_pretrained("me/faces")
    assert torch.equal(again.decode(torch.ones(2, 2)), model.decode(torch.ones(2, 2)))
    saved = again.save_pretrained(tmp_path / "copy", repo_id="me/copy", push_to_hub=True)
    assert saved == "https://huggingface.co/me/copy/commit/1"
    for name in FILES:
        assert (far / "me" / "copy" / name).read_bytes() == (pushed / name).read_bytes()


def test_a_run_is_refused_in_one_line_that_says_how_it_becomes_a_model_folder():
    run = run_of("generator")
    with pytest.raises(tigon.TigonError) as refused:
        tigon.PretrainedModel.from_pretrained(run)
    said = f"{run}: is a run; tigon export {run} --out FOLDER makes a model folder of it"
    assert str(refused.value) == said


def test_another_config_or_card_is_refused_rather_than_left_out(tmp_path):
    model = tigon.PretrainedModel.from_run(run_of("generator"))
    for options in ({"config": {"sigma": 1}}, {"model_card_kwargs": {"a": 1}}):
        with pytest.raises(TigonError, match="its own"):
            model.save_pretrained(tmp_path / "model", **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["nobody/nothing", "no/such/folder", "a b", "file"])
def test_what_is_nowhere_is_refused_in_one_line(name, far, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    if name != "nobody/nothing":
        monkeypatch.setattr(hub, "snapshot_download", huggingface_hub.snapshot_download)
    with pytest.raises(TigonError, match=f"^model {name}: [^\n]*$"):
        tigon.PretrainedModel.from_pretrained(name)


def test_offline_one_line_says_that_a_repository_is_not_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TigonError) as raised:
        tigon.PretrainedModel.from_pretrained("nobody/nothing", cache_dir=tmp_path)
    said = str(raised.value)
    assert said.startswith("model nobody/nothing: no such folder, nor to be had from the hub")
    assert "HF_HUB_OFFLINE" in said and "\n" not in said


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    folder = model_folder("generator", tmp_path / "model")
    monkeypatch.delitem(sys.modules, "tigon.export.hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(TigonError, match=r"pip install 'tigon\[hub\]'"):
        _ = tigon.PretrainedModel
    assert tigon.load_model(folder).kind == "generator"
