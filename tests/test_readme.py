"""What the README and docs/ show works as it stands there."""

import re
from pathlib import Path

import pytest

from tigon.cli import VERBS, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    short = code.replace("iterations=400", "iterations=2").replace("image_size=64", "image_size=8")
    assert short != code
    scope = {}
    exec(short, scope)
    assert scope["samples"].shape == (16, 3, 8, 8)


def test_the_example_of_the_page_on_chains_runs():
    (code,) = blocks("python", (ROOT / "docs" / "chains.md").read_text())
    scope = {}
    exec(code, scope)
    assert scope["draws"].trajectory.shape == (500, 64, 2)
    assert scope["draws"].accept_prob.mean() > 0.4


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_shows_or_links_is_there(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / link).is_file(), link


@pytest.mark.slow
def test_the_commands_run(tmp_path, monkeypatch, pictures):
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line.split("#")[0].split() for line in lines if line.startswith("tigon ")]
    assert {words[1] for words in commands} >= set(VERBS) - {"demo"}
    for words in commands:
        words = [str(pictures) if word in ("photos/", "others/") else word for word in words[1:]]
        if words[0] == "train":
            words += ["--iterations", "2"]
        assert main(words) == 0
