"""When pairs of one-way devices are looked at, to be reset where they are full; and what that costs.

Pulses only ever raise the devices of such a pair. When both are high the weight can no longer move, and the pair has
to be reset and written anew. A chip that looks at all pairs after every mini-batch, as aihwkit's preset does, reads
far more than it finds. It need not: the controller sends the pulses, so it can tell when to look.
"""

from typing import Final, Literal, NamedTuple, final, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from devices.pulsed import DeviceArray, PulseTrains
from devices.units import Dimensionless

RefreshRule = Literal["when-full", "every-batch"]
"""when-full: a tile is looked at when its busiest pair can be expected to be full; see `LineCounts`. every-batch: as
the configuration says (`refresh_every`), which in aihwkit's preset is after every mini-batch."""

REFRESH_RULES: Final[tuple[RefreshRule, ...]] = get_args(RefreshRule)

_AT_FIRST: Final = 0.25
_MANY, _FEW = 0.02, 0.005
_POINTS: Final = 32  # of the sum over the range that a device climbs


class RefreshCounts(NamedTuple):
    """What looking at pairs and refreshing them has taken; `+` adds, `-` takes away. On a GPU, counts are tensors.

    Attributes:
        pairs: Pairs that were reset and written anew.
        rows_read: Word lines read, plus and minus devices apart, over all tiles.
        values_read: Outputs converted for that.
        serial_rows: Word lines read of one tile after the other: tiles that are looked at are read at once.
        serial_resets: Word lines with devices that were reset, likewise of the busiest tile.
        resets: Pulses that reset a device.
        pulses: Pulses that wrote the differences anew.
        line_pulses: On word and bit lines, for that.
        slots: Pulse slots that took, on the busiest tile.
    """

    pairs: int = 0
    rows_read: int = 0
    values_read: int = 0
    serial_rows: int = 0
    serial_resets: int = 0
    resets: int = 0
    pulses: int = 0
    line_pulses: int = 0
    slots: int = 0

    def __add__(self, other: "RefreshCounts") -> "RefreshCounts":  # type: ignore[override]
        return RefreshCounts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def __sub__(self, other: "RefreshCounts") -> "RefreshCounts":
        return RefreshCounts(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


@final
class LineCounts(nn.Module):
    """Pulses on the lines of every tile since it was last looked at: a controller tells by them when to look again.

    It counts the pulses N_i of every word line and M_j of every bit line, and the slots S. If lines pulse
    independently, the pair at (i, j) has received about N_i M_j / S pulses. A tile is due when that of its busiest
    lines reaches a number, which each tile finds by itself: at first a quarter of the pulses that take one nominal
    device of a pair from rest to the upper threshold and the other one to the lower; half of that after a look that
    found more than 2 % of the pairs full, twice that after one that found fewer than 0.5 %, but never more than all
    those pulses. So tiles that are used often are looked at often, and where pairs fill up in every
    mini-batch they are looked at after every one. (Shares and factors are assumed.)

    Args:
        tiles: Number of tiles.
        out_size: Bit lines of a tile.
        in_size: Word lines of a tile.
        to_fill: Pulses that fill a pair from rest.

    Attributes:
        word_lines: (tiles, in) pulses.
        bit_lines: (tiles, out) pulses.
        slots: (tiles,) slots that they were drawn for.
        wait: (tiles,) pulses of the busiest pair after which a tile is due.
    """

    word_lines: Tensor
    bit_lines: Tensor
    slots: Tensor
    wait: Tensor

    def __init__(self, tiles: int, out_size: int, in_size: int, to_fill: Dimensionless) -> None:
        super().__init__()
        self.to_fill = to_fill
        for name, shape in (
            ("word_lines", (tiles, in_size)),
            ("bit_lines", (tiles, out_size)),
            ("slots", (tiles,)),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("wait", torch.full((tiles,), _AT_FIRST * to_fill, dtype=torch.float64))

    def note(
        self, trains: PulseTrains, tile_of_train: Int[Tensor, " tiles"] | None
    ) -> Bool[Tensor, " tiles"]:
        """Add the pulses of a batch, and return which tiles are due.

        Args:
            trains: What was sent, one set for each tile, or for each kernel.
            tile_of_train: For each tile, which trains it received; its own if None.
        """
        # Deterministic trains hold values whose product is the number of pulses: one slot for each vector then.
        slots = trains.length if trains.is_stochastic else (trains.length > 0).to(trains.length)
        sent = (
            (self.word_lines, trains.x_pulses.abs()),
            (self.bit_lines, trains.d_pulses.abs()),
            (self.slots, slots),
        )
        for buffer, values in sent:
            total = values.sum(dim=1, dtype=torch.float64)
            buffer += total if tile_of_train is None else total[tile_of_train]
        return self.busiest() >= self.wait

    def busiest(self) -> Tensor:
        """Return how many pulses the busiest pair of every tile has received, as far as lines tell."""
        return self.word_lines.amax(dim=1) * self.bit_lines.amax(dim=1) / self.slots.clamp(min=1)

    def looked(self, tiles: Bool[Tensor, " tiles"], full: Float[Tensor, " tiles"]) -> None:
        """Begin anew on tiles that were looked at, and learn from what was found.

        Args:
            tiles: Which.
            full: Share of full pairs that was found on each.
        """
        found_many, found_few = tiles & (full > _MANY), tiles & (full < _FEW)
        wait = torch.where(found_many, self.wait / 2, self.wait)
        self.wait.copy_(torch.where(found_few, (2 * wait).clamp(max=self.to_fill), wait))
        for buffer in (self.word_lines, self.bit_lines, self.slots):
            buffer.masked_fill_(tiles.reshape(-1, *[1] * (buffer.dim() - 1)), 0)

    def forget(self) -> None:
        """Begin anew on all tiles, as devices do that are put to new weights."""
        for buffer in (self.word_lines, self.bit_lines, self.slots):
            buffer.zero_()
        self.wait.fill_(_AT_FIRST * self.to_fill)


@torch.no_grad()
def pulses_to_reach(devices: DeviceArray, level: Dimensionless) -> Dimensionless:
    """Return how many pulses take a nominal device from zero up to a level.

    The sum over the pulses is taken as the integral of dw / step(w), with the mean step of all devices that respond.

    Args:
        devices: Devices that only go up.
        level: In parts of the nominal maximum, from 0 to 1.
    """
    highest = level * abs(devices.device.w_max)
    responding = devices.scale_up != 0
    if highest <= 0 or not responding.any():
        return 0.0
    pulses, width = 0.0, highest / _POINTS
    for point in range(_POINTS):
        up, _ = devices.steps(torch.full_like(devices.weight, (point + 0.5) * width), True)
        # Steps vanish at the bounds of some laws: no pulse gets a device further there.
        mean = float(up[responding].clamp(min=0).mean(dtype=torch.float64))
        pulses += width / max(mean, 1e-3 * float(devices.granularity))
    # A sum's last digits depend on where its numbers lie in memory: a resumed training must find the same number.
    return float(f"{pulses:.6g}")
