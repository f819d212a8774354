"""What one more tile costs: time and memory per tile as tiles grow, ours and aihwkit's.

Every number of tiles is measured in a process of its own, started for it: then the memory that the process
gained is the tiles' and not what earlier measurements left behind. Memory is counted in three ways:

- `tensor_bytes`: parameters and buffers, summed. Exact, but blind to Python objects and to aihwkit's C++.
- `resident_bytes`: the growth of the resident set over the construction. Sees everything; counts whole pages
  and what the allocator keeps for later, so for few tiles it says little.
- `peak_bytes`: the growth to the highest resident set of forward and backward passes: also outputs, gradients
  and whatever the passes hold in between.

The resident set comes from Linux's /proc; elsewhere the two last are missing (None).
"""

import gc
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final, final

import torch
from torch import nn

from crossbar import TileArray
from crossbar.aihwkit.adapter import StandardHWATrainingPreset
from crossbar.reference.backend import LoopOfTiles
from devices.streams import generator
from devices.units import Seconds

from ..support.progress_bar import progress_bar
from .speed import use_threads

GROWTH_CONFIGURATION: Final = StandardHWATrainingPreset
# The tile of the MNIST network's first layer: 32 outputs, 3 x 3 pixels.
OUT_SIZE: Final = 32
IN_SIZE: Final = 9
BATCH_SIZE: Final = 8
# 10,000 of aihwkit's tiles need 3 GB, and more patience than they teach.
LARGEST_LOOP: Final = 1000

_STATUS: Final = Path("/proc/self/status")
_RESET_PEAK: Final = Path("/proc/self/clear_refs")


@final
@dataclass(frozen=True, kw_only=True)
class GrowthPoint:
    """What a number of tiles costs, with StandardHWATrainingPreset and batches of 8.

    Attributes:
        contestant: "ours" or "aihwkit_loop".
        tiles: Number of tiles, of 32 x 9.
        construction_seconds: Making them and setting their weights.
        pass_seconds: One forward and backward pass in training, median.
        weight_bytes: The weights alone.
        tensor_bytes: Parameters and buffers.
        resident_bytes: Growth of the resident set over the construction, None where unknown.
        peak_bytes: Growth to the highest resident set of the passes, None where unknown.
    """

    contestant: str
    tiles: int
    construction_seconds: Seconds
    pass_seconds: Seconds
    weight_bytes: int
    tensor_bytes: int
    resident_bytes: int | None
    peak_bytes: int | None


def measure_growth(tile_counts: tuple[int, ...], repeats: int, threads: int) -> list[GrowthPoint]:
    """Measure every number of tiles in a fresh process.

    Args:
        tile_counts: Numbers of tiles; the loop stops at 1,000.
        repeats: Passes that count, after one that does not.
        threads: Threads to compute with.

    Raises:
        RuntimeError: If a process fails; with what it said.
    """
    tasks = [("ours", tiles) for tiles in tile_counts]
    tasks += [("aihwkit_loop", tiles) for tiles in tile_counts if tiles <= LARGEST_LOOP]
    points = []
    with progress_bar(total=len(tasks), desc="growth", unit="process", leave=False) as progress:
        for contestant, tiles in tasks:
            progress.set_postfix_str(f"{contestant}, {tiles:,} tiles")
            points.append(_in_a_fresh_process(contestant, tiles, repeats, threads))
            progress.update()
    return points


def _in_a_fresh_process(contestant: str, tiles: int, repeats: int, threads: int) -> GrowthPoint:
    command = [sys.executable, "-m", __name__, contestant, *map(str, (tiles, repeats, threads))]
    # From the folder that holds the packages, so that the process imports these and no others of their names.
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["killed, perhaps for lack of memory"])[-1]
        raise RuntimeError(f"measuring {tiles} tiles ({contestant}) failed: {reason}")
    return GrowthPoint(**json.loads(done.stdout))


def measure_point(contestant: str, tiles: int, repeats: int) -> GrowthPoint:
    """Build tiles and send batches through them, in this process."""
    rng = generator(0, "bench", "growth")
    weight = torch.rand(tiles, OUT_SIZE, IN_SIZE, generator=rng) - 0.5
    x = torch.rand(tiles, BATCH_SIZE, IN_SIZE, generator=rng)
    # What the first use of the libraries allocates is not the tiles'.
    _pass(_build(contestant, weight[:1]), x[:1])

    gc.collect()
    before = _resident("VmRSS")
    start = perf_counter()
    model = _build(contestant, weight)
    construction_seconds = perf_counter() - start
    gc.collect()
    resident = _resident("VmRSS")

    can_reset = _reset_peak()
    times = [_pass(model, x) for _ in range(1 + repeats)][1:]
    peak = _resident("VmHWM") if can_reset else None
    state = [*model.parameters(), *model.buffers()]
    return GrowthPoint(
        contestant=contestant,
        tiles=tiles,
        construction_seconds=construction_seconds,
        pass_seconds=median(times),
        weight_bytes=weight.nbytes,
        tensor_bytes=sum(tensor.nbytes for tensor in state),
        resident_bytes=None if before is None or resident is None else resident - before,
        peak_bytes=None if before is None or peak is None else peak - before,
    )


def _build(contestant: str, weight: torch.Tensor) -> nn.Module:
    tiles = len(weight)
    config: Any = GROWTH_CONFIGURATION()
    if contestant == "ours":
        array = TileArray(tiles, OUT_SIZE, IN_SIZE, config)
        array.set_kernels(weight)
        return array
    loop = LoopOfTiles(tiles, OUT_SIZE, IN_SIZE, config)
    loop.set_weights(weight)
    return loop


def _pass(model: nn.Module, x: torch.Tensor) -> Seconds:
    model.zero_grad()
    start = perf_counter()
    model(x).sum().backward()
    return perf_counter() - start


def _resident(field: str) -> int | None:
    """Return VmRSS (now) or VmHWM (highest) of this process in bytes."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    sizes = (int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
    return next(sizes, None)


def _reset_peak() -> bool:
    """Let VmHWM start anew from the present resident set; tell whether the system allows it."""
    try:
        _RESET_PEAK.write_text("5")
    except OSError:
        return False
    return True


def _main(contestant: str, *numbers: str) -> None:
    tiles, repeats, threads = map(int, numbers)
    with use_threads(threads):
        print(json.dumps(asdict(measure_point(contestant, tiles, repeats))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
