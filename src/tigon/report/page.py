"""The page itself: HTML without scripts, which makes no network requests."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from tigon import __version__
from tigon.errors import TigonError
from tigon.files import is_writable, parents_made, replace_file
from tigon.report.sections import Section, section
from tigon.report.tables import Comparison
from tigon.runs.run import Run


def write_report(run: Run, path: Path | None = None) -> Path:
    """Write a page about a run; return its path.

    Arguments:
        path: of the page; the run then stays as it is. If not given, RUN/report.html, beside
            RUN/figures and RUN/diagnosis.json
    Raises:
        TigonError: if the run has no checkpoint or no readable data, or cannot be written
    """
    if path is None and run.folder.is_dir() and not is_writable(run.folder):
        raise TigonError(f"run {run.folder}: cannot be written; give --out PAGE.html elsewhere")
    return render([section(run, path is None)], path or run.folder / "report.html", run.name)


def render(
    sections: Sequence[Section], path: Path, title: str, comparison: Comparison | None = None
) -> Path:
    """Write a self-contained page about one or more runs to `path`.

    Arguments:
        comparison: comparison of the runs, shown first; their sections are then collapsed
    """
    environment = Environment(
        loader=PackageLoader("tigon", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        title=title, sections=sections, version=__version__, comparison=comparison
    )
    with parents_made(path):
        replace_file(path, page)
    return path
