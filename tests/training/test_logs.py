import json

import numpy as np
import pytest

from small import generator_recipe, image_set
from tigon.errors import TigonError
from tigon.training.callbacks.metrics import MetricsLog, cut_metrics, read_events, read_metrics
from tigon.training.callbacks.snapshots import Snapshots, read_snapshots, save_snapshot


def test_records_logged_are_the_records_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    trainer = generator_recipe().trainer(image_set())
    trainer.callbacks = [MetricsLog(path)]
    records = trainer.fit()
    assert read_metrics(path) == records
    names = {
        "iteration",
        "seconds",
        "gradient_evaluations",
        "reconstruction_error",
        "accept",
        "step_size",
    }
    assert names | {"latent_mean", "latent_std"} <= set(records[0])


def test_a_run_that_continues_drops_what_came_after_its_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"iteration": k}) + "\n" for k in range(1, 6)))
    cut_metrics(path, iteration=3)
    assert [record["iteration"] for record in read_metrics(path)] == [1, 2, 3]


def test_a_last_line_cut_short_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"iteration": 1}\n{"itera')
    assert read_metrics(path) == [{"iteration": 1}]


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", "3"])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"iteration": 1}}\n{line}\n{{"iteration": 3}}\n')
    with pytest.raises(TigonError, match="metrics.jsonl, line 2: is not a record"):
        read_metrics(path)


def test_a_number_may_be_missing_where_its_metric_is_optional(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"iteration": 1, "now_and_then": 0.5}\n{"iteration": 2}\n')
    assert len(read_metrics(path, {"now_and_then"})) == 2
    with pytest.raises(TigonError, match="line 2: is not a record"):
        read_metrics(path)


def test_a_rollback_is_kept_where_the_checkpoint_knows_of_it_and_comes_again_where_not(tmp_path):
    path = tmp_path / "metrics.jsonl"
    taken = [{"iteration": k} for k in range(1, 8)]
    back = {"iteration": 4, "event": "rollback", "number": 1}
    again = [{"iteration": k} for k in range(5, 7)]
    text = "".join(json.dumps(line) + "\n" for line in [*taken, back, *again])
    path.write_text(text)
    cut_metrics(path, iteration=6, rollbacks=1)
    assert path.read_text() == text, "what the rollback took back stays on record"
    assert [record["iteration"] for record in read_metrics(path)] == [1, 2, 3, 4, 5, 6]
    cut_metrics(path, iteration=5, rollbacks=1)
    assert path.read_text() == text.removesuffix('{"iteration": 6}\n')
    cut_metrics(path, iteration=5, rollbacks=0)
    assert [json.loads(line) for line in path.read_text().splitlines()] == taken[:5]


def test_a_stop_is_an_event_until_the_run_is_continued(tmp_path):
    path = tmp_path / "metrics.jsonl"
    stop = {"iteration": 1, "event": "stopped", "cause": "network", "message": "it stopped"}
    lines = [{"iteration": 1}, {"iteration": 2}, stop]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_events(path) == [stop]
    cut_metrics(path, iteration=1)
    assert read_events(path) == [stop], "nothing was learned since"
    path.write_text(path.read_text() + '{"iteration": 2}\n')
    assert read_events(path) == []


def test_snapshots_of_another_course_are_dropped_when_a_run_goes_on(tmp_path):
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    for iteration in (1, 3, 7):
        save_snapshot(tmp_path / "snapshots", iteration, pixels)
    trainer = generator_recipe(iterations=9).trainer(image_set(4))
    for _ in range(3):
        trainer.step()
    Snapshots(tmp_path / "snapshots").on_begin(trainer)
    assert [iteration for iteration, _ in read_snapshots(tmp_path / "snapshots")] == [1, 3]
