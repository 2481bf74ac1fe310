import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from small import descriptor_recipe, generator_recipe, parameters
from tigon.errors import DivergenceError, TigonError
from tigon.recipes.descriptor import ImageGuard
from tigon.recipes.settings import ImageChains
from tigon.report import write_report
from tigon.runs.experiment import choose_device, train
from tigon.runs.run import Experiment, Run
from tigon.training.callbacks import snapshots
from tigon.training.checkpoint_folder import measured

RECIPES = pytest.mark.parametrize(
    ("name", "recipe"),
    [("generator", generator_recipe()), ("descriptor", descriptor_recipe())],
    ids=["gen", "desc"],
)
MIXED = pytest.param("generator", generator_recipe(components=2), id="mixed")


@RECIPES
def test_a_run_leaves_all_that_is_laid_down(tmp_path, pictures, name, recipe):
    trainer = train(Experiment(name, recipe, str(pictures)), tmp_path / "run")
    run = Run(tmp_path / "run")
    assert run.experiment == Experiment(name, recipe, str(pictures))
    assert [record["iteration"] for record in run.records()] == list(range(1, 7))
    assert [p.name for p in run.checkpoints.iterdir()] == ["6"]
    assert torch.equal(parameters(run.learner()), parameters(trainer.learner))
    assert run.environment["torch"] == torch.__version__
    assert run.environment["peak_memory_mb"] > 50
    iterations = [iteration for iteration, _ in run.snapshots()]
    assert iterations == [1, 3, 6]
    assert run.snapshots()[0][1].shape == (5, 8, 8, 3)


def test_folders_and_checkpoints_may_be_plain_text_and_numbers(tmp_path, pictures):
    folder = str(tmp_path / "run")
    train(Experiment("generator", generator_recipe(iterations=2), str(pictures)), folder, keep=2)
    run = Run(folder, 2, data=pictures)
    assert run == Run(tmp_path / "run", "2", str(pictures))
    assert run.find().name == "2" and len(run.images()) == 5


@pytest.mark.parametrize(("name", "recipe"), [*RECIPES.args[1], MIXED])
def test_the_same_command_continues_a_stopped_run_to_the_same_end(
    tmp_path, pictures, name, recipe
):
    experiment = Experiment(name, recipe, str(pictures))
    whole = train(experiment, tmp_path / "whole")
    asked = iter([False, False, True])
    part = train(experiment, tmp_path / "run", stop=lambda: next(asked))
    assert part.iteration == 2 and not part.finished
    again = train(experiment, tmp_path / "run")
    assert torch.equal(parameters(again.learner), parameters(whole.learner))
    if getattr(recipe, "components", 1) > 1:
        mixtures = [trainer.learner.model.mixture.means for trainer in (again, whole)]
        assert torch.equal(*mixtures) and mixtures[0].any()
    records, expected = Run(tmp_path / "run").records(), Run(tmp_path / "whole").records()
    assert [{**r, "seconds": 0} for r in records] == [{**r, "seconds": 0} for r in expected]
    for (i, one), (j, two) in zip(
        Run(tmp_path / "run").snapshots(), Run(tmp_path / "whole").snapshots(), strict=True
    ):
        assert i == j and np.array_equal(one, two)


@RECIPES
def test_which_checkpoint_is_best_is_that_of_the_mean_measure_wherever_a_run_was_stopped(
    tmp_path, pictures, name, recipe
):
    experiment = Experiment(name, replace(recipe, iterations=11), str(pictures))
    train(experiment, tmp_path / "whole", checkpoint_every=3, keep=9)
    whole = Run(tmp_path / "whole")
    found = {int(p.name): measured(p) for p in whole.checkpoints.iterdir()}
    key = whole.learner().measure
    values = [record[key] for record in whole.records()]
    windows = {3: values[:3], 6: values[3:6], 9: values[6:9], 11: values[9:]}
    assert found == pytest.approx({k: np.mean(window) for k, window in windows.items()})
    for out in (tmp_path / "run", tmp_path / "one"):
        for _ in range(4):
            asked = iter([False, False, False, True])
            train(experiment, out, "cpu", 3, [], lambda asked=asked: next(asked), keep=1)
    best = min(found, key=found.get)
    assert Run(out, "best").find().name == str(best)
    assert measured(Run(out).find("best")) == found[best]
    assert {int(p.name) for p in Run(out).checkpoints.iterdir()} == {best, 11}
    expected = whole.learner(str(best))
    assert torch.equal(parameters(Run(out).learner("best")), parameters(expected))


def test_a_rollback_takes_its_checkpoints_and_their_measures_back(tmp_path, pictures):
    """The state of iteration 6 is spoiled after it was saved as the best by far."""

    def spoil(trainer, record):
        if trainer.iteration == 7 and not trainer.rollbacks and "event" not in record:
            with torch.no_grad():
                trainer.learner.model.network.last.bias.fill_(float("nan"))

    recipe = descriptor_recipe(iterations=12, guard=ImageGuard(every=5))
    experiment = Experiment("descriptor", recipe, str(pictures))
    train(experiment, tmp_path / "run", checkpoint_every=3, keep=9, callbacks=[spoil])
    run = Run(tmp_path / "run")
    assert [event["event"] for event in run.events()] == ["rollback"]
    records = {record["iteration"]: record["energy_distance"] for record in run.records()}
    found = {int(p.name): measured(p) for p in run.checkpoints.iterdir()}
    assert set(found) == {3, 5, 6, 9, 12} and found.pop(5) is None
    means = {k: np.mean([records[i] for i in range(k - 2, k + 1)]) for k in found}
    assert found == pytest.approx(means)


@pytest.mark.parametrize("name", ["checkpoints", "snapshots", "figures"])
def test_a_linked_subfolder_that_leads_outside_is_refused_and_nothing_is_written_there(
    tmp_path, pictures, name
):
    experiment = Experiment("generator", generator_recipe(), str(pictures))
    train(experiment, tmp_path / "run")
    (tmp_path / "run" / name).rename(tmp_path / "elsewhere") if name != "figures" else (
        tmp_path / "elsewhere"
    ).mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.joinpath("elsewhere").rglob("*"))
    longer = Experiment("generator", generator_recipe(iterations=9), str(pictures))
    with pytest.raises(TigonError, match=f"a link that leads outside .*/run/{name}"):
        train(longer, tmp_path / "run", changed=True)
    assert sorted(tmp_path.joinpath("elsewhere").rglob("*")) == before


def test_a_run_folder_that_is_a_link_is_the_folder_it_leads_to(tmp_path, pictures):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    train(Experiment("generator", generator_recipe(), str(pictures)), tmp_path / "run")
    assert write_report(Run(tmp_path / "run")).exists()
    assert (tmp_path / "disk" / "checkpoints" / "6").exists()


def test_a_finished_run_stays_as_it_is(tmp_path, pictures):
    experiment = Experiment("generator", generator_recipe(), str(pictures))
    train(experiment, tmp_path / "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    train(experiment, tmp_path / "run", callbacks=[lambda *_: pytest.fail("it went on")])
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


def test_a_folder_with_another_experiment_is_refused_and_untouched(tmp_path, pictures):
    train(Experiment("generator", generator_recipe(), str(pictures)), tmp_path / "run")
    before = (tmp_path / "run" / "config.toml").read_text()
    other = Experiment("generator", generator_recipe(sigma=0.2), str(pictures))
    with pytest.raises(TigonError, match="other settings .*sigma was 0.3, now 0.2"):
        train(other, tmp_path / "run")
    assert (tmp_path / "run" / "config.toml").read_text() == before


def test_other_settings_become_the_runs_where_that_is_asked_for(tmp_path, pictures):
    train(Experiment("generator", generator_recipe(), str(pictures)), tmp_path / "run")
    other = Experiment("generator", generator_recipe(sigma=0.2, iterations=9), str(pictures))
    trainer = train(other, tmp_path / "run", changed=True)
    assert trainer.iteration == 9
    assert Run(tmp_path / "run").experiment == other
    assert [record["iteration"] for record in Run(tmp_path / "run").records()] == list(
        range(1, 10)
    )


def test_other_settings_that_do_not_fit_the_weights_leave_the_run_as_it_was(tmp_path, pictures):
    experiment = Experiment("generator", generator_recipe(), str(pictures))
    train(experiment, tmp_path / "run")
    other = Experiment("generator", generator_recipe(latent_dim=3, iterations=9), str(pictures))
    said = "cannot go on from 6 iterations .*iterations was 6, now 9; latent_dim was 2, now 3"
    with pytest.raises(TigonError, match=said):
        train(other, tmp_path / "run", changed=True)
    assert Run(tmp_path / "run").experiment == experiment


@pytest.mark.parametrize("changes", [{"image_size": 16}, {"held_out": 0.2}, {"channels": 1}])
def test_a_run_does_not_go_on_with_images_of_another_form(tmp_path, pictures, changes):
    experiment = Experiment("generator", generator_recipe(), str(pictures))
    train(experiment, tmp_path / "run")
    other = Experiment("generator", generator_recipe(iterations=9, **changes), str(pictures))
    (name, now), *_ = changes.items()
    said = rf"learns from other images \({name} was .*, now {now}\); give another folder"
    with pytest.raises(TigonError, match=said):
        train(other, tmp_path / "run", changed=True)
    assert Run(tmp_path / "run").experiment == experiment


def test_a_run_of_a_version_with_fewer_settings_continues(tmp_path, pictures):
    experiment = Experiment("generator", generator_recipe(), str(pictures))
    train(experiment, tmp_path / "run")
    path = tmp_path / "run" / "config.toml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("floor")))
    assert train(experiment, tmp_path / "run").finished


def test_a_folder_that_is_no_run_is_refused(tmp_path, pictures):
    experiment = Experiment("generator", generator_recipe(), str(pictures))
    with pytest.raises(TigonError, match="is not empty and not a run"):
        train(experiment, pictures)
    with pytest.raises(TigonError, match="is a file"):
        train(experiment, pictures / "0.png")
    with pytest.raises(TigonError, match="at least 1"):
        train(experiment, tmp_path / "run", checkpoint_every=0)


def test_data_that_cannot_be_read_leave_no_folder(tmp_path):
    experiment = Experiment("generator", generator_recipe(), str(tmp_path / "none"))
    with pytest.raises(TigonError, match="no such folder"):
        train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_size_the_network_cannot_have_is_refused(tmp_path, pictures):
    experiment = Experiment("generator", generator_recipe(image_size=18), str(pictures))
    with pytest.raises(TigonError, match="the nearest are 16 and 20"):
        train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_keeps_its_last_checkpoint(tmp_path, pictures):
    def spoil(trainer, record):
        if trainer.iteration == 3:
            with torch.no_grad():
                trainer.learner.model.network.last.bias.fill_(float("nan"))

    experiment = Experiment("descriptor", descriptor_recipe(), str(pictures))
    with pytest.raises(DivergenceError, match="iteration 4"):
        train(experiment, tmp_path / "run", checkpoint_every=2, callbacks=[spoil])
    learner = Run(tmp_path / "run").learner()
    assert all(torch.isfinite(p).all() for p in learner.parameters())


@pytest.mark.parametrize("name", ["gpu", "cuda:77", "tpu:1", "meta"])
def test_a_device_that_is_not_here_is_refused(name):
    with pytest.raises(TigonError, match=f"--device {name}: is not available on this machine"):
        choose_device(name)


def test_config_edited_wrongly_is_named(tmp_path, pictures):
    train(Experiment("generator", generator_recipe(), str(pictures)), tmp_path / "run")
    path = tmp_path / "run" / "config.toml"
    text = path.read_text()
    for change, message in [
        (text.replace("sigma = 0.3", "sigma = 'x'"), "sigma is float or learn, not 'x'"),
        (text.replace('recipe = "generator"', 'recipe = "gan"'), "recipe 'gan'"),
        (text.replace("seed = 0", "sede = 0"), "config.toml: unknown name sede"),
        ("this is no TOML", "config.toml: cannot be read"),
    ]:
        path.write_text(change)
        with pytest.raises(TigonError, match=message):
            Run(tmp_path / "run").learner()


def test_the_environment_is_valid_json(tmp_path, pictures):
    train(Experiment("generator", generator_recipe(), str(pictures)), tmp_path / "run")
    values = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert values["iteration"] == 6 and values["device"] == "cpu"


@RECIPES
def test_a_run_whose_images_changed_is_refused(tmp_path, pictures, name, recipe):
    """Chains belong to images row by row; other images would get the wrong ones."""
    experiment = Experiment(name, recipe, str(pictures))
    asked = iter([False, False, True])
    train(experiment, tmp_path / "run", stop=lambda: next(asked))
    picture = pictures / "2.png"
    picture.write_bytes((pictures / "3.png").read_bytes())
    with pytest.raises(TigonError, match=r"images have changed .* \(5 then, 5 now\)"):
        train(experiment, tmp_path / "run")
    picture.unlink()
    with pytest.raises(TigonError, match=r"\(5 then, 4 now\)"):
        Run(tmp_path / "run").images()


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("generator", generator_recipe(channels=1, latent_dim=1)),
        ("generator", generator_recipe(latent_dim=100, batch_size=2)),
        ("generator", generator_recipe(mirror="yes")),
        ("descriptor", descriptor_recipe(channels=1)),
        ("descriptor", descriptor_recipe(batch_size=2, chains=ImageChains(3, start="mean-image"))),
    ],
    ids=["grey, d=1", "d=100, batches", "mirror", "grey descriptor", "mean image"],
)
def test_unusual_runs_learn_and_are_reported(tmp_path, pictures, name, recipe):
    train(Experiment(name, recipe, str(pictures)), tmp_path / "run")
    run = Run(tmp_path / "run")
    assert write_report(run).stat().st_size > 10_000
    assert np.isfinite(run.records()[-1]["gradient_norm"])


@RECIPES
def test_one_image_is_enough(tmp_path, pictures, name, recipe):
    train(Experiment(name, recipe, str(pictures / "0.png")), tmp_path / "run")
    assert write_report(Run(tmp_path / "run")).exists()


def test_a_damaged_snapshot_is_named(tmp_path, pictures):
    train(Experiment("generator", generator_recipe(), str(pictures)), tmp_path / "run")
    (tmp_path / "run" / "snapshots" / "3.npz").write_bytes(b"cut")
    with pytest.raises(TigonError, match="3.npz: is damaged; delete it"):
        write_report(Run(tmp_path / "run"))


def test_a_full_disk_ends_with_a_line_and_the_last_checkpoint(tmp_path, pictures, monkeypatch):
    def fill(trainer, record):
        def no_space(*_):
            raise OSError("No space left on device")

        if trainer.iteration == 4:
            monkeypatch.setattr(snapshots, "save_snapshot", no_space)

    experiment = Experiment("generator", generator_recipe(), str(pictures))
    with pytest.raises(TigonError, match="cannot be written .*No space left"):
        train(experiment, tmp_path / "run", checkpoint_every=3, callbacks=[fill])
    monkeypatch.undo()
    assert train(experiment, tmp_path / "run").finished
