"""Arrays that are no images, or could be read in two ways, are refused with what to do."""

import numpy as np
import pytest

from tigon.data.load import load_images
from tigon.errors import TigonError


@pytest.mark.parametrize(
    ("shape", "one", "first"),
    [
        ((20, 30, 3), "one picture of 20 x 30, or as 20 grey images of 30 x 3", "x[None]"),
        ((20, 30, 4), "one picture of 20 x 30, or as 20 grey images of 30 x 4",
         "x[None, ..., :3]"),
        ((3, 20, 30), "one picture of 20 x 30, or as 3 grey images of 20 x 30",
         "x.transpose(1, 2, 0)[None]"),
    ],
)  # fmt: skip
def test_an_array_that_can_be_read_in_two_ways_is_refused_with_both(tmp_path, shape, one, first):
    path, x = tmp_path / "a.npz", np.zeros(shape, np.uint8)
    np.savez(path, images=x)
    with pytest.raises(TigonError) as caught:
        load_images(path, 8)
    said = f"its images {shape} can be read as {one}; save {first} for the first, x[..., None]"
    assert said in str(caught.value)
    np.savez(path, images=eval(first))
    assert len(load_images(path, 8)) == 1
    np.savez(path, images=x[..., None])
    assert len(load_images(path, 8)) == shape[0]


UNIT = np.linspace(0, 1, 2 * 8 * 9 * 3, dtype=np.float32).reshape(2, 8, 9, 3)


@pytest.mark.parametrize(
    "x",
    [
        UNIT,
        UNIT * 255,
        UNIT > 0.5,
        (UNIT * 4095).astype(np.uint16),
        (UNIT * 255).astype(np.uint8).transpose(0, 3, 1, 2),
        (UNIT * 255).astype(np.uint8)[:, None, ..., 0],
        (np.repeat(UNIT, 2, -1)[..., :4] * 255).astype(np.int64),
    ],
    ids=lambda x: f"{x.dtype} {x.shape}",
)
def test_the_lines_that_are_named_make_images(tmp_path, x):
    path = tmp_path / "a.npz"
    np.savez(path, images=x)
    with pytest.raises(TigonError, match="its images are .*; convert them by x = ") as caught:
        load_images(path, 8)
    scope = {"x": x}
    exec(str(caught.value).partition("convert them by ")[2], scope)
    np.savez(path, images=scope["x"])
    images = load_images(path, 8)
    assert len(images) == 2 and images.pixels.max() >= 250 and images.notes == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.npy", "is an array without a name; numpy.savez('a.npz', images=numpy.load('a.npy'))"),
        ("a.zip", "is an archive; unzip a.zip -d a, and give --data a"),
        ("a.tar.gz", "is an archive; unpack it into a, and give --data a"),
        ("a.npz", "is a git-lfs pointer; git lfs pull fetches the file"),
        ("a.png", "a.png is a git-lfs pointer; git lfs pull fetches the picture"),
    ],
)
def test_what_holds_images_and_is_none_says_what_to_do(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n")
    with pytest.raises(TigonError) as caught:
        load_images(name, 8)
    assert said in str(caught.value) and "\n" not in str(caught.value)
