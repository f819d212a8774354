"""What a ledger of events costs on a piece of hardware: energy, time, area, wear.

Every energy and time is a count times constants of the profile, so those of two ledgers add, and energies are linear
in every constant. Layers work one after the other, even while they are written, where they need not; and all arrays
draw static power meanwhile. Pulses that a write-verify loop sends are small steps of the device, and are priced like
programming pulses: an upper bound.

What is not modelled: the time of digital work (hidden behind that of tiles), several pulses on a word line between
two reads (one programming time for each read), contention on the network, limits on the current of many arrays that
are written at once, half-selected cells, error correction.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, final, get_args

from devices.units import Dimensionless, MicroJoules, Seconds, SquareMicrometres

from .events import PHASES, EventLedger, LayerEvents, LayerShape
from .hardware_profile import HardwareProfile
from .packing import Packing, PackingMode, pack

COMPONENTS: Final = (
    "dac",
    "adc",
    "cells",
    "update",
    "programming",
    "verify",
    "movement",
    "digital",
    "static",
)
"""dac, adc, cells: products, and rows read to learn what devices hold. update: pulses of training. programming:
pulses of write-verify loops. verify: rows that those loops read. movement: bytes in buffers and on the network.
digital: additions and multiplications. static: what arrays draw whether they work or not."""

ANALOG: Final = ("dac", "adc", "cells", "update", "programming", "verify", "static")
"""The components of the tiles themselves."""

OffBlock = Literal["gated", "serialised", "disturbed"]
"""What a parallel update does to cells of a packed array that belong to no kernel. gated: nothing, a switch in each
cell keeps pulses off. serialised: nothing, because the kernels of an array are updated one after the other, which
takes as many times longer. disturbed: they receive pulses, which cost energy."""

_PRODUCTS: Final = ("forward", "backward")


@final
@dataclass(frozen=True, kw_only=True)
class LayerBill:
    """What one layer costs.

    Attributes:
        energy: µJ, by phase and component.
        seconds: s, by phase.
        packing: How it lies in arrays; None for a digital layer.
        area: µm², of its arrays with their periphery.
        pulses: Pulses of the device that received most, with those of programming by a noise model.
        disturbing_pulses: Pulses that cells received which belong to no kernel.
    """

    energy: dict[str, dict[str, MicroJoules]]
    seconds: dict[str, Seconds]
    packing: Packing | None
    area: SquareMicrometres
    pulses: Dimensionless
    disturbing_pulses: Dimensionless


@final
@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a ledger costs: all of it, not per image or step.

    Attributes:
        profile: Name of the hardware profile.
        packing: How kernels were to be packed.
        off_block: What updates do to cells that belong to no kernel.
        layers: By name.
        steps: Training steps in the ledger.
        endurance: Pulses that a device survives.
    """

    profile: str
    packing: PackingMode
    off_block: OffBlock
    layers: dict[str, LayerBill]
    steps: int
    endurance: Dimensionless

    def energy(self, component: str | None = None, phase: str | None = None) -> MicroJoules:
        """Return the energy of one component or all, in one phase or all, µJ."""
        return sum(
            energy
            for layer in self.layers.values()
            for one_phase, parts in layer.energy.items()
            for name, energy in parts.items()
            if component in (None, name) and phase in (None, one_phase)
        )

    def energy_by_component(self) -> dict[str, MicroJoules]:
        """Return the energy of every component, µJ."""
        return {component: self.energy(component) for component in COMPONENTS}

    def seconds(self, phase: str) -> Seconds:
        """Return how long a phase takes, one layer after the other, s."""
        return sum(layer.seconds[phase] for layer in self.layers.values())

    @property
    def with_digital(self) -> MicroJoules:
        """Energy of everything, µJ."""
        return self.energy()

    @property
    def analog_only(self) -> MicroJoules:
        """Energy of the tiles alone, without movement and digital work, µJ."""
        return sum(self.energy(component) for component in ANALOG)

    @property
    def sequential(self) -> Seconds:
        """Time if one layer works after the other, s."""
        return sum(self.seconds(phase) for phase in PHASES)

    @property
    def pipelined(self) -> Seconds:
        """Time of the slowest layer, s: what counts if all layers work at once, each on an image of its own."""
        return max((sum(layer.seconds.values()) for layer in self.layers.values()), default=0.0)

    @property
    def arrays(self) -> int:
        """Physical arrays."""
        return sum(layer.packing.arrays for layer in self.layers.values() if layer.packing is not None)

    @property
    def area(self) -> SquareMicrometres:
        """Area of all arrays with their periphery, µm²."""
        return sum(layer.area for layer in self.layers.values())

    @property
    def utilisation(self) -> Dimensionless:
        """Cells that hold a weight, of all cells."""
        packings = [layer.packing for layer in self.layers.values() if layer.packing is not None]
        arrays = sum(packing.arrays for packing in packings)
        return sum(packing.utilisation * packing.arrays for packing in packings) / arrays if arrays else 0.0

    @property
    def pulses(self) -> Dimensionless:
        """Pulses of the most stressed device."""
        return max((layer.pulses for layer in self.layers.values()), default=0.0)

    @property
    def pulses_per_step(self) -> Dimensionless | None:
        """Pulses of the most stressed device per training step; None without steps."""
        return self.pulses / self.steps if self.steps else None

    @property
    def steps_to_end_of_life(self) -> Dimensionless | None:
        """Training steps until that device is worn out; None without steps or without wear."""
        per_step = self.pulses_per_step
        return self.endurance / per_step if per_step else None

    def to_json(self) -> dict[str, Any]:
        """Return everything, and the totals, in the types of JSON."""
        totals = {
            "energy_by_component": self.energy_by_component(),
            "seconds": {phase: self.seconds(phase) for phase in PHASES},
        }
        names = ["analog_only", "with_digital", "sequential", "pipelined", "arrays", "area", "utilisation"]
        names += ["pulses", "pulses_per_step", "steps_to_end_of_life"]
        return {**asdict(self), **totals, **{name: getattr(self, name) for name in names}}


def price(
    ledger: EventLedger,
    profile: HardwareProfile,
    *,
    packing: PackingMode = "none",
    off_block: OffBlock = "gated",
) -> Bill:
    """Price a ledger.

    An emulated tile that is larger than a physical array is cut into several, which convert their inputs and outputs
    each for itself. One that is smaller leaves an array partly empty, or shares it.

    Args:
        ledger: What happened.
        profile: What it costs.
        packing: How kernels that are smaller than an array lie in it.
        off_block: What a parallel update does to cells of a packed array that belong to no kernel.

    Raises:
        ValueError: If there is no such packing or treatment.

    Example:
        >>> import torch
        >>> from crossbar import AnalogLinear, load_profile, price, record_events
        >>> layer = AnalogLinear(256, 256, bias=False).eval()
        >>> with record_events(layer) as ledger:
        ...     _ = layer(torch.zeros(1, 256))
        >>> bill = price(ledger, load_profile("hermes-pcm").scaled("static_power", 0))
        >>> f"{1e3 * bill.analog_only:.1f} nJ in {1e9 * bill.sequential:.0f} ns"
        '13.4 nJ in 133 ns'
    """
    if off_block not in get_args(OffBlock):
        names = ", ".join(get_args(OffBlock))
        raise ValueError(f"`off_block` must be one of {names}, but is {off_block!r}. Choose one of those.")
    packings = {
        name: pack(layer.shape, profile, packing) if layer.shape.is_analog else None
        for name, layer in ledger.layers.items()
    }
    seconds = {
        name: _seconds(layer, profile, packings[name], off_block) for name, layer in ledger.layers.items()
    }
    lasts = {phase: sum(of_layer[phase] for of_layer in seconds.values()) for phase in PHASES}
    layers = {}
    for name, layer in ledger.layers.items():
        packed = packings[name]
        arrays = 0 if packed is None else packed.arrays
        # Arrays draw power while other layers work, too.
        idle = {phase: arrays * profile["static_power"] * lasts[phase] for phase in PHASES}
        layers[name] = LayerBill(
            energy={
                phase: {**_energy(layer, phase, profile, packed, off_block), "static": idle[phase]}
                for phase in PHASES
            },
            seconds=seconds[name],
            packing=packed,
            area=arrays * profile["area"],
            pulses=layer.most_pulses + profile["iterations"] * _writes(layer),
            disturbing_pulses=layer.total("update_pulses", "update") * _disturbed(packed, off_block),
        )
    return Bill(
        profile=profile.name,
        packing=packing,
        off_block=off_block,
        layers=layers,
        steps=ledger.steps,
        endurance=profile["endurance"],
    )


def _energy(
    layer: LayerEvents, phase: str, profile: HardwareProfile, packing: Packing | None, off_block: OffBlock
) -> dict[str, MicroJoules]:
    """Price the counts of one phase of a layer, except for the static power."""
    counts = layer.counts[phase]
    dac, adc, cells = _converted(counts, phase, layer.shape, profile, packing)
    line = _word_line(layer.shape, profile, packing)
    rows = profile["iterations"] * counts["written_cells"] / layer.shape.tile_shape[0] + counts["verify_rows"]
    sent = profile["devices_per_pulse"] * counts["programming_pulses"]
    sent += profile["devices_per_weight"] * profile["iterations"] * counts["written_cells"]
    pulses = counts["update_pulses"] * (1 + _disturbed(packing, off_block)) * profile["devices_per_pulse"]
    local = counts["input_bytes"] + counts["output_bytes"] + counts["accumulator_bytes"]
    on_network = counts["network_bytes"] + counts["allreduce_bytes"]
    added = counts["partial_sums"] + counts["allreduce_adds"] + _joined(counts, phase, packing)
    constants = profile["dac_energy"], profile["adc_energy"], profile["cell_energy"]
    return {
        "dac": dac * profile["dac_energy"],
        "adc": adc * profile["adc_energy"],
        "cells": cells * profile["cell_energy"],
        "update": pulses * profile["update_pulse_energy"]
        + counts["line_pulses"] * profile["line_pulse_energy"],
        "programming": sent * profile["programming_energy"],
        "verify": rows * sum(number * energy for number, energy in zip(line, constants, strict=True)),
        # What copies exchange is read from a buffer and written to another one.
        "movement": (local + 2 * counts["allreduce_bytes"]) * profile["buffer_energy"]
        + on_network * profile["hops"] * profile["network_energy"],
        "digital": (counts["digital_macs"] + counts["scalings"]) * profile["mac_energy"]
        + added * profile["add_energy"],
    }


def _converted(
    counts: Counter[str], phase: str, shape: LayerShape, profile: HardwareProfile, packing: Packing | None
) -> tuple[Dimensionless, Dimensionless, Dimensionless]:
    """Return inputs converted, outputs converted, and cells that carried current, each times its cycles."""
    if packing is None:
        return 0, 0, 0
    if phase not in _PRODUCTS:  # every product is a word line that is read; those to verify are priced apart
        reads = counts["mvms"] - counts["verify_rows"]
        inputs, outputs, cells = _word_line(shape, profile, packing)
        return reads * inputs, reads * outputs, reads * cells
    cycles = profile["input_cycles"]
    out_parts, in_parts = packing.split if phase == "forward" else packing.split[::-1]
    if not profile.gated_periphery:
        lines = profile.count("word_lines"), profile.count("bit_lines")
        inputs, outputs = lines if phase == "forward" else lines[::-1]
        products = counts["mvms"] * out_parts * in_parts * packing.activations * cycles
        return products * inputs, products * outputs, products * inputs * outputs
    # Shared word lines carry inputs on the way forward, and outputs on the way back.
    shared_in, shared_out = (packing.inputs_shared, 1) if phase == "forward" else (1, packing.inputs_shared)
    return (
        cycles * counts["dac_conversions"] * out_parts * shared_in,
        cycles * counts["adc_conversions"] * in_parts * shared_out,
        cycles * counts["cell_reads"] * packing.powered_cells,
    )


def _word_line(shape: LayerShape, profile: HardwareProfile, packing: Packing | None) -> tuple[int, int, int]:
    """Return inputs and outputs converted, and cells that carry current, if one word line is read, in one cycle."""
    parts = 1 if packing is None else packing.split[0]
    if profile.gated_periphery:
        return parts, shape.tile_shape[0], shape.tile_shape[0]
    outputs = parts * profile.count("bit_lines")
    return parts * profile.count("word_lines"), outputs, outputs


def _joined(counts: Counter[str], phase: str, packing: Packing | None) -> int:
    """Return the additions that join the parts of an emulated tile which is larger than an array."""
    if packing is None or phase not in _PRODUCTS:
        return 0
    return counts["adc_conversions"] * (packing.split[1 if phase == "forward" else 0] - 1)


def _seconds(
    layer: LayerEvents, profile: HardwareProfile, packing: Packing | None, off_block: OffBlock
) -> dict[str, Seconds]:
    """Return how long each phase of a layer takes."""
    if packing is None:
        return dict.fromkeys(PHASES, 0.0)
    seconds: dict[str, Seconds] = {}
    outputs = layer.shape.tile_shape[0]
    read = _conversion_time(profile, outputs)
    # Kernels of an array have word lines in turn, except for those that share them.
    stacked = packing.occupied_word_lines / min(layer.shape.tile_shape[1], profile.count("word_lines"))
    in_turn = packing.parallel if off_block == "serialised" else 1
    for phase in PHASES:
        counts = layer.counts[phase]
        if phase in _PRODUCTS:
            lines = packing.bit_lines if phase == "forward" else packing.word_lines
            if not profile.gated_periphery:
                lines = profile.count("bit_lines" if phase == "forward" else "word_lines")
            product = profile["input_cycles"] * _conversion_time(profile, lines)
            seconds[phase] = counts["serial_mvms"] * packing.serial * product
            continue
        slots = counts["serial_slots"] * packing.serial * in_turn * profile["slot_time"]
        # All tiles are read at once, and written at once. Rows that are read for an update are not written.
        read_back = counts["readback_rows"] / layer.shape.physical_tiles
        written: Dimensionless = 0 if phase == "update" else counts["serial_rows"]
        written += profile["iterations"] * layer.shape.tile_shape[1] * _writes(layer, phase)
        times = (read_back + written) * read + written * profile["programming_time"]
        seconds[phase] = slots + stacked * times
    return seconds


def _conversion_time(profile: HardwareProfile, outputs: int) -> Seconds:
    """Return how long one cycle takes if so many neighbouring lines are converted."""
    shared = min(profile.count("bit_lines_per_adc"), outputs)
    return max(profile["cycle_time"], shared * profile["conversion_time"])


def _writes(layer: LayerEvents, phase: str | None = None) -> Dimensionless:
    """Return how often a noise model wrote all cells of a layer."""
    return layer.total("written_cells", phase) / (layer.shape.tiles * layer.shape.cells)


def _disturbed(packing: Packing | None, off_block: OffBlock) -> Dimensionless:
    """Return how many cells beside the kernels receive a pulse for each cell of a kernel that does."""
    return 0.0 if packing is None or off_block != "disturbed" else packing.powered_cells - 1
