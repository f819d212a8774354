"""What the parts of a tile array count by themselves: devices their pulses, rules their reads and writes."""

from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor, nn

from devices.pulsed import DeviceArray, WriteCounts

from ...cost.events import EventLedger
from ...learning.refresh import RefreshCounts
from ...reading.periphery import Periphery
from ...tiles.tile_array import TileArray


@dataclass(frozen=True)
class Tally:
    """What devices in place and their learning rule did.

    Attributes:
        pulses: That all devices received.
        line_pulses: On word and bit lines.
        slots: Pulse slots of the busiest tile, one after the other.
        rows_read: Lines that the rule read, except to refresh.
        values_read: Outputs converted for that.
        refreshed: What refreshing pairs of one-way devices took, except in the course of writes.
        written: What its write-verify loops took.
        writes: How many of them belonged to updates.
        sets: How often devices were put to new weights at once, as trained ones are.
    """

    pulses: int = 0
    line_pulses: int = 0
    slots: int = 0
    rows_read: int = 0
    values_read: int = 0
    written: WriteCounts = field(default_factory=WriteCounts)
    writes: int = 0
    sets: int = 0
    refreshed: RefreshCounts = field(default_factory=RefreshCounts)

    def since(self, before: "Tally") -> "Tally":
        """Return what was counted since then."""
        now, then = self.written, before.written
        names = (item.name for item in fields(WriteCounts) if item.name != "iterations")
        return Tally(
            pulses=self.pulses - before.pulses,
            line_pulses=self.line_pulses - before.line_pulses,
            slots=self.slots - before.slots,
            rows_read=self.rows_read - before.rows_read,
            values_read=self.values_read - before.values_read,
            written=WriteCounts(**{name: getattr(now, name) - getattr(then, name) for name in names}),
            writes=self.writes - before.writes,
            sets=self.sets - before.sets,
            refreshed=self.refreshed - before.refreshed,
        )


class PartsWatch:
    """Lets the parts of an array count, and reads what they have counted.

    Trained weights and aihwkit's own tiles count nothing: their tally is zero.

    Args:
        array: The tiles; devices that did not count their pulses begin to.
    """

    def __init__(self, array: TileArray) -> None:
        self._array = array
        self._started = [devices for devices in self._devices() if devices.pulse_count is None]
        for devices in self._started:
            devices.count_pulses()
        self._pulses_before = [count.clone() for count in self._pulses()]
        self._before = self._tally()

    def most_pulses(self) -> int:
        """Return the pulses of the device that has received most meanwhile."""
        before = self._pulses_before
        most = max(
            (int((now - then).max()) for now, then in zip(self._pulses(), before, strict=True)), default=0
        )
        return self._array.noise.most(most)

    def stop(self) -> None:
        """Let devices that did not count before forget their pulses."""
        for devices in self._started:
            devices.stop_counting()

    def counted(self) -> Tally:
        """Return what was counted meanwhile, by all processes; all call it together."""
        counted = self._tally().since(self._before)
        part = self._array.noise.part
        if part is None:
            return counted
        # Slots are those of the busiest tile anywhere already, and what else there is happens on whole layers only.
        return replace(
            counted,
            pulses=int(part.total(counted.pulses)),
            line_pulses=int(part.total(counted.line_pulses)),
            rows_read=int(part.total(counted.rows_read)),
            values_read=int(part.total(counted.values_read)),
        )

    def _devices(self) -> list[DeviceArray]:
        """Return the devices in place that count; none of aihwkit's own."""
        in_situ = self._array.in_situ
        if in_situ is None or in_situ.reference is not None:
            return []
        return list(in_situ.cells.device_arrays().values())

    def _tally(self) -> Tally:
        """Read all counters."""
        arrays, cells, pulses = self._devices(), self._array.cells, self._pulses()
        if not arrays or cells is None:
            return Tally(sets=0 if self._array.in_situ is None else self._array.in_situ.sets)
        writes, written = cells.own_writes()
        peripheries = [part for part in cells.modules() if isinstance(part, Periphery)]
        return Tally(
            pulses=sum(int(count.sum(dtype=torch.int64)) for count in pulses),
            line_pulses=sum(
                int(devices.line_pulses) for devices in arrays if devices.line_pulses is not None
            ),
            slots=sum(int(devices.slots) for devices in arrays if devices.slots is not None),
            rows_read=sum(part.rows_read for part in peripheries),
            values_read=sum(part.values_read for part in peripheries),
            written=written,
            writes=writes,
            sets=0 if self._array.in_situ is None else self._array.in_situ.sets,
            refreshed=cells.own_refreshes(),
        )

    def _pulses(self) -> list[Tensor]:
        """Return the pulses of all devices in place, (tiles, out, in) for each of a cell."""
        return _pulses_of(self._array, self._devices())


def enter_wear(ledger: EventLedger, model: nn.Module) -> None:
    """Enter the pulses of the device that has received most since its pulses are counted, as its devices know them.

    Args:
        ledger: A sum of ledgers of the whole of that time, which knows bounds only; changed.
        model: Whose devices count their pulses. Layers whose devices do not are left alone.
    """
    for name, layer in model.named_modules():
        array = getattr(layer, "analog_module", None)
        if name not in ledger.layers or not isinstance(array, TileArray):
            continue
        in_situ = array.in_situ
        if in_situ is None or in_situ.reference is not None:
            continue
        devices = list(in_situ.cells.device_arrays().values())
        if all(one.pulse_count is not None for one in devices):
            counts = _pulses_of(array, devices)
            most = max((int(count.max()) for count in counts), default=0)
            ledger.layers[name].wear_is(array.noise.most(most))


def _pulses_of(array: TileArray, devices: list[DeviceArray]) -> list[Tensor]:
    counts, in_situ = [one.pulses() for one in devices], array.in_situ
    # Lines also pass where no device is.
    if in_situ is None or in_situ.population is None:
        return counts
    return [count * in_situ.population for count in counts]
