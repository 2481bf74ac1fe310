"""What the README shows works as it stands there."""

import re
from pathlib import Path

import pytest

from tigon.cli import VERBS, main

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    short = code.replace("iterations=400", "iterations=2").replace("image_size=64", "image_size=8")
    assert short != code
    scope = {}
    exec(short, scope)
    assert scope["samples"].shape == (16, 3, 8, 8)


def test_every_file_that_the_readme_shows_or_links_is_there():
    linked = re.findall(r"\]\(([^)#]+)\)", README)
    assert linked
    for link in linked:
        assert (Path(__file__).parents[1] / link).is_file(), link


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
