"""Labels: sub-folders, an array and a column become the conditions of batches."""

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from hf_sets import png
from small import generator_recipe
from tigon.data.batches import Batch
from tigon.data.load import load_images
from tigon.data.stream import open_stream
from tigon.errors import TigonError

LIKE = torch.zeros(())


def labelled(images) -> dict[int, int]:
    """The label of each image, by its red, through batches of two."""
    order = images.order(2, 0)
    batches = [order.read(images, k, LIKE) for k in range(len(images))]
    assert all(
        b.condition.dtype == torch.int64 and len(b.condition) == len(b.index) for b in batches
    )
    reds = [((b.images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for b in batches]
    return dict(
        zip(sum(reds, []), torch.cat([b.condition for b in batches]).tolist(), strict=True)
    )


def folder(place, tints: dict[str, int]):
    """Pictures of one tint each, by their paths."""
    for path, tint in tints.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(png(tint))
    return place


def table(place, labels, feature, bad=()):
    """A data set of Hugging Face whose picture k has k as its red."""
    rows = {
        "kind": labels,
        "image": [
            {"bytes": b"bad" if k in bad else png(k), "path": None} for k in range(len(labels))
        ],
    }
    place.mkdir(exist_ok=True)
    features = datasets.Features({"kind": feature, "image": datasets.Image()})
    found = datasets.Dataset.from_dict(rows, features)
    if not isinstance(feature, datasets.ClassLabel):
        found = found.rename_column("kind", "label")
    found.to_parquet(str(place / "train.parquet"))
    return place


def test_sub_folders_are_classes_at_any_depth(tmp_path):
    tints = {"dog/1.png": 1, "cat/x/2.png": 2, "cat/3.png": 3, "eel/4.png": 4, "dog/5.png": 5}
    images = load_images(folder(tmp_path / "animals", tints), 8)
    assert images.classes == ("cat", "dog", "eel")
    assert labelled(images) == {1: 1, 2: 0, 3: 0, 4: 2, 5: 1}


def test_what_cannot_be_read_and_mirrored_copies_do_not_move_labels(tmp_path):
    place = folder(tmp_path / "animals", {"a/1.png": 1, "a/2.png": 2, "b/3.png": 3, "c/4.png": 4})
    (place / "a/1.png").write_bytes(b"bad")
    images = load_images(place, 8, mirror=True)
    assert len(images.skipped) == 1 and np.asarray(images.labels).tolist() == [0, 1, 2, 0, 1, 2]
    assert images.classes == ("a", "b", "c")


def test_pictures_outside_sub_folders_leave_a_folder_without_classes(tmp_path):
    images = load_images(folder(tmp_path / "animals", {"dog/1.png": 1, "2.png": 2}), 8)
    assert images.labels is None and images.classes == ()
    assert images.batch(torch.tensor([1])).condition is None


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, ">i4", bool])
def test_the_array_labels_of_an_npz_goes_with_its_images(tmp_path, dtype):
    pixels = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    labels = np.array([1, 0, 1, 1, 0]).astype(dtype)
    np.savez_compressed(tmp_path / "a.npz", images=pixels, labels=labels)
    images = load_images(tmp_path / "a.npz", 8)
    assert labelled(images) == dict(enumerate(labels.astype(int).tolist()))
    assert images.classes == ()


@pytest.mark.parametrize(
    "labels", [np.zeros(4, np.int64), np.zeros((5, 1), int), np.zeros(5), np.array(["a"] * 5)]
)
def test_labels_that_do_not_go_with_the_images_are_refused(tmp_path, labels):
    np.savez(tmp_path / "a.npz", images=np.zeros((5, 8, 8, 3), np.uint8), labels=labels)
    with pytest.raises(TigonError, match=r"give an integer for each of its images, \(5,\)"):
        load_images(tmp_path / "a.npz", 8)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("streamed", [False, True])
def test_the_column_of_classes_goes_with_its_pictures(tmp_path, streamed):
    table(
        tmp_path / "named", [2, 0, 1, 2, 0], datasets.ClassLabel(names=["x", "y", "z"]), bad=(1,)
    )
    images = open_stream("hf:named", 8) if streamed else load_images("hf:named", 8)
    assert tuple(images.classes) == ("x", "y", "z")
    assert np.asarray(images.labels).tolist() == [2, 1, 2, 0]
    assert labelled(images) == {0: 2, 2: 1, 3: 2, 4: 0}


@pytest.mark.usefixtures("offline")
def test_a_column_of_integers_is_one_of_labels_by_its_name_and_may_have_gaps(tmp_path):
    table(tmp_path / "plain", [5, None, 7], datasets.Value("int64"))
    images = load_images("hf:plain", 8)
    assert labelled(images) == {0: 5, 1: -1, 2: 7} and images.classes == ()


def test_classes_of_shards_are_those_of_all_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "part-0", {"dog/1.png": 1, "cat/2.png": 2})
    folder(tmp_path / "part-1", {"eel/3.png": 3, "cat/4.png": 4})
    images = load_images("part-*", 8)
    assert images.classes == ("cat", "dog", "eel")
    assert labelled(images) == {1: 1, 2: 0, 3: 2, 4: 0}
    folder(tmp_path / "part-2", {"5.png": 5})
    assert load_images("part-*", 8).labels is None


def test_models_that_do_not_use_labels_learn_as_without_them(tmp_path):
    tints = {"a/1.png": 10, "b/2.png": 200, "b/3.png": 90}
    with_labels = load_images(folder(tmp_path / "animals", tints), 8)
    records = []
    for images in (with_labels, type(with_labels)(with_labels.pixels, with_labels.names, [])):
        record = generator_recipe().trainer(images).step()
        records.append({k: v for k, v in record.items() if k != "seconds"})
    assert records[0] == records[1]


def test_a_part_of_a_batch_keeps_mask_condition_and_size():
    index = torch.tensor([4, 1, 7])
    images = torch.arange(3.0)[:, None, None, None].expand(3, 1, 2, 2)
    for mask in (images, torch.ones(1, 1, 2, 2)):
        part = Batch(images, index, mask, index * 10, among=9).take(torch.tensor([2, 2, 0]))
        assert part.index.tolist() == [7, 7, 4] and part.condition.tolist() == [70, 70, 40]
        assert part.size == 3 and part.among == 9
        assert part.mask.expand_as(part.images).shape == part.images.shape
        assert mask is not images or torch.equal(part.mask, part.images)
    moved = Batch(images, index, images > 1, index).to(torch.zeros(1, dtype=torch.float64))
    assert moved.mask.dtype == moved.images.dtype == torch.float64
    assert moved.condition.dtype == torch.int64


def test_pictures_of_a_folder_of_classes_are_named_by_their_paths(tmp_path):
    Image.new("RGB", (8, 8)).save(folder(tmp_path / "a", {"b/1.png": 3}) / "b" / "2.png")
    assert load_images(tmp_path / "a", 8).names == ["b/1.png", "b/2.png"]
