"""What models are for, measured: restoring, learning from incomplete images, judging.

    python benchmarks/tasks.py [--seeds 0 1 2] [--minutes 15] [--only restoring ...]
        [--write benchmarks/RESULTS.md]

Runs `restoring.py`, `incomplete.py` and `judging.py`, one after another, each in a process of its
own, with these seeds; the first and the last learn each of their models for so many minutes. Each
prints its table and replaces its section of the results. Where one fails, the others still run;
the status is 1 then.
"""

import subprocess
import sys
from pathlib import Path

from measuring import arguments

HERE = Path(__file__).parent
TIMED, NAMES = ("restoring", "judging"), ("restoring", "incomplete", "judging")


def main() -> int:
    """Run them all; return the status."""
    parser = arguments(__doc__, "of each")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, for each model")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    options = parser.parse_args()
    status = 0
    for name in options.only:
        words = ["--seeds", *options.seeds]
        words += ["--minutes", options.minutes] if name in TIMED else []
        words += ["--write", options.write] if options.write else []
        command = [sys.executable, str(HERE / f"{name}.py"), *map(str, words)]
        status |= bool(subprocess.run(command).returncode)
    return status


if __name__ == "__main__":
    sys.exit(main())
