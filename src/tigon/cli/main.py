"""The command line: `tigon VERB ...`.

Exit status: 0 done; 2 the request cannot be done, with one line on stderr; 3 training diverged;
130 interrupted, state saved. Progress goes to stderr, results to stdout.
"""

import contextlib
import difflib
import io
import json
import re
import sys
from collections.abc import Collection, Sequence
from importlib.metadata import entry_points
from textwrap import wrap
from typing import TYPE_CHECKING, Any, TextIO, cast

from tigon.cli import CANNOT, DIVERGED, INTERRUPTED
from tigon.cli.interrupts import INTACT, endable
from tigon.cli.stdio import Lasting, escaping, unread
from tigon.errors import DivergenceError, TigonError
from tigon.files import refusal

if TYPE_CHECKING:
    from tigon.cli.common import Result

VERBS = {
    "demo": "learn a generator and a descriptor from ten photographs; report",
    "train": "learn a model: tigon train RECIPE; the same command continues it",
    "resume": "continue a run that was stopped, or make a finished one longer",
    "sample": "draw images from a model",
    "reconstruct": "infer latents of images the model has not seen, and decode them",
    "restore": "draw what images may have been, given a part of them",
    "score": "say how unusual each image is under a model",
    "interpolate": "walk through the latent space",
    "explore": "look around in a model in the browser, even while it learns",
    "evaluate": "measure a model on images it has not seen, against baselines",
    "diagnose": "say whether a run is healthy, and if not, why and what to do",
    "export": "write a model folder to share, or a generator as ONNX",
    "report": "write a run's report.html, or compare runs on one page",
}
LESS = {  # how to need less memory, by verb
    "train": "lower --batch-size, --network.width or --image-size",
    "reconstruct": "lower --starts, or give fewer images as --data",
    "restore": "lower --chains, or give fewer images as --data",
    "score": "lower --starts, or give fewer images as --data",
    "evaluate": "lower --count, --starts or --likelihood-chains, or give another --device",
    "diagnose": "lower --long, or give another --device",
} | dict.fromkeys(
    ("demo", "resume", "sample", "interpolate", "explore"), "free some, or give another --device"
)
ELSEWHERE = {  # what other programs call an option
    "lr": "optimizer.learning-rate",
    "epochs": "iterations",
    "num-train-epochs": "iterations",
    "max-train-steps": "iterations",
    "num-steps": "iterations",
    "resolution": "image-size",
    "train-batch-size": "batch-size",
    "train-data-dir": "data",
    "data-dir": "data",
    "dataset": "data",
    "dataset-name": "data",
    "output-dir": "out",
    "num-samples": "count",
    "gpu": "device",
}
RESUME = ("resume-from-checkpoint", "resume", "ckpt-path")
# tyro gives errors only as a printed box, and options only as help text: the hook in
# `tyro._errors` may change with any release, and `tyro.extras.get_parser` will be removed.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RULE = re.compile(r"[─╰╯-]{3,}")
OPTION = re.compile(r"(?<![\w.-])--[a-z][\w.-]*\w")
UNRECOGNIZED = re.compile(r"Unrecognized options: [^;]*")
WRONG = ("Unrecognized", "Missing", "Error")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status, even if its streams fail."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    lasting = contextlib.redirect_stderr(cast("TextIO", Lasting(sys.stderr)))
    with escaping(), lasting, endable():
        return _answer(words)


def _answer(words: list[str]) -> int:
    try:
        return _answered(words)
    except DivergenceError as error:
        return _fail(str(error), DIVERGED)
    except TigonError as error:
        return _fail(str(error), CANNOT)
    except OSError as error:
        return _fail(f"{words[0]}: {refusal(error)}", CANNOT)
    except OverflowError as error:
        return _fail(f"{words[0]}: a number is too large ({error})", CANNOT)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        less = LESS.get(words[0], "free some")
        return _fail(f"{words[0]}: out of memory; {less}", CANNOT)
    except KeyboardInterrupt:
        return _fail(f"interrupted; {INTACT}", INTERRUPTED)


def _answered(words: list[str]) -> int:
    if words and words[0] in ("-h", "--help"):
        _say(usage())
        return 0
    if words and words[0] == "--version":
        from tigon import __version__

        _say(f"tigon {__version__}")
        return 0
    if not words or words[0] not in VERBS:
        asked = f"no verb {words[0]!r}{meant(words[0], VERBS)}" if words else "a verb is needed"
        return _fail(f"{asked}; there are {', '.join(VERBS)} (tigon --help)", CANNOT)
    return _run(words)


def usage() -> str:
    """Return what `tigon --help` prints."""
    verbs = [f"  {name:<{max(map(len, VERBS))}}  {what}" for name, what in VERBS.items()]
    names = wrap(f"recipes: {', '.join(recipe_names())}", 80, break_on_hyphens=False)
    head = ["usage: tigon VERB ...", "", *verbs, "", *names, ""]
    tail = "tigon VERB --help lists a verb's options, tigon train RECIPE --help a recipe's."
    return "\n".join([*head, tail])


def recipe_names() -> list[str]:
    """Return the names of all recipes; installed ones are not imported."""
    names = [point.name for point in entry_points(group="tigon.recipes")]
    if names and "tigon.recipes" not in sys.modules:
        return names
    from tigon.recipes import recipes

    return list(recipes())


def _run(words: list[str]) -> int:
    command = _parse(words)
    if isinstance(command, int):
        return command
    result: Result = command.run()
    if result.text:
        _say(json.dumps(result.values) if command.json else result.text)
    return result.status


def _say(text: str) -> None:
    """Print on stdout, for as long as someone reads it."""
    with unread(sys.stdout, only_gone=True):
        print(text, flush=True)


def _parse(words: list[str]) -> Any:  # noqa: ANN401
    """Return the requested command, or the exit status if tyro has already answered."""
    verb, rest = words[0], words[1:]
    known = recipe_names() if verb == "train" else []
    if verb == "train" and not (rest and rest[0] in (*known, "-h", "--help")):
        which = "a recipe comes first"
        if rest and rest[0][:1] != "-":
            which = f"no recipe {rest[0]!r}{meant(rest[0], known)}"
        return _fail(f"train: {which}; there are {', '.join(known)}", CANNOT)
    import tyro

    from tigon.cli import verbs
    from tigon.cli.common import registry

    words = led(words) if verb == "train" else words
    rest = words[1:]
    kind = _train_type(rest[0]) if verb == "train" else getattr(verbs, verb.capitalize())
    asked = " ".join(words[: 2 if verb == "train" else 1])
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), unread(sys.stdout, only_gone=True):
            return tyro.cli(kind, prog=f"tigon {verb}", args=rest, registry=registry())
        return 0  # help whose reader has gone: `tigon VERB --help | head`
    except ValueError as error:
        return _fail(f"{verb}: {error}", CANNOT)
    except SystemExit as end:
        if end.code:
            said = named(one_line(errors.getvalue()), rest, options(kind, words))
            _fail(f"{verb}: {said}; see tigon {asked} --help", CANNOT)
        return CANNOT if end.code else 0


def led(words: list[str]) -> list[str]:
    """Return the words of the recipe that an option of another leads to, if it is among them.

    `train descriptor --texture FILE` is `train texture --data FILE`.

    Raises:
        TigonError: if --data is given too
    """
    from tigon.recipes import recipes

    for name, kind in recipes().items():
        asked, option = kind.option_of or ("", "")
        places = [k for k, word in enumerate(words) if word.split("=")[0] == f"--{option}"]
        if words[1:2] != [asked] or not places:
            continue
        if len(places) > 1 or any(word.split("=")[0] == "--data" for word in words):
            raise TigonError(f"train {asked}: give one of --{option} and --data, once")
        given = words[places[0]].replace(f"--{option}", "--data", 1)
        return [words[0], name, *words[2 : places[0]], given, *words[places[0] + 1 :]]
    return words


def _train_type(asked: str) -> Any:  # noqa: ANN401
    """Return the type of `tigon train`; the requested recipe describes its progress."""
    from typing import Annotated, Union

    import tyro

    from tigon.cli.progress import legend
    from tigon.cli.verbs import Train
    from tigon.recipes import recipes

    kinds = []
    for name, recipe in recipes().items():
        description = " ".join((recipe.__doc__ or "").split("\n\n")[0].split())
        if name == asked and (shown := legend(recipe.learner_type.metrics)):
            description += f" While it learns, {shown}."
        for other, leads in recipes().items():
            if leads.option_of and leads.option_of[0] == name:
                description += f" --{leads.option_of[1]} FILE, instead of --data, learns "
                description += f"{leads.about} (tigon train {other} --help)."
        settings = tyro.conf.subcommand(name, description=description, prefix_name=False)
        kinds.append(Annotated[Train[recipe], settings])  # type: ignore[valid-type]
    return Union[tuple(kinds)]  # noqa: UP007


def options(kind: Any, words: list[str]) -> set[str]:  # noqa: ANN401
    """Return the options, with their dashes, in a verb's or a recipe's help."""
    import tyro

    from tigon.cli.common import registry

    helped = [*(words[1:2] if words[0] == "train" else []), "--help"]
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        tyro.cli(kind, prog="tigon", args=helped, registry=registry())
    return set(OPTION.findall(COLOUR.sub("", text.getvalue())))


def named(said: str, words: Sequence[str], known: Collection[str]) -> str:
    """Name the unknown options among `words` in tyro's message, with suggestions."""
    given = [word.split("=")[0] for word in words if word.startswith("--")]
    unknown = [word for word in dict.fromkeys(given) if word.replace("_", "-") not in known]
    if not unknown:
        more = "more than was asked for: an option takes one value, and several pictures a folder"
        return UNRECOGNIZED.sub(lambda found: f"{found[0].split(': ', 1)[-1]} is {more}", said)
    bare = [name.removeprefix("--") for name in known]
    phrase = ", ".join(word + _meant_option(word, bare) for word in unknown)
    plain = "option" if len(unknown) == 1 else "options"
    return UNRECOGNIZED.sub(lambda _: f"unknown {plain} {phrase}", said)


def _meant_option(word: str, names: Collection[str]) -> str:
    """Return a question suggesting an option, or the verb that continues a run."""
    name = word.removeprefix("--")
    if name.replace("_", "-").lower() in RESUME:
        return " (did you mean tigon resume RUN?)"
    return meant(name, names, "--")


def meant(word: str, names: Collection[str], dashes: str = "") -> str:
    """Return a question suggesting one of the names; nothing if none is close.

    A dotted name also matches its last part, and any name its beginning.
    """
    word = word.replace("_", "-").lower()
    lasts = {name.split(".")[-1]: name for name in sorted(names, reverse=True)}
    elsewhere = {other: name for other, name in ELSEWHERE.items() if name in names}
    close = lasts | elsewhere | {name: name for name in names}
    begun = [name for name in sorted(names) if len(word) > 1 and name.startswith(word)]
    near, far = (difflib.get_close_matches(word, close, 1, cutoff) for cutoff in (0.8, 0.6))
    found = next((close.get(name, name) for name in (*near, *begun, *far)), "")
    return f" (did you mean {dashes}{found}?)" if found else ""


def one_line(box: str) -> str:
    """Return the text of one of tyro's boxes as one line: no frame, title, colours or hints.

    Rules divide a box into parts: first an error, then hints or more errors. Its title is in the
    frame, or alone above the first rule where lines cannot be drawn.
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
    print(f"tigon: {' '.join(message.split())}", file=sys.stderr)
    return status
