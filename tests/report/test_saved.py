"""A run's saved diagnosis is reused if and only if a new one would be the same."""

import json
import shutil

import pytest

from small import descriptor_recipe, generator_recipe
from tigon.cli.main import main
from tigon.report import sections, write_report
from tigon.report.saved import saved_diagnosis
from tigon.runs.diagnosis import LENGTH, SEED, diagnose
from tigon.runs.experiment import train
from tigon.runs.provenance import provenance
from tigon.runs.run import Experiment, Run

RECIPES = {"generator": generator_recipe(), "descriptor": descriptor_recipe()}
one_kind = pytest.mark.parametrize("reported", ["generator"], indirect=True)  # enough


@pytest.fixture(params=RECIPES, scope="module")
def reported(request, tmp_path_factory):
    """A run with its report."""
    home = tmp_path_factory.mktemp("kept")
    experiment = Experiment(request.param, RECIPES[request.param], "embedded:animal-faces")
    train(experiment, home / "run")
    write_report(Run(home / "run"))
    return home / "run"


@pytest.fixture
def run(reported, tmp_path):
    """A copy of it."""
    return Run(shutil.copytree(reported, tmp_path / "run"))


def kept(run, **changed):
    return saved_diagnosis(run, provenance(run, run.images(), LENGTH, SEED, "cpu") | changed)


@pytest.fixture
def diagnoses(monkeypatch):
    """The number of times that a report has run chains."""
    made = []

    def count(*args):
        made.append(args)
        return diagnose(*args)

    monkeypatch.setattr(sections, "diagnose", count)
    return made


def test_a_second_report_runs_no_chains_and_is_the_same(run, diagnoses):
    before = (run.folder / "report.html").read_bytes()
    write_report(run)
    assert not diagnoses and (run.folder / "report.html").read_bytes() == before


def test_what_is_kept_is_what_a_diagnosis_says_now(run):
    found = kept(run)
    assert found.to_plain() == diagnose(run).to_plain()
    assert [figure.name for figure in found.figures]


def append(path, end=b"\n"):
    path.write_bytes(path.read_bytes() + end)


def remark(run, **values):
    path = run.folder / "diagnosis.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


DAMAGE = {
    "no file": lambda run: (run.folder / "diagnosis.json").unlink(),
    "cut short": lambda run: (run.folder / "diagnosis.json").write_text('{"run": '),
    "no object": lambda run: (run.folder / "diagnosis.json").write_text("[1]"),
    "of an older version": lambda run: (run.folder / "diagnosis.json").write_text(
        '{"run": "run", "healthy": true, "verdict": "healthy", "findings": []}'
    ),
    "another verdict": lambda run: remark(run, verdict="healthy"),
    "other findings": lambda run: remark(run, findings=[]),
    "a figure that is gone": lambda run: (run.folder / "figures/diagnosis-traces.png").unlink(),
    "another figure": lambda run: append(run.folder / "figures/diagnosis-traces.png"),
    "other metrics": lambda run: append(run.metrics, b"{"),
    "another config": lambda run: append(run.config),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_diagnosis_that_is_damaged_or_of_something_else_is_not_used(run, damage):
    DAMAGE[damage](run)
    assert kept(run) is None


@one_kind
def test_what_cannot_be_used_is_made_anew(run, diagnoses):
    append(run.folder / "figures/diagnosis-traces.png")
    write_report(run)
    assert len(diagnoses) == 1 and kept(run).to_plain() == diagnose(run).to_plain()


def test_a_figure_of_a_name_that_leads_elsewhere_is_not_read(run, monkeypatch):
    values = json.loads((run.folder / "diagnosis.json").read_text())
    values["figures"][0]["name"] = "../figures/diagnosis-traces"
    monkeypatch.setattr("tigon.report.saved._digest", lambda _: values["sha256"])
    assert kept(run) is not None
    (run.folder / "diagnosis.json").write_text(json.dumps(values))
    assert kept(run) is None


@one_kind
@pytest.mark.parametrize(
    ("verb", "read"),
    [*(("diagnose", read) for read in ("records", "events", "learner", "images")),
     ("report", "images")],
)  # fmt: skip
def test_a_diagnosis_of_a_run_that_goes_on_meanwhile_is_not_kept_as_true(
    run, monkeypatch, verb, read
):
    whole = getattr(Run, read)

    def meanwhile(self, *args):
        found = whole(self, *args)
        append(self.metrics, b"{")
        return found

    (run.folder / "diagnosis.json").write_text("{}")
    with monkeypatch.context() as patch:
        patch.setattr(Run, read, meanwhile)
        assert main([verb, str(run.folder)]) == 0
    assert "verdict" in json.loads((run.folder / "diagnosis.json").read_text())
    assert kept(run) is None


@pytest.mark.parametrize("name", ["tigon", "code", "torch", "length", "seed", "device"])
def test_another_version_length_seed_or_device_is_another_diagnosis(run, name):
    assert kept(run) is not None and kept(run, **{name: "other"}) is None


@one_kind
def test_a_run_that_went_on_is_diagnosed_anew(run, diagnoses):
    assert main(["resume", str(run.folder), "--iterations", "8"]) == 0
    assert len(diagnoses) == 1
    told = json.loads((run.folder / "diagnosis.json").read_text())
    assert told["verdict"] == "too short to judge (8 iterations)"


@one_kind
def test_tigon_diagnose_always_runs_anew_and_a_report_takes_its_diagnosis(run, diagnoses):
    path = run.folder / "diagnosis.json"
    path.write_text("{}")
    assert main(["diagnose", str(run.folder), "--device", "cpu"]) == 0
    assert json.loads(path.read_text())["figures"]
    write_report(Run(run.folder))
    assert not diagnoses
