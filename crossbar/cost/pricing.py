"""What a ledger of events costs on a piece of hardware: energy, time, area, wear.

Every energy and time is a count times constants of the profile, so those of two ledgers add, and energies are linear
in every constant. What a layer was emulated on does not matter here: its kernels lie in the arrays of the profile,
cut once by their size, and what a product converts and moves is what those arrays convert and move. Layers work one
after the other, even while they are written, where they need not. Pulses that a write-verify loop sends are small
steps of the device, and are priced like programming pulses: an upper bound.

What is not modelled: the time of digital work (hidden behind that of tiles), several pulses on a word line between
two reads (one programming time for each read), contention on the network, limits on the current of many arrays that
are written at once, half-selected cells, error correction.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, get_args

from devices.units import Dimensionless, MicroJoules, Seconds

from ..layer_patterns import by_layer
from .bill import ANALOG, COMPONENTS, Bill, LayerBill, OffBlock
from .distances import Network, leaves_chip, with_distances
from .events import PHASES, EventLedger, LayerEvents, LayerShape
from .hardware_profile import HardwareProfile
from .interconnect import sent_energy, with_waits
from .packing import Packing, PackingMode, pack
from .static_power import StaticPower, idle_power

__all__ = ["ANALOG", "COMPONENTS", "Bill", "LayerBill", "OffBlock", "price"]

_PRODUCTS: Final = ("forward", "backward")
# Of a sum on its way between arrays: 16 bits hold what an ADC reads, with room for the sums (notes on costs, 3c).
_BYTES_PER_SUM: Final = 2


def price(
    ledger: EventLedger,
    profile: HardwareProfile,
    *,
    packing: PackingMode | Mapping[str, PackingMode] = "none",
    off_block: OffBlock = "gated",
    static: StaticPower | None = None,
    aligned: bool = False,
    network: Network = "local",
) -> Bill:
    """Price a ledger.

    A kernel that is larger than a physical array is cut into several, which convert their inputs and outputs each for
    itself. One that is smaller leaves an array partly empty, or shares it.

    Args:
        ledger: What happened.
        profile: What it costs.
        packing: How kernels that are smaller than an array lie in it; or for layers by name pattern, of which the
            first that fits counts, for example `{"conv*": "block"}`: others are not packed.
        off_block: What a parallel update does to cells of a packed array that belong to no kernel.
        static: When arrays draw static power; all of them while the network works if None.
        aligned: Whether large kernels are cut between channels only.
        network: Whether data come from beside an array, or from anywhere on a mesh of all; see `distances`.

    Raises:
        ValueError: If there is no such packing or treatment, a pattern fits no layer, or the hardware is too slow for
            the frame rate.
        TypeError: If profile or static power are something else, such as their names.

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
    static = StaticPower() if static is None else static
    if not isinstance(profile, HardwareProfile) or not isinstance(static, StaticPower):
        raise TypeError(
            "`profile` must be a HardwareProfile and `static` a StaticPower, but they are "
            f"{type(profile).__name__} and {type(static).__name__}. Use load_profile(name), StaticPower(scope=name)."
        )
    unpacked: PackingMode = "none"
    modes = by_layer(packing, list(ledger.layers), argument="packing", otherwise=unpacked)
    packings = {
        name: pack(layer.shape, profile, modes[name], aligned=aligned) if layer.shape.is_analog else None
        for name, layer in ledger.layers.items()
    }
    arrays_of_all = sum(one.arrays for one in packings.values() if one is not None)
    profile = with_distances(profile, arrays_of_all, network)
    per_byte = leaves_chip(profile, arrays_of_all) * profile["link_energy"]
    busy = {
        name: with_waits(_seconds(layer, profile, packings[name], off_block), layer, profile)
        for name, layer in ledger.layers.items()
    }
    images = ledger.images + ledger.training_images
    is_on = static.seconds_on(busy, images)
    in_pipeline = static.seconds_on_in_pipeline(busy, images)
    layers: dict[str, LayerBill] = {}
    pipelined_static: MicroJoules = 0.0
    waits = set(busy) if static.scope == "layer" else {next((n for n, p in packings.items() if p), None)}
    for name, layer in ledger.layers.items():
        packed = packings[name]
        arrays = 0 if packed is None else packed.arrays
        power = 0.0 if packed is None else arrays * idle_power(profile, packed)
        woken = {phase: _wakes(static, ledger, phase) * arrays * profile["wake_energy"] for phase in PHASES}
        pipelined_static += power * in_pipeline[name] + sum(woken.values())
        seconds = busy[name]
        if packed is not None and name in waits:  # where all wake at once, the first layer waits for them
            seconds = {
                phase: seconds[phase] + _wakes(static, ledger, phase) * profile["wake_time"]
                for phase in PHASES
            }
        transposed = layer.counts["backward"]["mvms"] > 0
        area = profile["area"] + (profile["transposed_area"] if transposed else 0.0)
        layers[name] = LayerBill(
            energy={
                phase: {
                    **_energy(layer, phase, profile, packed, off_block, per_byte),
                    "static": power * is_on[name][phase] + woken[phase],
                }
                for phase in PHASES
            },
            seconds=seconds,
            packing=packed,
            area=arrays * area,
            operations=round(
                sum(_operations(layer.counts[phase], layer.shape, packed) for phase in _PRODUCTS)
            ),
            pulses=layer.most_pulses + profile["iterations"] * _writes(layer),
            disturbing_pulses=layer.total("update_pulses", "update") * _disturbed(packed, off_block),
        )
    return Bill(
        profile=profile.name,
        packing=packing,
        off_block=off_block,
        static=static,
        layers=layers,
        images=images,
        steps=ledger.steps,
        endurance=profile["endurance"],
        pipelined_static=pipelined_static,
        static_is_assumed="assumed:" in profile.constants["static_power"].source,
        notes=tuple(_notes(ledger, profile, packings)),
    )


def _wakes(static: StaticPower, ledger: EventLedger, phase: str) -> int:
    """Return how often an array is switched on in a phase: for each image, where it is off in between."""
    if phase not in _PRODUCTS or static.scope == "always-on":
        return 0
    if static.scope == "network":  # training goes from image to image without a pause
        return ledger.images if phase == "forward" else 0
    return ledger.training_images + (ledger.images if phase == "forward" else 0)


def _notes(
    ledger: EventLedger, profile: HardwareProfile, packings: Mapping[str, Packing | None]
) -> list[str]:
    """Say where a layer was emulated on other arrays than those that are priced, and what its counts leave open."""
    size = f"{profile.count('word_lines')} x {profile.count('bit_lines')}"
    notes = list(ledger.notes)
    open_wear = [name for name, one in ledger.layers.items() if one.most_pulses_at_least < one.most_pulses]
    if open_wear:
        notes.append(
            f"wear of {', '.join(open_wear)}: an upper bound, the sum over ledgers that were added, which do not "
            "say which device received most; `most_pulses_at_least` of a layer's events is the lower bound."
        )
    for name, packed in packings.items():
        grid = ledger.layers[name].shape.grid
        if packed is not None and packed.split != grid:
            emulated, arrays = grid[0] * grid[1], packed.split[0] * packed.split[1]
            notes.append(
                f"{name}: a kernel was emulated on {emulated} tile{'s' * (emulated > 1)} and is priced on {arrays} "
                f"array{'s' * (arrays > 1)} of {size} (word lines x bit lines): its accuracy is that of the tiles, "
                "its cost that of the arrays. Emulate with tiles of that size to have both of one hardware."
            )
    return notes


def _ratio(shape: LayerShape, packing: Packing) -> tuple[float, float]:
    """Return physical parts of a kernel for each emulated one: along its outputs, along its inputs."""
    return packing.split[0] / shape.grid[0], packing.split[1] / shape.grid[1]


def _operations(counts: Counter[str], shape: LayerShape, packing: Packing | None) -> Dimensionless:
    """Return how many products of single arrays the products of a phase took, kernel by kernel."""
    if packing is None:
        return 0
    out_ratio, in_ratio = _ratio(shape, packing)
    return counts["mvms"] * out_ratio * in_ratio


def _energy(
    layer: LayerEvents,
    phase: str,
    profile: HardwareProfile,
    packing: Packing | None,
    off_block: OffBlock,
    per_byte: MicroJoules,
) -> dict[str, MicroJoules]:
    """Price the counts of one phase of a layer, except for the static power; links take `per_byte` on the network."""
    counts = layer.counts[phase]
    dac, adc, cells, operations = _converted(counts, phase, layer.shape, profile, packing)
    # Rows of whole kernels that were read to verify.
    rows = profile["iterations"] * counts["written_cells"] / layer.shape.out_size
    rows += counts["verify_rows"] / layer.shape.grid[0]
    line = _word_line(layer.shape, profile, packing)
    sent = profile["devices_per_pulse"] * counts["programming_pulses"]
    sent += profile["devices_per_weight"] * profile["iterations"] * counts["written_cells"]
    # A refresh writes one line after the other: no pulses meet beside the kernels.
    disturbed = _disturbed(packing, off_block) if phase == "update" else 0.0
    pulses = counts["update_pulses"] * (1 + disturbed) * profile["devices_per_pulse"]
    names = ("dac_energy", "adc_energy", "cell_energy", "operation_energy")
    constants = tuple(profile[name] for name in names)
    local, on_network, added = _moved(counts, phase, layer.shape, profile, packing)
    return {
        "dac": dac * profile["dac_energy"],
        "adc": adc * profile["adc_energy"],
        "cells": cells * profile["cell_energy"],
        "operation": operations * profile["operation_energy"],
        "update": pulses * profile["update_pulse_energy"]
        + counts["line_pulses"] * profile["line_pulse_energy"],
        "programming": sent * profile["programming_energy"],
        "verify": rows * sum(number * energy for number, energy in zip(line, constants, strict=True)),
        "movement": local * profile["buffer_energy"]
        + on_network * (profile["hops"] * profile["network_energy"] + per_byte)
        + sent_energy(counts, profile),
        "digital": (counts["digital_macs"] + counts["scalings"]) * profile["mac_energy"]
        + added * profile["add_energy"],
    }


def _converted(
    counts: Counter[str], phase: str, shape: LayerShape, profile: HardwareProfile, packing: Packing | None
) -> tuple[Dimensionless, Dimensionless, Dimensionless, Dimensionless]:
    """Return inputs converted, outputs converted, cells that carried current, and products of whole arrays.

    Inputs and cells count in every cycle; outputs in each of them, or once for each input, as the profile says, and
    in every pass of a product with more lines than may be active at once.
    """
    if packing is None:
        return 0, 0, 0, 0
    if phase not in _PRODUCTS:  # every product is a word line that is read; those to verify are priced apart
        rows = (counts["mvms"] - counts["verify_rows"]) / shape.grid[0]
        inputs, outputs, cells, operations = _word_line(shape, profile, packing)
        return rows * inputs, rows * outputs, rows * cells, rows * operations
    cycles, per_weight = profile["input_cycles"], profile.count("columns_per_weight")
    is_forward = phase == "forward"
    per_output = profile.count("conversions_per_output") if is_forward else 1
    conversions = per_output * (cycles if profile.converts_every_cycle else 1)
    out_ratio, in_ratio = _ratio(shape, packing)
    operations = counts["mvms"] * out_ratio * in_ratio
    if not profile.gated_periphery:
        word_lines, bit_lines = profile.count("word_lines"), profile.count("bit_lines")
        inputs, outputs = (word_lines, bit_lines / per_weight) if is_forward else (bit_lines, word_lines)
        conversions *= _passes(profile, inputs)
        products = operations * packing.activations
        cells = products * word_lines * bit_lines / per_weight * cycles
        return products * inputs * cycles, products * outputs * conversions, cells, operations
    conversions *= _passes(profile, packing.word_lines if is_forward else packing.bit_lines)
    # Shared word lines carry inputs on the way forward, and outputs on the way back.
    if is_forward:
        dac = counts["dac_conversions"] * out_ratio * packing.inputs_shared
        adc = counts["adc_conversions"] * in_ratio
    else:
        dac = counts["dac_conversions"] * in_ratio * per_weight
        adc = counts["adc_conversions"] * out_ratio * packing.inputs_shared
    return dac * cycles, adc * conversions, counts["cell_reads"] * packing.powered_cells * cycles, operations


def _word_line(
    shape: LayerShape, profile: HardwareProfile, packing: Packing | None
) -> tuple[Dimensionless, Dimensionless, Dimensionless, Dimensionless]:
    """Return what reading one word line of a kernel takes, in one cycle, over all arrays that its outputs lie in.

    Inputs and outputs converted, cells that carry current, products of whole arrays.
    """
    parts = 1 if packing is None else packing.split[0]
    per_output = profile.count("conversions_per_output")
    if profile.gated_periphery:
        return parts, shape.out_size * per_output, shape.out_size, parts
    cells = parts * profile.count("bit_lines") / profile.count("columns_per_weight")
    return parts * profile.count("word_lines"), cells * per_output, cells, parts


def _moved(
    counts: Counter[str], phase: str, shape: LayerShape, profile: HardwareProfile, packing: Packing | None
) -> tuple[Dimensionless, Dimensionless, Dimensionless]:
    """Return bytes to and from buffers, bytes on the network, and digital additions."""
    added: Dimensionless = counts["allreduce_adds"] + counts["overlap_adds"]
    # What copies exchange is read from a buffer and written to another one.
    local: Dimensionless = counts["accumulator_bytes"] + 2 * counts["allreduce_bytes"]
    on_network: Dimensionless = counts["allreduce_bytes"]
    if packing is None or phase not in _PRODUCTS:
        local += counts["input_bytes"] + counts["output_bytes"]
        return local, on_network + counts["network_bytes"], added + counts["partial_sums"]
    out_ratio, in_ratio = _ratio(shape, packing)
    if phase == "forward":
        inputs = counts["input_bytes"] * out_ratio * packing.inputs_shared
        sums = counts["adc_conversions"] / shape.grid[1] * (packing.split[1] - 1)
        added += counts["adc_conversions"] * in_ratio * (profile.count("conversions_per_output") - 1)
    else:
        inputs = counts["input_bytes"] * in_ratio
        sums = counts["adc_conversions"] / shape.grid[0] * (packing.split[0] - 1)
    outputs = counts["output_bytes"]
    # Several arrays lie apart from the buffer, whatever they hold; one lies at it. Gradients come from elsewhere.
    crosses = packing.arrays > 1 or phase == "backward"
    on_network += outputs + (inputs if crosses else 0) + _BYTES_PER_SUM * sums
    return local + inputs + outputs, on_network, added + sums


def _passes(profile: HardwareProfile, driven: Dimensionless) -> int:
    """Return how many passes a product takes if so many lines are driven."""
    return -(-int(driven) // profile.count("active_lines"))


def _seconds(
    layer: LayerEvents, profile: HardwareProfile, packing: Packing | None, off_block: OffBlock
) -> dict[str, Seconds]:
    """Return how long each phase of a layer takes."""
    if packing is None:
        return dict.fromkeys(PHASES, 0.0)
    seconds: dict[str, Seconds] = {}
    shape = layer.shape
    whole = profile.count("word_lines"), profile.count("bit_lines")
    in_use = (packing.word_lines, packing.bit_lines) if profile.gated_periphery else whole
    of_kernel = packing.bit_lines // packing.parallel if profile.gated_periphery else whole[1]
    per_line = profile.count("conversions_per_output") / profile.count("columns_per_weight")
    read = _product_time(profile, driven=1, converted=of_kernel, per_line=per_line, cycles=1)
    # Word lines of the kernels of an array are read and written in turn, except for those that they share.
    stacked = packing.occupied_word_lines / packing.rows
    # Arrays are read and written at once, each row by row; emulated tiles had other rows.
    rows = packing.rows / shape.tile_shape[1]
    in_turn = packing.parallel if off_block == "serialised" else 1
    for phase in PHASES:
        counts = layer.counts[phase]
        if phase in _PRODUCTS:
            driven, converted = in_use if phase == "forward" else in_use[::-1]
            conversions = per_line if phase == "forward" else 1.0
            product = _product_time(profile, driven, converted, conversions, profile.count("input_cycles"))
            seconds[phase] = counts["serial_mvms"] * packing.serial * product
            continue
        slots = counts["serial_slots"] * packing.serial * in_turn * profile["slot_time"]
        # Rows that are read for an update or a refresh are not written; of a refresh, those of the tiles looked at.
        read_back = rows * counts["readback_rows"] / shape.physical_tiles
        written: Dimensionless = 0 if phase == "update" else rows * counts["serial_rows"]
        if phase == "refresh":
            seconds[phase] = slots + stacked * rows * (
                counts["serial_rows"] * read + counts["serial_resets"] * profile["programming_time"]
            )
            continue
        written += profile["iterations"] * packing.rows * _writes(layer, phase)
        times = (read_back + written) * read + written * profile["programming_time"]
        seconds[phase] = slots + stacked * times
    return seconds


def _product_time(
    profile: HardwareProfile, driven: int, converted: int, per_line: Dimensionless, cycles: int
) -> Seconds:
    """Return how long a product takes.

    Args:
        profile: The hardware.
        driven: Lines that carry inputs.
        converted: Neighbouring lines that are converted, of which some share a converter.
        per_line: Conversions for each of those lines; below 1 where several are added before the converter.
        cycles: Of an input.
    """
    waits = min(profile.count("bit_lines_per_adc"), converted) * per_line * profile["conversion_time"]
    if profile.converts_every_cycle:
        once = cycles * max(profile["cycle_time"], waits)
    else:
        once = cycles * profile["cycle_time"] + waits
    groups = profile.count("column_groups")
    if profile.gated_periphery:
        groups = -(-converted * groups // profile.count("bit_lines"))
    return once * _passes(profile, driven) * groups


def _writes(layer: LayerEvents, phase: str | None = None) -> Dimensionless:
    """Return how often a noise model wrote all cells of a layer."""
    return layer.total("written_cells", phase) / (layer.shape.tiles * layer.shape.cells)


def _disturbed(packing: Packing | None, off_block: OffBlock) -> Dimensionless:
    """Return how many cells beside the kernels receive a pulse for each cell of a kernel that does."""
    return 0.0 if packing is None or off_block != "disturbed" else packing.powered_cells - 1
