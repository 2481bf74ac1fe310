"""metrics.jsonl, read as it grows."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from tigon.explorer.curves import Tail, thinned
from tigon.learners.generator import METRICS
from tigon.training.callbacks.metrics import read_metrics


def line(iteration, **values):
    return json.dumps({"iteration": iteration, "accept": 0.5, **values}) + "\n"


def test_rows_come_once_and_a_line_not_yet_ended_waits(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = Tail(path, METRICS)
    assert tail.read() is None and tail.age() is None
    path.write_text(line(1) + line(2)[:9])
    assert [row["iteration"] for row in tail.read().rows] == [1]
    assert tail.read() is None
    with path.open("a") as file:
        file.write(line(2)[9:] + line(3))
    growth = tail.read()
    assert [row["iteration"] for row in growth.rows] == [2, 3] and not growth.anew
    assert tail.age() < 60


def test_a_rollback_takes_back_what_came_after_and_says_so(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = Tail(path, METRICS)
    path.write_text("".join(line(k) for k in range(1, 6)))
    tail.read()
    event = {"iteration": 3, "event": "rollback", "cause": "gap", "message": "the gap exploded"}
    with path.open("a") as file:
        file.write(json.dumps(event) + "\n" + line(4))
    growth = tail.read()
    assert growth.anew and growth.event == "rollback: the gap exploded"
    assert [row["iteration"] for row in growth.rows] == [1, 2, 3, 4]
    assert [r["iteration"] for r in read_metrics(path)] == [1, 2, 3, 4]


def test_a_file_that_a_continued_run_has_rewritten_is_read_anew(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(1) + line(2))
    tail = Tail(path, METRICS)
    tail.read()
    (tmp_path / "new").write_text(line(1) + line(7))
    (tmp_path / "new").replace(path)
    growth = tail.read()
    assert growth.anew and [row["iteration"] for row in growth.rows] == [1, 7]


def test_moments_of_latents_become_two_numbers_and_what_is_not_finite_none(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        line(1, latent_std=[3.0, 4.0], latent_mean=[0.1, -0.2], reconstruction_error=math.nan)
    )
    (row,) = Tail(path, METRICS).read().rows
    assert math.isclose(row["latent_std"], math.sqrt(12.5)) and row["latent_mean"] == 0.2
    assert row["reconstruction_error"] is None


@given(st.lists(st.one_of(st.binary(max_size=20), st.just(line(1).encode().strip()))))
def test_damaged_lines_are_counted_and_left_out(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("damaged") / "metrics.jsonl"
    path.write_bytes(b"".join(part.replace(b"\n", b"") + b"\n" for part in lines))
    tail = Tail(path, METRICS)
    tail.read()
    good = sum(part == line(1).encode().strip() for part in lines)
    assert len(tail.rows) == good


@given(st.lists(st.integers(), max_size=300), st.integers(2, 50))
def test_thinned_rows_keep_the_last_and_are_few(rows, most):
    few = thinned(rows, most)
    assert len(few) <= most + 1 and few[-1:] == rows[-1:]
    assert few == rows if len(rows) <= most else len(few) < len(rows)


def test_a_stop_is_shown_until_the_run_is_continued(tmp_path):
    path = tmp_path / "metrics.jsonl"
    stop = {"iteration": 1, "event": "stopped", "cause": "network", "message": "it stopped"}
    path.write_text('{"iteration": 1}\n' + json.dumps(stop) + "\n")
    tail = Tail(path, METRICS)
    assert tail.read().event == "stopped: it stopped"
    with path.open("a") as file:
        file.write('{"iteration": 2}\n')
    assert tail.read().event == ""
