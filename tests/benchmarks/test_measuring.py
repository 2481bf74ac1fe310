"""Processes that measure in turns."""

from pathlib import Path

import pytest

import measuring

WORKER = """
import sys, time
sys.path.append({folder!r})
from measuring import serve
asked = 0
def measure():
    global asked
    asked += 1
    if sys.argv[1] == "broken" and asked == 2:
        sys.exit(4)
    return [sys.argv[1], asked, time.monotonic()]
serve(measure)
"""


@pytest.fixture
def script(tmp_path):
    """A worker's script, which counts how often it was asked."""
    path = tmp_path / "worker.py"
    path.write_text(WORKER.format(folder=str(Path(measuring.__file__).parent)))
    return str(path)


def test_cases_take_turns_in_processes_that_stay_and_the_first_answer_is_dropped(script):
    found = measuring.in_turns(script, [["a"], ["b"]], 3)
    assert [[(name, asked) for name, asked, _ in one] for one in found] == [
        [("a", 2), ("a", 3), ("a", 4)],
        [("b", 2), ("b", 3), ("b", 4)],
    ]
    times = [of_case[turn][2] for turn in range(3) for of_case in found]
    assert times == sorted(times)


def test_a_process_that_ends_is_an_error_and_the_others_end_too(script):
    with pytest.raises(RuntimeError, match="broken.* ended with 4"):
        measuring.in_turns(script, [["a"], ["broken"]], 3)


def test_quartiles_are_of_the_values():
    assert measuring.spread([5, 1, 3, 2, 4]) == (2, 3, 4)
    assert measuring.spread([7]) == (7, 7, 7)
