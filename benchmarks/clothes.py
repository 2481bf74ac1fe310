"""What one command learns from three thousand photographs of clothes, as a picture and in numbers.

    python benchmarks/clothes.py [--out build/clothes] [--write benchmarks/RESULTS.md]

It runs `tigon train cooperative --data clothes.npz --image-size 32`, evaluates the run on the
data's own test images, and writes the README's first picture, docs/pictures/clothes.webp.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from measuring import arguments, publish
from recipes import ROOT, SHARED, clothing, evaluated, stored, tigon
from results import machine
from tigon.data.load import load_images
from tigon.data.pixels import enlarged, to_uint8
from tigon.diagnostics.evaluation import GAUSSIAN, MODEL, PCA, TRAINING
from tigon.figures import stages
from tigon.models.cooperative import CooperativeModel
from tigon.random.streams import RowRng
from tigon.runs.run import Run

SIZE, ACROSS = 32, 14
PICTURE = ROOT / "docs" / "pictures" / "clothes.webp"
TEXT = """## Three thousand photographs of clothes

`python benchmarks/clothes.py`: `tigon train cooperative --data clothes.npz --image-size 32`, with
no other option, on the training images of clothing64 (CC0), and `tigon evaluate` on its test
images. Seed 0; {machine}.

| | |
|---|---|
| images learned from | {learned} |
| latents | {latents} |
| iterations | {iterations}, in {minutes:.1f} minutes on one thread |
| error of {inferred} test images, mean square on [-1, 1] | {error:.4f} (PCA {pca:.4f}) |
| KID-lite0 of {count} drawn images to as many test images | {kid:.2f} |
| of a Gaussian on principal components | {gaussian:.2f} |
| of training images | {floor:.2f} |
| copies | {copies} |"""


def learned(recipe: str, out: Path) -> tuple[Run, Path]:
    """Learn from the training images with no option, and evaluate.

    Arguments:
        recipe: and its options, if any
        out: folder of the images and of the run
    Returns:
        the run, and the file of the test images
    """
    data = stored(out / "clothes.npz", lambda: clothing("train"))
    unseen = stored(out / "unseen.npz", lambda: clothing("test"))
    kind = recipe.split()
    run = Run(out / "-".join(kind))
    words = ["--data", data, "--image-size", SIZE, "--out", run.folder]
    tigon("train", *kind, *words, threads=1)
    tigon("evaluate", run.folder, "--data", unseen, threads=1)
    return run, unseen


def some_of(unseen: Path, count: int) -> Tensor:
    """Return some test images, at even distances, (count, C, H, W)."""
    images = load_images(str(unseen), SIZE)
    return images.read(torch.from_numpy(np.linspace(0, len(images) - 1, count).astype(int)))


def large(images: Tensor) -> np.ndarray:
    """Return images (N, C, H, W) as they are shown, uint8 (N, 96, 96, C)."""
    return to_uint8(enlarged(images, (96, 96), "bilinear"))


def save(figure: Figure, run: Run, picture: Path) -> None:
    """Write a figure to the run's folder and as a picture of the documents."""
    path = run.folder / "picture.png"
    figure.savefig(path, dpi=150)
    Image.open(path).convert("RGB").save(picture, "webp", quality=85, method=6)


def picture(run: Run, unseen: Path) -> None:
    """Show test images, what the model decodes for them, and draws before and after revision."""
    model = run.model()
    assert isinstance(model, CooperativeModel)
    real = some_of(unseen, ACROSS)
    found = model.infer(real, RowRng(0, 0, range(16 * ACROSS), "clothes"))
    _, proposed = model.propose(ACROSS, RowRng(0, 0, range(ACROSS), "clothes, drawn"))
    revised = model.revise(proposed, RowRng(0, 1, range(ACROSS), "clothes, drawn"))
    shown = {
        "photographs that it has not seen": real,
        "decoded from their inferred latents": found.images,
        "drawn by the generator": proposed,
        "the same, revised by the descriptor": revised,
    }
    save(stages([(said, large(some)) for said, some in shown.items()]), run, PICTURE)


def main() -> None:
    """Learn, evaluate, draw, and print."""
    parser = arguments(__doc__, "clothes")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "clothes")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(message=f"clothes: skipped, since the shared data are not at {SHARED}\n")
    run, unseen = learned("cooperative", options.out)
    picture(run, unseen)
    found, last = evaluated(run), run.records()[-1]
    errors, drawn = found["reconstructions"], found["samples"]
    text = TEXT.format(
        machine=machine(),
        learned=found["training"],
        latents=run.plain_config()["latent_dim"],
        iterations=last["iteration"],
        minutes=last["seconds"] / 60,
        inferred=found["reconstructed"],
        count=found["drawn"],
        error=errors[MODEL]["error"],
        pca=errors[PCA]["error"],
        kid=drawn[MODEL]["kid"],
        gaussian=drawn[GAUSSIAN]["kid"],
        floor=drawn[TRAINING]["kid"],
        copies="found" if any(t["copied"] for t in found["copies"].values()) else "none found",
    )
    publish(options.write, "clothes", text)


if __name__ == "__main__":
    main()
