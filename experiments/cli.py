"""The command `xbar`: read the command line, start a command, and say in one sentence what went wrong.

torch is imported only once there is something to compute, so that `xbar --help` answers at once and the
number of threads can be set before the libraries start their own.
"""

import contextlib
import inspect
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import tyro

from .commands.fit_device_config import FitDeviceConfig
from .commands.verify_config import VerifyConfig
from .runs.options.config import (
    DevicesConfig,
    EvaluateConfig,
    ReportConfig,
    ResumeConfig,
    TrainConfig,
    available_threads,
)
from .studies.compare_devices.config import CompareDevicesConfig
from .studies.does_it_matter.config import DoesItMatterConfig
from .studies.paper.config import PaperConfig
from .studies.sharing_cost.config import SharingCostConfig
from .studies.wires.config import WiresConfig

_OVERVIEW: Final = """\
usage: xbar COMMAND [OPTIONS]

Train networks on analog in-memory hardware, with or without weight sharing, and watch their chips learn and age.

commands:
  train         train a network, program it onto chips, follow its accuracy over time
  resume        continue an interrupted run
  evaluate      program a trained network onto other devices, for other times
  report        draw the figures of a run, also what its updates did to the devices
  does-it-matter  which non-idealities change a run's result, and which settings had no effect
  sharing-cost  what sharing weights costs in energy, time, area and wear, and what it buys in accuracy
  paper         the seed paper's four questions on sharing, in floating point and on hardware
  compare-devices  the same networks on many devices: which learns best, which remembers
  wires         what the resistance of wires does to a trained network, exactly
  verify        compute the reference numbers of the README anew, and say whether they hold
  devices       list the memory cells, or describe one
  fit-device    make a device file from measurements of your own
  bench         measure the speed of the tile arrays

examples:
  xbar train                                        8 x 8 digits on phase-change memory, a minute or two
  xbar train --data mnist --data-dir data --download --epochs 5
  xbar evaluate RUN --device reram-cmo --times 1h,1d
  xbar train --mode in-situ --device reram-sb --record-every 10
  xbar report RUN
  xbar sharing-cost --quick

`xbar COMMAND --help` explains every option. `--debug` shows where an error came from.
"""
_TYRO_STYLE: Final = (tyro.conf.FlagCreatePairsOff,)
_USER_ERROR: Final = 2
_STOPPED_BY: Final = 128  # plus the signal's number, as shells count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; that of the process if None.

    Returns:
        The exit code: 0, 2 after an error that the user can mend, or 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        print(_OVERVIEW, end="")
        return 0 if words else _USER_ERROR
    try:
        _dispatch(words[0], words[1:])
    except KeyboardInterrupt:
        print("Stopped. A run continues from its last checkpoint: repeat the command.", file=sys.stderr)
        return _STOPPED_BY + 2
    except (ValueError, TypeError, OSError, ImportError) as error:
        if debug:
            raise
        print(f"xbar: {_sentence_of(error)}", file=sys.stderr)
        return _USER_ERROR
    except Exception as error:
        from .support.interruption import RunInterrupted

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


def _dispatch(command: str, words: list[str]) -> None:
    if command == "train":
        train_config = _parse(TrainConfig, command, words)
        _set_threads(train_config.threads)
        from .commands.run_commands import run_train

        run_train(train_config)
    elif command == "resume":
        resume_config = _parse(ResumeConfig, command, words)
        _set_threads(None)
        from .commands.run_commands import run_resume

        run_resume(resume_config)
    elif command == "evaluate":
        evaluate_config = _parse(EvaluateConfig, command, words)
        _set_threads(evaluate_config.threads)
        from .commands.run_commands import run_evaluate

        run_evaluate(evaluate_config)
    elif command == "devices":
        devices_config = _parse(DevicesConfig, command, words)
        from .commands.device_list import run_devices

        run_devices(devices_config)
    elif command == "fit-device":
        fit_config = _parse(FitDeviceConfig, command, words)
        from .commands.fit_device import run_fit_device

        run_fit_device(fit_config)
    elif command == "report":
        report_config = _parse(ReportConfig, command, words)
        _set_threads(None)
        from .commands.run_commands import run_report

        run_report(report_config)
    elif command == "sharing-cost":
        study_config = _parse(SharingCostConfig, command, words).resolved()  # counts cores for the jobs
        _set_threads(study_config.threads)
        from .studies.sharing_cost.study import run_sharing_cost

        run_sharing_cost(study_config)
    elif command == "compare-devices":
        comparison = _parse(CompareDevicesConfig, command, words).resolved()  # counts cores for the jobs
        _set_threads(comparison.threads)
        from .studies.compare_devices.study import run_compare_devices

        run_compare_devices(comparison)
    elif command == "does-it-matter":
        question = _parse(DoesItMatterConfig, command, words)
        _set_threads(None)
        from .studies.does_it_matter.study import run_does_it_matter

        run_does_it_matter(question)
    elif command == "paper":
        paper_config = _parse(PaperConfig, command, words).resolved()  # counts cores for the jobs
        _set_threads(paper_config.threads)
        from .studies.paper.study import run_paper

        run_paper(paper_config)
    elif command == "verify":
        verify_config = _parse(VerifyConfig, command, words)
        _set_threads(verify_config.threads)
        from .commands.verify import run_verify

        run_verify(verify_config)
    elif command == "wires":
        wires_config = _parse(WiresConfig, command, words)
        _set_threads(wires_config.threads)
        from .studies.wires.study import run_wires

        run_wires(wires_config)
    elif command == "bench":
        _set_threads(None)
        from .bench import bench

        bench.run(_parse(bench.BenchConfig, command, words))
    else:
        raise ValueError(
            "`command` must be train, resume, evaluate, report, sharing-cost, compare-devices, devices, "
            "fit-device, does-it-matter, wires, paper, verify or bench, but is "
            f"{command!r}. See `xbar --help`."
        )


def _parse(config_class: Any, command: str, words: list[str]) -> Any:
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            return tyro.cli(
                config_class,
                prog=f"xbar {command}",
                # The whole docstring: tyro alone would leave out the examples.
                description=inspect.cleandoc(config_class.__doc__ or ""),
                args=words,
                config=_TYRO_STYLE,
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


def _set_threads(threads: int | None) -> None:
    """Set what OpenMP and numba read when they are loaded; torch is told again by the command."""
    count = str(threads or available_threads())
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = count
    if "numba" not in sys.modules:  # once it is loaded, numba refuses another value
        os.environ["NUMBA_NUM_THREADS"] = count


if __name__ == "__main__":
    sys.exit(main())
