"""Where the cache is, whatever home there is, and what is swept from it."""

import os
import time

import pytest

from tigon.data import cache_place, source
from tigon.data.cache_place import cache_folder, sweep
from tigon.data.load import load_images
from tigon.errors import TigonError


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home folder, and a temporary folder; nothing else says where the cache is."""
    for name in ("TIGON_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    cache_place._temporary.cache_clear()
    yield tmp_path / "home"
    cache_place._temporary.cache_clear()


def test_the_cache_is_where_the_environment_says_and_the_home_folder_has_a_sign(home, monkeypatch):
    assert cache_folder() == home / ".cache" / "tigon"
    monkeypatch.setenv("XDG_CACHE_HOME", "~/shared")
    assert cache_folder() == home / "shared" / "tigon"
    monkeypatch.setenv("TIGON_CACHE", "~/own")
    assert cache_folder() == home / "own"
    monkeypatch.setenv("TIGON_CACHE", "s3://bucket/cache")
    with pytest.raises(TigonError, match="^TIGON_CACHE s3://bucket/cache: is a URL; set it to a"):
        cache_folder()


@pytest.mark.parametrize("gone", ["nowhere", "", "unknown"])
def test_without_a_home_the_cache_is_temporary_and_one_line_says_so(
    gone, home, monkeypatch, pictures
):
    if gone == "unknown":  # a number without a name, as in containers
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    else:
        monkeypatch.setenv("HOME", gone and str(home / gone))
    with pytest.warns(RuntimeWarning) as said:
        assert len(load_images(pictures, 8)) == len(load_images(pictures, 16)) == 5
    folder = home.parent / f"tigon-{os.getuid()}"
    assert [str(one.message) for one in said if one.category is RuntimeWarning] == [
        f"no writable home folder: decoded images are kept in {folder}; set TIGON_CACHE"
        " to keep them elsewhere"
    ]
    assert len(os.listdir(folder)) == 2 and folder.stat().st_mode & 0o777 == 0o700
    assert not (home.parent / "~").exists() and os.listdir(home) == []


def test_a_temporary_folder_of_another_user_is_refused(home, monkeypatch):
    monkeypatch.setenv("HOME", "")
    (home.parent / f"tigon-{os.getuid()}").symlink_to(home)
    with pytest.raises(TigonError, match=r"tigon-\d+: belongs to another user; set TIGON_CACHE$"):
        cache_folder()


def test_what_a_killed_process_left_is_swept_a_day_later(tmp_path, pictures, monkeypatch):
    monkeypatch.setenv("TIGON_CACHE", str(tmp_path))
    old = time.time() - 90_000
    for name, age in (
        (".new-old", old),
        (".new-young", None),
        (".chains-old", old),
        ("kept", old),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.npy").write_bytes(b"half")
        for path in (tmp_path / name / "images.npy", tmp_path / name):
            os.utime(path, age and (age, age))
    load_images(pictures, 8)
    assert sorted(name for name in os.listdir(tmp_path) if len(name) < 11) == [
        ".new-young",
        "kept",
        "pictures",
    ]
    sweep(tmp_path / "nowhere")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_cache_may_be_shared(tmp_path, pictures, monkeypatch):
    monkeypatch.setenv("TIGON_CACHE", str(tmp_path / "cache"))
    before = os.umask(0o027)
    try:
        load_images(pictures, 8)
    finally:
        os.umask(before)
    (entry,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    assert entry.stat().st_mode & 0o777 == 0o750


def test_pictures_that_could_not_be_read_are_tried_again_once_a_plug_in_is_there(
    tmp_path, pictures, monkeypatch
):
    monkeypatch.setenv("TIGON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(source, "formats", lambda: ("PNG",))
    load_images(pictures, 8)
    monkeypatch.setattr(source, "formats", lambda: ("PNG", "AVIF"))
    load_images(pictures, 8)
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2
