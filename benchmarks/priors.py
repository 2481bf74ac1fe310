"""What a learned prior changes in the images that a generator draws, as a picture and in numbers.

    python benchmarks/priors.py [--out build/priors] [--write benchmarks/RESULTS.md]

It runs `tigon train generator` and `tigon train latent-ebm` on three thousand photographs of
clothes, evaluates both on the data's own test images, and writes docs/pictures/learned-prior.webp:
draws of both, with the same seeds.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from measuring import arguments, publish
from recipes import ROOT, SHARED, clothing, stored, tigon
from results import machine, table
from tigon.data.load import load_images
from tigon.data.pixels import enlarged, to_float, to_uint8
from tigon.diagnostics.evaluation import GAUSSIAN, MODEL, PCA, TRAINING
from tigon.figures import stages
from tigon.random.streams import RowRng
from tigon.runs.run import Run

SIZE, ACROSS, LINES = 32, 14, 2
PICTURE = ROOT / "docs" / "pictures" / "learned-prior.webp"
KINDS = {
    "generator": "drawn with the prior N(0, I)",
    "latent-ebm": "drawn with a prior that was learned",
}
TEXT = """## A prior that is learned

`python benchmarks/priors.py`: `tigon train RECIPE --data clothes.npz --image-size 32`, with no
other option, on the training images of clothing64 (CC0), and `tigon evaluate` on its test images.
Seed 0; {machine}. KID-lite0 of {count} drawn images to as many test images; that of a Gaussian on
as many principal components is {gaussian:.2f}, that of training images {floor:.2f}. Errors of
reconstructions are mean squares on [-1, 1]; those of as many principal components {pca:.4f}.

{rows}"""


def picture(runs: dict[str, Run], unseen: Path) -> None:
    """Show test images, and draws of each kind."""
    images = load_images(str(unseen), SIZE)
    count = ACROSS * LINES
    rows = np.linspace(0, len(images) - 1, count).astype(int)
    shown = {"photographs that neither has seen": to_float(images.pixels[rows])}
    for kind, run in runs.items():
        shown[KINDS[kind]] = run.model().sample(count, RowRng(0, 0, range(count), "priors"))
    lines = []
    for said, some in shown.items():
        large = to_uint8(enlarged(some, (96, 96), "bilinear"))
        lines += [
            (said if first == 0 else "", large[first : first + ACROSS])
            for first in range(0, count, ACROSS)
        ]
    figure = stages(lines)
    path = next(iter(runs.values())).folder / "picture.png"
    figure.savefig(path, dpi=150)
    Image.open(path).convert("RGB").save(PICTURE, "webp", quality=85, method=6)


def main() -> None:
    """Learn, evaluate, draw, and print."""
    parser = arguments(__doc__, "priors")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "priors")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(message=f"priors: skipped, since the shared data are not at {SHARED}\n")
    data = stored(options.out / "clothes.npz", lambda: clothing("train"))
    unseen = stored(options.out / "unseen.npz", lambda: clothing("test"))
    runs, lines = {}, []
    for kind in KINDS:
        run = runs[kind] = Run(options.out / kind)
        tigon("train", kind, "--data", data, "--image-size", SIZE, "--out", run.folder, threads=1)
        tigon("evaluate", run.folder, "--data", unseen, threads=1)
        found, last = json.loads(run.evaluation.read_text()), run.records()[-1]
        errors, drawn = found["reconstructions"], found["samples"]
        lines.append(
            {
                "recipe": f"`{kind}`",
                "latents": str(run.plain_config()["latent_dim"]),
                "iterations": str(last["iteration"]),
                "minutes, one thread": f"{last['seconds'] / 60:.1f}",
                "error": f"{errors[MODEL]['error']:.4f}",
                "KID-lite0": f"{drawn[MODEL]['kid']:.2f}",
                "FD-lite0": f"{drawn[MODEL]['frechet']:.0f}",
                "energy distance": f"{drawn[MODEL]['energy']:.3f}",
            }
        )
    picture(runs, unseen)
    text = TEXT.format(
        machine=machine(threads=1),
        rows=table(lines),
        count=found["drawn"],
        gaussian=drawn[GAUSSIAN]["kid"],
        floor=drawn[TRAINING]["kid"],
        pca=errors[PCA]["error"],
    )
    publish(options.write, "priors", text)


if __name__ == "__main__":
    main()
