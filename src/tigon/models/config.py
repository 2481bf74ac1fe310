"""Conversion of objects to plain values and back, for models and their parts in config.json.

An object becomes `{"class": name of its class, argument: value, ...}`, and only registered classes
are built from it. A class returns the arguments of its constructor from a method `config()`, or
is a dataclass. An argument called `rng` is left out: it is only for the initial weights.
"""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tigon.choices import is_choice
from tigon.densities.gaussian import Gaussian, StandardNormal
from tigon.densities.mixture import GaussianMixture
from tigon.errors import TigonError
from tigon.mcmc.adaptation import DualAveraging, StepSizeAdaptation, StepSizeDecay
from tigon.mcmc.chain import MCMC
from tigon.mcmc.hmc import HMC
from tigon.mcmc.langevin import MALA, Langevin, UnderdampedLangevin
from tigon.mcmc.schedules import Geometric
from tigon.nn.dcgan import ConvDescriptor, DCGANGenerator
from tigon.nn.stationary import StationaryDescriptor

K = TypeVar("K", bound=type)
OWN = (
    Gaussian, StandardNormal, GaussianMixture, MCMC, Langevin, MALA, UnderdampedLangevin, HMC,
    StepSizeDecay, StepSizeAdaptation, DualAveraging, Geometric, DCGANGenerator, ConvDescriptor,
    StationaryDescriptor,
)  # fmt: skip
KNOWN: dict[str, type] = {kind.__name__: kind for kind in OWN}


def register_part(kind: K) -> K:
    """Register a class, so that models with objects of it can be saved and loaded; a decorator.

    Arguments:
        kind: a dataclass, or a class whose method `config()` returns its constructor's arguments
            as plain numbers and strings
    Raises:
        TypeError: if it is neither, or another class has its name
    """
    if not is_dataclass(kind) and not hasattr(kind, "config"):
        raise TypeError(f"{kind.__name__} must have a method config(), or be a dataclass")
    known = KNOWN.get(kind.__name__, kind)
    if (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
        raise TypeError(f"a class {kind.__name__} is already registered: {known.__module__}")
    KNOWN[kind.__name__] = kind
    return kind


def to_plain(value: Any, where: str = "model") -> Any:  # noqa: ANN401
    """Return an object as plain numbers, strings, lists and dictionaries.

    Raises:
        TigonError: if the class of a part is not registered; it says what to do
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [to_plain(item, where) for item in value]
    if isinstance(value, dict):
        return {name: to_plain(item, f"{where}.{name}") for name, item in value.items()}
    kind = type(value)
    if KNOWN.get(kind.__name__) is not kind:
        raise TigonError(
            f"{where}: a {kind.__name__} cannot be saved; give its class a method config() that "
            "returns its constructor's arguments, and decorate it with @tigon.register_part"
        )
    own = getattr(value, "config", None)
    numbers = own() if own else {f.name: getattr(value, f.name) for f in fields(value)}
    return {"class": kind.__name__} | to_plain(numbers, where)


def build(kind: Callable[..., Any], numbers: dict[str, Any], where: str = "model") -> Any:  # noqa: ANN401
    """Return kind(**numbers), with numbers as returned by `to_plain`, without the class name.

    No number may be missing, since defaults may differ between versions.

    Raises:
        ValueError: if a name is unknown or missing, or a value has the wrong type; it says which
    """
    maker: Any = kind
    hints = get_type_hints(maker.__init__ if isinstance(kind, type) else kind)
    hints = {name: hints.get(name, Any) for name in inspect.signature(kind).parameters}
    names = [name for name in hints if name != "rng"]
    unknown = sorted(set(numbers) - set(names))
    if unknown:
        said = ", ".join(names)
        raise ValueError(f"unknown name {where}.{unknown[0][:80]}; the names are {said}")
    for name in names:
        if name not in numbers:
            raise ValueError(f"{where}.{name} is missing")
    values = {n: _converted(hints[n], v, f"{where}.{n}") for n, v in numbers.items()}
    try:
        return kind(**values)
    except (ValueError, RuntimeError, OverflowError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"cannot build {kind.__name__} ({reason})") from error


def class_named(plain: dict[str, Any], where: str = "model") -> type:
    """Return the class that a dictionary names.

    Raises:
        ValueError: if there is none with that name
    """
    name = plain.get("class")
    if not isinstance(name, str) or name not in KNOWN:
        raise ValueError(
            f"{where}.class {_shown(name)} is unknown; if it is your own, import it first"
        )
    return KNOWN[name]


def _object(plain: dict[str, Any], where: str) -> Any:  # noqa: ANN401
    numbers = {name: value for name, value in plain.items() if name != "class"}
    kind: Any = class_named(plain, where)
    if hasattr(kind, "from_config"):
        return kind.from_config(numbers)
    return build(kind, numbers, where)


def _converted(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    """Return a value converted to the type hint of its argument."""
    made = _object(value, where) if isinstance(value, dict) else value
    for option in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        inner, origin = get_args(option), get_origin(option)
        if isinstance(value, list) and origin in (tuple, list):
            if inner[1:] == (...,) or origin is list or len(inner) == len(value):
                return origin(_converted(inner[0], item, where) for item in value)
        elif isinstance(value, dict):
            if _is(option, made):
                return made
        elif _fits(option, value):
            return float(value) if option is float else value
    raise ValueError(f"{where} must be {_said(hint)}, not {_shown(value)}")


def _fits(option: Any, value: Any) -> bool:  # noqa: ANN401
    """Return whether a number, a string or None matches a part of a type hint."""
    if get_origin(option) is Literal:
        return is_choice(value, get_args(option))
    kinds = {float: (int, float), Any: (int, float, str, bool, NoneType)}.get(option, (option,))
    return type(value) in kinds


def _is(option: Any, value: object) -> bool:  # noqa: ANN401
    """Return whether an object matches a part of a type hint."""
    if option is Any:
        return True
    return isinstance(value, option) if isinstance(option, type) else callable(value)


def _said(hint: Any) -> str:  # noqa: ANN401
    """Return a type hint in words."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_said(o) for o in get_args(hint) if o is not NoneType)
    return getattr(hint, "__name__", str(hint))


def _shown(value: Any) -> str:  # noqa: ANN401
    """Return a wrong value in short: a file may have megabytes in place of a number."""
    text = f"a {value.get('class', 'table')}" if isinstance(value, dict) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
