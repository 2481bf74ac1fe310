"""The criteria of scaling, from what was measured; and its plots."""

import pytest

import scaling
from scaling_plots import Curve, plot


def blocks(*seconds, memory=30.0):
    """Return blocks of 100 images that took so long each."""
    return [{"wall": s, "cpu": s, "images": 100, "memory": memory} for s in seconds]


@pytest.mark.parametrize("slower, more, met", [(1.05, 5, True), (1.2, 50, False)])
def test_the_larger_set_is_held_against_the_smaller_round_by_round(slower, more, met):
    rounds = [1.0, 3.0, 2.0]
    found = {("files", 1000): blocks(*rounds)}
    found["files", 100_000] = blocks(*(slower * s for s in rounds))
    peaks = {1000: [30.0, 31.0, 29.0], 100_000: [30.0 + more, 41.0, 29.0 + more]}
    ratio, memory = scaling.criteria(found, peaks)
    assert ratio["low"] == ratio["median"] == ratio["high"] == pytest.approx(slower)
    assert memory["median"] == more and [ratio["met"], memory["met"]] == [met, met]
    assert scaling.criteria({("files", 1000): blocks(1.0)}, {1000: [30.0]}) == []


def test_a_plot_is_written_for_each_number(tmp_path):
    curves = [Curve(name, "images", [1, 10], [blocks(1.0), blocks(2.0, 3.0)]) for name in "ab"]
    plot(tmp_path / "pictures" / "p.png", [curves, curves[:1]], "images", ("ms an image", 1e3))
    assert (tmp_path / "pictures" / "p.png").read_bytes().startswith(b"\x89PNG")
