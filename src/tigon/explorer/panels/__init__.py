"""The parts of a page: a recipe lists the panels that show its models.

A panel checks what a model can do, never what it is. A new panel has a class here that is listed
in `PANELS`, and a module with the same name in `static/panels`.
"""

from tigon.errors import TigonError
from tigon.explorer.panels.base import Panel, Request
from tigon.explorer.panels.chain import ChainPanel
from tigon.explorer.panels.fill import FillPanel
from tigon.explorer.panels.latents import InferencePanel, PicturePanel, PlanePanel
from tigon.explorer.panels.pictures import CurvesPanel, PicturesPanel
from tigon.explorer.panels.score import ScorePanel

PANELS: dict[str, Panel] = {
    panel.name: panel
    for panel in (
        PlanePanel(),
        PicturePanel(),
        InferencePanel(),
        ChainPanel(),
        FillPanel(),
        ScorePanel(),
        PicturesPanel(),
        CurvesPanel(),
    )
}


def panels_named(names: tuple[str, ...]) -> tuple[Panel, ...]:
    """Return the panels with these names.

    Raises:
        TigonError: if there is none with a name
    """
    for name in names:
        if name not in PANELS:
            raise TigonError(f"panel {name!r}: there are {', '.join(PANELS)}")
    return tuple(PANELS[name] for name in names)


def panel_asked(request: Request) -> Panel:
    """Return the panel that answers a request."""
    return next(panel for panel in PANELS.values() if isinstance(request, panel.requests))
