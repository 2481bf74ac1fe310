"""What one command learns from three thousand photographs of clothes, as a picture and in numbers.

    python benchmarks/clothes.py [--out build/clothes] [--write benchmarks/RESULTS.md]

It runs `tigon train cooperative --data clothes.npz --image-size 32`, evaluates the run on the
data's own test images, and writes the README's first picture, docs/pictures/clothes.webp.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from measuring import arguments, publish
from recipes import ROOT, SHARED, clothing, stored, tigon
from results import machine
from tigon.data.load import load_images
from tigon.data.pixels import enlarged, to_float, to_uint8
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


def picture(run: Run, unseen: Path) -> None:
    """Show test images, what the model decodes for them, and draws before and after revision."""
    model = run.model()
    assert isinstance(model, CooperativeModel)
    images = load_images(str(unseen), SIZE)
    rows = np.linspace(0, len(images) - 1, ACROSS).astype(int)
    real = to_float(images.pixels[rows])
    found = model.infer(real, RowRng(0, 0, range(16 * ACROSS), "clothes"))
    _, proposed = model.propose(ACROSS, RowRng(0, 0, range(ACROSS), "clothes, drawn"))
    revised = model.revise(proposed, RowRng(0, 1, range(ACROSS), "clothes, drawn")).x
    shown = {
        "photographs that it has not seen": real,
        "decoded from their inferred latents": found.images,
        "drawn by the generator": proposed,
        "the same, revised by the descriptor": revised,
    }
    figure = stages(
        [(said, to_uint8(enlarged(some, (96, 96), "bilinear"))) for said, some in shown.items()]
    )
    path = run.folder / "picture.png"
    figure.savefig(path, dpi=150)
    Image.open(path).convert("RGB").save(PICTURE, "webp", quality=85, method=6)


def main() -> None:
    """Learn, evaluate, draw, and print."""
    parser = arguments(__doc__, "clothes")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "clothes")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(message=f"clothes: skipped, since the shared data are not at {SHARED}\n")
    data = stored(options.out / "clothes.npz", lambda: clothing("train"))
    unseen = stored(options.out / "unseen.npz", lambda: clothing("test"))
    run = Run(options.out / "cooperative")
    words = ["--data", data, "--image-size", SIZE, "--out", run.folder]
    tigon("train", "cooperative", *words, threads=1)
    tigon("evaluate", run.folder, "--data", unseen, threads=1)
    picture(run, unseen)
    found, last = json.loads(run.evaluation.read_text()), run.records()[-1]
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
