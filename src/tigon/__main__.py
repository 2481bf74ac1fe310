"""`python -m tigon`, or `tigon`, is the command line."""

import os
import sys

from tigon.cli.main import main
from tigon.cli.stdio import open_closed, quiet
from tigon.memory import keep_freed_memory
from tigon.signals import answer


def run() -> None:
    """Run the command line, and end with its status."""
    open_closed()
    keep_freed_memory()
    quiet()
    status = main()
    answer(lambda *_: os._exit(status))  # all is said, and Python would say more
    if "WORLD_SIZE" in os.environ:
        from tigon.distributed import leave

        leave(status)
    sys.exit(status)


if __name__ == "__main__":
    run()
