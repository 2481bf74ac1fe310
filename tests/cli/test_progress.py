"""How a log and a terminal show the progress of a run."""

import io
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from small import generator_recipe, image_set, parameters
from tigon.cli import progress as said
from tigon.cli.progress import (
    Clock,
    Unseen,
    about,
    busy,
    duration,
    introduction,
    progress,
    steps_shown,
)
from tigon.data.held_out import hold_out


@pytest.fixture
def clock(monkeypatch):
    """A clock that only advances on request."""

    class Hand:
        now = 100.0

        def go(self, seconds):
            self.now += seconds

    hand = Hand()
    monkeypatch.setattr(time, "monotonic", lambda: hand.now)
    return hand


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (130, "2 min 10 s"),
        (3599.7, "1 h"),
        (11100, "3 h 5 min"),
        (86400, "24 h"),
    ],
)
def test_a_time_in_words_has_its_two_largest_units(seconds, words):
    assert duration(seconds) == words


@given(st.floats(0.01, 1e6))
def test_an_estimate_in_words_is_off_by_no_more_than_it_is_rounded(seconds):
    number = r"(?:(\d+) h ?)?(?:(\d+) min ?)?(?:(\d+) s)?"
    parts = re.fullmatch(f"about {number}", about(seconds))
    hours, minutes, rest = (int(part or 0) for part in parts.groups())
    assert abs(3600 * hours + 60 * minutes + rest - seconds) <= max(1, 0.5 * seconds)


def test_what_is_left_is_estimated_from_the_second_part_on(clock):
    watch = Clock()
    clock.go(50)  # the first part takes longer: it is no measure of the others
    assert watch.words(0.1) == "50 s"
    clock.go(30)
    assert watch.words(0.2) == "1 min 20 s, about 4 min left"
    assert watch.words(0.05) == "1 min 20 s"  # the guard went back
    clock.go(60)
    assert watch.words(1.0) == "2 min 20 s"


def test_lines_of_a_log_say_how_far_how_long_and_what_is_left(clock, capsys):
    trainer = generator_recipe(iterations=40).trainer(image_set())

    def slowly(trainer, record):
        clock.go(2)

    with progress("faces") as watch:
        trainer.callbacks = [slowly, watch]
        trainer.fit()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("faces: reconstruction error is the mean squared error")
    assert lines[1].startswith(
        "faces: iteration 3 (8 %)  6 s, about 1 min left  reconstruction error "
    )
    assert lines[2].startswith(
        "faces: iteration 11 (28 %)  22 s, about 1 min left  reconstruction error "
    )
    assert lines[-1].startswith("faces: iteration 40 (100 %)  1 min 20 s  reconstruction error ")
    assert len(lines) == 7


@pytest.mark.parametrize("width", [80, 120])
def test_a_bar_fits_its_terminal_and_shows_the_time_taken(monkeypatch, width):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(said, "Console", lambda stderr: terminal)
    trainer = generator_recipe().trainer(image_set())
    with progress("1 of 2: generator") as watch:
        trainer.callbacks = [watch]
        trainer.fit()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    last = [row.rstrip() for row in re.split(r"[\r\n]+", text) if "iteration 6" in row][-1]
    assert re.search(r"iteration 6 0:00:\d\d left 0:00:00 (reconstruction )?error \d\.\d{4}", last)
    assert len(last) <= width and ("acceptance" in last) == (width == 120)
    assert "is the mean squared error of f(z)" in " ".join(text.split())


def test_the_introduction_says_what_where_to_and_where_a_run_goes_on():
    trainer = generator_recipe().trainer(image_set())
    what = "generator: 5 images of 8x8x3 from photos, 6 iterations, run a"
    assert introduction("generator", trainer, "photos", "a") == what
    trainer.step()
    assert introduction("generator", trainer, "photos", "a") == (
        f"{what}: continues at iteration 1 of 6"
    )
    trainer.fit()
    assert introduction("generator", trainer, "photos", "a") == (
        f"{what}: it is already finished, at iteration 6 of 6; tigon resume a --iterations N "
        "makes it longer"
    )


def test_the_introduction_of_a_budget_speaks_of_gradient_evaluations():
    trainer = generator_recipe(gradient_evaluations=7).trainer(image_set())
    trainer.fit()
    text = introduction("generator", trainer, "photos", "a")
    assert "from photos, 7 gradient evaluations, run a" in text
    assert f"at iteration {trainer.iteration}, after {trainer.evaluations:g} of 7" in text
    assert "resume" not in text


def test_the_introduction_of_a_run_by_the_clock_speaks_of_minutes():
    trainer = generator_recipe(minutes=2.5).trainer(image_set())
    assert "2.5 min of training" in introduction("generator", trainer, "photos", "run")
    trainer.seconds, trainer.iteration = 60.0, 3
    said = introduction("generator", trainer, "photos", "run")
    assert said.endswith("continues at iteration 3, after 1 of 2.5 min of training")
    trainer.seconds = 150.0
    assert "N makes it longer" not in introduction("generator", trainer, "photos", "run")


def test_steps_in_a_log_get_a_line_now_and_then(clock, capsys):
    for _ in steps_shown(range(10), "inferring"):
        clock.go(4)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "inferring: 20 %  8 s, about 30 s left",
        "inferring: 60 %  24 s, about 15 s left",
    ]


@pytest.mark.parametrize(
    ("terminal", "encoding", "drawn"),
    [("xterm", "utf-8", True), ("dumb", "utf-8", False), ("xterm", "latin-1", False)],
)
def test_a_terminal_that_is_dumb_or_lacks_the_signs_gets_lines(
    terminal, encoding, drawn, clock, capsys, monkeypatch
):
    screen = io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)
    console = Console(file=screen, force_terminal=True, _environ={"TERM": terminal})
    monkeypatch.setattr(said, "Console", lambda stderr: console)
    for _ in steps_shown(range(10), "inferring"):
        clock.go(4)
    with busy("reading", log=True):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert bool(screen.buffer.getvalue()) == drawn and len(lines) == (0 if drawn else 3)


def test_what_takes_no_time_gets_no_line(capsys):
    with busy("reading", log=True, after=30):
        pass
    with busy("reading", log=True, after=0.01):
        time.sleep(0.3)
    with busy("reading"):
        pass
    assert capsys.readouterr().err == "reading ...\n"


@pytest.fixture(scope="module")
def many():
    """Images of which 20 are held out."""
    return hold_out(image_set(100), 0.2)


def held_out_lines(text):
    return [line for line in text.splitlines() if "held-out ones" in line]


def test_now_and_then_a_line_says_how_far_drawn_images_are_from_held_out_ones(many, capsys):
    trainer = generator_recipe(iterations=3).trainer(many, callbacks=[Unseen("generator", 0.0)])
    trainer.seconds = -1000.0  # as if measuring took no time beside training
    trainer.fit()
    lines = held_out_lines(capsys.readouterr().err)
    number = r"-?\d[\d.e+-]*"
    assert len(lines) == 1 and re.fullmatch(
        rf"generator: iteration 1: KID-lite0 of 20 drawn images to held-out ones {number}, "
        rf"of training images {number}",
        lines[0],
    )


def test_measuring_changes_nothing_in_the_run(many):
    def weights(callbacks):
        trainer = generator_recipe(average=0.5).trainer(many, callbacks=callbacks)
        trainer.fit()
        return parameters(trainer.learner)

    assert weights([]).equal(weights([Unseen("generator", 0.0)]))


def test_what_has_no_held_out_images_is_not_measured(capsys):
    generator_recipe().trainer(image_set(5), callbacks=[Unseen("generator", 0.0)]).fit()
    few = hold_out(image_set(60), 0.1)
    generator_recipe().trainer(few, callbacks=[Unseen("generator", 0.0)]).fit()
    assert not held_out_lines(capsys.readouterr().err)
