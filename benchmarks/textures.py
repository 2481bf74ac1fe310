"""How near textures that the default recipe learned are to their pictures, and whether tiles meet.

    python benchmarks/textures.py [--only brick gravel] [--out build/textures] [--write FILE]

The pictures are scikit-image's `brick`, `grass` and `gravel`, 512 x 512, grey, CC0 (extra
`restore`). The recipe has no option but the channels, and learns from crops of 64 x 64. Runs that
exist are not trained again. Crops of the part of the picture that no crop was learned from are
compared, as many of each, with images of the model, with crops of images of three times the size,
and with a Gaussian field that has the picture's spectrum, which is the picture with random phases.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from measuring import arguments, publish
from recipes import ROOT
from results import machine
from tigon.data.images import ImageSet
from tigon.data.pixels import to_float
from tigon.diagnostics.copies import copies_test
from tigon.diagnostics.distances import kid_of_subsets
from tigon.diagnostics.features import features
from tigon.models.texture import TextureModel
from tigon.random.streams import RowRng, make_rng
from tigon.recipes import TextureRecipe
from tigon.runs.experiment import train
from tigon.runs.run import Experiment, Run

NAMES, COUNT, CROP = ("brick", "grass", "gravel"), 64, 64
TEXT = """## Textures from one picture

`python benchmarks/textures.py`: the default recipe on crops of 64 x 64 of pictures of 512 x 512.
KID-lite0 of {count} images to {count} crops that were not learned from, by features; seed 0;
{machine}.

| | {names} |
|---|{rules}|
{rows}"""


def run_of(name: str, folder: Path) -> Run:
    """Learn a picture of scikit-image, unless that is done."""
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    path, run = folder / f"{name}.png", Run(folder / name)
    Image.fromarray(getattr(data, name)()).save(path)
    train(Experiment("texture", TextureRecipe(channels=1), str(path)), run.folder, "cpu")
    return run


def crops(images: Tensor, count: int, *key: str) -> Tensor:
    """Cut crops (count, C, 64, 64) of these images at random places."""
    rng = make_rng("benchmark crops", *key)
    most = torch.tensor(images.shape[2:]) - CROP + 1
    places = (torch.rand((count, 2), generator=rng) * most).long().tolist()
    found = [
        images[k % len(images), :, top : top + CROP, left : left + CROP]
        for k, (top, left) in enumerate(places)
    ]
    return torch.stack(found)


def random_phases(images: ImageSet, name: str) -> Tensor:
    """Return a Gaussian field (1, C, H, W) with the mean and the spectrum of the whole picture."""
    picture = to_float(images.pixels.picture[None])  # type: ignore[attr-defined]
    mean = picture.mean((2, 3), keepdim=True)
    noise = torch.randn(picture.shape, generator=make_rng("benchmark phases", name))
    spectrum = torch.fft.rfft2(picture - mean).abs()
    phases = torch.fft.rfft2(noise).angle()
    return mean + torch.fft.irfft2(torch.polar(spectrum, phases), s=picture.shape[2:])


def seam(tiles: Tensor) -> float:
    """Return the mean difference across tiles' borders, over that between neighbours within."""
    columns = (tiles - tiles.roll(1, 3)).abs().mean((0, 1, 2))
    rows = (tiles - tiles.roll(1, 2)).abs().mean((0, 1, 3))
    return (columns[0] / columns[2::2].mean() + rows[0] / rows[2::2].mean()).item() / 2


def measured(name: str, run: Run) -> dict[str, str]:
    """Return what is measured of a run, in words."""
    images, model, records = run.images(), run.model(), run.records()
    assert images.held_out is not None and isinstance(model, TextureModel)
    rows, last = range(COUNT), records[-1]
    drawn = model.sample(COUNT, RowRng(0, 0, rows, "benchmark"), 16)
    large = model.at_size(3 * CROP).sample(4, RowRng(0, 0, range(4), "benchmark"), 2)
    tiles = model.at_size(CROP, periodic=True).sample(COUNT, RowRng(0, 0, rows, "benchmark"), 16)
    unseen = images.held_out.read(torch.arange(COUNT))
    sets = {
        "images of the model": drawn,
        "crops of its images of 192 x 192": crops(large, COUNT, name, "large"),
        "crops of a Gaussian field of the same spectrum": crops(
            random_phases(images, name), COUNT, name, "field"
        ),
        "crops that were learned from": images.read(torch.arange(COUNT)),
    }
    target = features(unseen)
    found = {}
    for what, some in sets.items():
        kid = kid_of_subsets(features(some), target, make_rng("subsets", 0))
        found[what] = f"{kid.value:.2f} ± {kid.error:.2f}"
    seen = images.read()
    shown, other, known = (some.clamp(-1, 1).flatten(1) for some in (drawn, unseen, seen))
    copied = copies_test(shown, other, known)
    return {
        "iterations, minutes": f"{last['iteration']}, {last['seconds'] / 60:.1f}",
        "gap, nats per dimension of f": f"{np.median([abs(r['gap']) for r in records[-50:]]):.3f}",
        **found,
        "differences across the border of tiles, over those within": f"{seam(tiles):.2f}",
        "copies, in pixels": f"{'found' if copied.copied else 'none found'} "
        f"(C_T {copied.statistic:.1f})",
    }  # fmt: skip


def main() -> None:
    """Learn, measure and print."""
    parser = arguments(__doc__, "textures")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "textures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: measured(name, run_of(name, options.out)) for name in options.only}
    rows = [
        f"| {what} | {' | '.join(each[what] for each in found.values())} |"
        for what in next(iter(found.values()))
    ]
    text = TEXT.format(
        count=COUNT,
        machine=machine(),
        names=" | ".join(found),
        rules="|".join(["---"] * len(found)),
        rows="\n".join(rows),
    )
    publish(options.write, "textures", text)


if __name__ == "__main__":
    main()
