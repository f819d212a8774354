"""Values from files, made into what type hints promise: one check for every JSON that is read back."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

T = TypeVar("T")

_WORDS: Final = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    NoneType: "null",
    Path: "a path",
}


def typed(kind: type[T], values: object, where: str = "it") -> T:
    """Make a dataclass, or any type that hints can write, of the plain values of JSON.

    Nothing is guessed: no text becomes a number, true is no 1, and keys are neither too many nor missing, but for
    fields with a default. A whole number may stand for a fractional one. Lists become tuples where hints say so.

    Args:
        kind: The type: a dataclass, a TypedDict, or such as `dict[str, tuple[float, ...]]`.
        values: What `parse_json` returned.
        where: What errors call the values.

    Returns:
        An instance; a dataclass has run its own checks.

    Raises:
        ValueError: If the values are of another type; says where, and which it must be.
    """
    made: T = _made(kind, values, where)
    return made


def _made(kind: Any, values: Any, where: str) -> Any:
    if kind is Any or kind is object:
        return values
    origin, parts = get_origin(kind), get_args(kind)
    if hasattr(kind, "__metadata__"):  # Annotated
        return _made(parts[0], values, where)
    if origin in (Union, UnionType):
        return _one_of(parts, values, where)
    if origin is Literal:
        if not any(type(values) is type(word) and values == word for word in parts):
            raise _wrong(where, f"one of {', '.join(map(str, parts))}", values)
        return values
    if is_dataclass(kind):
        return _dataclass(kind, values, where)
    if is_typeddict(kind):
        hints = get_type_hints(kind)
        return _fields(hints, set(hints) - kind.__required_keys__, values, where)
    if origin in (dict, Mapping):
        return _dict(parts, values, where)
    if origin in (list, tuple):
        return _sequence(origin, parts, values, where)
    return _single(kind, values, where)


def _single(kind: Any, values: Any, where: str) -> Any:
    if kind is Path and type(values) is str:
        return Path(values)
    if kind is float and type(values) is int:
        return float(values)
    if type(values) is not kind or (kind is float and not isfinite(values)):
        raise _wrong(where, _WORDS.get(kind, getattr(kind, "__name__", str(kind))), values)
    return values


def _one_of(kinds: tuple[Any, ...], values: Any, where: str) -> Any:
    if values is None and NoneType in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not NoneType)
    for kind in kinds[:-1]:
        try:
            return _made(kind, values, where)
        except ValueError:
            continue
    return _made(kinds[-1], values, where)


def _dataclass(kind: Any, values: Any, where: str) -> Any:
    items = [item for item in fields(kind) if item.init]
    hints = get_type_hints(kind, include_extras=True)
    optional = {
        item.name for item in items if item.default is not MISSING or item.default_factory is not MISSING
    }
    made = _fields({item.name: hints[item.name] for item in items}, optional, values, where)
    return kind(**made)


def _fields(hints: Mapping[str, Any], optional: set[str], values: Any, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise _wrong(where, "a table", values)
    for name in values:
        if name not in hints:
            raise ValueError(f"{where} must not have the key {str(name)[:60]!r}")
    for name in hints:
        if name not in values and name not in optional:
            raise ValueError(f"{where} must have the key {name!r}")
    return {name: _made(hints[name], value, f"{where}.{name}") for name, value in values.items()}


def _dict(parts: tuple[Any, ...], values: Any, where: str) -> dict[Any, Any]:
    if not isinstance(values, dict):
        raise _wrong(where, "a table", values)
    return {
        _key(parts[0], key, where): _made(parts[1], value, f"{where}.{str(key)[:60]}")
        for key, value in values.items()
    }


def _key(kind: Any, key: str, where: str) -> Any:
    kind = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    if kind is not float:
        return _made(kind, key, f"a key of {where}")
    try:
        return _made(float, float(key), f"a key of {where}")
    except ValueError:
        raise _wrong(f"a key of {where}", "a number", key) from None


def _sequence(origin: Any, parts: tuple[Any, ...], values: Any, where: str) -> Any:
    if not isinstance(values, list | tuple):
        raise _wrong(where, "a list", values)
    if origin is tuple and parts[1:] != (...,):
        if len(values) != len(parts):
            raise _wrong(where, f"a list of {len(parts)}", values)
        kinds = parts
    else:
        kinds = (parts[0],) * len(values)
    made = [
        _made(kind, value, f"{where}[{i}]") for i, (kind, value) in enumerate(zip(kinds, values, strict=True))
    ]
    return tuple(made) if origin is tuple else made


def _wrong(where: str, rule: str, value: object) -> ValueError:
    text = repr(value)
    return ValueError(f"{where} must be {rule}, but is {text if len(text) <= 60 else text[:60] + '...'}")
