"""Files that appear whole or not at all, and what reading a damaged one may raise."""

import zlib
from pathlib import Path
from zipfile import BadZipFile

NPZ_ERRORS = (OSError, ValueError, TypeError, BadZipFile, zlib.error, EOFError, KeyError)


def replace_file(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) under another name, then rename it to `path`."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    work = path.with_name(f".new-{path.name}")
    work.write_bytes(data)
    work.replace(path)


def printable(name: str) -> str:
    """Return a file's name as valid UTF-8, whatever bytes it has."""
    return name.encode("utf-8", "backslashreplace").decode()
