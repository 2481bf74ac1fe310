"""The page itself: HTML without scripts, which makes no network requests."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from tigon import __version__
from tigon.files import replace_file
from tigon.report.sections import Section, section
from tigon.report.tables import Comparison
from tigon.runs.run import Run


def write_report(run: Run, path: Path | None = None) -> Path:
    """Write RUN/figures and RUN/report.html, or the page at another `path`; return its path.

    Raises:
        TigonError: if the run has no checkpoint or no readable data
    """
    return render([section(run)], path or run.folder / "report.html", run.name)


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
    replace_file(path, page)
    return path
