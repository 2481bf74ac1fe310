"""Folders in the layout of anomaly benchmarks."""

import numpy as np
import pytest
from PIL import Image

from tigon.data.defects import is_defect_layout, read_defects
from tigon.data.load import load_images
from tigon.errors import TigonError


def write(path, value, hole=None):
    """Write a picture of 16 x 16; what a hole (rows, columns) covers is white."""
    pixels = np.full((16, 16), value, np.uint8)
    if hole:
        pixels[hole] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def load(folder, channels):
    return load_images(folder, 8, channels=channels or 3)


@pytest.fixture
def root(tmp_path):
    """Two good images, one bent and one cut, with masks of which one covers nearly nothing."""
    for name in ("train/good/0", "test/good/0", "test/good/1", "test/bent/0", "test/cut/0"):
        write(tmp_path / f"{name}.png", 90)
    write(tmp_path / "ground_truth/bent/0_mask.png", 0, np.s_[4:8, 2:6])
    write(tmp_path / "ground_truth/cut/0_mask.png", 0, np.s_[3:4, 3:4])
    return tmp_path


def test_images_classes_and_masks_are_read_in_one_order(root):
    assert is_defect_layout(str(root)) and not is_defect_layout(str(root / "test"))
    found = read_defects(root, load)
    assert list(found.images.names) == ["bent/0.png", "cut/0.png", "good/0.png", "good/1.png"]
    assert found.classes == ["bent", "cut", "good", "good"]
    assert found.masked.tolist() == [0, 2, 3] and "1 defects cover no pixel" in found.notes[0]
    expected = np.zeros((3, 8, 8), bool)
    expected[0, 2:4, 1:3] = True
    assert np.array_equal(found.defective, expected)


def test_classes_without_masks_are_scored_as_images_alone(root):
    (root / "ground_truth" / "cut" / "0_mask.png").unlink()
    (root / "ground_truth" / "cut").rmdir()
    found = read_defects(root, load)
    assert found.masked.tolist() == [0, 2, 3] and not found.notes


def test_without_masks_no_pixels_are_known(root):
    (root / "ground_truth").rename(root / "elsewhere")
    found = read_defects(root, load)
    assert len(found.classes) == 4 and found.defective.shape == (0, 8, 8)


def test_what_is_missing_is_named(root):
    write(root / "test" / "bent" / "7.png", 3)
    with pytest.raises(TigonError, match=r"ground_truth': has no bent/7_mask.png for bent/7.png"):
        read_defects(root, load)
    write(root / "test" / "all" / "7.png", 3)
    with pytest.raises(TigonError, match=r"test/all': 'all' stands for all classes"):
        read_defects(root, load)
    (root / "test" / "all").rename(root / "all")
    write(root / "test" / "stray.png", 3)
    with pytest.raises(TigonError, match="its images must be in good and in folders of defects"):
        read_defects(root, load)
    with pytest.raises(TigonError, match="needs images in good, and in a folder of a defect"):
        for kind in ("bent", "cut"):
            (root / "test" / kind).rename(root / kind)
        (root / "test" / "stray.png").unlink()
        read_defects(root, load)
