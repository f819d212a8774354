"""Profiles are read exactly or refused in a sentence that names file, key and rule."""

import json

import pytest
from aihwkit.simulator.presets.devices import CapacitorPresetDevice

from crossbar import EventLedger, HardwareProfile, load_profile, price, profile_names
from crossbar.cost.events import LayerEvents, LayerShape

TEXT = load_profile("hermes-pcm").to_toml()
# bulk-rram is one published bill, without ranges
OF_STUDIES = ("hermes-pcm", "isaac-reram", "rpu-capacitor", "rpu-ecram")
AREA = 'area = { value = 0.634, unit = "mm2"'


def test_every_profile_that_comes_with_the_package_is_found_by_its_name():
    assert {"bulk-rram", *OF_STUDIES} <= set(profile_names())
    for name in profile_names():
        assert load_profile(name).name == name


@pytest.mark.parametrize("name", OF_STUDIES)
def test_uncertain_constants_of_the_sensitivity_study_have_their_ranges(name):
    """Notes on costs, 4: ADC x0.1 to x20, 1 to 30 iterations, static power 0 to 10 % of active power."""
    profile = load_profile(name)
    factors = profile.uncertain()
    assert factors["adc_energy"] == pytest.approx((0.1, 20))
    assert factors["static_power"] == pytest.approx((0, 10))
    assert factors["programming_energy"] == pytest.approx((0.1, 10))
    assert profile.constants["iterations"].range == (1, 30)
    assert factors["update_pulse_energy"][0] < 1 < factors["update_pulse_energy"][1]


@pytest.mark.parametrize("name", OF_STUDIES)
def test_static_power_is_one_per_cent_of_the_power_at_work(name):
    """Of a whole array; ISAAC's share of an IMA also holds registers and adders. 3 %: two digits are written."""
    profile = load_profile(name)
    rows, columns = profile.count("word_lines"), profile.count("bit_lines")
    energy = (
        rows * profile["dac_energy"]
        + columns * profile["adc_energy"]
        + rows * columns * profile["cell_energy"]
    )
    registers = 1e3 * (24.1 - 16 - 4 - 2.4) / 8 if name == "isaac-reram" else 0.0  # µW
    assert 100 * profile["static_power"] == pytest.approx(
        energy / profile["cycle_time"] + registers, rel=0.03
    )


def test_a_pulse_on_a_capacitor_moves_the_charge_of_one_step():
    """50 fF, 0.7 V across all steps of aihwkit's preset, from 1 V; one digit is written. Cells add to converters."""
    profile, device = load_profile("rpu-capacitor"), CapacitorPresetDevice()
    steps = (device.w_max - device.w_min) / device.dw_min
    charge = 50e-15 * 0.7 / steps  # C
    assert profile["update_pulse_energy"] == pytest.approx(1e6 * charge * 1.0, rel=0.15)  # µJ
    cells = profile.count("word_lines") * profile.count("bit_lines")  # of 1 µm² each
    assert profile["area"] == pytest.approx(load_profile("rpu-ecram")["area"] + cells, rel=0.01)


@pytest.mark.parametrize("name", profile_names())
def test_written_text_is_read_back_equal(name):
    profile = load_profile(name)
    assert HardwareProfile.from_toml(profile.to_toml()) == profile


def test_a_source_may_hold_any_character(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(
        TEXT.replace("one pulse;", 'µ "quoted" \\\\ and \\u007f;').replace('µ "quoted"', 'µ \\"quoted\\"')
    )
    own = load_profile(file)
    assert HardwareProfile.from_toml(own.to_toml()) == own
    assert 'µ "quoted" \\ and \x7f;' in own.constants["input_cycles"].source


@pytest.mark.parametrize(
    ("unit", "house"), [("fJ", 34.12e-9), ("pJ", 34.12e-6), ("nJ", 34.12e-3), ("uJ", 34.12)]
)
def test_units_are_converted(unit, house):
    text = TEXT.replace(
        'adc_energy = { value = 34.12, unit = "pJ"', f'adc_energy = {{ value = 34.12, unit = "{unit}"'
    )
    assert HardwareProfile.from_toml(text)["adc_energy"] == pytest.approx(house)


def test_values_are_in_house_units():
    """µJ, s, µm², µW."""
    profile = load_profile("hermes-pcm")
    values = profile["adc_energy"], profile["cell_energy"], profile["cycle_time"], profile["area"]
    assert values == pytest.approx((34.12e-6, 35.88e-9, 132.94e-9, 634e3))
    assert (profile["static_power"], profile["word_lines"]) == pytest.approx((1010, 256))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("area = {", "aera = {", r"own\.toml: `array\.aera` must be one of area, .*, but is unknown"),
        ("[product]", "[prodct]", r"own\.toml: `prodct` must be one of .*, but is unknown"),
        ('name = "hermes-pcm"\n', "", r"own\.toml: `name` must be given, but is missing"),
        ('name = "hermes-pcm"', "name = 3", r"own\.toml: `name` must be text, and not empty, but is 3"),
        ("gated_periphery = true", 'gated_periphery = "yes"', "`gated_periphery` must be true or false"),
        ("0.634", "-0.634", r"`array\.area\.value` must be 0 or more, and finite, but is -0\.634"),
        ("0.634", "inf", r"`array\.area\.value` must be 0 or more, and finite, but is inf"),
        ("0.634", "nan", r"`array\.area\.value` must be 0 or more, and finite, but is nan"),
        ("0.634", '"0.634"', r"`array\.area\.value` must be a number, but is '0\.634'. Write it without quotes"),
        ("0.634", "true", r"`array\.area\.value` must be a number, but is True"),
        ("word_lines = { value = 256", "word_lines = { value = 2.5", r"word_lines\.value` must be a whole number"),
        ("word_lines = { value = 256", "word_lines = { value = 0", r"word_lines\.value` must be a whole number"),
        (AREA, AREA.replace("mm2", "pJ"), r"`array\.area\.unit` must be a unit of area \(um2, mm2\), but is 'pJ'"),
        (AREA, AREA.replace('"mm2"', "2"), r"`array\.area\.unit` must be a unit of area \(um2, mm2\), but is 2"),
        (AREA, AREA.replace("unit", "units"), r"`array\.area\.units` must be one of range, source, unit, value"),
        (AREA, "area = { value = 0.634", r"`array\.area\.unit` must be given, but is missing"),
        ("range = [3.412, 682.4]", "range = [3.412]", r"`product\.adc_energy\.range` must be \[smallest, largest\]"),
        ("range = [3.412, 682.4]", "range = [40, 682.4]", r"adc_energy\.range` must be around the value, 34\.12"),
        ("range = [3.412, 682.4]", "range = [-1, 682.4]", r"`product\.adc_energy\.range` must be 0 or more"),
        ("[array]", "[array", r"own\.toml: it must be TOML, but is not: .*line"),
    ],
)  # fmt: skip
def test_a_slip_in_a_profile_of_ones_own_is_named(tmp_path, before, after, message):
    assert before in TEXT
    file = tmp_path / "own.toml"
    file.write_text(TEXT.replace(before, after, 1))
    with pytest.raises(ValueError, match=message):
        load_profile(file)


@pytest.mark.parametrize("text", ["area = 3", 'area = { value = 1, unit = "um2", source = " " }'])
def test_a_constant_needs_its_table_and_a_source(text):
    lines = [text if line.startswith("area =") else line for line in TEXT.splitlines()]
    with pytest.raises(
        ValueError, match=r"`array\.area(\.source)?` must be (a constant|text, and not empty), but is"
    ):
        HardwareProfile.from_toml("\n".join(lines))


def test_a_table_must_be_one():
    start, end = TEXT.index("[digital]"), len(TEXT)
    text = "digital = 3\n" + TEXT[:start] + TEXT[end:]
    with pytest.raises(ValueError, match="`digital` must be a table, but is 3"):
        HardwareProfile.from_toml(text)


def test_profiles_that_are_not_there_or_no_text_are_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"`profile` must be one of bulk-rram, hermes-pcm, .*, but there is no hermes"
    ):
        load_profile("hermes")
    with pytest.raises(FileNotFoundError, match="`profile` must be one of"):
        load_profile(tmp_path)
    file = tmp_path / "binary.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"binary\.toml: it must be text in UTF-8"):
        load_profile(file)


def test_scaling_refuses_what_it_cannot_do():
    profile = load_profile("hermes-pcm")
    assert profile.scaled("adc_energy", 2)["adc_energy"] == 2 * profile["adc_energy"]
    assert profile["adc_energy"] == pytest.approx(34.12e-6)
    with pytest.raises(ValueError, match=r"`constant` must be one of word_lines, .*, but is 'adc'"):
        profile.scaled("adc", 2)
    with pytest.raises(
        ValueError, match=r"`factor` must leave adc_energy 0 or more, and finite, but makes it -34\.12"
    ):
        profile.scaled("adc_energy", -1)
    with pytest.raises(
        ValueError, match=r"`factor` must leave word_lines a whole number from 1 on, but makes it 25\.6"
    ):
        profile.scaled("word_lines", 0.1)


def test_bills_are_written_in_the_types_of_json():
    shape = LayerShape(in_size=3, out_size=2, tile_shape=(2, 3), in_channels=3)
    layer = LayerEvents(shape=shape, most_pulses=20)
    layer.add("forward", adc_conversions=10, serial_mvms=5)
    bill = price(EventLedger(layers={"one": layer}, steps=4), load_profile("rpu-ecram"))
    content = json.loads(json.dumps(bill.to_json(), allow_nan=False))
    assert content["energy_by_component"]["adc"] == pytest.approx(230e-6)
    assert content["sequential"] == pytest.approx(400e-9)
    assert (content["pulses_per_step"], content["steps_to_end_of_life"]) == (5, 2e8)
    assert content["layers"]["one"]["packing"]["arrays"] == content["arrays"] == 1
