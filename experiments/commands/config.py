"""What commands that are neither trainings nor studies can be asked for: one frozen dataclass each, for tyro."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, final

import tyro

from crossbar.cost.packing import parse_packing

from ..runs.options.config import Compensation
from ..support.options.idle_options import refuse_given
from ..support.options.open_options import OF_PACKING, OPEN, OPEN_INT, OPEN_NAME, one_of
from ..support.runs_folder import runs_folder


@final
@dataclass(frozen=True, kw_only=True)
class ResumeConfig:
    """Continue an interrupted run; its numbers are those of an uninterrupted one, to the last bit.

    Example:
      xbar resume runs/fcn_digits-hwa-pcm-0123456789ab
    """

    run: Annotated[str, tyro.conf.Positional]
    """The run folder, or its name in the folder of runs."""
    data_dir: Annotated[str | None, OPEN_NAME] = None
    """Folder of the data set, if it has moved."""
    trust: bool = False
    """Execute the run's copy of a file of your own although it has been changed since the training."""


@final
@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Program a trained network onto other devices, more chips or for other times, without training.

    What is not given is as in the run. The result goes into a file of its own in the run folder.

    Examples:
      xbar evaluate runs/fcn_digits-hwa-pcm-0123456789ab --device reram-cmo
      xbar evaluate runs/fcn_digits-hwa-pcm-0123456789ab --times 1s,1min,1h,1d,1w,1month,1y --chips 20
      xbar evaluate runs/cnn_digits-hwa-pcm-0123456789ab --placement 'replicated(tiles=16)'
      xbar evaluate runs/fcn_digits-hwa-pcm-0123456789ab --faults 'stuck_low=0.01,dead_rows=0.002'
      xbar evaluate runs/cnn_digits-hwa-pcm-0123456789ab --placement 'local1=free' --packing 'local*=block'
    """

    run: Annotated[str, tyro.conf.Positional]
    """The run folder, or its name in the folder of runs."""
    device: Annotated[str | None, OPEN_NAME] = None
    """Memory cell to program; `xbar devices` lists them. Not for runs in situ or by write-verify: their devices
    are trained."""
    placement: Annotated[str | None, OPEN_NAME] = None
    """Program the trained kernels onto tiles placed otherwise, where each tile's locations learned one kernel:
    those of a CNN onto any, blocks onto free. Not for runs in situ or by write-verify."""
    faults: Annotated[str | None, OPEN_NAME] = None
    """What the accuracy becomes when parts of the devices do not work: see `xbar train --help`; none: all work.
    Not for runs in situ or by write-verify, which learn with their faults."""
    wires: Annotated[str | None, OPEN_NAME] = None
    """What the accuracy becomes with resistive wires: see `xbar train --help`; none: ideal ones. Not for runs in
    situ or by write-verify."""
    times: Annotated[str | None, OPEN_NAME] = None
    """Times since programming, for example 1s,1h,1d,1month,1y."""
    chips: Annotated[int | None, OPEN_INT] = None
    """Chips to program; of a run in situ or by write-verify, readings of its chip."""
    compensation: Annotated[Compensation | None, one_of(Compensation), OPEN] = None
    """Drift compensation to compare with none."""
    test_images: Annotated[int | None, OPEN_INT] = None
    """Test on this many images only."""
    data_dir: Annotated[str | None, OPEN_NAME] = None
    """Folder of the data set, if it has moved."""
    packing: Annotated[str, OF_PACKING] = "none"
    """How kernels smaller than an array lie in it, in the bill of an image that is printed: see `xbar sharing-cost
    --help`."""
    threads: Annotated[int | None, OPEN_INT] = None
    """Threads to compute with."""
    memory: Annotated[str | None, OPEN_NAME] = None
    """Most memory that a piece of work takes beside weights, devices, inputs and outputs, for example 512MiB: see
    `xbar train --help`."""
    trust: bool = False
    """Execute the run's copy of a file of your own although it has been changed since the training."""

    def __post_init__(self) -> None:
        """Refuse a packing that does not exist.

        Raises:
            ValueError: If so.
        """
        parse_packing(self.packing)


@final
@dataclass(frozen=True, kw_only=True)
class DevicesConfig:
    """List the memory cells that a network can be programmed onto, and those that can learn in situ.

    Examples:
      xbar devices
      xbar devices ttv2-reram-es
      xbar devices my.toml --out sheets
    """

    name: Annotated[str | None, tyro.conf.Positional, OPEN_NAME] = None
    """Describe this one only, and measure simulated devices of it."""
    out: str = "device-sheets"
    """Folder for the figure (NAME.png) and the numbers (NAME.csv) of that one."""

    def refuse_idle(self) -> None:
        """Refuse a folder for what is not written.

        Raises:
            ValueError: If there is one.
        """
        if self.name is None:
            refuse_given(self, ("out",), "without a name", "a list is only printed. Name a device")


@final
@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Draw the figures of a run (accuracy, learning, what was recorded of the devices), and write a page.

    The page, report.html, is one file to read in a browser or on a telephone: results, figures, what happened in the
    hardware and what it costs, how to reproduce it, configuration, environment. Of a run that is not finished, also
    while it is training, it says how far it is. For the folder of a study (sharing-cost, compare-devices, paper) it
    holds its table and figures. Several runs are put beside each other: what differs in their configurations, their
    curves in one figure, accuracies, and what an image costs.

    Examples:
      xbar report runs/fcn_digits-in-situ-reram-sb-0123456789ab
      xbar report runs/fcn_digits-hwa-pcm-0123456789ab runs/cnn_digits-hwa-pcm-0123456789ab
      xbar report runs/paper-smoke-0123456789ab
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """The folder of a run or of a study, or the name of a run in the folder of runs; or those of several runs."""
    packing: Annotated[str, OF_PACKING] = "none"
    """How kernels smaller than an array lie in it, in the bills of runs: see `xbar sharing-cost --help`."""

    def __post_init__(self) -> None:
        """Refuse an empty list.

        Raises:
            ValueError: If no run is named.
        """
        if not self.runs:
            raise ValueError(
                "`run` must name a run or a study, but is left out. `xbar train` prints its run folder."
            )
        parse_packing(self.packing)


@final
@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Compute the small reference numbers of the README anew, on this machine, and say whether they hold.

    Each number is computed by this installation and compared with where it comes from: aihwkit's own C++ tiles, a
    circuit law, a published figure, or the README's table of the demo. Tolerances follow from the float format, the
    digits that were published, or the sample. The exit code is 0 if all hold, and 3 if one does not.

    About three minutes on two cores; half a minute with --quick, which leaves out the trainings.

    Examples:
      xbar verify
      xbar verify --quick
    """

    quick: bool = False
    """Leave out the trainings."""
    threads: Annotated[int | None, OPEN_INT] = None
    """Threads to compute with."""
    out: Path = Path("runs/verify")
    """Folder for verify.json, and the folders of the runs that are made."""

    def __post_init__(self) -> None:
        """Refuse a number of threads below one.

        Raises:
            ValueError: If so.
        """
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"`threads` must be 1 or more, but is {self.threads}. Give a larger number.")


@final
@dataclass(frozen=True, kw_only=True)
class RunsConfig:
    """List the runs and studies of a folder: when, what came out, how large.

    Examples:
      xbar runs
      xbar runs /data/runs --json
    """

    folder: Annotated[Path, tyro.conf.Positional] = field(default_factory=runs_folder)
    """The folder of runs."""
