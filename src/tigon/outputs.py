"""Write images and models to files and folders, completely or not at all."""

import contextlib
import itertools
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tigon.errors import TigonError
from tigon.figures import GAP, Tiles, tile, tiled
from tigon.files import npy_header, parents_made, printable, refusal, written_beside
from tigon.runs.inputs import is_read

INK, TEXT, LINE, NARROWEST = "#24292f", 14, 20, 320
SIDE, PIXELS = 32767, 89_478_485  # longest side that browsers show, most pixels Pillow opens
ELSEWHERE = "give a folder (no ending), which gets a PNG of each, or a .npz"
Write = Callable[[np.ndarray], object]


def check_out(
    path: Path,
    inputs: Iterable[str | Path | None],
    suffixes: tuple[str, ...] = (".npz", ".png", ""),
    option: str = "--out",
) -> None:
    """Refuse an invalid output path before any work is done; nothing is created.

    Arguments:
        inputs: the data, masks, runs and model folders that the command reads, as they were given
        suffixes: the allowed endings; "" stands for a folder
        option: the option that gave the path
    Raises:
        TigonError: if it has another ending, would replace an input, or cannot be written there
    """
    if not path.name:
        raise TigonError(f"{option} {path}: has no name; give a file or a new folder")
    if path.suffix not in suffixes:
        kinds = " or ".join(suffix or "a folder (no ending)" for suffix in suffixes)
        raise TigonError(f"{option} {path}: must be {kinds}")
    try:
        if path.suffix and path.is_dir():
            raise TigonError(f"{option} {path}: is a folder")
        if not path.suffix and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise TigonError(f"{option} {path}: exists and is not an empty folder; give another")
        with parents_made(path, keep=False), tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise TigonError(f"{option} {path}: cannot be written ({refusal(error)})") from error
    for given in inputs:
        if given is not None and is_read(path, given):
            raise TigonError(
                f"{option} {path}: would replace what this command reads from "
                f"{printable(str(given))}; give another path"
            )


def write_images(path: Path, pixels: np.ndarray, columns: int = 8, **arrays: np.ndarray) -> None:
    """Write images, uint8 (N, H, W, C), in the format of the path's ending.

    Arguments:
        columns: columns of the grid in a .png
        arrays: arrays for a .npz besides `images`
    Raises:
        TigonError: if writing fails
    """
    with images_to(path, len(pixels), pixels.shape[1:], columns, arrays) as write:
        write(pixels)


@contextlib.contextmanager
def images_to(
    path: Path,
    count: int,
    shape: tuple[int, ...],
    columns: int = 8,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> Iterator[Write]:
    """Yield a function that writes the next images, uint8 (B, H, W, C), to a path.

    Its ending gives the format. Only the grid of a .png is kept in memory. The path appears once
    all images are written.

    Arguments:
        count: total number of images
        shape: shape of one image, (H, W, C)
        columns: columns of the grid in a .png
        arrays: arrays for a .npz besides `images`
    Raises:
        TigonError: if writing fails, or a grid is larger than viewers show
    """
    if path.suffix == ".png":
        grid = tiled(count, (shape[0], shape[1]), min(columns, count))
        require_viewable(path, count, *grid)
    with _whole(path) as work:
        if path.suffix == ".npz":
            writing = _npz(work, count, shape, arrays or {})
        elif path.suffix == ".png":
            writing = _grid(work, count, shape, columns)
        else:
            writing = _folder(work, count)
        with writing as write:
            yield write
        if not path.suffix and path.exists():
            path.rmdir()


def require_viewable(
    path: Path, count: int, height: int, width: int, remedy: str = ELSEWHERE
) -> None:
    """Refuse a .png that would be larger than viewers and browsers show.

    Arguments:
        count: number of images in it
        height, width: its size in pixels
        remedy: what to do instead
    Raises:
        TigonError: it says how large the .png would be, and the remedy
    """
    if max(height, width) > SIDE or height * width > PIXELS:
        raise TigonError(
            f"--out {path}: {count} images in one picture are {width} x {height} pixels, and "
            f"viewers show {SIDE} a side and {PIXELS // 10**6} million in all; {remedy}"
        )


def write_rows(path: Path, rows: Sequence[tuple[str, np.ndarray]]) -> None:
    """Write a .png of rows of images, each under its label.

    Arguments:
        rows: label and images, uint8 (N, H, W, C); a row may be shorter than the first
    Raises:
        TigonError: if writing fails
    """
    with _whole(path) as work, work.open("xb") as file:
        labelled(rows).save(file, format="png")


def require_rows_viewable(
    path: Path, count: int, sides: tuple[int, int], rows: int, columns: int
) -> None:
    """Refuse a .png of `write_rows` that is too large to view, before the work.

    Arguments:
        count: number of images
        sides: height and width of each
        rows: labelled rows that each image stands in, one below the other
        columns: images in a row
    Raises:
        TigonError: it says how large the .png would be
    """
    across = min(count, columns)
    zoom = zoom_of(across, sides[1])
    row, width = tiled(across, (zoom * sides[0], zoom * sides[1]), across)
    require_viewable(path, count, rows * -(-count // columns) * (row + LINE), width)


def zoom_of(count: int, width: int) -> int:
    """Return the zoom factor, a whole number, for a row of `count` images of this width."""
    return -(-NARROWEST // (count * width))


def labelled(rows: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """Draw rows of images under their labels, enlarged by a whole number if they are small."""
    zoom = zoom_of(*rows[0][1].shape[:3:2])
    tiles = [
        Image.fromarray(tile(pixels.repeat(zoom, 1).repeat(zoom, 2), len(pixels)))
        for _, pixels in rows
    ]
    height = sum(each.height + LINE for each in tiles)
    picture = Image.new("RGB", (max(each.width for each in tiles), height), "white")
    draw, font, top = ImageDraw.Draw(picture), ImageFont.load_default(TEXT), 0
    for (label, _), each in zip(rows, tiles, strict=True):
        draw.text((2, top + LINE), label, INK, font, anchor="ld")
        picture.paste(each, (0, top + LINE))
        top += each.height + LINE
    return picture


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` once everything is written."""
    try:
        with parents_made(path), written_beside(path) as work:
            yield work
    except OSError as error:
        raise TigonError(f"--out {path}: cannot be written ({refusal(error)})") from error


@contextlib.contextmanager
def _npz(
    work: Path, count: int, shape: tuple[int, ...], arrays: Mapping[str, np.ndarray]
) -> Iterator[Write]:
    with zipfile.ZipFile(work, "x", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as file:
            file.write(npy_header((count, *shape), "|u1"))
            yield lambda pixels: file.write(np.ascontiguousarray(pixels).data)
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


@contextlib.contextmanager
def _grid(work: Path, count: int, shape: tuple[int, ...], columns: int) -> Iterator[Write]:
    gap = 0 if count == 1 else GAP  # a single one is the whole picture: a tile's borders meet
    tiles = Tiles(count, (shape[0], shape[1]), min(columns, count), gap)
    yield tiles.add
    with work.open("xb") as file:
        Image.fromarray(tiles.canvas).save(file, format="png")


@contextlib.contextmanager
def _folder(work: Path, count: int) -> Iterator[Write]:
    """Number the files so that sorting by name gives the order of the images."""
    work.mkdir()
    digits, numbers = max(5, len(str(count - 1))), itertools.count()

    def write(pixels: np.ndarray) -> None:
        for image in pixels:
            squeezed = image[..., 0] if image.shape[-1] == 1 else image
            Image.fromarray(squeezed).save(work / f"{next(numbers):0{digits}d}.png")

    yield write
