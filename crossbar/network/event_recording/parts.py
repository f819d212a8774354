"""What the parts of a tile array count by themselves: devices their pulses, rules their reads and writes."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from devices.pulsed import DeviceArray, WriteCounts

from ...reading.periphery import Periphery
from ...tiles.tile_array import TileArray


@dataclass(frozen=True)
class Tally:
    """What devices in place and their learning rule did.

    Attributes:
        pulses: That all devices received.
        line_pulses: On word and bit lines.
        slots: Pulse slots of the busiest tile, one after the other.
        rows_read: Lines that the rule read.
        values_read: Outputs converted for that.
        written: What its write-verify loops took.
        writes: How many of them belonged to updates.
        most_pulses: Of the device that has received most, since its counting began.
    """

    pulses: int = 0
    line_pulses: int = 0
    slots: int = 0
    rows_read: int = 0
    values_read: int = 0
    written: WriteCounts = field(default_factory=WriteCounts)
    writes: int = 0
    most_pulses: int = 0

    def since(self, before: "Tally") -> "Tally":
        """Return what was counted since then."""
        now, then = self.written, before.written
        return Tally(
            pulses=self.pulses - before.pulses,
            line_pulses=self.line_pulses - before.line_pulses,
            slots=self.slots - before.slots,
            rows_read=self.rows_read - before.rows_read,
            values_read=self.values_read - before.values_read,
            written=WriteCounts(
                pulses=now.pulses - then.pulses,
                verify_rows=now.verify_rows - then.verify_rows,
                serial_rows=now.serial_rows - then.serial_rows,
            ),
            writes=self.writes - before.writes,
            most_pulses=self.most_pulses,
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
        self._before = self._tally()

    def stop(self) -> Tally:
        """Return what was counted meanwhile; devices that did not count before forget their pulses."""
        counted = self._tally().since(self._before)
        for devices in self._started:
            devices.stop_counting()
        return counted

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
            return Tally()
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
            most_pulses=max(int(count.max()) for count in pulses),
        )

    def _pulses(self) -> list[Tensor]:
        """Return the pulses of all devices in place, (tiles, out, in) for each of a cell."""
        counts, in_situ = [devices.pulses() for devices in self._devices()], self._array.in_situ
        # Lines also pass where no device is.
        if in_situ is None or in_situ.population is None:
            return counts
        return [count * in_situ.population for count in counts]
