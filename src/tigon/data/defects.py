"""Folders of anomaly benchmarks, laid out as MVTec AD is.

train/good/                        images without a defect
test/good/, test/CLASS/            images without a defect, and with one of a class
ground_truth/CLASS/NAME_mask.png   white where the defect of test/CLASS/NAME is, where it is known

References:
    Bergmann, Fauser, Sattlegger and Steger, "MVTec AD: a comprehensive real-world dataset for
    unsupervised anomaly detection", CVPR 2019.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tigon.data.images import ImageSet
from tigon.errors import TigonError

GOOD, ALL, GREY = "good", "all", 1
HALF = 127  # of 255
Load = Callable[[Path, int], ImageSet]  # a folder's images, with so many channels


@dataclass(frozen=True)
class DefectSet:
    """The test images of such a folder.

    Attributes:
        images: all of them, named CLASS/FILE
        classes: class of each, (N,), `good` for those without a defect
        masked: rows of the images whose pixels are known: all good ones, and those with a mask
        defective: where their defects are, bool (M, H, W)
        notes: what is left out, and why
    """

    images: ImageSet
    classes: list[str]
    masked: np.ndarray
    defective: np.ndarray
    notes: tuple[str, ...] = ()


def is_defect_layout(data: str) -> bool:
    """Return whether data are a folder with train/good and test."""
    root = Path(data)
    return (root / "train" / GOOD).is_dir() and (root / "test").is_dir()


def read_defects(root: Path, load: Load) -> DefectSet:
    """Read test images and masks, which are resized as their images are.

    A pixel of a resized mask is defective where about half of it or more is.

    Arguments:
        load: loads a folder of images with 3 channels or 1, all of one size; 0 channels are those
            of the model
    Raises:
        TigonError: if there are no classes, good images or defects, or a mask is missing
    """
    images, place = load(root / "test", 0), root / "test"
    if images.labels is None:
        raise TigonError(f"data '{place}': its images must be in {GOOD} and in folders of defects")
    classes = [images.classes[label] for label in np.asarray(images.labels)]
    if GOOD not in classes or len(set(classes)) < 2:
        raise TigonError(f"data '{place}': needs images in {GOOD}, and in a folder of a defect")
    if ALL in classes:
        raise TigonError(
            f"data '{place / ALL}': {ALL!r} stands for all classes; rename the folder"
        )
    if not (root / "ground_truth").is_dir():
        nowhere = np.empty((0, *images.pixels.shape[1:3]), bool)
        return DefectSet(images, classes, np.empty(0, int), nowhere)
    masks = _masks(root / "ground_truth", load)
    known = {key.partition("/")[0] for key in masks} | {GOOD}
    rows = [row for row, kind in enumerate(classes) if kind in known]
    where = [_mask(masks, images.names[row], classes[row], root) for row in rows]
    found = [(row, one) for row, one in zip(rows, where, strict=True) if one is not None]
    lost = len(rows) - len(found)
    notes = (f"{lost} defects cover no pixel of this size: their pixels are left out",)
    defective = np.stack([one for _, one in found])
    return DefectSet(
        images, classes, np.array([row for row, _ in found]), defective, notes if lost else ()
    )


def _masks(folder: Path, load: Load) -> dict[str, np.ndarray]:
    """Return masks, bool (H, W), by CLASS/NAME of their images; the first is that of good ones.

    Raises:
        TigonError: if none of them is white anywhere
    """
    masks = load(folder, GREY)
    nowhere = np.zeros(masks.pixels.shape[1:3], bool)
    if masks.pixels.size and 0 < np.asarray(masks.pixels).max() <= HALF:
        raise TigonError(
            f"data '{folder}': no mask has a value above {HALF}: they must be 255 where a defect "
            "is, and 0 elsewhere"
        )
    named = {_key(name).removesuffix("_mask"): row for row, name in enumerate(masks.names)}
    found = {key: masks.pixels[row, :, :, 0] > HALF for key, row in named.items()}
    return {GOOD: nowhere} | found


def _mask(masks: dict[str, np.ndarray], name: str, kind: str, root: Path) -> np.ndarray | None:
    """Return an image's mask; None if no pixel of it is defective though its class says so.

    Raises:
        TigonError: if it has none
    """
    key = GOOD if kind == GOOD else _key(name)
    if key not in masks:
        raise TigonError(f"data '{root / 'ground_truth'}': has no {key}_mask.png for {name}")
    return masks[key] if kind == GOOD or masks[key].any() else None


def _key(name: str) -> str:
    """Return CLASS/NAME of a file, without its ending."""
    return name.replace("\\", "/").rpartition(".")[0]
