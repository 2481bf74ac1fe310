"""Robust standard streams: the reader may go away, and the encoding may lack characters.

Closing a pipe or a terminal does not end a run, and any file name can be printed.
"""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

GONE = (errno.EPIPE, errno.EIO)  # from a pipe, from a terminal


class Lasting:
    """A stream that outlives its reader: text that can no longer be written is dropped."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return any other attribute of the stream."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write as much as possible; return the number of characters."""
        with unread(self.stream):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write the rest of the buffer, as far as possible."""
        with unread(self.stream):
            self.stream.flush()


def quiet() -> None:
    """Make each warning one line, and keep Matplotlib's own messages off stderr.

    They are about its font cache, a home folder that it cannot write to, and missing glyphs.
    """
    warnings.formatwarning = lambda message, category, *_: f"{category.__name__}: {message}\n"
    warnings.filterwarnings("ignore", "Glyph .* missing from")
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)


def open_closed() -> None:
    """Open streams that this process was started without (`2>&-`) on the null device.

    Otherwise the first opened file takes their number and gets their output.
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
    """Make stdout and stderr escape the characters that their encoding lacks, inside the block."""
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
            with suppress(OSError, ValueError):  # its reader has gone, or it is closed
                stream.reconfigure(errors=errors)


@contextmanager
def unread(stream: IO[str], only_gone: bool = False) -> Iterator[None]:
    """Once a stream cannot be written to, drop all further output to it.

    Its buffer keeps the unwritten text, which would fail again at the end of the process and
    change its exit status, so the stream is redirected to the null device.

    Arguments:
        only_gone: raise all errors, such as a full disk, except that the reader has gone
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
