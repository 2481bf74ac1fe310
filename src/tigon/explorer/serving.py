"""Serve a run's page on 127.0.0.1 until it is stopped."""

import contextlib
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator
from os import environ
from types import FrameType

import uvicorn

from tigon.errors import TigonError
from tigon.explorer.app import make_app
from tigon.explorer.hub import Hub
from tigon.signals import handled

ADDRESS = "127.0.0.1"
LARGEST_MESSAGE = 16 * 2**20


def serve(hub: Hub, listening: socket.socket, tell: Callable[[str], None], browser: bool) -> None:
    """Serve pages until a signal ends it; a second one does not wait for open pages.

    Arguments:
        listening: the socket returned by `listen`; it is closed at the end
        tell: called with the address when the page is ready
        browser: whether to open it, if there is a display
    """
    number = listening.getsockname()[1]
    url = f"http://{ADDRESS}:{number}/"

    def ready() -> None:
        tell(url)
        if browser and _has_display():
            webbrowser.open(url)

    config = uvicorn.Config(
        make_app(hub, number, ready),
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    with listening:
        _Server(config).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that a signal ends without an error: pages have nothing to save."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals only end the server; uvicorn's own handler would raise them again."""

        def end(number: int, frame: FrameType | None) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        with handled(end):
            yield


def listen(port: int) -> socket.socket:
    """Return a socket bound to a port of 127.0.0.1, 0 for a free one.

    Raises:
        TigonError: if it cannot be had
    """
    if not 0 <= port <= 65535:
        raise TigonError(f"--port {port}: is 0 to 65535; 0 picks a free one")
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((ADDRESS, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise TigonError(
            f"--port {port}: cannot be had ({error.strerror}); give another, or 0 for a free one"
        ) from error
    return bound


def _has_display() -> bool:
    """Return whether there is a display; otherwise a text browser would take over the terminal."""
    return sys.platform in ("darwin", "win32") or any(
        environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
