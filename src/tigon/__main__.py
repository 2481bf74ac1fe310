"""`python -m tigon` is the command line."""

import sys

from tigon.cli import main

if __name__ == "__main__":
    sys.exit(main())
