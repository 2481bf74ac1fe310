"""The cost of runs until a loss, if some did not reach it."""

import pytest

import costs
from costs import Cost


def run_of(*losses, each=10):
    """Return the records of a run with these losses, each iteration of so many evaluations."""
    return [
        {
            "reconstruction_error": 0.18 * loss,
            "gradient_evaluations": each * k,
            "seconds": 2.0 * each * k,
        }
        for k, loss in enumerate(losses, 1)
    ]


def test_the_cost_is_of_the_first_record_at_the_threshold():
    run = run_of(0.5, 0.09, 0.2, 0.05)
    assert costs.cost(run, 0.1, "seconds") == (40, True)
    assert costs.cost(run, 0.01, "gradient_evaluations") == (40, False)


@pytest.mark.parametrize(
    "amounts, shown",
    [
        ([3, 1, 2], "2 (1 to 3)"),
        ([3, 1, None], "3 (1 to more than 9)"),
        ([None, 1, None], "not within 9 (1 to more than 9)"),
        ([None, None, None], "not within 9"),
    ],
)
def test_runs_that_did_not_reach_it_count_as_longer_than_all_they_took(amounts, shown):
    assert costs.told([Cost(9, False) if a is None else Cost(a, True) for a in amounts]) == shown


def test_a_run_that_ended_before_the_others_reached_it_makes_the_median_unknown():
    found = [Cost(1, False), Cost(20, True), Cost(30, True)]
    assert costs.middle(found) == (20, False)


def test_ratios_are_of_medians_and_a_bound_where_the_original_ends_too_soon():
    ours = [run_of(0.5, 0.09), run_of(0.09), run_of(0.5, 0.5, 0.09)]
    theirs = [run_of(0.5, 0.09, each=100)] * 3
    found = costs.figure(theirs, ours, 0.1, 20)
    assert (found["median"], found["low"], found["high"]) == (10, pytest.approx(20 / 3), 20)
    assert found["met"] is False and costs.figure(theirs, ours, 0.1, 10)["met"] is True
    bound = costs.figure([run_of(0.5, 0.5, each=300)] * 3, ours, 0.1, 20)
    assert (bound["median"], bound["low"], bound["high"], bound["met"]) == (None, 30, None, True)
    rows = costs.rows({"default": ours, "original": theirs}, "default", 0.1)
    assert [row["seconds"] for row in rows] == ["40 (20 to 60)", "400 (400 to 400)"]
    assert rows[1]["times default's "] == "10.0" and rows[1]["reached it"] == "3 of 3"
