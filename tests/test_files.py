"""Paths as words of a command."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tigon.files import in_shell, printable


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("runs/faces", "runs/faces"),
        ("my runs/a", "'my runs/a'"),
        ("-run", "./-run"),
        ("a$b", "'a$b'"),
    ],
)
def test_a_path_is_quoted_where_a_shell_would_read_it_otherwise(path, word):
    assert in_shell(path) == word


@given(st.text(min_size=1))
def test_a_shell_reads_the_same_path(path):
    (word,) = shlex.split(in_shell(path))
    assert word in (printable(path), f"./{printable(path)}") and not word.startswith("-")
