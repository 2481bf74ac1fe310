"""What `tigon score` writes and prints: scores, percentiles, and how well defects are told."""

import csv
import io
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from tigon.cli.evaluating import table
from tigon.cli.progress import counted
from tigon.data.defects import ALL, DefectSet
from tigon.data.images import ImageSet
from tigon.diagnostics.outliers import PCA, Baselines, auprc, auroc, by_class
from tigon.inference.score import Scored, percentiles, threshold

LISTED = 5  # unusual images that are printed


class Table(NamedTuple):
    """What is known of the scored images.

    Attributes:
        images: the images
        found: their scores
        above: percentiles of each score, by name; empty without calibration
        calibrated: number of calibration images
        defects: classes and masks, in the layout of anomaly benchmarks
        limit: threshold of labels, if these are asked for
        by: name of the score that labels and order go by
    """

    images: ImageSet
    found: Scored
    above: dict[str, Tensor]
    calibrated: int
    defects: DefectSet | None
    limit: float | None
    by: str

    @staticmethod
    def of(
        images: ImageSet,
        found: Scored,
        beside: Scored | None,
        defects: DefectSet | None,
        contamination: float | None,
        by: str,
    ) -> "Table":
        """Return the table of scores, held against those of calibration images `beside`."""
        if beside is None:
            return Table(images, found, {}, 0, defects, None, by)
        above = {name: percentiles(s, beside.scores[name]) for name, s in found.scores.items()}
        limit = None if contamination is None else threshold(beside.scores[by], contamination)
        return Table(images, found, above, len(beside.scores[by]), defects, limit, by)

    @property
    def main(self) -> np.ndarray:
        """The scores that order goes by, (N,), float64."""
        return self.found.scores[self.by].double().numpy()

    @property
    def labels(self) -> np.ndarray:
        """1 for images above the threshold and 0 for others, (N,)."""
        assert self.limit is not None
        return (self.main > self.limit).astype(int)

    def order(self) -> np.ndarray:
        """Return the rows, the most unusual first."""
        return np.argsort(-self.main, kind="stable")

    def columns(self) -> list[str]:
        """Return the names of the columns."""
        named = ["name"] + ["class"] * (self.defects is not None)
        named += [*self.found.scores, *(f"{name}_percentile" for name in self.above)]
        return named + ["label"] * (self.limit is not None)

    def text(self) -> str:
        """Return the table as CSV."""
        columns: list[list[str]] = [list(self.images.names)]
        if self.defects is not None:
            columns.append(self.defects.classes)
        columns += [[f"{value:.9g}" for value in s.tolist()] for s in self.found.scores.values()]
        columns += [[f"{value:.6g}" for value in p.tolist()] for p in self.above.values()]
        if self.limit is not None:
            columns.append([str(label) for label in self.labels])
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns())
        writer.writerows(zip(*columns, strict=True))
        return text.getvalue()

    def said(self) -> str:
        """Say what was scored, and beside what."""
        said = f"{counted(len(self.images), 'image')} scored by {self.by}"
        if self.calibrated:
            said += f", beside {counted(self.calibrated, 'calibration image')}"
        if self.limit is not None:
            said += f"; {self.labels.sum()} labelled 1, above {self.limit:.6g}"
        return said

    def most_unusual(self) -> list[str]:
        """Say which images are the most unusual."""
        rows = {}
        for row in self.order()[:LISTED].tolist():
            cells = [f"{self.main[row]:.6g}"]
            if self.above:
                cells.append(f"{self.above[self.by][row].item():.1f}")
            rows[self.images.names[row]] = tuple(cells)
        heads = (self.by, "percentile") if self.above else (self.by,)
        return [table("most unusual", heads, rows)]

    def values(self) -> dict[str, Any]:
        """Return the numbers of the table for programs."""
        names = self.images.names
        order = self.order()[:LISTED].tolist()
        return {
            "images": len(self.images),
            "calibration": self.calibrated,
            "by": self.by,
            "threshold": self.limit,
            "labelled": None if self.limit is None else int(self.labels.sum()),
            "most_unusual": {names[row]: self.main[row] for row in order},
        }


class Told(NamedTuple):
    """How well scores tell images with defects from good ones.

    Attributes:
        values: by measure, score, and class of defects
        notes: what is left out
    """

    values: dict[str, dict[str, dict[str, float]]]
    notes: tuple[str, ...]

    @staticmethod
    def of(scored: Table, baselines: Baselines) -> "Told":
        """Measure scores and baselines on the test images of an anomaly benchmark."""
        defects = scored.defects
        assert defects is not None
        images = defects.images.read()
        scores = {name: s.double() for name, s in scored.found.scores.items()}
        scores |= baselines.scores(images)
        values = {
            what: {name: by_class(s.numpy(), defects.classes, m) for name, s in scores.items()}
            for what, m in (("auroc", auroc), ("auprc", auprc))
        }
        if defects.defective.any():
            maps = {"map": scored.found.maps, PCA: baselines.residuals(images)}
            where = defects.defective.ravel()
            values["pixel_auroc"] = {
                name: {ALL: auroc(some[defects.masked].numpy().ravel(), where)}
                for name, some in maps.items()
            }
        return Told(values, (*defects.notes, *baselines.notes))

    def lines(self) -> list[str]:
        """Return tables, and what was left out."""
        titles = {
            "auroc": "AUROC of images, 0.5 by chance",
            "auprc": "AUPRC of images, by chance the part that has defects",
            "pixel_auroc": "AUROC of pixels",
        }
        found = []
        for what, scores in self.values.items():
            heads = tuple(next(iter(scores.values())))
            rows = {name: tuple(f"{v:.3f}" for v in row.values()) for name, row in scores.items()}
            found.append(table(titles[what], heads, rows))
        return [*found, *(f"note {note}" for note in self.notes)]
