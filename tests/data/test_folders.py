"""What is taken of a folder or a pattern, and what is left out, wherever it is."""

import glob
import io
import os
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from small import generator_recipe
from tigon.data import formats
from tigon.data.cache_place import cache_folder
from tigon.data.folders import open_pattern
from tigon.data.load import load_images
from tigon.errors import TigonError, install
from tigon.runs.run import Experiment, Run

NAMES = [f"{k}.png" for k in range(5)]


@pytest.fixture
def messy(pictures, tmp_path, monkeypatch):
    """Five pictures among a run folder, a model folder, a cache, and what a NAS keeps."""
    monkeypatch.setenv("TIGON_CACHE", str(pictures / "deep" / "cache"))
    experiment = Experiment("generator", generator_recipe(iterations=1), str(pictures))
    (pictures / "deep" / "run" / "figures").mkdir(parents=True)
    Run(pictures / "deep" / "run").write_config(experiment)
    (pictures / "deep" / "run" / "figures" / "samples.png").write_bytes(png())
    load_images("embedded:animal-faces", 16)
    experiment.recipe.model().save_pretrained(pictures / "model")
    (pictures / "model" / "samples.png").write_bytes(png())
    for name in ("@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/old.png", "__MACOSX/0.png"):
        (pictures / name).parent.mkdir(parents=True)
        (pictures / name).write_bytes(png())
    return pictures


def png():
    stream = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(stream, "PNG")
    return stream.getvalue()


SAID = [
    "left out 3 system folders, such as #recycle",
    "left out 1 cache folder (deep/cache/",
    "left out 1 run folder (deep/run)",
    "left out 1 model folder (model)",
]


@pytest.mark.parametrize("data", ["", "/**/*.png"])
def test_run_folders_models_caches_and_system_folders_are_no_data(messy, data):
    images = load_images(f"{messy}{data}", 16)
    assert images.names == NAMES and images.skipped == []
    assert all(line.startswith(said) for line, said in zip(images.notes, SAID, strict=True))


def test_a_run_or_a_model_given_as_data_is_refused_with_its_kind(messy):
    for folder, kind in ((messy / "deep" / "run", "run"), (messy / "model", "model")):
        with pytest.raises(TigonError, match=f"no images .*; left out 1 {kind} folder .{folder}."):
            load_images(folder, 16)
    assert load_images(messy / "deep" / "run" / "figures", 16).names[-1] == "samples.png"


def test_a_config_of_another_program_makes_no_run_folder(pictures):
    (pictures / "config.toml").write_text('[general]\nrecipe = "x"\ndata = "y"\n')
    assert len(load_images(pictures, 16)) == 5


LIKE_PICTURES = """
IMG_1.HEIC IMG_2.heic a.jxl a.NEF b.dng clip.MOV c.jpg.crdownload .IMG_3.jpg.icloud scan.pdf
a.tar.gz a.npz notes.txt README slide.dcm
"""
PASSED_OVER = f"""
1 JPEG XL picture (.jxl); djxl A.jxl A.png converts one
1 archive (.tar.gz); unpack them
1 array file (.npz); give one by itself, or several by a pattern such as '*.npz'
1 document (.pdf); pdftoppm -png A.pdf A makes pictures of one
1 picture of a format that is not read (.dcm); convert them to PNG
1 video (.mov); ffmpeg -i A.mp4 -vf fps=1 A-%05d.png makes pictures of one
2 HEIC pictures (.heic); {install("heic")} reads them
2 partly downloaded files (1 .crdownload, 1 .icloud); download them to the end
2 raw photographs (1 .dng, 1 .nef); darktable-cli A.NEF A.png converts one
"""


@pytest.mark.skipif("HEIF" in formats.formats(), reason="pillow_heif is installed")
def test_files_that_look_like_pictures_are_counted_with_what_reads_them(pictures):
    for name in LIKE_PICTURES.split():
        (pictures / name).write_bytes(b"no picture")
    images = load_images(pictures, 16)
    assert images.names == NAMES and images.skipped == []
    said = [f"passed over {line}" for line in PASSED_OVER.strip().splitlines()]
    assert sorted(images.notes) == said


def test_a_folder_of_what_is_passed_over_says_so(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(TigonError, match=r"no images in this folder .*; passed over 1 video .*ff"):
        load_images(tmp_path, 16)
    with pytest.raises(TigonError, match=r"\*': nothing matches; passed over 1 video .*ffmpeg"):
        load_images(tmp_path / "*", 16)


def test_a_plug_in_that_is_installed_reads_its_pictures(pictures, monkeypatch):
    """A plug-in as pillow_heif is: it registers a reader, here of PNG, under another name."""
    plug_in = types.ModuleType("pillow_heif")

    def register_heif_opener():
        from PIL.PngImagePlugin import PngImageFile

        class Heif(PngImageFile):
            format = "HEIF"

        Image.register_open("HEIF", Heif, lambda start: start[4:8] == b"ftyp")
        Image.register_extension("HEIF", ".heic")

    plug_in.register_heif_opener = register_heif_opener
    monkeypatch.setitem(sys.modules, "pillow_heif", plug_in)
    for name in ("OPEN", "EXTENSION"):
        monkeypatch.setattr(Image, name, dict(getattr(Image, name)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    formats.formats.cache_clear()
    formats.endings.cache_clear()
    try:
        (pictures / "0.png").rename(pictures / "0.heic")
        images = load_images(pictures, 16)
        assert images.names[0] == "0.heic" and images.notes == []
    finally:
        formats.formats.cache_clear()
        formats.endings.cache_clear()


def test_the_small_cases_are_their_pictures(shared):
    cases = shared.parent / "cases"
    assert load_images(cases / "eadir", 16).names == ["0.jpg", "1.jpg", "2.jpg"]
    assert load_images(cases / "heic-mixed", 16).names[0] == "IMG_0001.JPG"
    assert len(load_images(cases / "tiff-stack", 16)) == 1
    stack = load_images(cases / "tiff-stack", 16, frames="all")
    assert stack.names == [f"stack.tif[{k}]" for k in range(20)] and stack.notes == []


def test_a_pattern_of_pictures_is_what_the_folder_is_and_one_entry_of_the_cache(
    pictures, tmp_path, monkeypatch
):
    monkeypatch.setenv("TIGON_CACHE", str(tmp_path / "cache"))
    (pictures / "b.png").write_text("no picture")
    (pictures / "IMG.NEF").write_bytes(b"")
    (pictures / "README.txt").write_text("no picture")
    whole, matched = load_images(pictures, 16), load_images(pictures / "*", 16)
    assert matched.names == whole.names == NAMES and matched.notes == whole.notes
    assert matched.skipped == whole.skipped == ["b.png is not an image"]
    assert np.array_equal(matched.pixels, whole.pixels) and type(matched) is type(whole)
    assert matched.fingerprint() == whole.fingerprint()
    assert len(list(cache_folder().iterdir())) == 1
    assert load_images(pictures / "[1-3]*.png", 16).names == NAMES[1:4]


def test_pictures_beside_shards_are_one_shard(pictures):
    np.savez(pictures / "part.npz", images=np.full((2, 16, 16, 3), 7, np.uint8))
    (pictures / "more").mkdir()
    (pictures / "more" / "x.png").write_bytes(png())
    (pictures / "@eaDir").mkdir()
    images = load_images(pictures / "*", 16)
    assert [shard.images for shard in images.shards] == [5, 1, 2]
    assert images.names[4:] == [
        "*/4.png",
        "more/x.png",
        "part.npz/part.npz[0]",
        "part.npz/part.npz[1]",
    ]
    assert images.notes == ["left out 1 system folder (@eaDir)"]


def test_sub_folders_of_a_pattern_are_classes_and_brackets_are_names(tmp_path):
    for name in ("trip [2020]/cats/a.png", "trip [2020]/dogs/b.png", "trip [2020]/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png())
    images = load_images(tmp_path / "trip [2020]" / "*" / "*.png", 8)
    assert images.names == ["cats/a.png", "dogs/b.png"] and images.classes == ("cats", "dogs")


NAMES_IN_TREES = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=2)
FILES = st.tuples(NAMES_IN_TREES, st.sampled_from(["a.png", "b.png", ".c.png"]))
PARTS = st.lists(st.sampled_from(["*", "**", "a*", "?", "b"]), max_size=3)


@given(st.lists(FILES, max_size=6), PARTS, st.sampled_from(["*", "*.png", "[ac]*"]))
def test_a_pattern_takes_what_glob_takes(files, parts, last):
    """The walk may prune no folder that a match is in."""
    with tempfile.TemporaryDirectory() as box:
        for folders, name in files:
            place = Path(box, "x", *folders)
            place.mkdir(parents=True, exist_ok=True)
            (place / name).touch()
        pattern = os.path.join(box, "*", *parts, last)
        found, _ = open_pattern(pattern)
        paths = {os.path.join(found.root, path) for path in found.paths}
        assert paths == {p for p in glob.glob(pattern, recursive=True) if os.path.isfile(p)}


@pytest.mark.skipif("HEIF" in formats.formats(), reason="pillow_heif is installed")
def test_a_heic_picture_by_another_name_says_what_reads_it(pictures):
    (pictures / "IMG.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    said = f"IMG.jpg is a picture of HEIC; {install('heic')} reads it"
    assert load_images(pictures, 16).skipped == [said]
