"""Files that appear whole or not at all."""

import os
import unicodedata
from pathlib import Path

HIDDEN = ("Cc", "Cs", "Zl", "Zp")


def replace_file(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) under another name, flush it, then rename it to `path`.

    A link at either name is replaced, never followed. Where it fails, nothing is left behind.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    work = path.with_name(f".new-{path.name}")
    try:
        work.unlink(missing_ok=True)
        with work.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        work.replace(path)
    except OSError:
        if not work.is_dir():
            work.unlink(missing_ok=True)
        raise


def printable(name: str) -> str:
    """Return a file's name as one line of valid UTF-8, whatever bytes it has."""
    return "".join(_escaped(c) if unicodedata.category(c) in HIDDEN else c for c in name)


def is_utf8(name: str) -> bool:
    """Return whether a file's name is valid UTF-8."""
    return not any(unicodedata.category(c) == "Cs" for c in name)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
