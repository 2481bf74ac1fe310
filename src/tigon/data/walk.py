"""Search folders recursively, in order of name, and leave out folders that are not data.

Run folders, model folders and caches hold pictures that are not data; operating systems keep
thumbnails and deleted files in folders of their own. All are left out, wherever they are.
"""

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tigon.data.notes import Note, Notes
from tigon.files import name_order, open_regular, printable

SYSTEM = {
    *("@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "__macosx"),
    *("$recycle.bin", "recycler", "recycled", "system volume information", "lost+found"),
    *("network trash folder", "temporary items"),
}
RUN = re.compile(rb'\Arecipe = ".*"\r?\ndata = "')  # how a run's config.toml begins


class Pattern:
    """A pattern of paths, such as data/*.png: the folder that it starts with, and the rest.

    Hidden files are not matched; ** stands for any number of folders.
    """

    def __init__(self, pattern: str) -> None:
        parts = Path(os.path.abspath(pattern)).parts
        fixed = next(k for k in range(len(parts)) if _is_wild(parts[: k + 1]))
        self.root = Path(*parts[:fixed])
        self.parts = [
            None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts[fixed:]
        ]

    def takes(self, path: str) -> bool:
        """Return whether a path below the root matches."""
        return _fits(path.split(os.sep), self.parts)

    def enters(self, folder: str) -> bool:
        """Return whether the contents of a folder below the root may match."""
        names = folder.split(os.sep)
        for name, part in zip(names, self.parts, strict=False):
            if part is None:
                return True
            if not part.fullmatch(name):
                return False
        return len(names) < len(self.parts)


def _is_wild(parts: tuple[str, ...]) -> bool:
    """Return whether the last part is a pattern, and not an existing name with brackets."""
    if "*" in parts[-1]:
        return True
    return any(c in parts[-1] for c in "?[") and not os.path.lexists(Path(*parts))


def _fits(names: list[str], parts: "list[re.Pattern[str] | None]") -> bool:
    if not parts:
        return not names
    first, rest = parts[0], parts[1:]
    if first is None:
        return any(_fits(names[k:], rest or [re.compile("(?s:.*)")]) for k in range(len(names)))
    return bool(names) and bool(first.fullmatch(names[0])) and _fits(names[1:], rest)


class Walk:
    """The files below a folder, in order of name; each folder is searched once.

    Arguments:
        root: the folder
        pattern: the files and folders to find; by default all files

    Attributes:
        errors: errors from folders that could not be searched
        notes: which folders were left out
        shards: folders and archives (.npz) that match the pattern; they are not searched
    """

    def __init__(self, root: Path, pattern: Pattern | None = None) -> None:
        self.root, self.pattern = root, pattern
        self.errors: list[OSError] = []
        self.notes, self.shards = Notes(), list[str]()

    def __iter__(self) -> Iterator[str]:
        """Yield the paths of files below the root."""
        seen = {os.path.realpath(self.root)}
        stack = [self._listed("")]
        while stack:
            for path, is_folder in stack[-1]:
                if not is_folder:
                    if self._wants(path):
                        yield path
                    continue
                if self.pattern is not None and not self.pattern.enters(path):
                    self._ask(path)
                    continue
                place = os.path.realpath(os.path.join(self.root, path))
                if place not in seen:
                    seen.add(place)
                    stack.append(self._listed(path))
                    break
            else:
                stack.pop()

    def _wants(self, path: str) -> bool:
        """Return whether a file is wanted; if it is a shard, record it instead."""
        if self.pattern is None:
            return True
        if self.pattern.takes(path) and path.lower().endswith(".npz"):
            self.shards.append(path)
            return False
        return self.pattern.takes(path)

    def _ask(self, folder: str) -> None:
        """Record a folder that matches the pattern, if it is data."""
        assert self.pattern is not None
        if self.pattern.takes(folder) and not self._left_out(folder, *self._names(folder)):
            self.shards.append(folder)

    def _listed(self, folder: str) -> Iterator[tuple[str, bool]]:
        """Yield the paths of a folder's entries, by name, and whether each is a folder.

        Only names are kept in memory, even for a million entries.
        """
        names, folders = self._names(folder)
        if self._left_out(folder, names, folders):
            return
        for name in names:
            yield os.path.join(folder, name), name in folders

    def _names(self, folder: str) -> tuple[list[str], set[str]]:
        """Return the names of a folder's entries that are not hidden, and which are folders."""
        names: list[str] = []
        folders: set[str] = set()
        try:
            with os.scandir(os.path.join(self.root, folder) if folder else self.root) as found:
                for entry in found:
                    if not entry.name.startswith(".") or entry.name.endswith(".icloud"):
                        names.append(entry.name)
                        if _is_folder(entry):
                            folders.add(entry.name)
        except OSError as error:
            self.errors.append(error)
        names.sort(key=None if all(map(str.isascii, names)) else name_order)
        return names, folders

    def _left_out(self, folder: str, names: list[str], folders: set[str]) -> bool:
        """Return whether a folder is not data, and note it if so."""
        path = os.path.join(self.root, folder)
        kind = "system folder" if os.path.basename(folder).casefold() in SYSTEM else ""
        kind = kind or folder_kind(path, set(names) - folders)
        if kind and (folder or kind != "cache folder"):
            self.notes.add(Note("left out", kind, first=printable(folder or str(self.root))))
            return True
        return False


def folder_kind(path: str, files: set[str]) -> str:
    """Return the kind of a folder that is not data, given its files' names; "" for others."""
    if "config.toml" in files and _is_run(Path(path) / "config.toml"):
        return "run folder"
    if {"config.json", "model.safetensors"} <= files:
        return "model folder"
    if {"about.json", "images.npy", "names.npy"} <= files or "CACHEDIR.TAG" in files:
        return "cache folder"
    return ""


def _is_run(config: Path) -> bool:
    try:
        with open_regular(config) as file:
            return RUN.match(file.read(2**16)) is not None
    except OSError:
        return False


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False
