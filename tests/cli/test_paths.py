"""Paths as people type them at the command line."""

from pathlib import Path

import pytest

from tigon.cli.main import _parse
from tigon.cli.paths import data_of, path_of

DASH = "tigon: -: is not a path; give a named file, or ./- for one called -\n"
REFUSED = {
    "train generator --data x --out s3://b/x": "s3://b/x: is a URL, not a path; give a file or a "
    "folder",
    "train generator --data s3://b/x --out x": "s3://b/x: is a URL; copy the images to a folder, "
    "and give that, or hf:NAME",
    "train generator --data file:///a/b --out x": "file:///a/b: is a URL, not a path; give /a/b",
    "reconstruct x --data https://b/x.png --out x": "https://b/x.png: is a URL; copy the images",
    "interpolate x --out=x.png --from gs://a --to b": "gs://a: is a URL, not a path; give a file",
    "report x hdfs://x": "hdfs://x: is a URL, not a path; give a file or a folder",
    "sample x --out -": DASH[7:-1],
    "sample - --out x": DASH[7:-1],
    "reconstruct x --data - --out x": DASH[7:-1],
    "sample ~nobody-9/x --out x": "~nobody-9: the home folder is not known; give the whole path, "
    "or ./~nobody-9",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_no_path_is_refused_in_one_line(tigon, line, tmp_path):
    status, out, err = tigon(*line.split())
    assert (status, out) == (2, "") and err.startswith(f"tigon: {REFUSED[line]}")
    assert err.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(tigon, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    train = _parse(["train", "generator", "--data=~/part-*.npz", "--out=~/runs/a"])
    assert (train.out, train.data) == (tmp_path / "runs" / "a", f"{tmp_path}/part-*.npz")
    assert _parse(["sample", "~/a", "--out=~/s.npz"]).out == tmp_path / "s.npz"
    assert _parse(["report", "~/a", "b"]).run_folders == (tmp_path / "a", Path("b"))
    assert _parse(["export", "~/a", "--onnx", "~/o.onnx"]).onnx == tmp_path / "o.onnx"
    said = f"tigon: run {tmp_path}/none: no such folder\n"
    assert tigon("resume", "~/none") == (2, "", said)


@pytest.mark.parametrize("text", ["C:/x", r"C:\x\y", "./-", "./~", "hf:a/b", "-x", ""])
def test_what_only_looks_like_a_url_or_a_sign_is_taken_as_it_is(text):
    assert data_of(text) == text and str(path_of(text)) in (text, text.removeprefix("./"), ".")
