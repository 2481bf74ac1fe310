"""What Ctrl-C and similar signals do: stop between iterations, end the work, or end at once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tigon.cli import INTERRUPTED
from tigon.signals import handled

INTACT = "what was saved is intact"
ENDED = f"tigon: interrupted; {INTACT}\n".encode()
STOPPING = b"stopping after this iteration; interrupt again to stop now without saving it\n"


class Interruption:
    """Whether the user has asked to stop: call it."""

    asked = False

    def __call__(self) -> bool:
        """Return whether a stop signal has arrived."""
        return self.asked


_ending = Interruption()


@contextmanager
def endable() -> Iterator[None]:
    """Let a signal end the work with a KeyboardInterrupt; a second one ends the process."""
    _ending.asked = False
    with handled(_end):
        yield


@contextmanager
def interruptible(told: bool = True) -> Iterator[Interruption]:
    """Let a signal ask for a stop between two iterations; a second one ends the work.

    Arguments:
        told: acknowledge the signal on stderr
    """
    state = Interruption()

    def ask(number: int, frame: FrameType | None) -> None:
        if state.asked:
            _end(number, frame)
        state.asked = True
        if told:
            _say(STOPPING)

    with handled(ask):
        yield state


def _end(number: int, frame: FrameType | None) -> None:
    if _ending.asked or _imports(frame):
        _say(ENDED)
        os._exit(INTERRUPTED)
    _ending.asked = True
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    """Return whether an import is running: many swallow exceptions, or go on without a part."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _say(line: bytes) -> None:
    """Write a line on stderr, without print, which the signal may have interrupted."""
    after = b"\n" if os.isatty(2) else b""  # after the terminal's own ^C
    with suppress(OSError):  # Ctrl-C may have ended the reader, too
        os.write(2, after + line)
