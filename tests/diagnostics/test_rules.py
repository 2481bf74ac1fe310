"""What measurements mean: each band from both sides."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from small import descriptor_recipe, generator_recipe
from tigon.diagnostics.modes import ModesProbe
from tigon.diagnostics.probes import FreeRun
from tigon.diagnostics.rules.base import Level, percent
from tigon.diagnostics.rules.chains import of_coupling, of_step_size
from tigon.diagnostics.rules.course import of_events, of_gap, of_length
from tigon.diagnostics.rules.latents import (
    of_distribution,
    of_free_run,
    of_modes,
    of_moments,
    of_prior_images,
)
from tigon.diagnostics.two_samples import MomentsTest, TwoSampleTest
from tigon.errors import CAUSES
from tigon.recipes.settings import LatentChains
from tigon.runs.diagnosis import metric_findings


def levels(findings):
    return [finding.level for finding in findings]


@pytest.mark.parametrize(
    ("gaps", "level"),
    [
        ([0.5, -0.5] * 50, Level.GOOD),
        ([7.0] + [0.5, -0.5] * 50, Level.NOTE),
        ([0.5, -0.5] * 50 + [7.0], Level.BAD),
        ([1.5, -1.5] * 50, Level.BAD),
    ],
)
def test_gaps_within_the_band_are_good_and_beyond_it_are_not(gaps, level):
    (finding,) = of_gap(gaps, 1.0)
    assert finding.level is level
    assert bool(finding.remedy) == (level is not Level.GOOD)
    assert "nats per dimension" in finding.what


@pytest.mark.parametrize(
    ("temperature", "said"),
    [
        (0.001, "0.5, at most 1.5 nats per dimension of f, that is 500 and 1500 of p^(1/T), "),
        (1.0, "0.5, at most 1.5 nats per dimension of f, that is 0.5 and 1.5 of p^(1/T), "),
        (0.0, "0.5, at most 1.5 nats per dimension of f, and no density is sampled, "),
    ],
)
def test_a_gap_is_told_in_units_of_the_density_at_which_chains_aim_too(temperature, said):
    recipe = descriptor_recipe(chains=replace(descriptor_recipe().chains, temperature=temperature))
    records = [record(gap=gap, saturation=0.0, spread=1.0) for gap in [1.5, -0.5] + [0.5] * 60]
    (found,) = [f for f in metric_findings(recipe, records) if f.name == "gap"]
    assert said in found.what and f"T = {temperature:g}" in found.what
    assert found.value == 0.5


def free_run(travel, count=60):
    return FreeRun(torch.zeros(count, 2), 100, travel)


@pytest.mark.parametrize(
    ("divergence", "p_value", "forced", "travel", "level"),
    [
        (0.05, 1e-4, False, 0.01, Level.GOOD),
        (0.5, 1e-4, False, 0.01, Level.BAD),
        (0.5, 0.5, False, 0.01, Level.GOOD),
        (0.0, 1.0, True, 0.01, Level.NOTE),
        (0.0, 1.0, True, 0.5, Level.GOOD),
        (0.05, 1e-4, True, 0.5, Level.BAD),
        (0.05, 1e-4, True, 0.01, Level.BAD),
    ],
)
def test_moments_are_good_only_where_expansion_does_not_give_them(
    divergence, p_value, forced, travel, level
):
    mean, deviation = torch.tensor([0.1, 0.2]), torch.tensor([1.0, 1.4])
    test = MomentsTest(12.0, p_value, 5.1, divergence, mean, deviation)
    (finding,) = of_moments(test, free_run(travel), forced)
    assert finding.level is level
    assert "12, that of draws 5.1 on average" in finding.what
    assert f"travelled {travel:.2g} of the distance" in finding.what
    assert ("no evidence" in finding.what) is (level is Level.NOTE)


def test_chains_that_run_away_freely_are_bad_and_others_are_not_judged_by_that():
    run = free_run(1.0)
    assert of_free_run(run, True) == []
    (lost,) = of_free_run(run._replace(latents=run.latents + float("nan")), True)
    assert lost.level is Level.BAD and "run away" in lost.what


@pytest.mark.parametrize(
    ("p_value", "level"), [(5e-4, Level.BAD), (5e-3, Level.NOTE), (0.2, Level.GOOD)]
)
def test_two_samples_are_judged_by_p_and_few_points_are_said_to_be_few(p_value, level):
    many = TwoSampleTest(0.1, p_value, 0.05, 1000, 200, 500)
    for judge in (of_distribution, of_prior_images):
        (finding,) = judge(many)
        assert finding.level is level and bool(finding.remedy) == (level is not Level.GOOD)
        assert "200 from 500 draws" in finding.what and "are few" not in finding.what
        assert "10 are few" in judge(many._replace(points=10))[0].what


@pytest.mark.parametrize(
    ("gains", "apart", "name", "level"),
    [
        ([[0.0], [-50.0]], 1.0, "other modes", Level.GOOD),
        ([[0.0], [-50.0]], 9.0, "several modes", Level.NOTE),
        ([[-60.0], [-50.0]], 9.0, "cold inference", Level.NOTE),
        ([[20.0], [0.0]], 9.0, "latents in a worse mode", Level.BAD),
        ([[-torch.inf], [-torch.inf]], 9.0, "cold inference", Level.NOTE),
    ],
)
def test_what_chains_from_the_prior_found_is_named(gains, apart, name, level):
    gain = torch.tensor(gains)
    probe = ModesProbe(gain, torch.ones_like(gain), torch.full_like(gain, apart))
    (finding,) = of_modes(probe)
    assert (finding.name, finding.level) == (name, level)
    if level is Level.BAD:
        assert "higher by 20 nats" in finding.what
    if name == "cold inference" and gain.isfinite().all():
        assert "lower by 50 nats" in finding.what, "the best of its chains"


def test_coupling_and_the_step_size_are_judged():
    assert levels(of_coupling(0.0)) == [Level.GOOD]
    assert levels(of_coupling(0.3)) == [Level.BAD]
    assert levels(of_step_size(0.01)) == [Level.GOOD]
    assert levels(of_step_size(1e-5)) == [Level.BAD]


def record(**values):
    return {"iteration": 1, "gradient_norm": 1.0, "accept": 0.57} | values


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"accept": 0.05}, "acceptance"),
        ({"accept": 0.99}, "acceptance"),
        ({"gap": 0.1, "saturation": 0.05, "spread": 0.5}, "saturation"),
        ({"gap": 0.1, "saturation": 0.0, "spread": 0.05}, "spread"),
        ({"spread": 0.01}, "spread"),
        ({"spread": 40.0}, "spread"),
        ({"gradient_norm": 0.0}, "dead network"),
    ],
)
def test_metrics_beyond_their_band_are_bad_and_named(values, name):
    recipe = descriptor_recipe() if "gap" in values else generator_recipe()
    found = metric_findings(recipe, [record(**values)] * 60)
    assert [finding.name for finding in found if finding.level is Level.BAD] == [name]


def test_a_growing_gradient_is_bad():
    records = [record(gradient_norm=1.0 if k < 70 else 20.0) for k in range(100)]
    found = metric_findings(generator_recipe(), records)
    assert [f.name for f in found if f.level is Level.BAD] == ["gradient"]


def test_events_are_told_by_cause_and_only_the_last_stop_counts():
    back = {"event": "rollback", "cause": "gap", "failed_at": 9, "iteration": 4, "message": "m"}
    stop = {"event": "stopped", "cause": "network", "iteration": 4, "message": "it stopped"}
    restart = {"event": "restart", "cause": "lost chains", "iteration": 4, "message": "m"}
    found = of_events([back, back, restart, stop])
    assert [f.name for f in found] == ["diverged: network", "guard: gap", "guard: lost chains"]
    assert levels(found) == [Level.BAD, Level.NOTE, Level.NOTE]
    assert found[0].remedy == CAUSES["network"][1] and "2 times" in found[1].what
    assert levels(of_events([stop, back])) == [Level.NOTE], "it went on since"
    assert of_events([]) == []


def test_an_unfinished_run_is_noted_and_one_that_is_too_short():
    assert levels(of_length([], 0.0)) == [Level.NOTE]
    (half,) = of_length([record()] * 60, 0.5)
    assert half.level is Level.NOTE and "too short" not in half.what and "continues" in half.remedy
    assert of_length([record()] * 60, 1.0) == []
    (short,) = of_length([record()] * 49, 1.0)
    assert short.level is Level.NOTE and "49 iterations are logged, 100 %" in short.what
    assert "too short to judge" in short.what and "--iterations" in short.remedy
    (timed,) = of_length([record()] * 49, 1.0, "minutes")
    assert "tigon train --continue-with --minutes N" in timed.remedy


def test_metrics_of_too_short_a_run_are_told_and_neither_bad_nor_good():
    found = metric_findings(generator_recipe(), [record(accept=0.05, spread=0.01)] * 3)
    assert {finding.name for finding in found} == {"gradient", "spread", "acceptance"}
    assert levels(found) == [Level.NOTE] * 3
    assert all(f.what.startswith("too short to judge: ") and not f.remedy for f in found)


def test_a_remedy_for_acceptance_points_the_right_way():
    (low,) = [
        f for f in metric_findings(generator_recipe(), [record(accept=0.05)] * 60) if f.remedy
    ]
    (high,) = [
        f for f in metric_findings(generator_recipe(), [record(accept=0.99)] * 60) if f.remedy
    ]
    assert low.remedy.startswith("lower --chains.step-size")
    assert high.remedy.startswith("raise --chains.step-size") and "--chains.gain" in high.remedy
    unadjusted = generator_recipe(chains=LatentChains(kernel="langevin"))
    found = metric_findings(unadjusted, [record(accept=0.05)] * 60)
    assert not any("--chains.gain" in finding.remedy for finding in found)


def test_an_overflow_after_chains_had_left_is_not_put_down_to_the_network_alone():
    stop = {"event": "stopped", "cause": "network", "iteration": 4, "message": "it stopped"}
    (stayed,) = of_events([stop], [record(gap=0.1, saturation=0.01)])
    assert stayed.what == "it stopped" and stayed.remedy == CAUSES["network"][1]
    (left,) = of_events([stop], [record(gap=0.1, saturation=0.9)])
    assert "90 % of their values" in left.what and "--chains.step-size" in left.remedy


@given(st.floats(-1e6, 1e6))
def test_per_cents_are_never_powers_of_ten_below_a_million(part):
    said = percent(part)
    assert said.endswith(" %") and ("e+" not in said or abs(part) >= 1e4)
    assert float(said[:-2]) == pytest.approx(100 * part, rel=6e-3, abs=1e-300)
