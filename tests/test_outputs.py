from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tigon.errors import TigonError
from tigon.outputs import check_out, write_images, write_rows

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)


def test_an_npz_holds_the_images_and_what_else_is_given(tmp_path):
    write_images(tmp_path / "a.npz", PIXELS, latents=np.ones((5, 2)))
    with np.load(tmp_path / "a.npz") as arrays:
        assert np.array_equal(arrays["images"], PIXELS)
        assert arrays["latents"].shape == (5, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_png_is_a_grid(tmp_path):
    write_images(tmp_path / "a.png", PIXELS, columns=3)
    shown = np.asarray(Image.open(tmp_path / "a.png"))
    assert np.array_equal(shown[2:10, 12:20], PIXELS[1])
    assert np.array_equal(shown[12:20, 2:10], PIXELS[3])


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_are_enlarged_by_a_whole_number_and_stand_under_their_labels(tmp_path, channels):
    rows = [
        ("images 1 to 3", PIXELS[:3, ..., :channels]),
        ("one more", PIXELS[4:, ..., :channels]),
    ]
    write_rows(tmp_path / "a.png", rows)
    shown = np.asarray(Image.open(tmp_path / "a.png"))
    zoom = 14
    side = 8 * zoom
    assert shown.shape == (2 * (side + 4 + 20), 3 * (side + 2) + 2, 3)
    left = 2 + 2 * (side + 2)
    third = shown[22 : 22 + side : zoom, left : left + side : zoom]
    assert np.array_equal(third[..., :channels], PIXELS[2][..., :channels])
    below = 20 + side + 4
    assert shown[:20].min() < 100 and shown[below : below + 20].min() < 100
    last = shown[below + 22 : below + 22 + side : zoom, 2 : 2 + side : zoom]
    assert np.array_equal(last[..., :channels], PIXELS[4][..., :channels])
    assert (shown[below + 20 :, side + 4 :] == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_has_a_png_for_each_image_in_order(tmp_path, channels):
    check_out(tmp_path / "deep" / "out", ())
    assert not (tmp_path / "deep").exists()
    write_images(tmp_path / "deep" / "out", PIXELS[..., :channels])
    files = sorted((tmp_path / "deep" / "out").iterdir())
    assert [f.name for f in files] == [f"{k:05d}.png" for k in range(5)]
    shown = np.asarray(Image.open(files[3])).reshape(8, 8, channels)
    assert np.array_equal(shown, PIXELS[3][..., :channels])


def test_other_endings_and_full_folders_are_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(TigonError, match=r"a\.jpg: must be \.npz or \.png or a folder"):
        check_out(tmp_path / "a.jpg", ())
    with pytest.raises(TigonError, match="not an empty folder"):
        check_out(tmp_path / "full", ())
    with pytest.raises(TigonError, match="is a folder"):
        check_out(tmp_path / "folder.png", ())
    with pytest.raises(TigonError, match=r"must be \.png"):
        check_out(tmp_path / "a.npz", (), (".png",))
    with pytest.raises(TigonError, match="cannot be written"):
        check_out(tmp_path / "full" / "file" / "a.png", ())
    with pytest.raises(TigonError, match=r"--map /proc/a\.png: cannot be written"):
        check_out(Path("/proc/a.png"), (), option="--map")


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    write_images(tmp_path / "a.npz", PIXELS)
    before = (tmp_path / "a.npz").read_bytes()

    def no_space(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("zipfile._ZipWriteFile.write", no_space)
    with pytest.raises(TigonError, match="No space left"):
        write_images(tmp_path / "a.npz", PIXELS[:1])
    with pytest.raises(TigonError, match="No space left"):
        write_images(tmp_path / "new" / "deep" / "b.npz", PIXELS[:1])
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
