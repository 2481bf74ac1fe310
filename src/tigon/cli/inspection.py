"""tigon diagnose and report: whether a run is healthy, and what it looks like."""

from dataclasses import dataclass
from pathlib import Path

from tigon.cli.common import (
    Json,
    Moved,
    Result,
    RunFolder,
    RunFolders,
    Which,
    tell_if_moved,
)
from tigon.cli.progress import SLOW, busy, tell
from tigon.errors import TigonError
from tigon.figures import Figure
from tigon.outputs import check_out
from tigon.report import (
    evaluation_figures,
    is_kept,
    save_diagnosis,
    write_comparison,
    write_report,
)
from tigon.runs.diagnosis import LENGTH, SEED, Diagnosis, diagnose
from tigon.runs.experiment import choose_device
from tigon.runs.run import Run


@dataclass(frozen=True)
class Diagnose:
    """Say whether a run is healthy, and if not, why and what to do.

    It runs the learned model's chains: parallel ones on latents, long ones on images. A run that
    failed, or has no checkpoint, is judged by what it left behind. RUN/diagnosis.json and figures
    are written, unless the run is read-only.

    Arguments:
        run_folder: the run folder
        long: length of the long-run test of images, in training chains, 1 to 100
        seed: seed for the chains, >= 0
        checkpoint: the checkpoint to use: last, best, or an iteration
        data: where the run's training images are now, if they have moved
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        json: print one JSON object instead of text
    """

    run_folder: RunFolder
    long: int = LENGTH
    seed: int = SEED
    checkpoint: Which = "last"
    data: Moved = None
    device: str = "auto"
    json: Json = False

    def run(self) -> Result:
        """Diagnose; write RUN/diagnosis.json and figures; print the findings."""
        if not 1 <= self.long <= 100 or self.seed < 0:
            raise TigonError("--long must be 1 to 100, and --seed at least 0")
        run = Run(self.run_folder, self.checkpoint, self.data)
        if self.checkpoint != "last":
            run.find()
        tell_if_moved(run)
        with busy("running chains", log=True, after=SLOW):
            diagnosis = diagnose(run, self.long, self.seed, choose_device(self.device))
        saved = self._saved(run, diagnosis)
        values = diagnosis.to_plain() | {"figures": [str(path) for path in saved]}
        return Result(text_of(diagnosis, saved), values)

    def _saved(self, run: Run, diagnosis: Diagnosis[Figure]) -> list[Path]:
        """Write RUN/diagnosis.json and figures; return these, and those of the evaluation.

        None if RUN is read-only.
        """
        if not is_kept(run):
            tell(f"run {run.folder}: is read-only; diagnosis.json and figures are not written")
            return []
        drawn = [*save_diagnosis(run, diagnosis).figures, *evaluation_figures(run)]
        return [run.folder / "figures" / f"{figure.name}.png" for figure in drawn]


@dataclass(frozen=True)
class Report:
    """Write a page about a run, or one that compares several.

    One run: RUN/report.html, self-contained, and RUN/figures. Several runs: one self-contained
    page with a table of what they are and their results, the settings that differ, curves on the
    same axes, and images side by side; the runs are not changed.

    Arguments:
        run_folders: the run folders
        out: the page's file, .html; nothing is then written in the run. By default
            RUN/report.html, or for several runs comparison.html in the current folder
        checkpoint: the checkpoint of each run to use: last, best, or an iteration
        data: where the runs' training images, the same for all, are now, if they have moved
        json: print one JSON object instead of text
    """

    run_folders: RunFolders
    out: Path | None = None
    checkpoint: Which = "last"
    data: Moved = None
    json: Json = False

    def run(self) -> Result:
        """Make the figures and the page."""
        if not self.run_folders:
            raise TigonError("report: needs a run folder, or several to compare")
        if self.out is not None:
            check_out(self.out, (*self.run_folders, self.data), (".html",))
        runs = [Run(folder, self.checkpoint, self.data) for folder in self.run_folders]
        for run in runs:
            tell_if_moved(run)
        with busy("running chains and drawing", log=True, after=SLOW):
            report = self._write(runs).resolve()
        return Result(f"report: {report}", {"report": str(report)})

    def _write(self, runs: list[Run]) -> Path:
        if len(runs) == 1:
            return write_report(runs[0], self.out)
        return write_comparison(runs, self.out or Path("comparison.html"))


def text_of(diagnosis: Diagnosis, saved: list[Path]) -> str:
    """Return a diagnosis as text: one paragraph per finding, and the verdict at the end."""
    lines = []
    for finding in diagnosis.findings:
        lines.append(f"{finding.level.name.lower():<5}{finding.name}: {finding.what}")
        if finding.remedy:
            lines.append(f"     do: {finding.remedy}")
    lines += [f"figure: {path}" for path in saved]
    return "\n".join([*lines, f"verdict: {diagnosis.name} is {diagnosis.verdict}"])
