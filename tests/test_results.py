"""The file of results to which several benchmarks write."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "results.py"
SPEC = importlib.util.spec_from_file_location("benchmark_results", PATH)
results = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(results)


def test_a_section_is_replaced_and_all_else_stays(tmp_path):
    page = tmp_path / "RESULTS.md"
    results.write_section(page, "one", "## One\n\nfirst")
    results.write_section(page, "another", "## Another\n\nkept")
    page.write_text(page.read_text() + "\nwritten by hand\n")
    before = page.read_text()
    results.write_section(page, "one", "## One\n\n\\1 second")
    assert page.read_text() == before.replace("first", "\\1 second")
    assert before.startswith("# Results\n\n<!-- one -->\n\n## One\n")


def test_a_section_that_is_to_be_the_first_follows_the_title(tmp_path):
    page = tmp_path / "RESULTS.md"
    for _ in range(2):
        results.write_section(page, "summary", "all", first=True)
        results.write_section(page, "one", "kept")
    assert page.read_text() == (
        "# Results\n\n<!-- summary -->\n\nall\n\n<!-- /summary -->\n\n"
        "<!-- one -->\n\nkept\n\n<!-- /one -->\n"
    )
    page.write_text("# Results\n\n<!-- one -->\n\nkept\n\n<!-- /one -->\n")
    results.write_section(page, "summary", "all", first=True)
    assert page.read_text().index("<!-- /summary -->") < page.read_text().index("<!-- one -->")


def test_writing_the_same_again_changes_nothing(tmp_path):
    page = tmp_path / "RESULTS.md"
    for _ in range(3):
        for name in ("one", "two", "on"):
            results.write_section(page, name, f"text of {name}\n")
    assert [page.read_text().count(f"<!-- {name} -->") for name in ("one", "two", "on")] == [1] * 3
    again = page.read_text()
    results.write_section(page, "two", "text of two")
    assert page.read_text() == again


@pytest.mark.parametrize("text", ["<!-- a -->\n", "<!-- a -->\n<!-- /a -->\n" * 2])
def test_a_file_whose_sections_are_not_whole_is_refused_and_left(text, tmp_path):
    page = tmp_path / "RESULTS.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="section a begins"):
        results.write_section(page, "a", "new")
    assert page.read_text() == text


def test_rows_become_a_markdown_table():
    rows = [{"name": "a", "value": 1}, {"name": "b", "value": 2.5}]
    assert results.table(rows) == "| name | value |\n|---|---|\n| a | 1 |\n| b | 2.5 |"


def test_the_results_of_this_repository_can_be_written_to(tmp_path):
    page = tmp_path / "RESULTS.md"
    page.write_text(PATH.with_name("RESULTS.md").read_text())
    results.write_section(page, "seed", "new")
    assert "<!-- seed -->\n\nnew\n\n<!-- /seed -->" in page.read_text()


FIGURE = {
    "criterion": "steps per second over a peer's",
    "limit": "at least 1.3",
    "median": 2.5,
    "low": 2.25,
    "high": 3.0,
    "unit": "times",
    "met": True,
}


def test_figures_written_are_the_table_that_is_read(tmp_path):
    page = tmp_path / "RESULTS.md"
    slow = FIGURE | {"criterion": "slow", "median": None, "high": None, "met": False}
    none = slow | {"criterion": "absent", "low": None, "met": None}
    results.write_figures(page, "peers", [FIGURE])
    results.write_figures(page, "seed", [slow, none], threads=2)
    rows = results.summary(page, ["seed", "floor", "peers"]).splitlines()
    assert rows[2:5] == [
        "| slow | at least 1.3 times | more than 2.25 |  | **not met** | seed |",
        "| absent | at least 1.3 times |  |  | not measured | seed |",
        "| steps per second over a peer's | at least 1.3 times | 2.5 | 2.25 to 3 | met | peers |",
    ]
    assert "(2 threads used)" in rows[6] and "(1 thread used)" in rows[8]
    assert rows[7] == "- floor: not measured yet"


@pytest.mark.parametrize(
    "wrong", [{"met": None}, {"low": None}, {"median": float("nan")}, {"another": 1}]
)
def test_figures_that_say_nothing_are_refused_and_the_old_stay(wrong, tmp_path):
    page = tmp_path / "RESULTS.md"
    results.write_figures(page, "peers", [FIGURE])
    before = (tmp_path / "figures" / "peers.json").read_text()
    with pytest.raises(ValueError):
        results.write_figures(page, "peers", [FIGURE | wrong])
    assert (tmp_path / "figures" / "peers.json").read_text() == before
