"""The thread that does all work on models, serving one turn of one page at a time."""

import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Protocol


class Turns(Protocol):
    """Anything that sometimes has work, in pieces that take a fraction of a second."""

    def wait(self, now: float) -> float | None:
        """Return in how many seconds there is work: 0 for now, None if there is none."""

    def turn(self) -> None:
        """Do one piece of work."""


class Worker:
    """Serves pages in turn, so that no page has to wait until another has finished.

    All methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._pages: list[Turns] = []
        self._jobs: list[Callable[[], None]] = []
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="tigon-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """End the thread after its current piece of work."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def add(self, page: Turns) -> None:
        """Serve this page from now on."""
        with self._changed:
            self._pages.append(page)
            self._changed.notify()

    def remove(self, page: Turns) -> None:
        """Stop serving this page."""
        with self._changed:
            self._pages.remove(page)

    def submit(self, job: Callable[[], None]) -> None:
        """Run this once, before the next turn."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def wake(self) -> None:
        """Check again which pages have work."""
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                work = self._next()
                while not work and not self._stopped:
                    self._changed.wait(self._sleep())
                    work = self._next()
                if self._stopped:
                    return
            for piece in work:
                _guarded(piece)

    def _next(self) -> list[Callable[[], None]]:
        """Return what to do now: all jobs, and one turn of each page that has work."""
        now = time.monotonic()
        jobs, self._jobs = self._jobs, []
        return jobs + [page.turn for page in self._pages if page.wait(now) == 0]

    def _sleep(self) -> float | None:
        now = time.monotonic()
        waits = [wait for page in self._pages if (wait := page.wait(now)) is not None]
        return min(waits, default=None)


def _guarded(piece: Callable[[], None]) -> None:
    """Do a piece of work; an unexpected error is printed, and the thread continues."""
    try:
        piece()
    except Exception:
        traceback.print_exc(file=sys.stderr)
