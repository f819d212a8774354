"""One large layer, from its construction to an evaluation: time and memory after every piece of work.

    /usr/bin/time -v python -m experiments.bench.large --memory 512MiB
    /usr/bin/time -v python -m experiments.bench.large --mode in-situ --device tiki-taka-ecram --memory 512MiB
    /usr/bin/time -v python -m experiments.bench.large --mode evaluate --side 56 --kernels 128 --channels 64 \
        --kernel 3 --stride 1 --memory 512MiB
    python -m experiments.bench.large --side 100 --steps 5
    python -m experiments.bench.large --mode evaluate --chip chip.safetensors --memory 512MiB
    /usr/bin/time -v python -m experiments.bench.large --mode kept --chip chip.safetensors --mapped

A locally connected layer of side x side locations, every one with a tile of its own: by default 12,544 of 64 x 147,
the first layer of a network for ImageNet without sharing. Hardware-aware: a training step, programming, a day's drift
with compensation, an evaluation. In situ: a step, an evaluation. Kept: a chip that --chip has written is loaded and
evaluated, at the age that it has and a day later. Seeds are 0. Times are those of the processor, which
other people's work moves less than those of a clock; memory is the resident set, with some 0.7 GiB of libraries.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import torch
import tyro
from torch import Tensor, nn

from crossbar import (
    AnalogLocallyConnected2d,
    age_chip,
    bounded_memory,
    load_model,
    program_chip,
    save_model,
)
from crossbar.aihwkit.adapter import AnalogSGD
from devices import get

from ..support.options.open_options import OPEN_NAME, OPEN_PATH

_STATUS: Final = Path("/proc/self/status")
_GIB: Final = 2**20  # of kB


@dataclass(frozen=True, kw_only=True)
class Large:
    """See the module."""

    mode: Literal["hwa", "in-situ", "evaluate", "kept"] = "hwa"
    """What to do: evaluate leaves out the training; kept loads a chip in place of programming one."""
    device: str = "pcm"
    """A device that networks are programmed onto, or that learns in situ; `xbar devices` lists both."""
    side: int = 112
    """Locations along each axis."""
    kernels: int = 64
    """Outputs of a location."""
    channels: int = 3
    """Of the input."""
    kernel: int = 7
    """Side of a kernel."""
    stride: int = 2
    """Between locations."""
    batch: int = 8
    """Images of the step, and of the evaluation."""
    steps: int = 1
    """Training steps; the fastest is shown, too."""
    memory: Annotated[str | None, OPEN_NAME] = None
    """See `xbar train --help`."""
    chip: Annotated[Path | None, OPEN_PATH] = None
    """Where the chip is kept."""
    mapped: bool = False
    """Leave the chip in its file; see `load_model`."""


def measure(what: Large) -> None:
    """Do it, and print a line after every piece of work."""
    with nullcontext() if what.memory is None else bounded_memory(what.memory):
        _measure(what)


def _measure(what: Large) -> None:
    device = get(what.device)
    config = device.training_config() if what.mode == "in-situ" else device.rpu_config()
    torch.manual_seed(0)
    size = what.side * what.stride
    _say("libraries", 0.0)
    with _timed("construction"):
        layer = AnalogLocallyConnected2d(
            what.channels, what.kernels, what.kernel, size, stride=what.stride, padding=what.kernel // 2,
            rpu_config=config, seed=0,
        )  # fmt: skip
    x = torch.rand(what.batch, what.channels, size, size)
    if what.mode in ("hwa", "in-situ"):
        optimizer = (AnalogSGD if what.mode == "in-situ" else torch.optim.SGD)(layer.parameters(), lr=0.01)
        times = [_step(layer, optimizer, x) for _ in range(what.steps)]
        _say("step", times[0])
        per_tile = min(times) / layer.tile_array.tiles
        print(
            f"  fastest of {what.steps}: {1e6 * per_tile:.1f} µs for each of {layer.tile_array.tiles:,} tiles"
        )
    layer.eval()
    if what.mode == "kept":
        assert what.chip is not None, "`chip` must name a file that --mode evaluate has written. Give --chip."
        with _timed("loading"):
            load_model(what.chip, layer, mapped=what.mapped)
        _evaluate(layer, x)
        with _timed("a day's drift"):
            age_chip(layer, "2d", seed=0)
    elif what.mode != "in-situ":
        with _timed("programming"):
            program_chip(layer, seed=0, compensation="global")
        with _timed("a day's drift"):
            age_chip(layer, "1d", seed=0)
        if what.chip is not None:
            with _timed("keeping"):
                save_model(layer, what.chip)
    _evaluate(layer, x)


def _evaluate(layer: nn.Module, x: Tensor) -> None:
    with _timed("evaluation"), torch.no_grad():
        y = layer(x)
    print(f"sum of all outputs: {float(y.double().sum()):.17g}")


def _step(layer: nn.Module, optimizer: Any, x: Tensor) -> float:
    start = time.process_time()
    layer(x).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.process_time() - start


@contextmanager
def _timed(name: str) -> Iterator[None]:
    start = time.process_time()
    yield
    _say(name, time.process_time() - start)


def _say(name: str, seconds: float) -> None:
    sizes = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    now, most, in_file = (int(sizes[key].split()[0]) / _GIB for key in ("VmRSS", "VmHWM", "RssFile"))
    print(
        f"{name:>13}: {seconds:6.1f} s of the processor, {now:5.2f} GiB, of them {in_file:5.2f} of files, at most "
        f"{most:5.2f} GiB",
        flush=True,
    )


if __name__ == "__main__":
    measure(tyro.cli(Large))
