"""Paths as people type them: `~` is the home folder; URLs and `-` are not paths."""

import os
import re
from pathlib import Path

from tigon.errors import TigonError
from tigon.files import printable

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # longer than a drive letter, as in C:/


def path_of(text: str) -> Path:
    """Return the path of a file or folder that was typed.

    Raises:
        TigonError: if it is something else; it says what to give instead
    """
    if URL.match(text):
        instead = f"give {text[7:]}" if text.startswith("file:///") else "give a file or a folder"
        raise TigonError(f"{printable(text)}: is a URL, not a path; {instead}")
    if text == "-":
        raise TigonError("-: is not a path; give a named file, or ./- for one called -")
    found = os.path.expanduser(text)
    if found.startswith("~"):
        user = printable(re.split(r"[/\\]", found)[0])
        raise TigonError(f"{user}: the home folder is not known; give the whole path, or ./{user}")
    return Path(found)


def data_of(text: str) -> str:
    """Return the data set name that was typed; if it is a path, that path.

    Raises:
        TigonError: if it is neither; it says what to give instead
    """
    if URL.match(text) and not text.startswith("file:"):
        raise TigonError(
            f"{printable(text)}: is a URL; copy the images to a folder, and give that, or hf:NAME"
        )
    return str(path_of(text)) if text[:1] in ("~", "-") or URL.match(text) else text
