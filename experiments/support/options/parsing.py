"""From the words of a command line to the configuration of a command."""

import contextlib
import inspect
import io
import sys
from importlib import import_module
from typing import Any, Final

_PACKAGE: Final = __package__.partition(".")[0]
# Options of earlier versions, and what they are called now.
_RENAMED: Final = {"--vcp": "--absent-inputs"}


def load(place: str) -> Any:
    """Import what a line of the table names as ".module:name"."""
    module, _, name = place.partition(":")
    return getattr(import_module(module, _PACKAGE), name)


def parse(config_class: Any, command: str, words: list[str]) -> Any:
    """Read the words after `xbar COMMAND`.

    Args:
        config_class: The command's configuration. Where it holds another command it has `gather`, which sorts the
            words first.
        command: Its name.
        words: What was typed after it.

    Raises:
        ValueError: If a value is none that the command can be asked for.
        SystemExit: If an option is unknown or missing, or its value of another kind, which has been printed; or after
            --help.
    """
    import tyro

    words = [_renamed(word) for word in words]
    if hasattr(config_class, "gather"):
        words = config_class.gather(words)
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            return tyro.cli(
                config_class,
                prog=f"xbar {command}",
                # The whole docstring: tyro alone would leave out the examples.
                description=inspect.cleandoc(config_class.__doc__ or ""),
                args=words,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as end:
        # tyro draws a box around our own sentence about a value; we say it as all others.
        error: BaseException | None = end
        while error is not None and type(error) is not ValueError:
            error = error.__context__
        if error is not None and str(error).startswith("`"):
            raise error from None
        print(complaints.getvalue(), end="", file=sys.stderr)
        raise


def _renamed(word: str) -> str:
    option, equals, value = word.partition("=")
    if option not in _RENAMED:
        return word
    print(f"{option} is called {_RENAMED[option]} now; use that name.", file=sys.stderr)
    return _RENAMED[option] + equals + value
