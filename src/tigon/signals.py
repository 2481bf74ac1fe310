"""Signals that ask a process to end: Ctrl-C, a queue's SIGTERM, a lost terminal's SIGHUP."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Let a function answer the signals that ask this process to end, within."""
    before = answer(handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def answer(handler: Handler) -> dict[int, Any]:
    """Let a function answer these signals from now on; returns what did before, by number.

    Those that the process was started to ignore it ignores, as nohup and `&` want it. Outside the
    main thread, which alone gets signals, nothing changes.
    """
    known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    alone = threading.current_thread() is threading.main_thread()
    ours = [number for number in known if alone and signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in ours}
