from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tigon.errors import TigonError
from tigon.report.names import distinct_names

words = st.lists(st.sampled_from(["a", "b", "faces"]), min_size=1, max_size=4)


@given(st.lists(words.map(lambda parts: Path("/", *parts)), min_size=1, unique=True))
def test_names_are_distinct_ends_of_their_paths(folders):
    names = distinct_names(folders)
    assert len(set(names)) == len(names)
    for name, folder in zip(names, folders, strict=True):
        assert f"/{folder}".endswith(f"/{name}")


def test_names_are_as_short_as_they_can_be():
    folders = [Path("/runs/a/faces"), Path("/runs/b/faces"), Path("/runs/b/textures")]
    assert distinct_names(folders) == ["a/faces", "b/faces", "textures"]


def test_the_same_folder_by_two_names_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with pytest.raises(TigonError, match="run link: is given twice"):
        distinct_names([Path("run"), Path("link")])
