"""The command line: `tigon VERB ...`.

Exit status: 0 done; 2 what was asked cannot be done, with one line on stderr; 3 training diverged;
130 interrupted, state saved. Progress goes to stderr, results to stdout.
"""

import contextlib
import io
import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tigon.errors import DivergenceError, TigonError
from tigon.files import refusal

if TYPE_CHECKING:
    from tigon.commands.common import Result

VERBS = {
    "demo": "learn both seed models on the embedded photographs, and write a report",
    "train": "learn a model: a new run, or the continuation of the same one",
    "resume": "continue a run that was stopped, or make a finished one longer",
    "sample": "draw images of a model",
    "reconstruct": "infer latents of images the model has not seen, and decode them",
    "interpolate": "walk through the latent space",
    "explore": "look around in a model on a page in the browser, also while it learns",
    "diagnose": "say whether a run is healthy, and if not, why and what to do",
    "export": "write a model folder to share, or a generator as ONNX",
    "report": "write a run's report.html, or compare several runs on one page",
}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RULE = re.compile(r"[─╰╯-]{3,}")
WRONG = ("Unrecognized", "Missing", "Error")
CANNOT, DIVERGED, INTERRUPTED = 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in ("-h", "--help"):
        print(usage())
        return 0
    if words and words[0] == "--version":
        from tigon import __version__

        print(f"tigon {__version__}")
        return 0
    if not words or words[0] not in VERBS:
        asked = f"no verb {words[0]!r}" if words else "a verb is needed"
        return _fail(f"{asked}; there are {', '.join(VERBS)} (tigon --help)", CANNOT)
    try:
        return _run(words)
    except DivergenceError as error:
        return _fail(str(error), DIVERGED)
    except TigonError as error:
        return _fail(str(error), CANNOT)
    except OSError as error:
        return _fail(f"{words[0]}: {refusal(error)}", CANNOT)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        return _fail(f"{words[0]}: out of memory; lower --batch-size or --image-size", CANNOT)
    except KeyboardInterrupt:
        return _fail("interrupted; what was saved is intact", INTERRUPTED)


def usage() -> str:
    """Return what `tigon --help` prints."""
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {what}" for verb, what in VERBS.items()]
    return "\n".join(
        ["usage: tigon VERB ...", "", *lines, "", "tigon VERB --help says a verb's options."]
    )


def _run(words: list[str]) -> int:
    command = _parse(words)
    if isinstance(command, int):
        return command
    result: Result = command.run()
    if result.text:
        text = json.dumps(result.values) if command.json else result.text
        print(text.encode("utf-8", "backslashreplace").decode(), flush=True)
    return result.status


def _parse(words: list[str]) -> Any:  # noqa: ANN401
    """Return the command that the words ask for, or the exit status where tyro has the answer."""
    import tyro

    from tigon import commands
    from tigon.recipes import RECIPES

    verb, rest = words[0], words[1:]
    if verb == "train" and not (rest and rest[0] in (*RECIPES, "-h", "--help")):
        which = f"no recipe {rest[0]!r}" if rest and rest[0][:1] != "-" else "a recipe comes first"
        return _fail(f"train: {which}; there are {', '.join(RECIPES)}", CANNOT)
    kind = _train_type() if verb == "train" else getattr(commands, verb.capitalize())
    asked = " ".join(words[: 2 if verb == "train" else 1])
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(kind, prog=f"tigon {verb}", args=rest)
    except ValueError as error:
        return _fail(f"{verb}: {error}", CANNOT)
    except SystemExit as end:
        if end.code:
            _fail(f"{verb}: {one_line(errors.getvalue())}; see tigon {asked} --help", CANNOT)
        return CANNOT if end.code else 0


def _train_type() -> Any:  # noqa: ANN401
    from typing import Annotated, Union

    import tyro

    from tigon.commands import Train
    from tigon.recipes import RECIPES

    kinds = []
    for name, recipe in RECIPES.items():
        description = " ".join((recipe.__doc__ or "").split("\n\n")[0].split())
        settings = tyro.conf.subcommand(name, description=description, prefix_name=False)
        kinds.append(Annotated[Train[recipe], settings])  # type: ignore[valid-type]
    return Union[tuple(kinds)]  # noqa: UP007


def one_line(box: str) -> str:
    """Return what one of tyro's boxes says, without frame, title, colours and hints, as one line.

    A box has parts with rules between them: what is wrong first, then hints, or what else is.
    Its title stands in the frame, or alone above the first rule where lines cannot be drawn.
    """
    parts: list[list[str]] = [[]]
    rows = [row.strip("│ \t") for row in COLOUR.sub("", box).splitlines()] or [""]
    for text in (
        rows[1:] if rows[0].startswith("╭") or RULE.fullmatch("".join(rows[1:2])) else rows
    ):
        if RULE.fullmatch(text):
            parts.append([])
        else:
            parts[-1].append(text)
    said = [" ".join(" ".join(part).split()).rstrip(".") for part in parts]
    first, *others = [part for part in said if part] or [""]
    text = "; ".join([first, *(part for part in others if part.startswith(WRONG))])
    return text.replace("__tyro-dummy-inner__.", "").replace("parsing recipe.", "parsing --")


def _fail(message: str, status: int) -> int:
    line = f"tigon: {' '.join(message.split())}"
    print(line.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
    return status
