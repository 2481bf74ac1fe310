"""Outcomes of mutations are kept, until what they depend on changes."""

from pathlib import Path

from mutants import MUTATIONS, Mutation
from mutations import Log, Outcome

SOURCES = Path(__file__).parents[2] / "src" / "tigon"

MUTATION = Mutation("sign", "a.py", "x + 1", "x - 1")


def test_every_mistake_can_be_made_in_one_place():
    found = {one.name: (SOURCES / one.file).read_text().count(one.old) for one in MUTATIONS}
    assert {name for name, times in found.items() if times != 1} == set()


def test_a_known_outcome_is_not_measured_again_unless_the_file_has_changed(tmp_path):
    file = tmp_path / "src" / "tigon" / "a.py"
    file.parent.mkdir(parents=True)
    file.write_text("y = x + 1\n")
    runs = []

    def run():
        runs.append(len(runs))
        return Outcome([f"test_{len(runs)}"], 2.0)

    path = tmp_path / "build" / "log.jsonl"
    first = Log(path).of(tmp_path / "src", MUTATION, run)
    assert Log(path).of(tmp_path / "src", MUTATION, run) == first == Outcome(["test_1"], 2.0)
    file.write_text("y = 2 * (x + 1)\n")
    assert Log(path).of(tmp_path / "src", MUTATION, run).failed == ["test_2"]
    assert len(runs) == 2 and len(Log(path).known) == 2
