"""What a learned prior changes in the images that a generator draws, as a picture and in numbers.

    python benchmarks/priors.py [--out build/priors] [--write benchmarks/RESULTS.md]

It runs `tigon train generator`, with N(0, I) as the prior and with a mixture of normal densities,
and `tigon train latent-ebm` on three thousand photographs of clothes, evaluates each on the data's
own test images, and writes docs/pictures/learned-prior.webp: draws with N(0, I) and with a
mixture, with the same seeds.
"""

from pathlib import Path

from clothes import ACROSS, large, learned, save, some_of
from measuring import arguments, publish
from recipes import ROOT, SHARED, evaluated
from results import machine, table
from tigon.diagnostics.evaluation import GAUSSIAN, MODEL, PCA, TRAINING
from tigon.figures import stages
from tigon.random.streams import RowRng
from tigon.runs.run import Run

LINES = 2  # of pictures of each kind
PICTURE = ROOT / "docs" / "pictures" / "learned-prior.webp"
KINDS = {
    "generator --components 1": "drawn with the prior N(0, I)",
    "generator": "drawn with a mixture as the prior",
    "latent-ebm": "",  # not shown
}
TEXT = """## A prior that is learned

`python benchmarks/priors.py`: `tigon train RECIPE --data clothes.npz --image-size 32`, with no
other option but those below, on the training images of clothing64 (CC0), and `tigon evaluate` on
its test images. Seed 0; {machine}.
KID-lite0 of {count} drawn images to as many test images; that of a Gaussian on as many principal
components is {gaussian:.2f}, that of training images {floor:.2f}. Errors of reconstructions are
mean squares on [-1, 1]; that of as many principal components is {pca:.4f}.

{rows}"""


def picture(runs: dict[str, Run], unseen: Path) -> None:
    """Show test images, and draws of each kind."""
    count = ACROSS * LINES
    shown = {"photographs that neither has seen": some_of(unseen, count)}
    for kind, said in KINDS.items():
        if said:
            drawn = runs[kind].model().sample(count, RowRng(0, 0, range(count), "priors"))
            shown[said] = drawn
    lines = []
    for said, some in shown.items():
        lines += [
            (said if first == 0 else "", large(some[first : first + ACROSS]))
            for first in range(0, count, ACROSS)
        ]
    save(stages(lines), next(iter(runs.values())), PICTURE)


def main() -> None:
    """Learn, evaluate, draw, and print."""
    parser = arguments(__doc__, "priors")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "priors")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(message=f"priors: skipped, since the shared data are not at {SHARED}\n")
    runs, lines = {}, []
    for kind in KINDS:
        run, unseen = learned(kind, options.out)
        runs[kind], found, last = run, evaluated(run), run.records()[-1]
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
