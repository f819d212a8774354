"""What a network makes happen in hardware: integers, counted where they happen, priced later.

Counts say what was done, a `HardwareProfile` what that costs: a new profile is applied to a kept ledger without
running anything again.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, final

from .tables import Sheet, rows_of_layers

PHASES: Final = ("forward", "backward", "update", "gradient", "programming", "synchronisation", "refresh")
"""forward, backward: matrix-vector products. update: pulses of in-situ training. gradient: digital gradients and the
write-verify loops that follow them. programming: writing a trained network. synchronisation: making copies equal.
refresh: looking for full pairs of one-way devices, resetting them and writing them anew, whenever that happens."""

EVENTS: Final = {
    "mvms": "activations of a physical tile",
    "dac_conversions": "inputs converted for a word line (backward: for a bit line)",
    "adc_conversions": "outputs converted",
    "cell_reads": "weight cells that a product passed through",
    "serial_mvms": "products of the busiest tile, one after the other",
    "partial_sums": "digital additions that join split kernels",
    "overlap_adds": "digital additions where the patches of a transposed convolution overlap",
    "scalings": "outputs scaled and shifted digitally",
    "input_bytes": "bytes read from local buffers, one for each input",
    "output_bytes": "bytes written to local buffers, one for each output",
    "network_bytes": "bytes that cross the network on the chip; hops are the profile's",
    "updates": "rank-1 updates: vectors that a tile learned from",
    "update_pulses": "pulses that devices received, where word and bit line coincided",
    "line_pulses": "pulses on word and bit lines",
    "serial_slots": "pulse slots of the busiest tile, one after the other",
    "digital_macs": "multiplications and additions outside the tiles",
    "accumulator_bytes": "bytes moved to and from digital accumulators",
    "written_cells": "weight cells written by a model that states only what comes out, not how many pulses it took",
    "programming_pulses": "pulses sent by write-verify loops",
    "verify_rows": "word lines read by write-verify loops",
    "serial_rows": "word lines read by the busiest tile of write-verify loops, one after the other",
    "readback_rows": "word lines read to learn what devices hold",
    "refreshes": "full pairs of devices that were reset and written anew",
    "serial_resets": "word lines with devices that were reset, of the busiest tile, one after the other",
    "process_bytes": "bytes that processes which share the training receive from each other",
    "serial_process_bytes": "bytes that the busiest of them receives",
    "process_exchanges": "times that they wait for each other, one after the other",
    "allreduce_bytes": "bytes exchanged between copies",
    "allreduce_adds": "additions in averaging copies",
    "synchronisations": "times that copies were made equal",
}
"""All events, and what one of each is."""


@final
@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """What does not change about a layer: its sizes, and how it lies on tiles.

    Attributes:
        locations: Places of the output map, L; 1 for a dense layer.
        kernels: Independent kernels, K.
        tiles: Copies or kernels on tiles of their own, T; each may take several physical tiles (`grid`).
        in_size: Inputs of a kernel.
        out_size: Outputs of a kernel.
        grid: Physical tiles that a kernel is split into: blocks of outputs, blocks of inputs.
        tile_shape: Bit lines and word lines in use on each.
        kernel_size: Size of the kernel along each axis; (1, 1) for a dense layer.
        in_channels: Channels of its input.
        stride: Step between locations along each axis.
        map_size: Size of the map of locations along each axis.
        groups: Parts of the channels, each with kernels and tiles of its own; they count among those of the layer.
        width: Locations of the busiest tile.
        devices_per_weight: Devices at every crosspoint, as emulated; 0 without devices.
        is_analog: Whether the layer lies on tiles.
        placement: The placement, in words.
    """

    locations: int = 1
    kernels: int = 1
    tiles: int = 1
    in_size: int
    out_size: int
    grid: tuple[int, int] = (1, 1)
    tile_shape: tuple[int, int]
    kernel_size: tuple[int, ...] = (1, 1)
    in_channels: int
    stride: tuple[int, ...] = (1, 1)
    map_size: tuple[int, ...] = (1, 1)
    groups: int = 1
    width: int = 1
    devices_per_weight: int = 1
    is_analog: bool = True
    placement: str = "dense"

    @property
    def physical_tiles(self) -> int:
        """Tiles with devices, over all kernels and blocks."""
        return self.tiles * self.grid[0] * self.grid[1]

    @property
    def cells(self) -> int:
        """Weight cells of one kernel."""
        return self.in_size * self.out_size

    @classmethod
    def from_json(cls, values: Any) -> "LayerShape":
        """Make a shape from what `dataclasses.asdict` and JSON have left of one.

        Raises:
            ValueError: If a field is missing, unknown, or of another type.
        """
        types = {item.name: item.type for item in fields(cls)}
        if isinstance(values, dict):
            values = {"groups": 1, **values}  # ledgers of before have none
        if not isinstance(values, dict) or set(values) != set(types):
            raise ValueError("`shape` of a ledger must have the fields of a layer's shape, but has others.")
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        for name, value in values.items():
            expected = types[name]
            is_whole = isinstance(value, tuple) and all(type(v) is int for v in value)
            if expected == tuple[int, int]:
                fits = is_whole and len(value) == 2
            elif expected == tuple[int, ...]:
                fits = is_whole and 1 <= len(value) <= 3
            else:
                fits = type(value) is expected
            if not fits:
                raise ValueError(f"`{name}` of a ledger's layer must be {expected}, but is {value!r}.")
        return cls(**values)


@final
@dataclass(kw_only=True, repr=False)
class LayerEvents:
    """What happened in one layer.

    Attributes:
        shape: The layer's sizes.
        counts: For each phase, how often each event happened; what is missing did not happen.
        most_pulses: Pulses of the device that received most, updates and writes together: the wear. In a sum of
            ledgers, which do not say which device that was, at most so many: it may have been another one each time.
        most_pulses_at_least: In a sum of ledgers, at least so many; else the same.
    """

    shape: LayerShape
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {phase: Counter() for phase in PHASES})
    most_pulses: int = 0
    most_pulses_at_least: int = -1

    def __post_init__(self) -> None:
        if self.most_pulses_at_least < 0:
            self.most_pulses_at_least = self.most_pulses

    def wear_is(self, pulses: int) -> None:
        """Say how many pulses the device has received that received most, where that is known."""
        self.most_pulses = self.most_pulses_at_least = pulses

    def add(self, phase: str, **events: int) -> None:
        """Count events; a row that is read is a product with a one-hot input, and counted as one too.

        Raises:
            ValueError: If there is no such phase or event.
        """
        if phase not in self.counts:
            raise ValueError(f"`phase` must be one of {', '.join(PHASES)}, but is {phase!r}.")
        unknown = events.keys() - EVENTS.keys()
        if unknown:
            raise ValueError(
                f"`events` must be known, but {unknown.pop()!r} is not. See `crossbar.events.EVENTS`."
            )
        counts = self.counts[phase]
        for name, number in events.items():
            if number:  # as in a sum of counters: what did not happen is not in them
                counts[name] += int(number)
        rows = int(events.get("verify_rows", 0)) + int(events.get("readback_rows", 0))
        if rows and "mvms" not in events:
            read = rows * self.shape.tile_shape[0]
            counts.update(mvms=rows, dac_conversions=rows, adc_conversions=read, cell_reads=read)

    def total(self, event: str, phase: str | None = None) -> int:
        """Return how often an event happened, in one phase or in all."""
        return sum(self.counts[one][event] for one in (PHASES if phase is None else (phase,)))

    def __add__(self, other: "LayerEvents") -> "LayerEvents":

        if self.shape != other.shape:
            raise ValueError("ledgers must be of the same network to be added, but a layer's shape differs.")
        counts = {phase: self.counts[phase] + other.counts[phase] for phase in PHASES}
        return LayerEvents(
            shape=self.shape,
            counts=counts,
            most_pulses=self.most_pulses + other.most_pulses,
            most_pulses_at_least=max(self.most_pulses_at_least, other.most_pulses_at_least),
        )

    def __repr__(self) -> str:
        shape = self.shape
        where = f"{shape.physical_tiles} tiles" if shape.is_analog else "digital"
        return f"LayerEvents({shape.in_size} -> {shape.out_size}, {where}, {_happened(self)})"

    def to_json(self) -> dict[str, Any]:
        """Return everything in the types of JSON."""
        counts = {phase: dict(sorted(self.counts[phase].items())) for phase in PHASES if self.counts[phase]}
        wear = {"most_pulses": self.most_pulses, "most_pulses_at_least": self.most_pulses_at_least}
        return {"shape": asdict(self.shape), "counts": counts, **wear}

    @classmethod
    def from_json(cls, values: Any) -> "LayerEvents":
        """Make events from what `to_json` returned.

        Raises:
            ValueError: If they are damaged.
        """
        needed = {"shape", "counts", "most_pulses"}
        if not isinstance(values, dict) or set(values) - {"most_pulses_at_least"} != needed:
            raise ValueError(
                "a layer of a ledger must have `shape`, `counts` and `most_pulses`, but has others."
            )
        most = _whole(values["most_pulses"])
        layer = cls(
            shape=LayerShape.from_json(values["shape"]),
            most_pulses=most,
            most_pulses_at_least=_whole(values.get("most_pulses_at_least", most)),
        )
        if not isinstance(values["counts"], dict):
            raise ValueError("`counts` of a ledger must be a table, but is something else.")
        for phase, counts in values["counts"].items():
            if phase not in PHASES or not isinstance(counts, dict) or counts.keys() - EVENTS.keys():
                raise ValueError(
                    f"`counts` of a ledger must have known phases and events, but has others in {phase!r}."
                )
            layer.counts[phase].update({name: _whole(number) for name, number in counts.items()})
        return layer


_COLUMNS: Final = {
    "mvms": "MVMs",
    "dac_conversions": "DAC",
    "adc_conversions": "ADC",
    "update_pulses": "update pulses",
    "programming_pulses": "write pulses",
    "written_cells": "cells written",
    "synchronisations": "syncs",
    "digital_macs": "digital MACs",
}
"""Events that a printed ledger shows, if they happened."""


@final
@dataclass(kw_only=True, repr=False)
class EventLedger:
    """What happened in all layers of a network; `+` adds what happened one after the other.

    Printed, it is a table of the layers and their most telling events; `layers[name].counts` has all of them.

    Attributes:
        layers: By name, from the image inwards.
        images: Images that were evaluated.
        training_images: Images that were trained on.
        steps: Training steps.
        notes: What to know about its counts, in sentences: those of an earlier version are less complete.
    """

    layers: dict[str, LayerEvents] = field(default_factory=dict)
    images: int = 0
    training_images: int = 0
    steps: int = 0
    notes: tuple[str, ...] = ()

    def total(self, event: str, phase: str | None = None) -> int:
        """Return how often an event happened in all layers, in one phase or in all."""
        return sum(layer.total(event, phase) for layer in self.layers.values())

    @property
    def most_pulses(self) -> int:
        """Pulses of the device that received most; in a sum of ledgers at most so many."""
        return max((layer.most_pulses for layer in self.layers.values()), default=0)

    def __add__(self, other: "EventLedger") -> "EventLedger":
        """Count both.

        Raises:
            ValueError: If they are of different networks.
        """
        if self.layers.keys() != other.layers.keys():
            raise ValueError("ledgers must be of the same network to be added, but the layers' names differ.")
        return EventLedger(
            layers={name: layer + other.layers[name] for name, layer in self.layers.items()},
            images=self.images + other.images,
            training_images=self.training_images + other.training_images,
            steps=self.steps + other.steps,
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
        )

    def __repr__(self) -> str:
        return f"EventLedger({len(self.layers)} layers, {self.images} images, {self.steps} steps, {_happened(self)})"

    def __str__(self) -> str:
        return str(self._sheet())

    def _repr_html_(self) -> str:
        return self._sheet().to_html()

    def _sheet(self) -> Sheet:
        shown = {event: title for event, title in _COLUMNS.items() if self.total(event)}

        def cells(layers: list[LayerEvents]) -> list[str]:
            tiles = sum(layer.shape.physical_tiles for layer in layers if layer.shape.is_analog)
            totals = [sum(layer.total(event) for layer in layers) for event in shown]
            return [f"{tiles:,}" if tiles else "digital", *(f"{total:,}" for total in totals)]

        training = f", {self.training_images:,} in {self.steps:,} training steps" if self.steps else ""
        rows = rows_of_layers(["tiles", *shown.values()], self.layers, cells)
        return Sheet(above=[f"{self.images:,} images evaluated{training}"], rows=rows)

    def to_json(self) -> dict[str, Any]:
        """Return everything in the types of JSON."""
        layers = {name: layer.to_json() for name, layer in self.layers.items()}
        numbers = {"images": self.images, "training_images": self.training_images, "steps": self.steps}
        return {**numbers, "layers": layers}

    @classmethod
    def from_json(cls, values: Any) -> "EventLedger":
        """Make a ledger from what `to_json` returned.

        Raises:
            ValueError: If it is damaged.
        """
        names = {item.name for item in fields(cls)} - {"notes"}
        if not isinstance(values, dict) or set(values) != names or not isinstance(values["layers"], dict):
            raise ValueError(f"a ledger must have the fields {', '.join(sorted(names))}, but has others.")
        layers = {str(name): LayerEvents.from_json(layer) for name, layer in values["layers"].items()}
        numbers = {name: _whole(values[name]) for name in names - {"layers"}}
        return cls(layers=layers, **numbers)  # type: ignore[arg-type]


def _happened(events: LayerEvents | EventLedger) -> str:
    """Name in a few words what happened."""
    return f"{events.total('mvms'):,} MVMs, {events.total('update_pulses'):,} update pulses"


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"events must be whole numbers from 0 on, but one is {value!r}.")
    return value
