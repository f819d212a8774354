"""Functions of users' own files, `my_network.py:build`: found, called by the names of their arguments, and named.

Nothing here is called unless somebody has typed the file's name, or trusts a run that holds a copy of one: to read a
function is to execute its file.
"""

import hashlib
import importlib.machinery
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, final

from devices.files import parse_json, read_regular

_SPEC: Final = re.compile(r"(?P<file>.+\.py)(:(?P<function>\w*))?")
# Beside the copies in a run's folder: where they came from, and their SHA-256.
ORIGINS: Final = "own_files.json"
_USUAL: Final = ("build", "splits")


@final
@dataclass(frozen=True)
class _Given:
    """A function that was handed over in Python, and what stands for its file."""

    function: Callable[..., Any]
    content: bytes


_GIVEN: Final[dict[str, _Given]] = {}
_OF_PYTHON: Final = re.compile(r"python-[0-9a-f]+\.py")
_STUB: Final = """\
# {name} was handed over in Python: its source is not here. SHA-256 of what it makes: {digest}


def {name}():
    raise RuntimeError("this network was handed over in Python: hand it over again to the same study")
"""


def hand_over(function: Callable[..., Any], name: str, digest: str) -> str:
    """Let this process know a function by a text, as if it stood in a file.

    Args:
        function: The function.
        name: What to call it, an identifier.
        digest: A hash of what it makes; another content needs another one.

    Returns:
        The text, for `as_function`.
    """
    file = f"python-{digest[:16]}.py"
    _GIVEN[file] = _Given(function, _STUB.format(name=name, digest=digest).encode())
    return f"{file}:{name}"


@final
@dataclass(frozen=True)
class UserFunction:
    """A function in a file, as `my_network.py:build` names it.

    Attributes:
        file: The file.
        name: The function.
        option: What errors call it: the option that named it.
    """

    file: Path
    name: str
    option: str

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"

    @property
    def label(self) -> str:
        """What tables, figures and folders call it: the file's name, and the function's if it is no usual one."""
        if _OF_PYTHON.fullmatch(self.file.name):
            return self.name
        return self.file.stem if self.name in _USUAL else f"{self.file.stem}.{self.name}"

    def digest(self) -> str:
        """Return a hash of the file's content and the function's name, to name a run by.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        return f"{self.name}@{hashlib.blake2b(self.read(), digest_size=8).hexdigest()}"

    def call(self, offered: Mapping[str, Any], offer: str) -> Any:
        """Execute the file, and call the function.

        Args:
            offered: Values by name; those that the function has arguments for are handed over.
            offer: What errors say can be had.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file does not run, has no such function, or the function needs something else or fails.
        """
        function = self._function()
        wanted = inspect.signature(function).parameters.values()
        given = {one.name: offered[one.name] for one in wanted if one.name in offered}
        missing = [
            one.name
            for one in wanted
            if one.default is one.empty
            and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
            and one.name not in given
        ]
        if missing:
            raise ValueError(
                f"`{self.option}` must name a function without other arguments than {offer}, but {self} needs "
                f"{', '.join(missing)}. Give them defaults."
            )
        try:
            with _beside(_origin(self.file)):
                return function(**given)
        except Exception as error:
            raise ValueError(f"`{self.option}` must run, but {self} stopped {self._where(error)}") from error

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        given = _GIVEN.get(self.file.name)
        if given is not None:
            return given.content
        try:
            return read_regular(self.file, self.option)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(
                f"`{self.option}` must name an existing file, but there is no {self.file}. Check the path."
            ) from None

    def _function(self) -> Callable[..., Any]:
        given = _GIVEN.get(self.file.name)
        if given is not None:
            return given.function
        module = _module(self.read(), self)
        function = getattr(module, self.name, None)
        if not callable(function):
            known = [
                name
                for name, value in vars(module).items()
                if inspect.isfunction(value) and value.__module__ == module.__name__
            ]
            what = "is no function" if function is not None else "is not in it"
            have = f"It has {', '.join(known[:8])}" if known else "It has none"
            raise ValueError(
                f"`{self.option}` must name a function of {self.file}, but {self.name!r} {what}. {have}."
            )
        return function  # type: ignore[no-any-return]

    def _where(self, error: Exception) -> str:
        """Say where in the user's file an error arose, and what it says."""
        names = {str(self.file), str(_origin(self.file))}
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename in names
        ]
        if isinstance(error, SyntaxError) and error.filename in names:
            lines = [error.lineno]
        place = f"at line {lines[-1]}" if lines else "somewhere"
        return f"{place}: {type(error).__name__}: {' '.join(str(error).split())}. Correct the file."


def as_function(spec: str, option: str) -> UserFunction | None:
    """Return the function that a text names, as in `my_network.py:build`; None if it names something else.

    Raises:
        ValueError: If it names a file, but no function of it.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        return None
    if not match["function"]:
        usual = "build" if option == "model" else "splits"
        raise ValueError(
            f"`{option}` must name a function in the file, but is {spec!r}. Write {match['file']}:{usual}."
        )
    return UserFunction(Path(match["file"]), match["function"], option)


def label_of(spec: str, option: str = "model") -> str:
    """Return what tables and figures call a model or data: by its name, of an own function by that of its file."""
    function = as_function(spec, option)
    return spec if function is None else function.label


def _origin(file: Path) -> Path:
    """Return where a run's copy of a file came from; of every other file itself."""
    sidecar = file.parent.parent / ORIGINS
    if sidecar.is_file():
        origins = parse_json(read_regular(sidecar, "run"))
        kept = origins.get(file.parent.name) if isinstance(origins, dict) else None
        if isinstance(kept, dict) and isinstance(kept.get("origin"), str):
            return Path(kept["origin"])
    return file.absolute()


_MODULES: Final[dict[tuple[str, bytes], ModuleType]] = {}


def _module(content: bytes, function: UserFunction) -> ModuleType:
    """Execute a file as a module, once for each content."""
    origin = _origin(function.file)
    key = str(origin), hashlib.sha256(content).digest()
    if key in _MODULES:
        return _MODULES[key]
    name = f"own_{function.file.stem}_{key[1].hex()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(origin)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, origin=str(origin))
    sys.modules[name] = module  # where dataclasses look for it
    try:
        with _beside(origin):
            exec(compile(content, str(origin), "exec"), vars(module))
    except Exception as error:
        del sys.modules[name]
        raise ValueError(
            f"`{function.option}` must name a file that runs, but {function.file} stopped {function._where(error)}"
        ) from error
    _MODULES[key] = module
    return module


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    """Let the block import the neighbours of a file."""
    before = list(sys.path)
    sys.path.insert(0, str(file.parent))
    try:
        yield
    finally:
        sys.path[:] = before


def origin_entry(function: UserFunction) -> dict[str, str]:
    """Return what a run's folder remembers of a file: where it came from, and its SHA-256."""
    return {
        "origin": str(_origin(function.file)),
        "file": function.file.name,
        "sha256": hashlib.sha256(function.read()).hexdigest(),
    }


def read_origins(path: Path) -> dict[str, dict[str, str]]:
    """Read what a run's folder remembers of its copies.

    Raises:
        ValueError: If it is damaged.
    """
    values = parse_json(read_regular(path, "run"))
    if not isinstance(values, dict) or not all(
        isinstance(entry, dict) and {"origin", "file", "sha256"} == entry.keys() for entry in values.values()
    ):
        raise ValueError(f"`run` must hold an undamaged {ORIGINS}, but {path} is damaged. Use --force.")
    return values


def write_origins(entries: Mapping[str, Mapping[str, str]]) -> bytes:
    """Return the content of the file that remembers where copies came from."""
    return (json.dumps(entries, indent=1, sort_keys=True) + "\n").encode()
