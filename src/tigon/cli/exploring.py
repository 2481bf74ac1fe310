"""tigon explore: look around in a model on a local web page."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from tigon.cli.common import Flag, Moved, Result, RunFolder, tell_if_moved
from tigon.cli.progress import busy
from tigon.errors import TigonError, install
from tigon.runs.experiment import choose_device
from tigon.runs.run import Run

NEEDED = ("fastapi", "uvicorn", "websockets")


@dataclass(frozen=True)
class Explore:
    """Look around in a model in the browser, even while it is still learning.

    The page is served on 127.0.0.1 until Ctrl-C; its address is printed on stdout.

    Arguments:
        run_folder: the run folder
        port: the page's port; 0 picks a free one
        data: where the run's training images are now, if they have moved
        device: auto, cpu, cuda, cuda:N, or mps (untested)
        no_browser: only print the address
    """

    run_folder: RunFolder
    port: int = 8765
    data: Moved = None
    device: str = "auto"
    no_browser: Annotated[Flag, tyro.conf.arg(name="no-browser")] = False

    def run(self) -> Result:
        """Load the newest checkpoint and serve the page."""
        _require_extra()
        from tigon.explorer.hub import Hub
        from tigon.explorer.serving import listen, serve

        run, device = Run(self.run_folder, data=self.data), choose_device(self.device)
        tell_if_moved(run)
        with listen(self.port) as listening:
            with busy("loading the model"):
                hub = Hub(run, device)
            serve(hub, listening, _tell, not self.no_browser)
        return Result("", {})


def _tell(url: str) -> None:
    print(url, flush=True)
    print("press Ctrl-C to stop", file=sys.stderr, flush=True)


def _require_extra() -> None:
    """Check that the packages that serve the page are installed.

    Raises:
        TigonError: if one of them is missing
    """
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise TigonError(f"explore: {', '.join(missing)} not installed; do: {install('explore')}")
