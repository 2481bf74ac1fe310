"""Convert nested dataclasses of numbers to plain dictionaries and back, naming every mistake."""

import math
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from tigon.choices import choices_of, is_choice

T = TypeVar("T")


def to_plain(value: Any) -> Any:  # noqa: ANN401
    """Return dataclasses as dictionaries, without fields that are None, and tuples as lists."""
    if is_dataclass(value):
        items = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: to_plain(item) for name, item in items if item is not None}
    return list(value) if isinstance(value, tuple) else value


def from_plain(kind: type[T], values: dict[str, Any], where: str = "") -> T:
    """Build a dataclass of this kind from the output of `to_plain`; missing fields get defaults.

    Raises:
        ValueError: if a name is unknown or missing, or a value has the wrong type; it names both
    """
    hints = get_type_hints(kind)
    owned = fields(kind)  # type: ignore[arg-type]
    names = [f.name for f in owned]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ValueError(f"unknown name {where}{_cut(unknown[0])}; it may be {', '.join(names)}")
    missing = [f.name for f in owned if f.name not in values and f.default is MISSING]
    if missing:
        raise ValueError(f"{where}{missing[0]} is missing")
    given = [name for name in names if name in values]
    return kind(**{name: _convert(hints[name], values[name], f"{where}{name}") for name in given})


def flat(values: dict[str, Any], where: str = "") -> dict[str, str]:
    """Flatten nested settings to one level of text, with names such as `chains.steps`."""
    found: dict[str, str] = {}
    for name, value in values.items():
        inner = flat(value, f"{where}{name}.") if isinstance(value, dict) else None
        found |= inner if inner is not None else {f"{where}{name}": str(value)}
    return found


def differences(old: dict[str, Any], new: dict[str, Any], where: str = "") -> list[str]:
    """Return a line for each value that differs between two plain dictionaries."""
    lines = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{where}{name}.")
        elif before != after:
            lines.append(f"{where}{name} was {before}, now {after}")
    return lines


def _convert(hint: Any, value: Any, name: str) -> Any:  # noqa: ANN401
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise ValueError(f"{name} is a table, not {_shown(value)}")
        return from_plain(hint, value, f"{name}.")  # type: ignore[arg-type]
    origin, options = get_origin(hint), get_args(hint)
    if origin is Literal:
        if not is_choice(value, options):
            raise ValueError(
                f"{name} is one of {', '.join(map(str, options))}, not {_shown(value)}"
            )
        return value
    lists = [option for option in options if get_origin(option) is tuple]
    if lists and isinstance(value, list):
        return _convert(lists[0], value, name)
    if origin is tuple:
        if not isinstance(value, list) or len(value) != len(options):
            raise ValueError(f"{name} is a list of {len(options)}, not {_shown(value)}")
        return tuple(_convert(o, v, name) for o, v in zip(options, value, strict=True))
    if value in _words(options) and type(value) is str:
        return value
    kinds = tuple(k for k in options if isinstance(k, type) and k is not type(None)) or (hint,)
    if type(value) is int and abs(value) >= 2**63:
        raise ValueError(f"{name} is too large: {_shown(value)}")
    if float in kinds and type(value) is int:
        return float(value)
    if type(value) not in kinds or (type(value) is float and math.isnan(value)):
        pairs = [f"a list of {len(get_args(option))}" for option in lists]
        may = " or ".join([kinds[0].__name__, *_words(options), *pairs])
        raise ValueError(f"{name} is {may}, not {_shown(value)}")
    return value


def _words(options: tuple[Any, ...]) -> list[str]:
    """Return the words that a field may hold instead of a number."""
    return [word for option in options for word in choices_of(option)]


def _shown(value: Any) -> str:  # noqa: ANN401
    """Return a wrong value in a few words: a file may hold megabytes where a number belongs."""
    if type(value) is int and abs(value) >= 2**63:
        return f"{'-' if value < 0 else ''}2^{abs(value).bit_length() - 1} or more"
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}..."
