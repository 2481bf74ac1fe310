"""Standard streams as they are: whose reader may go away, and whose encoding may lack letters.

A pipe or a terminal that is closed ends no run, and no name of a file is beyond what can be said.
"""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

GONE = (errno.EPIPE, errno.EIO)  # of a pipe, of a terminal


class Lasting:
    """A stream that outlives its reader: what can no longer be written is dropped."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return anything else of the stream."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write what can be written; returns the number of characters."""
        with unread(self.stream):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is left in the buffer, as far as it can be."""
        with unread(self.stream):
            self.stream.flush()


def quiet() -> None:
    """Let warnings be one line each, and keep the lines of Matplotlib itself from stderr.

    It tells of its font cache, of a home folder that it cannot write, of letters without a glyph.
    """
    warnings.formatwarning = lambda message, category, *_: f"{category.__name__}: {message}\n"
    warnings.filterwarnings("ignore", "Glyph .* missing from")
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)


def open_closed() -> None:
    """Let streams that this process was started without (`2>&-`) lead nowhere.

    Else the first file that is opened takes their number, and gets what is meant for them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))


@contextmanager
def escaping() -> Iterator[None]:
    """Let stdout and stderr, within, escape the letters that their encoding lacks."""
    before = [
        (stream, stream.errors)
        for stream in (sys.stdout, sys.stderr)
        if hasattr(stream, "reconfigure")
    ]
    for stream, _ in before:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in before:
            with suppress(OSError, ValueError):  # its reader is gone, or it is closed
                stream.reconfigure(errors=errors)


@contextmanager
def unread(stream: IO[str], only_gone: bool = False) -> Iterator[None]:
    """Where a stream cannot be written to, drop what is written to it from then on.

    Its buffer keeps what was not written, and that would fail once more at the end of the
    process, whose exit status it would change: so the stream leads nowhere then.

    Arguments:
        only_gone: raise other errors than those of a reader that is gone, as of a full disk
    """
    try:
        yield
    except OSError as error:
        if only_gone and error.errno not in GONE:
            raise
        with suppress(OSError, ValueError):  # a stream without a file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
