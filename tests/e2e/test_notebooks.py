"""The notebooks run from beginning to end, and their saved outputs match."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """The kinds of outputs of a cell, text or pictures, in order."""
    found = [output.get("name") or sorted(output.data)[0] for output in cell.outputs]
    return ["picture" if kind.startswith("image/") else kind for kind in found]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_kept(path, tmp_path):
    kept = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    for cell in code(fresh):
        cell.outputs, cell.execution_count = [], None
    resources = {"metadata": {"path": str(tmp_path)}}
    how = {"timeout": 300, "kernel_name": "python3", "coalesce_streams": True}
    NotebookClient(fresh, resources=resources, **how).execute()
    assert [kinds(cell) for cell in code(fresh)] == [kinds(cell) for cell in code(kept)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_valid_small_and_with_pictures(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    shown = [kind for cell in code(notebook) for kind in kinds(cell)]
    assert shown.count("picture") >= 4
    assert "stderr" not in shown
    assert path.stat().st_size < 800_000


def test_there_are_three():
    names = {path.stem for path in NOTEBOOKS}
    assert names == {"real-inference", "real-sampling", "both-together"}
