"""What the page on data shows works as it stands there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tigon.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_the_blocks_run_in_order(tmp_path, pictures):
    pictures.rename(tmp_path / "photos")
    scope = {}
    for language, code in re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL):
        if language == "python":
            exec(code, scope)
            continue
        for words in map(shlex.split, code.splitlines()):
            words += ["--network.width", "8"] if "train" in words else []
            if words[0] == "torchrun":
                command = [sys.executable, "-m", "torch.distributed.run", *words[1:]]
                assert subprocess.run(command, capture_output=True).returncode == 0
            else:
                assert words[0] == "tigon" and main(words[1:]) == 0, words
    assert len(list((tmp_path / "runs").glob("*/report.html"))) == 4
