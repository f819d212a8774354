"""Making copies of one kernel equal again: read them, average them digitally, write every copy to the mean."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from devices.pulsed import DeviceArray, WriteCounts, WriteVerify, write_verify

from ..cost.events import LayerEvents
from ..placement.mean_of_copies import mean_of_copies
from ..reading.noise import NoiseStream
from .unit_cells import UnitCells

# Of a weight on its way between tiles: 16 bits hold what an ADC reads, with room for the sums (notes on costs, 3c).
BYTES = 2


Change = Callable[[Tensor], Tensor]
"""From the weights (tiles, out, in) that were read to those that are to be written."""


@dataclass(frozen=True)
class SyncCounts:
    """What one synchronisation took.

    Attributes:
        write: Pulses and verify reads of the write-verify loop.
        readback_rows: Word lines read to learn what the copies hold, over all tiles.
        serial_readback_rows: Likewise, of one tile: tiles are read in parallel.
        allreduce_bytes: Sent between tiles by a ring all-reduce: 2 (copies - 1) numbers of 2 bytes for every
            crosspoint of a kernel, and for everything that is averaged there.
        allreduce_adds: Additions in it: copies - 1.
    """

    write: WriteCounts = field(default_factory=WriteCounts)
    readback_rows: int = 0
    serial_readback_rows: int = 0
    allreduce_bytes: int = 0
    allreduce_adds: int = 0

    def __add__(self, other: "SyncCounts") -> "SyncCounts":
        return SyncCounts(
            self.write + other.write,
            self.readback_rows + other.readback_rows,
            self.serial_readback_rows + other.serial_readback_rows,
            self.allreduce_bytes + other.allreduce_bytes,
            self.allreduce_adds + other.allreduce_adds,
        )


@torch.no_grad()
def synchronise(
    cells: UnitCells,
    kernel_of_tile: Int[Tensor, " tiles"],
    settings: WriteVerify,
    *,
    exists: Bool[Tensor, "tiles out in"] | None = None,
    noise: NoiseStream,
) -> SyncCounts:
    """Write every copy of a kernel to the mean of its copies.

    All devices are read row by row, with the noise of a verify read, averaged, and written by the write-verify loop:
    single devices and one-sided pairs by the weight that they show, the devices of compounds array by array. Digital
    memories of a compound are averaged as they are. Fast devices behind choppers are averaged as the algorithm reads
    them: with the signs of their lines. With the pulse types NONE and NONE_WITH_DEVICE weights are numbers in a
    memory: they are averaged exactly, without pulses and reads.

    The noise of the reads stays in the mean, which is one for all copies. How far a copy is from it afterwards, the
    loop alone decides.

    Args:
        cells: The devices; changed in place.
        kernel_of_tile: Kernel that each tile holds a copy of.
        settings: Of the write-verify loop.
        exists: Which devices exist; others have no part in a mean. All if None.
        noise: Draws the noise of reading and writing.

    Returns:
        What it took.
    """
    mean = partial(_mean, kernel_of_tile=kernel_of_tile, exists=exists)
    memories = cells.memories()
    for memory in memories:
        memory.values.copy_(mean(memory.values, signs=memory.signs))
    counts = _all_reduce(cells, kernel_of_tile, exists, len(memories))
    if cells.is_written_as_one:
        counts += _all_reduce(cells, kernel_of_tile, exists, 1)
        return counts + rewrite(cells, mean, settings, noise=noise)
    for role, array in cells.device_arrays().items():
        changed = partial(mean, signs=cells.signs_of(role))
        counts += _all_reduce(cells, kernel_of_tile, exists, 1)
        counts += _rewrite_array(array, changed, settings, noise)
    return counts


@torch.no_grad()
def rewrite(
    cells: UnitCells,
    changed: Change,
    settings: WriteVerify,
    *,
    noise: NoiseStream,
) -> SyncCounts:
    """Read what devices show, and write them to what digital arithmetic makes of it.

    Args:
        cells: The devices; changed in place.
        changed: See `Change`.
        settings: Of the write-verify loop.
        noise: Draws the noise of reading and writing.

    Returns:
        What reading and writing took.

    Raises:
        ValueError: If several devices of a cell add up to the weight, so that it cannot be written.
    """
    target = cells.digital_target()
    if target is not None:  # what they are meant to hold needs no read
        return SyncCounts(cells.write(changed(target), settings, noise=noise))
    written = cells.rewrite(changed(cells.read_back(settings, noise=noise)), settings, noise=noise)
    lines = cells.readback_lines
    return SyncCounts(written, readback_rows=cells.tiles * lines, serial_readback_rows=lines)


def _rewrite_array(
    array: DeviceArray, changed: Change, settings: WriteVerify, noise: NoiseStream
) -> SyncCounts:
    seen = array.weight + settings.read_noise * noise.normal_like(array.weight)
    written = write_verify(array, changed(seen), settings, rng=noise.generator("cpu"))
    tiles, _, in_size = array.shape
    return SyncCounts(written, readback_rows=tiles * in_size, serial_readback_rows=in_size)


def count_synchronisation(events: LayerEvents | None, counts: SyncCounts | None) -> None:
    """Hand what a synchronisation took to the ledger, if there were both.

    Every word line that is read, to learn what devices hold or to verify, is a product with one input. Pairs that
    were found full are refreshed with the write; that is no part of what it costs to have copies equal.

    Args:
        events: Where the layer's events are counted, or None.
        counts: What it took, or None.
    """
    if events is None or counts is None:
        return
    write, bit_lines = counts.write, events.shape.tile_shape[0]
    rows = counts.readback_rows + write.verify_rows - write.refresh_rows
    events.add(
        "synchronisation",
        synchronisations=1,
        mvms=rows,
        serial_mvms=counts.serial_readback_rows + write.serial_rows - write.refresh_serial_rows,
        dac_conversions=rows,
        adc_conversions=rows * bit_lines,
        cell_reads=rows * bit_lines,
        readback_rows=counts.readback_rows,
        verify_rows=write.verify_rows - write.refresh_rows,
        serial_rows=write.serial_rows - write.refresh_serial_rows,
        programming_pulses=write.pulses - write.refresh_pulses,
        allreduce_bytes=counts.allreduce_bytes,
        allreduce_adds=counts.allreduce_adds,
    )
    count_refresh(events, write)


def count_refresh(events: LayerEvents, write: WriteCounts) -> None:
    """Hand to the ledger what refreshing full pairs took in the course of a write."""
    events.add(
        "refresh",
        refreshes=write.refreshed,
        programming_pulses=write.refresh_pulses,
        readback_rows=write.refresh_rows,
        serial_rows=write.refresh_serial_rows,
        # At most: every word line that was read twice, plus and minus devices apart, may hold a pair to reset.
        serial_resets=write.refresh_serial_rows // 2,
    )


def _mean(
    values: Float[Tensor, "tiles out in"],
    kernel_of_tile: Tensor,
    exists: Tensor | None = None,
    signs: Tensor | None = None,
) -> Float[Tensor, "tiles out in"]:
    """Return for each tile the mean over the copies of its kernel, each seen with its own signs."""
    # In float64 the mean of equal copies is what each of them holds, to the last bit.
    seen = values.double() if signs is None else values.double() * signs
    mean = mean_of_copies(seen, kernel_of_tile, int(kernel_of_tile.max()) + 1, exists)[kernel_of_tile]
    return (mean if signs is None else mean * signs).to(values)


def _all_reduce(cells: UnitCells, kernel_of_tile: Tensor, exists: Tensor | None, numbers: int) -> SyncCounts:
    """Count averaging so many numbers at every crosspoint over the copies of each kernel."""
    sums = numbers * sums_over_copies(cells, kernel_of_tile, exists)
    return SyncCounts(allreduce_bytes=2 * sums * BYTES, allreduce_adds=sums)


def sums_over_copies(cells: UnitCells, kernel_of_tile: Tensor, exists: Tensor | None) -> int:
    """Return how many additions one number of every crosspoint takes: copies less 1, of those that have a device.

    Args:
        cells: The devices.
        kernel_of_tile: Kernel that each tile holds a copy of.
        exists: (tiles, out, in) which devices exist; all if None.
    """
    kernels = int(kernel_of_tile.max()) + 1
    if exists is None:
        return (cells.tiles - kernels) * cells.out_size * cells.in_size
    number = torch.zeros(kernels, *exists.shape[1:], dtype=torch.int64, device=exists.device)
    number.index_add_(0, kernel_of_tile, exists.long())
    return int((number - 1).clamp(min=0).sum())
