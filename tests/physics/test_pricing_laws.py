"""Laws of prices: they add, they are linear in every constant, and nothing costs nothing."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossbar import EventLedger, load_profile, price, profile_names
from crossbar.cost.events import EVENTS, PHASES, LayerEvents, LayerShape
from crossbar.cost.hardware_profile import CONSTANTS, OPTIONAL, Constant
from crossbar.cost.packing import PACKINGS, pack
from crossbar.cost.pricing import COMPONENTS

PROFILES = {name: load_profile(name) for name in profile_names()}
PROFILES["ungated"] = replace(PROFILES["hermes-pcm"], gated_periphery=False)
ROUNDING = 1e-12  # some hundred sums of float64, relative to the largest

SHAPES = {
    "free": LayerShape(
        locations=36, kernels=36, tiles=36, in_size=9, out_size=32, tile_shape=(32, 9), in_channels=1,
        kernel_size=(3, 3), map_size=(6, 6), width=1,
    ),
    "shared": LayerShape(
        locations=36, in_size=9, out_size=32, tile_shape=(32, 9), in_channels=1, kernel_size=(3, 3),
        map_size=(6, 6), width=36,
    ),
    "some": LayerShape(
        locations=36, kernels=4, tiles=4, in_size=9, out_size=32, tile_shape=(32, 9), in_channels=1,
        kernel_size=(3, 3), map_size=(6, 6), width=9,
    ),
    "large": LayerShape(in_size=600, out_size=300, tile_shape=(300, 600), in_channels=600),
    "split": LayerShape(in_size=300, out_size=20, tile_shape=(20, 150), grid=(1, 2), in_channels=300),
    "digital": LayerShape(in_size=10, out_size=4, tile_shape=(4, 10), in_channels=10, is_analog=False),
}  # fmt: skip

# A profile that leaves nothing out.
FULL = replace(
    PROFILES["rpu-ecram"],
    constants={
        **PROFILES["rpu-ecram"].constants,
        "transposed_area": Constant(value=1, unit="um2", source="a test"),
        "wake_energy": Constant(value=1, unit="uJ", source="a test"),
        "wake_time": Constant(value=1, unit="us", source="a test"),
        "operation_energy": Constant(value=1, unit="pJ", source="a test"),
        "link_energy": Constant(value=1, unit="pJ", source="a test"),
        "arrays_per_chip": Constant(value=8, unit="1", source="a test"),
    },
)

# What a constant decides about, beside the sizes of arrays.
ENERGIES = {
    "static_power": {"static"},
    "dac_energy": {"dac", "verify"},
    "adc_energy": {"adc", "verify"},
    "cell_energy": {"cells", "verify"},
    "input_cycles": {"dac", "adc", "cells", "static"},
    "cycle_time": {"static"},
    "conversion_time": {"static"},
    "bit_lines_per_adc": {"static"},
    "update_pulse_energy": {"update"},
    "line_pulse_energy": {"update"},
    "devices_per_pulse": {"update", "programming"},
    "slot_time": {"static"},
    "endurance": set(),
    "programming_energy": {"programming"},
    "programming_time": {"static"},
    "devices_per_weight": {"programming"},
    "iterations": {"programming", "verify", "static"},
    "buffer_energy": {"movement"},
    "network_energy": {"movement"},
    "hops": {"movement"},
    "link_energy": {"movement"},
    "bit_energy": {"movement"},
    "byte_time": {"static"},
    "latency": {"static"},
    "mac_energy": {"digital"},
    "add_energy": {"digital"},
    "area": set(),
    "transposed_area": set(),
    "wake_energy": {"static"},
    "wake_time": set(),  # seconds only
    "operation_energy": {"operation", "verify"},
    "conversions_per_output": {"adc", "verify", "digital", "static"},
    "column_groups": {"static"},
}


@st.composite
def ledgers(draw):
    """Draw counts as they happen: products in forward and backward, rows and pulses elsewhere."""
    ledger = EventLedger(images=draw(st.integers(0, 9)), steps=draw(st.integers(0, 9)))
    rows = {"verify_rows", "readback_rows"}
    converted = {"mvms", "dac_conversions", "adc_conversions", "cell_reads"}
    for name, shape in SHAPES.items():
        layer = LayerEvents(shape=shape, most_pulses=draw(st.integers(0, 1000)))
        for phase in PHASES:
            events = set(EVENTS) - (rows if phase in ("forward", "backward") else converted)
            events = {"digital_macs"} if not shape.is_analog else events
            layer.add(phase, **draw(st.dictionaries(st.sampled_from(sorted(events)), st.integers(0, 10**6))))
        ledger.layers[name] = layer
    return ledger


profiles = st.sampled_from(sorted(PROFILES)).map(PROFILES.get)
few = settings(max_examples=40, deadline=None)


def parts(bill):
    """Return all energies and times in a flat table."""
    table = {}
    for name, layer in bill.layers.items():
        for phase in PHASES:
            table[name, phase, "seconds"] = layer.seconds[phase]
            for component in COMPONENTS:
                table[name, phase, component] = layer.energy[phase][component]
    return table


@few
@given(
    ledgers(),
    ledgers(),
    profiles,
    st.sampled_from(PACKINGS),
    st.sampled_from(["gated", "serialised", "disturbed"]),
)
def test_prices_of_two_ledgers_add(first, second, profile, packing, off_block):
    one, two, both = (
        parts(price(ledger, profile, packing=packing, off_block=off_block))
        for ledger in (first, second, first + second)
    )
    expected = {key: one[key] + two[key] for key in one}
    assert both == pytest.approx(expected, rel=ROUNDING, abs=1e-15)
    assert all(value >= 0 for value in both.values())


@few
@given(ledgers(), profiles, st.sampled_from(sorted(ENERGIES)))
def test_a_constant_moves_its_own_components_and_all_of_them_linearly(ledger, profile, constant):
    """Three factors lie on one line. Times may bend where a converter is shared, so what decides them is left out."""
    bills = [price(ledger, profile.scaled(constant, factor)) for factor in (1, 2, 3)]
    one, two, three = (parts(bill) for bill in bills)
    moved = {key[2] for key in one if one[key] != two[key]} - {"seconds"}
    assert moved <= ENERGIES[constant]
    shared = ("cycle_time", "conversion_time", "bit_lines_per_adc", "column_groups", "conversions_per_output")
    if constant not in shared:
        straight = {key: 2 * two[key] - one[key] for key in one}
        assert three == pytest.approx(straight, rel=10 * ROUNDING, abs=1e-12)


def test_every_constant_but_the_sizes_of_arrays_is_in_the_table():
    names = {name for table in (*CONSTANTS.values(), *OPTIONAL.values()) for name in table}
    sizes = {"word_lines", "bit_lines", "columns_per_weight", "active_lines", "arrays_per_chip"}
    assert names - sizes == set(ENERGIES)


@pytest.mark.parametrize("constant", sorted(ENERGIES))
def test_every_constant_moves_something(constant):
    """With every event in every phase, twice the constant is another bill; so none is read and forgotten."""
    ledger = EventLedger(steps=1, images=3)
    for name, shape in SHAPES.items():
        ledger.layers[name] = LayerEvents(shape=shape, most_pulses=7)
        for phase in PHASES:
            ledger.layers[name].add(phase, **dict.fromkeys(EVENTS, 1000))
    profile = FULL.scaled("conversion_time", 2)  # slower than the array, so that it decides
    if constant == "cycle_time":
        profile = FULL
    before, after = (price(ledger, profile.scaled(constant, factor)) for factor in (1, 2))
    moved = {
        key
        for key, value in before.energy_by_component().items()
        if after.energy_by_component()[key] != value
    }
    assert moved == ENERGIES[constant]
    assert (before.area != after.area) == (constant in ("area", "transposed_area"))
    lasts_longer = {"static"} & ENERGIES[constant] and constant not in ("static_power", "wake_energy")
    assert (before.sequential != after.sequential) == (bool(lasts_longer) or constant == "wake_time")
    assert (before.steps_to_end_of_life != after.steps_to_end_of_life) == (
        constant in ("endurance", "iterations")
    )


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_nothing_costs_nothing_but_area(profile):
    ledger = EventLedger(layers={name: LayerEvents(shape=shape) for name, shape in SHAPES.items()})
    bill = price(ledger, profile)
    assert set(parts(bill).values()) == {0}
    assert (bill.analog_only, bill.with_digital, bill.sequential, bill.pipelined, bill.pulses) == (0,) * 5
    assert bill.pulses_per_step is bill.steps_to_end_of_life is None
    size = profile.count("word_lines"), profile.count("bit_lines")
    splits = {(256, 256): 6, (128, 128): 15, (64, 64): 50}[size]
    thirds = {(256, 256): 2, (128, 128): 3, (64, 64): 5}[
        size
    ]  # 300 inputs, cut once, whatever they were emulated on
    assert bill.arrays == 36 + 1 + 4 + splits + thirds
    assert bill.area == pytest.approx(bill.arrays * profile["area"])
    weights = 41 * 9 * 32 + 600 * 300 + 300 * 20
    assert bill.utilisation == pytest.approx(weights / (bill.arrays * size[0] * size[1]))


def test_an_empty_ledger_has_an_empty_bill():
    bill = price(EventLedger(), PROFILES["hermes-pcm"])
    assert (bill.with_digital, bill.sequential, bill.pipelined, bill.area, bill.utilisation) == (0,) * 5


def one_layer(name, **phases):
    layer = LayerEvents(shape=SHAPES[name])
    for phase, counts in phases.items():
        layer.add(phase, **counts)
    return EventLedger(layers={name: layer})


@pytest.mark.parametrize(("phase", "inputs", "outputs"), [("forward", 600, 300), ("backward", 300, 600)])
def test_a_tile_that_is_larger_than_an_array_is_converted_in_parts(phase, inputs, outputs):
    """600 x 300 in 256 x 256 takes 3 x 2 arrays: each input goes to 2 (3) of them, each output is a sum of 3 (2)."""
    counts = {
        "mvms": 1,
        "dac_conversions": inputs,
        "adc_conversions": outputs,
        "cell_reads": 180000,
        "serial_mvms": 1,
    }
    profile = PROFILES["hermes-pcm"]
    bill = price(one_layer("large", **{phase: counts}), profile)
    copies, terms = (2, 3) if phase == "forward" else (3, 2)
    assert bill.arrays == 6
    assert bill.energy("dac") == pytest.approx(copies * inputs * profile["dac_energy"])
    assert bill.energy("adc") == pytest.approx(terms * outputs * profile["adc_energy"])
    assert bill.energy("cells") == pytest.approx(180000 * profile["cell_energy"])
    assert bill.energy("digital") == pytest.approx((terms - 1) * outputs * profile["add_energy"])
    in_use = (200 + 150) / 512  # word and bit lines of each of the six arrays
    assert bill.energy("static") == pytest.approx(6 * in_use * profile["static_power"] * bill.sequential)


def test_updates_of_packed_arrays_say_what_happens_beside_the_kernels():
    """Eight kernels of 9 x 32 lie on the diagonal of one array: 8 x 8 blocks, of which 8 hold weights."""
    ledger = one_layer("free", update={"update_pulses": 1000, "serial_slots": 50})
    profile = PROFILES["hermes-pcm"]
    gated, serialised, disturbed = (
        price(ledger, profile, packing="block", off_block=what)
        for what in ("gated", "serialised", "disturbed")
    )
    assert gated.layers["free"].packing.per_array == 8
    assert serialised.seconds("update") == pytest.approx(8 * gated.seconds("update"))
    assert serialised.energy("update") == gated.energy("update")
    # 36 kernels fill four arrays and half of a fifth, which counts as a full one.
    blocks = 5 * 64 / 36
    assert disturbed.energy("update") == pytest.approx(blocks * gated.energy("update"))
    assert disturbed.layers["free"].disturbing_pulses == pytest.approx(1000 * (blocks - 1))
    assert gated.layers["free"].disturbing_pulses == serialised.layers["free"].disturbing_pulses == 0


def test_kernels_that_do_not_have_a_location_of_their_own_share_no_word_lines():
    assert pack(SHAPES["some"], PROFILES["hermes-pcm"], "union").mode == "block"
    assert pack(SHAPES["shared"], PROFILES["hermes-pcm"], "union").mode == "none"
    assert pack(SHAPES["large"], PROFILES["hermes-pcm"], "dense").mode == "none"


def test_dense_arrays_work_on_one_kernel_after_another():
    ledger = one_layer("free", forward={"serial_mvms": 10}, update={"serial_slots": 10})
    plain, dense = (price(ledger, PROFILES["hermes-pcm"], packing=mode) for mode in ("none", "dense"))
    assert dense.arrays == 1
    for phase in ("forward", "update"):
        assert dense.seconds(phase) == pytest.approx(36 * plain.seconds(phase))


def test_writing_that_is_counted_costs_what_the_same_writing_does_that_is_not():
    """A loop of 10 iterations over all 9 word lines, counted, and a noise model with 10 iterations in the profile."""
    profile = PROFILES["hermes-pcm"].scaled("static_power", 0)
    kernels, rows = 4, 9
    assumed = one_layer("some", programming={"written_cells": kernels * rows * 32})
    counted = one_layer(
        "some",
        programming={
            "verify_rows": 10 * kernels * rows,
            "serial_rows": 10 * rows,
            "programming_pulses": 10 * kernels * rows * 32 * 2,  # each of them moves two of four devices
        },
    )
    one, two = price(assumed, profile), price(counted, profile)
    assert one.energy_by_component() == pytest.approx(two.energy_by_component(), rel=ROUNDING)
    assert (
        one.sequential
        == pytest.approx(two.sequential, rel=ROUNDING)
        == pytest.approx(90 * (300 + 132.94) * 1e-9)
    )
    assert one.pulses == 10


@pytest.mark.parametrize("phase", ["update", "programming", "synchronisation"])
def test_all_tiles_are_read_back_at_once(phase):
    """Four tiles of nine word lines: nine reads, one after the other, and no pulse."""
    profile = PROFILES["hermes-pcm"]
    bill = price(
        one_layer("some", **{phase: {"readback_rows": 36, "serial_rows": 9 * (phase == "update")}}), profile
    )
    assert bill.sequential == pytest.approx(9 * 132.94e-9)
    expected = 36 * (profile["dac_energy"] + 32 * (profile["adc_energy"] + profile["cell_energy"]))
    assert bill.energy("dac") + bill.energy("adc") + bill.energy("cells") == pytest.approx(expected)
    assert bill.energy("verify") == bill.energy("programming") == 0


def test_a_layer_draws_static_power_while_others_work():
    layers = {name: LayerEvents(shape=SHAPES[name]) for name in ("free", "shared")}
    layers["shared"].add("forward", serial_mvms=36)
    profile = PROFILES["hermes-pcm"]
    bill = price(EventLedger(layers=layers), profile)
    assert bill.sequential == bill.pipelined == pytest.approx(36 * 132.94e-9)
    idle = bill.layers["free"].energy["forward"]["static"]
    assert idle == pytest.approx(36 * 41 / 512 * profile["static_power"] * bill.sequential)


def test_unknown_packings_and_treatments_are_refused():
    ledger = one_layer("free")
    with pytest.raises(
        ValueError, match="`packing` must be one of none, block, union, dense, but is 'tight'"
    ):
        price(ledger, PROFILES["hermes-pcm"], packing="tight")
    with pytest.raises(
        ValueError, match="`off_block` must be one of gated, serialised, disturbed, but is 'lost'"
    ):
        price(ledger, PROFILES["hermes-pcm"], off_block="lost")


# What one event costs with the profile hermes-pcm, in pJ and s, in a phase where it happens; None: nothing.
PRICES = {
    "mvms": ("forward", None, None),  # its conversions and cells are priced
    "dac_conversions": ("forward", 9.186, None),
    "adc_conversions": ("forward", 34.12, None),
    "cell_reads": ("forward", 0.03588, None),
    "serial_mvms": ("forward", None, 132.94e-9),
    "partial_sums": ("forward", None, None),  # of emulated tiles: those of arrays are priced
    "scalings": ("forward", 0.23, None),
    "input_bytes": ("forward", 0.2 + 2 * 0.65, None),  # the four arrays lie apart from the buffer
    "output_bytes": ("forward", 0.2 + 2 * 0.65, None),
    "network_bytes": ("update", 2 * 0.65, None),
    "updates": ("update", None, None),  # its pulses are priced
    "update_pulses": ("update", 2 * 1, None),
    "line_pulses": ("update", 0.1, None),
    "serial_slots": ("update", None, 50e-9),
    "digital_macs": ("gradient", 0.23, None),
    "accumulator_bytes": ("gradient", 0.2, None),
    "written_cells": (
        "programming",
        10 * (4 * 45 + 34.12 + 0.03588 + 9.186 / 32),
        10 / 32 / 4 * (300 + 132.94) * 1e-9,
    ),
    "programming_pulses": ("gradient", 2 * 45, None),
    "verify_rows": ("gradient", 9.186 + 32 * (34.12 + 0.03588), None),
    "serial_rows": ("gradient", None, (300 + 132.94) * 1e-9),
    "readback_rows": ("synchronisation", 9.186 + 32 * (34.12 + 0.03588), 132.94e-9 / 4),
    "allreduce_bytes": ("synchronisation", 2 * 0.2 + 2 * 0.65, None),
    "allreduce_adds": ("synchronisation", 0.1, None),
    "synchronisations": ("synchronisation", None, None),
    "refreshes": ("refresh", None, None),  # their reads and pulses are priced
    "serial_resets": ("refresh", None, 300e-9),
    "overlap_adds": ("forward", 0.1, None),
    "process_bytes": ("forward", 8 * 30, None),
    "serial_process_bytes": ("forward", None, 0.08e-9),
    "process_exchanges": ("forward", None, 2e-6),
}


@pytest.mark.parametrize("event", EVENTS)
def test_price_of_every_event(event):
    """Four tiles of 9 x 32, by hand from the constants of the profile."""
    phase, picojoules, seconds = PRICES[event]
    profile = PROFILES["hermes-pcm"].scaled("static_power", 0)
    bill = price(one_layer("some", **{phase: {event: 1000}}), profile)
    assert 1e6 * bill.with_digital == pytest.approx(1000 * (picojoules or 0))
    assert bill.sequential == pytest.approx(1000 * (seconds or 0))
