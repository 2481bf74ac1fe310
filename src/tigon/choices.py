"""Words of which one is meant, as `Literal` types say them: any other is refused.

Python does not look at a `Literal`, and what is told by comparing words takes an unknown one for
one of the others. So functions refuse it by `require_choice`, and dataclasses by
`require_choices`, once they are made.
"""

from dataclasses import fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tigon.errors import TigonError


def choices_of(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the values that a `Literal` names, or the parts of a union do; () if none do."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(value for part in get_args(hint) for value in choices_of(part))


def is_choice(value: object, choices: tuple[Any, ...]) -> bool:
    """Return whether a value is one of these; True is not 1, and 1.0 not either."""
    return any(type(value) is type(choice) and value == choice for choice in choices)


def require_choice(name: str, value: object, hint: Any) -> None:  # noqa: ANN401
    """Refuse a value that is none of those that the hint of an argument names.

    Where other types are possible, as for a number or a word, only words are looked at.

    Arguments:
        name: of the argument
        value: that it was given
        hint: its `Literal`, or a union with one
    Raises:
        TigonError: it names the value, and those that are possible
    """
    choices = choices_of(hint)
    mixed = get_origin(hint) is not Literal
    if is_choice(value, choices) or (mixed and not isinstance(value, str)):
        return
    named = ", ".join(map(str, choices))
    may = f"a number or {named}" if mixed else f"one of {named}"
    raise TigonError(f"{name} must be {may}, not {value!r:.80}")


def require_choices(made: Any) -> None:  # noqa: ANN401
    """Refuse a dataclass one of whose fields has a value that its `Literal` does not name.

    Raises:
        TigonError: as `require_choice`
    """
    kind: type = type(made)
    for name, hint in _chosen(kind):
        require_choice(name, getattr(made, name), hint)


@cache
def _chosen(kind: type) -> list[tuple[str, Any]]:
    """Return the fields of a dataclass that have choices, with their hints."""
    hints = get_type_hints(kind)
    return [(f.name, hints[f.name]) for f in fields(kind) if choices_of(hints[f.name])]
