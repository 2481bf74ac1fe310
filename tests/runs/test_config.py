import tomllib
from dataclasses import dataclass
from typing import Literal

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from tigon.recipes import recipes
from tigon.runs.config import differences, from_plain, to_plain


@dataclass(frozen=True)
class Inner:
    """Inner numbers."""

    kind: Literal["a", "b", 4]
    pair: tuple[float, float] = (1.0, 2.0)


@dataclass(frozen=True)
class Outer:
    """Outer numbers."""

    count: int = 1
    rate: float = 0.5
    flag: bool = False
    budget: int | None = None
    inner: Inner = Inner("a")


finite = st.floats(allow_nan=False, allow_infinity=False)
outers = st.builds(
    Outer,
    st.integers(-(2**62), 2**62),
    finite,
    st.booleans(),
    st.none() | st.integers(0, 9),
    st.builds(Inner, st.sampled_from(["a", "b", 4]), st.tuples(finite, finite)),
)


@given(outers)
def test_what_is_written_as_toml_is_what_is_read(outer):
    text = tomli_w.dumps(to_plain(outer))
    assert from_plain(Outer, tomllib.loads(text)) == outer


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_survives_its_file(name):
    recipe = recipes()[name]()
    assert from_plain(type(recipe), tomllib.loads(tomli_w.dumps(to_plain(recipe)))) == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 1.5}, "count is int, not 1.5"),
        ({"count": True}, "count is int, not True"),
        ({"rate": "fast"}, "rate is float, not 'fast'"),
        ({"flag": 1}, "flag is bool, not 1"),
        ({"cuont": 1}, "unknown name cuont"),
        ({"inner": 3}, "inner is a table, not 3"),
        ({"inner": {"kind": "c", "pair": [1.0, 2.0]}}, "inner.kind is one of a, b, 4, not 'c'"),
        ({"inner": {"kind": "a", "pair": [1.0]}}, "inner.pair is a list of 2"),
        ({"inner": {"pair": [1.0, 2.0]}}, "inner.kind is missing"),
    ],
)
def test_every_mistake_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        from_plain(Outer, to_plain(Outer()) | change)


keys = st.sampled_from(["count", "rate", "flag", "budget", "inner"]) | st.text(max_size=3)
plain = st.none() | st.integers() | st.booleans() | finite | st.text() | st.lists(st.integers())


@given(st.dictionaries(keys, plain | st.dictionaries(keys, plain)))
def test_any_dictionary_is_built_or_refused_with_a_reason(values):
    try:
        built = from_plain(Outer, values)
    except ValueError as error:
        assert str(error)
    else:
        assert all(getattr(built, name) == values[name] for name in values if name != "inner")


def test_what_is_left_out_is_the_default():
    """So that runs of older versions can be read."""
    assert from_plain(Outer, {"count": 4}) == Outer(count=4)


def test_a_whole_number_will_do_where_a_fraction_may_stand():
    assert from_plain(Outer, to_plain(Outer()) | {"rate": 2}).rate == 2.0


def test_differences_name_what_changed():
    old, new = to_plain(Outer()), to_plain(Outer(count=2, budget=3, inner=Inner("b")))
    assert differences(old, new) == [
        "budget was None, now 3",
        "count was 1, now 2",
        "inner.kind was a, now b",
    ]
    assert differences(old, old) == []
