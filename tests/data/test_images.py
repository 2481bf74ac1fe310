import os
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from small import image_set
from tigon.data.batches import even_rows
from tigon.data.cache_place import cache_folder
from tigon.data.conversion import convert
from tigon.data.form import Form
from tigon.data.images import ImageSet
from tigon.data.load import load_images
from tigon.errors import TigonError


def pixels_of(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_a_folders_images_are_its_files_in_the_order_of_their_names(pictures):
    images = load_images(pictures, 16)
    assert images.names == ["0.png", "1.png", "2.png", "3.png", "4.png"]
    for k in range(5):
        assert np.array_equal(images.pixels[k], pixels_of(pictures / f"{k}.png"))
    assert images.read(torch.tensor([3])).shape == (1, 3, 16, 16)


def test_images_are_mapped_from_the_disk(pictures):
    assert isinstance(load_images(pictures, 16).pixels, np.memmap)


def test_folders_are_searched_to_their_depths_and_other_files_passed_over(pictures):
    deep = pictures / "a" / "b"
    deep.mkdir(parents=True)
    (pictures / "0.png").rename(deep / "z.PNG")
    (pictures / "notes.txt").write_text("no image")
    (pictures / ".hidden.png").write_text("no image")
    images = load_images(pictures, 16)
    assert images.names == ["1.png", "2.png", "3.png", "4.png", "a/b/z.PNG"]
    assert images.skipped == []


def test_what_cannot_be_read_is_left_out_and_named(pictures):
    whole = (pictures / "1.png").read_bytes()
    (pictures / "1.png").write_bytes(whole[:100])
    (pictures / "2.png").write_text("this is text")
    (pictures / "3.png").write_bytes(b"")
    images = load_images(pictures, 16)
    assert images.names == ["0.png", "4.png"]
    assert np.array_equal(images.pixels[1], pixels_of(pictures / "4.png"))
    assert [line.split()[0] for line in images.skipped] == ["1.png", "2.png", "3.png"]
    assert images.skipped[1] == "2.png is not an image"


def test_a_file_that_makes_its_decoder_fail_in_any_way_is_left_out(pictures, monkeypatch):
    import struct

    def fail(*_):
        raise struct.error("unpack requires 8 bytes")

    monkeypatch.setattr("tigon.data.pictures.convert", fail)
    with pytest.raises(TigonError, match="0.png cannot be read .unpack requires 8 bytes"):
        load_images(pictures, 16)


def test_a_picture_of_too_many_pixels_is_left_out_and_the_option_reads_it(pictures):
    Image.new("RGB", (30, 20), (9, 9, 9)).save(pictures / "big.png")
    images = load_images(pictures, 16, max_pixels=256)
    said = "big.png has too many pixels; --max-pixels 600 reads it (the limit is 256)"
    assert images.skipped == [said] and len(images) == 5
    usual = Image.MAX_IMAGE_PIXELS
    images = load_images(pictures, 16, max_pixels=600)
    assert images.skipped == [] and images.pixels[5, 3, 3].tolist() == [9, 9, 9]
    assert usual == Image.MAX_IMAGE_PIXELS
    with pytest.raises(TigonError, match="max_pixels is at least 1, not 0"):
        load_images(pictures, 16, max_pixels=0)


def test_a_chunk_that_claims_four_gigabytes_takes_no_such_memory(pictures):
    """Found by benchmarks/fuzz.py: the decoder asked for as many bytes as the file claims."""
    data = (pictures / "0.png").read_bytes()
    end = data.index(b"IEND")
    (pictures / "0.png").write_bytes(data[: end - 4] + b"\xff\xff\xff\xf0zzzz" + data[end:])
    tracemalloc.start()
    load_images(pictures, 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**27


@pytest.mark.parametrize(
    "damage", ["about.json", "images.npy", "names.npy", "names.txt", "shape", "nested"]
)
def test_a_cache_that_is_damaged_is_refused(pictures, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("TIGON_CACHE", str(tmp_path / "cache"))
    load_images(pictures, 16)
    (folder,) = (tmp_path / "cache").iterdir()
    if damage == "shape":
        np.save(folder / "images.npy", np.zeros((5, 8, 8, 3), np.uint8))
    else:
        name = "about.json" if damage == "nested" else damage
        (folder / name).write_bytes(b"[" * 9999)
    with pytest.raises(TigonError, match="image cache .* is damaged; delete it"):
        load_images(pictures, 16)


def test_linked_folders_are_searched_once_and_loops_end(pictures, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (pictures / "0.png").rename(other / "0.png")
    (pictures / "link").symlink_to(other)
    (other / "back").symlink_to(pictures)
    assert load_images(pictures, 16).names == [f"{k}.png" for k in range(1, 5)] + ["link/0.png"]


def test_names_of_any_bytes_can_be_shown(pictures):
    os.rename(os.fsencode(pictures / "0.png"), os.fsencode(pictures) + b"/caf\xe9.png")
    (pictures / "\u0628 \u732b.png").write_bytes((pictures / "1.png").read_bytes())
    names = load_images(pictures, 16).names
    assert "caf\\udce9.png" in names and "\u0628 \u732b.png" in names
    for name in names:
        name.encode()


def test_the_fingerprint_tells_data_sets_apart(pictures):
    first = load_images(pictures, 16).fingerprint()
    assert load_images(pictures, 16).fingerprint() == first
    assert load_images(pictures, 8).fingerprint() != first
    Image.new("RGB", (16, 16), "red").save(pictures / "3.png")
    assert load_images(pictures, 16).fingerprint() != first


def test_a_changed_file_is_read_again(pictures):
    load_images(pictures, 16)
    Image.new("RGB", (16, 16), "red").save(pictures / "0.png")
    assert load_images(pictures, 16).pixels[0, 0, 0].tolist() == [255, 0, 0]


def test_a_second_load_decodes_nothing(pictures, monkeypatch):
    first = load_images(pictures, 16)
    monkeypatch.setattr(Image, "open", None)
    assert np.array_equal(load_images(pictures, 16).pixels, first.pixels)


def test_mirrored_copies_follow(pictures):
    images = load_images(pictures, 16, mirror=True)
    assert len(images) == len(images.names) == 10
    assert np.array_equal(images.pixels[7], images.pixels[2][:, ::-1])


def test_an_npz_is_its_array(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=array)
    assert np.array_equal(load_images(tmp_path / "a.npz", 16).pixels, array)
    np.savez(tmp_path / "grey.npz", images=array[..., :1])
    assert np.array_equal(
        load_images(tmp_path / "grey.npz", 16, channels=1).pixels, array[..., :1]
    )


@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (4, 8, 8)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_an_array_in_its_form_is_what_its_pictures_would_be(tmp_path, shape, channels, fit):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.savez(tmp_path / "a.npz", images=array)
    images = load_images(tmp_path / "a.npz", 8, fit, channels)
    pictures = [convert(Image.fromarray(row), Form(8, fit, channels)).pixels for row in array]
    assert np.array_equal(images.pixels, pictures)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_array_is_never_in_memory_as_a_whole(tmp_path, compressed):
    """18 MB of images, of which some megabytes are held."""
    array = np.random.default_rng(0).integers(0, 256, (6_000, 32, 32, 3), np.uint8)
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "a.npz", images=array)
    tracemalloc.start()
    images = load_images(tmp_path / "a.npz", 32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23
    assert np.array_equal(images.pixels, array) and images.names[5_999] == "a.npz[5999]"


def test_an_array_in_fortrans_order_is_its_images(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=np.asfortranarray(array))
    assert np.array_equal(load_images(tmp_path / "a.npz", 8).pixels, array)


def test_batches_read_from_the_file_are_those_of_the_array(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=array)
    read, index = load_images(tmp_path / "a.npz", 8), torch.randperm(50)[:20]
    held = ImageSet(array, list(read.names), [])
    assert read.file is not None and torch.equal(read.read(index), held.read(index))
    assert torch.equal(read.read(index[:0]), held.read(index[:0]))
    assert read.fingerprint() == held.fingerprint()
    for wrong in (50, -1):
        with pytest.raises(IndexError, match="of 50"):
            read.read(torch.tensor([0, wrong]))


def test_a_file_that_has_become_shorter_is_no_batch(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", images=np.zeros((50, 8, 8, 3), np.uint8))
    images = load_images(tmp_path / "a.npz", 8)
    os.truncate(images.pixels.filename, images.pixels.offset + 10 * 8 * 8 * 3)
    assert images.read(torch.arange(10)).shape == (10, 3, 8, 8)
    with pytest.raises(OSError, match="shorter"):
        images.read(torch.arange(11))


def test_the_fingerprint_that_the_cache_remembers_is_the_one_that_would_be_computed(pictures):
    images = load_images(pictures, 16)
    alike = ImageSet(images.pixels, list(images.names), [])
    assert images.known.fingerprint == images.fingerprint() == alike.fingerprint()
    other = np.array(images.pixels)
    other[2, 3, 4] ^= 1
    assert replace(images, pixels=other).fingerprint() != images.fingerprint()


def test_the_fingerprint_is_that_of_earlier_versions():
    """Else runs that began with them would be refused their images."""
    assert load_images("embedded:animal-faces", 32).fingerprint() == "6e49002c0d061067"


@given(st.integers(1, 100_000), st.integers(1, 300))
def test_even_rows_are_different_rows_of_the_set_in_order(count, most):
    rows = even_rows(count, most)
    assert len(rows) == min(count, most) and rows[0] == 0 and rows[-1] < count
    assert (rows.diff() > 0).all()


def test_means_of_large_sets_are_taken_of_some(monkeypatch):
    monkeypatch.setattr("tigon.data.batches.MOST", 20)
    images = image_set(90)
    expected = images.read()[[number * 90 // 20 for number in range(20)]].mean(0)
    assert torch.allclose(images.mean_image(), expected, atol=1e-6)
    assert torch.allclose(images.mean_colours(7), images.read()[:7].mean((2, 3)), atol=1e-6)


def test_images_are_brought_to_the_size_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.full((2, 10, 30, 3), 9, np.uint8))
    images = load_images(tmp_path / "a.npz", 8)
    assert images.pixels.shape == (2, 8, 8, 3) and (images.pixels == 9).all()


def test_one_picture_is_a_set_of_one(pictures):
    assert load_images(pictures / "2.png", 16).names == ["2.png"]


def test_the_embedded_photographs_come_with_their_attribution():
    images = load_images("embedded:animal-faces")
    assert images.pixels.shape == (10, 64, 64, 3)
    from tigon.data.sources import EMBEDDED

    lines = (EMBEDDED["animal-faces"] / "ATTRIBUTION.csv").read_text().splitlines()
    assert sorted(line.split(",")[0] for line in lines[1:]) == images.names
    assert all(line.split(",")[1].startswith(("CC0", "Public")) for line in lines[1:])


def test_mean_colours_and_the_mean_image_are_the_means(pictures):
    images = load_images(pictures, 16)
    floats = images.read()
    assert torch.allclose(images.mean_colours(), floats.mean((2, 3)), atol=1e-6)
    assert torch.allclose(images.mean_image(), floats.mean(0), atol=1e-6)


def refused(tmp_path, kind):
    path = tmp_path / "a.npz"
    if kind == "float":
        np.savez(path, images=np.zeros((2, 8, 8, 3)))
    elif kind == "shape":
        np.savez(path, images=np.zeros((2, 8, 8, 4), np.uint8))
    elif kind == "name":
        np.savez(path, pictures=np.zeros((2, 8, 8, 3), np.uint8))
    elif kind == "pickle":
        np.savez(path, images=np.array([{"a": 1}], dtype=object))
    elif kind == "text":
        path.write_text("no archive")
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros((2, 8, 8, 3), np.uint8))
    elif kind == "flipped":
        np.savez_compressed(path, images=np.arange(384, dtype=np.uint8).reshape(2, 8, 8, 3))
        data = bytearray(path.read_bytes())
        data[120] ^= 255
        path.write_bytes(data)
    elif kind == "none":
        np.savez(path, images=np.zeros((0, 8, 8, 3), np.uint8))
    elif kind == "empty":
        path = tmp_path / "empty"
        path.mkdir()
    elif kind == "absent":
        path = tmp_path / "absent"
    elif kind == "broken":
        path = tmp_path / "broken"
        path.mkdir()
        (path / "a.png").write_text("text")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("float", "its images are float64"),
        ("shape", r"its images are uint8 \(2, 8, 8, 4\)"),
        ("name", r"it has \['pictures'\]"),
        ("pickle", r"its images are object \(1,\)"),
        ("text", "is not a readable .npz"),
        ("npy", "is not a readable .npz"),
        ("flipped", "is not a readable .npz"),
        ("none", r"uint8 \(0, 8, 8, 3\)"),
        ("empty", "no images in this folder"),
        ("absent", "no such folder or file"),
        ("broken", "none of 1 images can be read; a.png is not an image"),
    ],
)
def test_data_that_cannot_be_used_are_refused_in_one_line(tmp_path, kind, message):
    path = refused(tmp_path, kind)
    before = set(os.listdir(cache_folder())) if cache_folder().exists() else set()
    with pytest.raises(TigonError, match=message) as caught:
        load_images(path, 8)
    assert "\n" not in str(caught.value)
    after = set(os.listdir(cache_folder())) if cache_folder().exists() else set()
    assert after == before


@pytest.mark.parametrize("options", [{"image_size": 4}, {"image_size": 2**20}, {"channels": 2}])
def test_sizes_and_channels_that_make_no_sense_are_refused(pictures, options):
    with pytest.raises(TigonError, match="at least 8 pixels a side"):
        load_images(pictures, **options)


def test_an_unknown_embedded_set_is_refused():
    with pytest.raises(TigonError, match="there is only animal-faces"):
        load_images("embedded:plants")
