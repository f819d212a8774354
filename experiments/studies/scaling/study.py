"""`xbar scaling`: what exact sharing costs in a training step, against image, kernels, batch and machines."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Final

import torch
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from torch import nn

from crossbar import AnalogLocallyConnected2d, load_profile
from crossbar.aihwkit.adapter import AnalogSGD
from devices import get
from devices.units import Seconds

from ...drawing.figures import save_figure, strip
from ...drawing.output.figure_page import new_figure
from ...drawing.palette import AMBER, BLUE, GREEN, VERMILION
from ...drawing.sections import Picture, Section, Table
from ...support.answer import Answer
from ...support.environment import describe_environment
from ..results import numbers_file
from ..study import Findings, write_findings
from .config import ScalingConfig
from .law import CHANNELS, KERNEL, SCHEMES, STRIDE, Point, Scheme, cost, locations_of

NAME: Final = "scaling"
_FIGURE: Final = "scaling.png"
_DEVICE: Final = "ecram"
_COLOURS: Final = dict(zip(SCHEMES, (VERMILION, GREEN, AMBER, BLUE), strict=True))
_PLACEMENTS: Final[dict[Scheme, str]] = {
    "one tile, pulses": "time_multiplexed", "copies, pulses": "replicated", "free": "free",
}  # fmt: skip


def run_scaling(config: ScalingConfig) -> Answer:
    """Compute and measure, write tables, numbers, figure and page.

    Returns:
        The file of numbers.

    Raises:
        ValueError: If there is no such profile.
    """
    profile = load_profile(config.profile)
    sides, kernels, batches, machines = map(config.numbers, ("sides", "kernels", "batches", "machines"))
    points = [
        cost(scheme, side, k, batch, number, profile)
        for scheme, side, k, batch, number in product(SCHEMES, sides, kernels, batches, machines)
        if number <= (locations_of(side) if scheme == "free" else batch)  # each has something to do
    ]
    points = [_with_emulation(point, config.emulated) for point in points]
    config.out.mkdir(parents=True, exist_ok=True)
    middle = kernels[len(kernels) // 2], batches[-1]
    _draw([point for point in points if (point.kernels, point.batch) == middle], config)
    write_findings(
        _findings(points, middle, config),
        study=NAME,
        command=shlex.join(["xbar", NAME]),
        configuration=config.to_json(),
        environment=describe_environment(1),
        rows=[asdict(point) for point in points],
        failed={},
        out=config.out,
    )
    return numbers_file(NAME, config.out)


def _with_emulation(point: Point, largest: int) -> Point:
    """Measure the step of a point in this process, if it is a small one of one machine."""
    placement = _PLACEMENTS.get(point.scheme)
    if (
        point.machines > 1
        or point.side > largest
        or placement is None
        or (point.kernels, point.batch) != (64, 8)
    ):
        return point
    return replace(point, emulated=emulated(placement, point.side, point.kernels, point.batch))


def emulated(placement: str, side: int, kernels: int, batch: int) -> Seconds:
    """Return the time of the processor for one step in situ: the shortest of three, after one that does not count."""
    torch.manual_seed(0)
    layer = AnalogLocallyConnected2d(
        CHANNELS, kernels, KERNEL, side, stride=STRIDE, padding=KERNEL // 2, bias=False, placement=placement,
        rpu_config=get(_DEVICE).training_config(), seed=0,
    )  # fmt: skip
    optimizer, x = AnalogSGD(layer.parameters(), lr=0.1), torch.rand(batch, CHANNELS, side, side)
    return min([_step(layer, optimizer, x) for _ in range(4)][1:])


def _step(layer: nn.Module, optimizer: AnalogSGD, x: torch.Tensor) -> Seconds:
    start = time.process_time()
    layer(x).square().mean().backward()
    optimizer.step()
    return time.process_time() - start


def _findings(points: Sequence[Point], middle: tuple[int, int], config: ScalingConfig) -> Findings:
    chosen = [point for point in points if (point.kernels, point.batch) == middle]
    header = [
        "scheme",
        "image",
        "machines",
        "hardware",
        "energy",
        "received",
        "exchange",
        "energy of it",
        "exchange / hardware",
    ]
    lines = [
        [
            point.scheme, f"{point.side}", f"{point.machines}", _time(point.seconds),
            f"{point.energy:.3g} µJ", _size(point.received), _time(point.waiting), f"{point.sent_energy:.3g} µJ",
            f"{point.ratio:.2g}",
        ]
        for point in chosen
    ]  # fmt: skip
    text = (
        f"One step in situ of {KERNEL} x {KERNEL} kernels, stride {STRIDE}, {CHANNELS} channels, {middle[0]} "
        f"kernels, {middle[1]} images, priced by {config.profile}. Hardware: time of the busiest machine without "
        "exchanges, energy of all machines. Received: bytes into one machine."
    )
    sections = [
        Section(items=[f"{name}: {what}." for name, what in SCHEMES.items()]),
        Section(
            text=(text,), table=Table(header=header, rows=lines), records=[asdict(point) for point in points]
        ),
        _where(points),
        _timed(points),
        Section(
            title="Figure",
            pictures=(Picture(path=config.out / _FIGURE, description="Exchange over hardware time"),),
            page_only=True,
        ),
    ]
    return Findings(title="The law of cost", summary=f"{len(points)} steps.", sections=sections, numbers={})


def _where(points: Sequence[Point]) -> Section:
    """Say from how many machines on exchanges take longer than the hardware."""
    sides = sorted({point.side for point in points})
    keys = dict.fromkeys((point.scheme, point.kernels, point.batch) for point in points)
    lines = []
    for key in keys:
        cells = []
        for side in sides:
            those = [
                p for p in points if (p.scheme, p.kernels, p.batch) == key and p.side == side and p.ratio > 1
            ]
            cells.append(str(min(p.machines for p in those)) if those else "-")
        lines.append([key[0], str(key[1]), str(key[2]), *cells])
    text = "The fewest machines, of those computed, with which exchanges take longer than the hardware; - for none."
    return Section(
        title="Where communication takes longer than computation",
        text=(text,),
        table=Table(header=["scheme", "kernels", "images", *map(str, sides)], rows=lines),
    )


def _timed(points: Sequence[Point]) -> Section:
    timed = [point for point in points if point.emulated is not None]
    lines = [[p.scheme, str(p.side), _time(p.emulated or 0.0)] for p in timed]
    text = f"The same step emulated in one process, on one thread ({_DEVICE}), 64 kernels, 8 images: processor time."
    table = Table(header=["scheme", "image", "emulation"], rows=lines)
    return Section(title="Emulation", text=(text,), table=table) if timed else Section()


def _time(seconds: Seconds) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return "0" if seconds == 0 else f"{1e9 * seconds:.3g} ns"


def _size(number: int) -> str:
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 2**power:
            return f"{number / 2**power:.3g} {unit}"
    return f"{number} B"


def _draw(points: Sequence[Point], config: ScalingConfig) -> None:
    machines = sorted({point.machines for point in points if point.machines > 1})
    sides = config.numbers("sides")
    shown = machines[len(machines) // 2] if machines else 1
    figure = new_figure((10.4, 4.2))
    left, right = figure.subplots(1, 2)
    for scheme, colour in _COLOURS.items():
        of_scheme = [point for point in points if point.scheme == scheme]
        some = [point for point in of_scheme if point.machines == shown]
        # That of one tile lies under that of copies: as many vectors come one after the other.
        width = 5.0 if scheme == "one tile, pulses" else 1.5
        left.plot(
            [p.side for p in some],
            [p.seconds for p in some],
            "-o",
            color=colour,
            ms=4,
            lw=width,
            label=scheme,
        )
        left.plot([p.side for p in some], [p.waiting for p in some], ":", color=colour, lw=width)
        of_side = [p for p in of_scheme if p.side == sides[-1] and p.machines > 1]
        right.plot(
            [p.machines for p in of_side], [p.ratio for p in of_side], "-o", color=colour, ms=4, lw=width
        )
    for axes, ticks, label in ((left, sides, "side of the image"), (right, machines, "machines")):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticklabels([str(tick) for tick in ticks])
        axes.set_xlabel(label)
        strip(axes)
    left.set_ylabel("s, one step")
    left.set_title(f"{shown} machines; dotted: exchanges", loc="left", fontsize="medium")
    left.legend(fontsize="small", frameon=False)
    right.axhline(1.0, color="black", lw=0.8)
    right.set_ylabel("time of exchanges / of hardware")
    right.set_title(f"images of {sides[-1]} x {sides[-1]}", loc="left", fontsize="medium")
    save_figure(figure, config.out / _FIGURE)
