"""Images and models to files and folders; whole or not at all."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tigon.errors import TigonError
from tigon.figures import tile
from tigon.files import refusal, written_beside

INK, TEXT, LINE, NARROWEST = "#24292f", 14, 20, 320


def check_out(
    path: Path, suffixes: tuple[str, ...] = (".npz", ".png", ""), option: str = "--out"
) -> None:
    """Refuse an output before any work is done for it.

    Arguments:
        suffixes: those allowed; "" stands for a folder
        option: by which it was given
    Raises:
        TigonError: if it has another ending, or cannot be written where it is
    """
    if not path.name:
        raise TigonError(f"{option} {path}: has no name; give a file or a new folder")
    if path.suffix not in suffixes:
        kinds = " or ".join(suffix or "a folder (no ending)" for suffix in suffixes)
        raise TigonError(f"{option} {path}: is {kinds}")
    try:
        if path.suffix and path.is_dir():
            raise TigonError(f"{option} {path}: is a folder")
        if not path.suffix and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise TigonError(f"{option} {path}: exists and is no empty folder; give another")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TigonError(f"{option} {path}: cannot be written ({error})") from error


def write_images(path: Path, pixels: np.ndarray, columns: int = 8, **arrays: np.ndarray) -> None:
    """Write images, uint8 (N, H, W, C), as the path's ending asks.

    Arguments:
        columns: of the grid in a .png
        arrays: what a .npz holds besides `images`
    Raises:
        TigonError: if the disk refuses
    """
    with _whole(path) as work:
        if path.suffix == ".npz":
            with work.open("xb") as file:
                np.savez_compressed(file, images=pixels, **arrays)  # type: ignore[arg-type]
        elif path.suffix == ".png":
            grid = Image.fromarray(tile(pixels, min(columns, len(pixels))))
            with work.open("xb") as file:
                grid.save(file, format="png")
        else:
            _write_folder(work, pixels)
            if path.exists():
                path.rmdir()


def write_rows(path: Path, rows: Sequence[tuple[str, np.ndarray]]) -> None:
    """Write a .png of rows of images one below the other, each under its label.

    Arguments:
        rows: label and images, uint8 (N, H, W, C); a row may be shorter than the first
    Raises:
        TigonError: if the disk refuses
    """
    with _whole(path) as work, work.open("xb") as file:
        labelled(rows).save(file, format="png")


def labelled(rows: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """Draw rows of images under their labels; pixels are enlarged by a whole number, if at all."""
    count, width = rows[0][1].shape[0], rows[0][1].shape[2]
    zoom = -(-NARROWEST // (count * width))
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
    """Give a place to write to, which takes the path's place once all is written."""
    try:
        with written_beside(path) as work:
            yield work
    except OSError as error:
        raise TigonError(f"--out {path}: cannot be written ({refusal(error)})") from error


def _write_folder(folder: Path, pixels: np.ndarray) -> None:
    folder.mkdir()
    for number, image in enumerate(pixels):
        squeezed = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(squeezed).save(folder / f"{number:05d}.png")
