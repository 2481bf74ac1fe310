"""Memory of the process: its peak, and how to let freed blocks be used again.

For each large tensor that is freed, glibc's allocator gives its pages back to the system, and the
next tensor of that size takes thousands of page faults to get them again.
"""

import ctypes
import os
import platform
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # of mallopt(3)
MOST, PADDING = 2**31 - 1, 64 << 20
SETTINGS = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "GLIBC_TUNABLES",
)


def peak_memory() -> int | None:
    """Return the most bytes of memory that this process has had; None where no one counts them."""
    try:
        import resource
    except ImportError:  # on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def keep_freed_memory() -> bool:
    """Let the allocator of this process keep what is freed, from now on.

    The process then stays as large as it has been at its peak, by up to 2 GiB. The command line
    calls this; a script may, since it is the script's process. Settings of glibc in the
    environment (`MALLOC_TRIM_THRESHOLD_` and its like) are respected.

    Returns:
        whether it does: False where the C library is not glibc, or the environment says otherwise
    """
    asked = any(name in os.environ for name in SETTINGS)
    if platform.libc_ver()[0] != "glibc" or asked:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(
        mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, MOST) and mallopt(TOP_PAD, PADDING)
    )
