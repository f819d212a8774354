"""The lists of a sweep: which options, which values, and the configurations that their combinations give."""

import contextlib
import hashlib
import io
import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, final, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from devices.closest import choose

from ...support.options.parsing import parse

# What the sweep itself gives to each run.
_OF_THE_SWEEP: Final = ("jobs", "threads", "dask", "runs", "out")


@final
@dataclass(frozen=True, kw_only=True)
class OptionList:
    """An option of a command, and the values that it takes.

    Attributes:
        name: As it is typed, without its dashes.
        hint: Its type.
        values: As they were typed.
    """

    name: str
    hint: Any
    values: tuple[str, ...]

    def words(self, value: str) -> tuple[list[str], list[str]]:
        """Return what is typed for a value: what stands without dashes, and what with them."""
        kind, notes = _kind(self.hint)
        if Positional in notes:
            return _split(value, kind), []
        if kind is bool:
            return [], [f"--{self.name}"] if value == "true" else []
        return [], [f"--{self.name}", *_split(value, kind)]

    @property
    def rule(self) -> str:
        """Which values it takes, in words."""
        kind, _ = _kind(self.hint)
        parts = [part for part in get_args(kind) if part is not type(None)]
        if get_origin(kind) is not Literal and len(parts) == 1:
            kind = parts[0]  # an open option is of its kind or None
        if get_origin(kind) is Literal:
            return f"one of {', '.join(map(str, get_args(kind)))}"
        names = {bool: "true or false", int: "a whole number", float: "a number"}
        return names.get(kind, "a value that the command takes")


def _kind(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type within annotations, and the annotations."""
    return (get_args(hint)[0], hint.__metadata__) if get_origin(hint) is Annotated else (hint, ())


def _split(value: str, kind: Any) -> list[str]:
    """Return the words of a value: several of an option that takes a list."""
    parts = (kind, *get_args(kind))
    return shlex.split(value) if any(get_origin(part) is tuple for part in parts) else [value]


@final
@dataclass(frozen=True, kw_only=True)
class Combination:
    """One run that is asked for.

    Attributes:
        values: Of each swept option its value, as it was typed.
        words: What would be typed after the command's name.
        config: What the command reads from them.
    """

    values: Mapping[str, str]
    words: tuple[str, ...]
    config: Any

    @property
    def name(self) -> str:
        """What tables and progress call it."""
        return name_of(self.values)


def name_of(values: Mapping[str, str]) -> str:
    """Write the values of a run."""
    return ", ".join(f"{option} {value}" for option, value in values.items())


def lists_of(
    command: str, config_class: Any, over: Sequence[Sequence[str]], words: Sequence[str]
) -> list[OptionList]:
    """Read which options have which values.

    Args:
        command: Name of the command.
        config_class: What it can be asked for.
        over: For each list the name of an option and its values.
        words: The options that all runs have in common.

    Raises:
        ValueError: If an option is unknown, given twice, or named for the sweep itself; or a value is.
    """
    hints = get_type_hints(config_class, include_extras=True)
    known = {_typed(option): option for option in fields(config_class)}
    given = {word.partition("=")[0].strip("-").replace("_", "-") for word in words if word.startswith("--")}
    lists: list[OptionList] = []
    for first, *values in over:
        name = first.strip("-").replace("_", "-")
        if name in _OF_THE_SWEEP:
            raise ValueError(
                f"`over` must name an option that decides about results, but names {name!r}, which the sweep sets. "
                f"Give --{name} once for all runs."
            )
        if name not in known:
            raise ValueError(
                f"`over` must name options of `xbar {command}`, but names {name!r}. {choose(name, list(known))} "
                f"`xbar {command} --help` explains them."
            )
        if name in given or name in (one.name for one in lists):
            raise ValueError(
                f"`over` must name each option once, but {name!r} is given twice. Put all values into one list."
            )
        doubled = next((value for value in values if values.count(value) > 1), None)
        if doubled is not None:
            raise ValueError(
                f"`over` must name each value once, but {name} names {doubled!r} twice. Remove one."
            )
        one = OptionList(name=name, hint=hints[known[name].name], values=tuple(values))
        wrong = next((v for v in values if v not in ("true", "false")), None)
        if _kind(one.hint)[0] is bool and wrong is not None:
            raise _bad_value(one, wrong, command)
        lists.append(one)
    return lists


def _typed(option: Field[Any]) -> str:
    return option.name.rstrip("_").replace("_", "-")


def _bad_value(one: OptionList, value: str, command: str) -> ValueError:
    return ValueError(
        f"`{one.name}` must be {one.rule}, but is {value!r}. `xbar {command} --help` explains it."
    )


def combinations_of(
    command: str, config_class: Any, lists: Sequence[OptionList], words: Sequence[str]
) -> Iterator[Combination]:
    """Return all combinations of the values, the last option changing fastest.

    Args:
        command: Name of the command.
        config_class: What it can be asked for.
        lists: The options with their values.
        words: The options that all runs have in common.

    Raises:
        ValueError: If a value is none that the option takes, or values do not fit each other.
        SystemExit: If there is something wrong with the common options, which has been printed.
    """
    first = [one.values[0] for one in lists]
    for place, one in enumerate(lists):
        for value in one.values:
            changed = [*first[:place], value, *first[place + 1 :]]
            if not _can_be_read(command, config_class, _words(lists, changed, words)):
                _say_what_is_wrong(command, config_class, [*_stand_ins(lists), *words])
                raise _bad_value(one, value, command)
    for values in itertools.product(*(one.values for one in lists)):
        named = {one.name: value for one, value in zip(lists, values, strict=True)}
        typed = _words(lists, values, words)
        with named_in_errors(named):
            config = parse(config_class, command, typed)
            if hasattr(config, "refuse_idle"):
                config.refuse_idle()
        yield Combination(values=named, words=tuple(typed), config=config)


def _words(lists: Sequence[OptionList], values: Sequence[str], words: Sequence[str]) -> list[str]:
    pairs = [one.words(value) for one, value in zip(lists, values, strict=True)]
    return [
        *(word for plain, _ in pairs for word in plain),
        *words,
        *(word for _, dashed in pairs for word in dashed),
    ]


def _stand_ins(lists: Sequence[OptionList]) -> list[str]:
    """Return something for what stands without dashes and is swept, so that the rest can be read alone."""
    return [one.values[0] for one in lists if Positional in _kind(one.hint)[1]]


def _can_be_read(command: str, config_class: Any, words: list[str]) -> bool:
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            parse(config_class, command, words)
        except SystemExit:
            return False
        except ValueError:
            pass  # of the right kind; what the value must be is said for the run that has it
    return True


def _say_what_is_wrong(command: str, config_class: Any, words: list[str]) -> None:
    """Let the command itself complain of what all runs have in common, if there is something to complain of."""
    with contextlib.suppress(ValueError):
        parse(config_class, command, words)


@contextlib.contextmanager
def named_in_errors(values: Mapping[str, str]) -> Iterator[None]:
    """Say in errors which run has them.

    Raises:
        ValueError: With the run's values.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{str(error).rstrip()} (The run with {name_of(values)}.)") from error


def contents_of(words: Sequence[str]) -> list[str]:
    """Return, for the words that name files, what decides: what is in them.

    Args:
        words: As they are typed; files may have a function behind a colon.
    """
    found = []
    for word in words:
        path = Path(word.partition(".py:")[0] + ".py" if ".py:" in word else word)
        if path.is_file():
            found.append(hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest())
    return found
