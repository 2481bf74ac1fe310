"""What the page on data shows works as it stands there."""

import re
from pathlib import Path

import pytest

from tigon.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_the_blocks_run_in_order(tmp_path, pictures):
    pictures.rename(tmp_path / "photos")
    for language, code in re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL):
        if language == "python":
            exec(code, {})
            continue
        for words in map(str.split, code.splitlines()):
            assert words[0] == "tigon"
            assert main(words[1:]) == 0, words
    assert (tmp_path / "images.npz").exists() and len(list((tmp_path / "runs").iterdir())) == 3
