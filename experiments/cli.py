"""The command `xbar`: read the command line, start a command, and say in one sentence what went wrong.

Every command is one line of `COMMANDS`, from which the overview, the dispatch and the error for an unknown one are
made. torch is imported only once there is something to compute, so that `xbar --help` answers at once and the
number of threads can be set before the libraries start their own.
"""

import difflib
import io
import os
import platform
import sys
from collections.abc import Sequence
from typing import Final

from .support.figure_formats import ask_for_formats
from .support.options.command_table import COMMANDS as COMMANDS
from .support.options.parsing import load as load
from .support.options.parsing import parse as _parse

_OVERVIEW: Final = """\
usage: xbar COMMAND [OPTIONS]

Train networks on analog in-memory hardware, with or without weight sharing, and watch their chips learn and age.

commands:
{commands}

examples:
  xbar train                                        8 x 8 digits on phase-change memory, a minute or two
  xbar train --data mnist --data-dir data --download --epochs 5
  xbar evaluate RUN --device reram-cmo --times 1h,1d
  xbar train --mode in-situ --device reram-sb --record-every 10
  xbar report RUN
  xbar sharing-cost --quick
  xbar sweep train --mode in-situ --over lr 0.1 0.3 1 --over device ecram reram-es

`xbar COMMAND --help` explains every option. With any command
  --json             prints what came out as JSON, for programs; tables and progress go to the standard error
  --format svg pdf   writes figures in these formats, too (PNG always; csv: the numbers that are drawn)
  --width single     writes figures for print: single (89 mm), double (183 mm), or a width in mm
  --style FILE       draws them in a matplotlib style of your own
  --debug            shows where an error came from
`xbar --version` names the versions of this program and of what it computes with. `xbar --completion bash` prints what
makes a shell complete commands and options (also zsh, tcsh). Runs lie in the folder `runs`, or in that of XBAR_RUNS.
"""
_USER_ERROR: Final = 2
_STOPPED_BY: Final = 128  # plus the signal's number, as shells count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; that of the process if None.

    Returns:
        The exit code: 0, 2 after an error that the user can mend, 3 after a result that is written but doubtful (see
        `xbar fit-device --help` and `xbar verify --help`), or 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # folders may have names that are no UTF-8
    debug, is_json = "--debug" in words, "--json" in words
    words = [word for word in words if word not in ("--debug", "--json")]
    try:
        words = ask_for_formats(words)
    except ValueError as error:
        print(f"xbar: {error}", file=sys.stderr)
        return _USER_ERROR
    if not words or words[0] in ("-h", "--help"):
        print(_overview(), end="")
        return 0 if words else _USER_ERROR
    if words == ["--version"]:
        print(_versions())
        return 0
    try:
        if words[0] == "--completion":
            _print_completion(words[1:])
        else:
            _dispatch(words[0], words[1:], is_json=is_json)
    except KeyboardInterrupt:
        print("Stopped. A run continues from its last checkpoint: repeat the command.", file=sys.stderr)
        return _STOPPED_BY + 2
    except (ValueError, TypeError, OSError, ImportError) as error:
        if debug:
            raise
        print(f"xbar: {_sentence_of(error)}", file=sys.stderr)
        return _USER_ERROR
    except Exception as error:
        from .support.answer import DOUBTFUL, DoubtfulResult, as_json
        from .support.interruption import RunInterrupted

        if isinstance(error, DoubtfulResult):
            if is_json:
                print(as_json(error.answer))
            print(f"xbar: {_sentence_of(error)}", file=sys.stderr)
            return DOUBTFUL
        if not isinstance(error, RunInterrupted):
            raise
        print(error, file=sys.stderr)
        return _STOPPED_BY + error.signal_number
    return 0


def _sentence_of(error: Exception) -> str:
    """Say what went wrong on one line; of what the system refused, also which file it was and what to do."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        from devices.files import explain  # it loads torch

        text = explain(error)
    return " ".join(text.split()).encode(errors="backslashreplace").decode()


def _overview() -> str:
    width = max(len(command.name) for command in COMMANDS)
    lines = (f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS)
    return _OVERVIEW.format(commands="\n".join(lines))


def _versions() -> str:
    from .support.environment import version_of

    packages = (f"{name} {version_of(name)}" for name in ("crossbar-emulator", "torch", "aihwkit"))
    return "\n".join((*packages, f"Python {platform.python_version()}"))


def _print_completion(words: list[str]) -> None:
    from .support.options.completion import completion

    commands = {command.name: (command.summary, load(command.config)) for command in COMMANDS}
    print(completion(" ".join(words), commands))


def _dispatch(name: str, words: list[str], *, is_json: bool) -> None:
    command = next((command for command in COMMANDS if command.name == name), None)
    if command is None:
        names = [command.name for command in COMMANDS]
        # Not `devices.closest`: that would load torch.
        close = difflib.get_close_matches(name.lower(), names, n=2)
        advice = f"Did you mean {' or '.join(close)}?" if close else "See `xbar --help`."
        raise ValueError(
            f"`command` must be {', '.join(names[:-1])} or {names[-1]}, but is {name!r}. {advice}"
        )
    if command.threads == "all":
        _set_threads(None)
    config = _parse(load(command.config), name, words)
    if hasattr(config, "refuse_idle"):
        config.refuse_idle()
    if command.threads == "jobs":
        config = config.resolved()
    if command.threads != "all":
        _set_threads(config.threads)
    function = load(command.function)
    if "numba" in sys.modules:
        from .support.compilation import announce_compiling

        announce_compiling()
    if not is_json:
        function(config)
        return
    from .support.answer import as_json, messages_elsewhere

    with messages_elsewhere():
        answer = function(config)
    print(as_json(answer))


def _set_threads(threads: int | None) -> None:
    """Set what OpenMP and numba read when they are loaded; torch is told again by the command."""
    from .runs.options.config import available_threads

    count = str(threads or available_threads())
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = count
    if "numba" not in sys.modules:  # once it is loaded, numba refuses another value
        os.environ["NUMBA_NUM_THREADS"] = count


if __name__ == "__main__":
    sys.exit(main())
