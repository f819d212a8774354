"""How long it takes to see a network's arrays exactly through their wires, once, and to read them afterwards.

Beside it badcrossbar 1.1.0, if it can be imported (it needs the headers of libcairo to be installed): it solves every
array by itself, and every time. Of arrays with the same size it solves the first few, and its time for all of them is
that of one, times their number.
"""

import importlib
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, final

import torch
from torch import Tensor

from crossbar import effective_conductance
from devices.streams import generator
from devices.units import Ohm, Seconds

from ..support.progress_bar import progress_bar
from .speed import local_layers

INPUTS: Final = 16
OHM: Final[Ohm] = 1.0
_SEED: Final = 0
_POLARITIES: Final = 2
_SOLVED_BY_BADCROSSBAR: Final = 3
_ONE_ARRAY: Final = (1, 128, 128)
_LARGEST: Final = 25e-6  # S, of phase-change memory in aihwkit 1.1.0


@final
@dataclass(frozen=True)
class WiresTiming:
    """Times for all arrays of one layer; medians over the rounds.

    Attributes:
        layer: Name of the layer, or "one array".
        arrays: Number of arrays: tiles, times two for the positive and the negative devices.
        bit_lines: Of each.
        word_lines: Of each.
        once: To compute the effective conductances of all of them, in one call.
        read: To multiply `INPUTS` vectors with each of them afterwards.
        badcrossbar: To solve all of them for `INPUTS` vectors, one after another; None without badcrossbar.
    """

    layer: str
    arrays: int
    bit_lines: int
    word_lines: int
    once: Seconds
    read: Seconds
    badcrossbar: Seconds | None


def measure_wires(model: str, repeats: int) -> list[WiresTiming]:
    """Measure the local layers of a network, and one array of 128 x 128.

    Args:
        model: Name of a network.
        repeats: Rounds; of a layer whose round takes long, as many as fit into half a minute, three at least.
    """
    sizes = [
        (name, _POLARITIES * layer.geometry.locations, layer.geometry.out_channels, layer.geometry.patch_size)
        for name, layer in local_layers(model).items()
    ]
    compute = _badcrossbar()
    timings = []
    with progress_bar(total=len(sizes) + 1, desc="wires", unit="layer") as bar:
        for name, arrays, bits, words in (("one array", *_ONE_ARRAY), *sizes):
            rng = generator(_SEED, "bench", "wires", name)
            g = _LARGEST * torch.rand(arrays, bits, words, generator=rng, dtype=torch.float64)
            v = 0.2 * torch.rand(arrays, INPUTS, words, generator=rng, dtype=torch.float64)
            seen, volts = effective_conductance(g, OHM, OHM).float().mT, v.float()
            theirs = None if compute is None else _solve_each(compute, g, v, repeats) * arrays
            timings.append(
                WiresTiming(
                    name,
                    arrays,
                    bits,
                    words,
                    _median(partial(effective_conductance, g, OHM, OHM), repeats),
                    _median(partial(torch.matmul, volts, seen), repeats),
                    theirs,
                )
            )
            bar.update()
    return timings


def _median(work: Callable[[], object], repeats: int, budget: Seconds = 30.0) -> Seconds:
    times: list[Seconds] = []
    while len(times) < repeats and (len(times) < 3 or sum(times) < budget):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _badcrossbar() -> Any:
    """Return badcrossbar's solver, or None."""
    try:
        compute = importlib.import_module("badcrossbar.compute").compute
    except ImportError:
        return None
    logging.getLogger("badcrossbar").setLevel(logging.CRITICAL)
    logging.getLogger("badcrossbar.display").setLevel(logging.CRITICAL)
    return compute


def _solve_each(compute: Any, g: Tensor, v: Tensor, repeats: int) -> Seconds:
    """Return badcrossbar's median time for one array; it wants word lines first."""
    times = []
    for siemens, volts in zip(g[:_SOLVED_BY_BADCROSSBAR], v, strict=False):
        ohms = (1 / siemens).T.numpy()
        work = partial(compute, volts.T.numpy(), ohms, r_i=OHM, node_voltages=False, all_currents=False)
        times.append(_median(work, repeats))
    return statistics.median(times)
