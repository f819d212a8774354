"""Device files: read as written, wherever a device's name may stand; and refused by name where they are wrong."""

from pathlib import Path

import pytest
import torch
from aihwkit.inference.noise.custom import StateIndependentNoiseModel
from aihwkit.simulator.configs.devices import PiecewiseStepDevice, SoftBoundsDevice

from devices import fit_drift, fit_pulse_response, get, program, read_device_file
from devices.device_file import LAWS, device_file

WHOLE = """
name = "my-reram"
technology = "resistive memory"
source = "our lab"
[conductance]
g_min = 1.0
g_max = 20.0
[pulses]
law = "SoftBounds"
dw_min = 0.01
up_down = -0.1
[drift]
exponent = 0.06
exponent_spread = 0.02
reference_time = 30.0
programming_noise = 0.4
last_time = 1e6
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text)
    return path


def test_a_device_file_stands_where_a_name_may(tmp_path: Path) -> None:
    device = get(str(write(tmp_path, WHOLE)))
    assert (device.name, device.kind, device.g_min, device.g_max) == ("my-reram", "both", 1.0, 20.0)
    pulsed = device.training_config().device
    assert isinstance(pulsed, SoftBoundsDevice)
    assert (pulsed.dw_min, pulsed.up_down) == (0.01, -0.1)
    noise = device.noise_model()
    assert isinstance(noise, StateIndependentNoiseModel)
    assert (noise.drift_nu_mean, noise.drift_nu_std, noise.t_0) == (0.06, 0.02, 30.0)
    assert (noise.prog_coeff, noise.read_noise_scale) == ([0.4, 0.0, 0.0], 0.0)
    assert (noise.g_converter.g_min, noise.g_converter.g_max) == (1.0, 20.0)
    assert not device.is_extrapolated(1e6)
    assert device.is_extrapolated(2e6)


def test_drift_is_the_power_law_of_the_file(tmp_path: Path) -> None:
    text = WHOLE.replace("exponent_spread = 0.02", "").replace("programming_noise = 0.4", "")
    tiles = program(get(str(write(tmp_path, text))).noise_model(), torch.eye(3)[None], seed=0)
    for start, later in zip(tiles.conductances(0.0), tiles.conductances(3600.0), strict=True):
        # float32, and a logarithm and a power of it
        torch.testing.assert_close(later, start * (3630.0 / 30.0) ** -0.06, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("cut", "kind"), [("[pulses]", "inference"), ("[drift]", "training")], ids=["drift only", "pulses only"]
)
def test_sections_that_are_left_out_make_a_device_for_one_use(cut: str, kind: str, tmp_path: Path) -> None:
    before, _, after = WHOLE.partition(cut)
    text = before + ("[drift]" + after.partition("[drift]")[2] if cut == "[pulses]" else "")
    assert get(str(write(tmp_path, text))).kind == kind


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "my-reram"', "", "`name` in .* must be given, but is missing"),
        ('"our lab"', "7", "`source` in .* must be a text, but is 7"),
        (
            "[drift]",
            "[drit]",
            r"`drit` in .* must be a key of device files, but is unknown. Did you mean drift\?",
        ),
        ("dw_min", "dw_mim", r"`pulses.dw_mim` .* Did you mean dw_min\?"),
        ('"SoftBounds"', '"Soft"', "`pulses.law` in .* must be one of ConstantStep, .*, but is 'Soft'"),
        ("dw_min = 0.01", 'dw_min = "0.01"', "`pulses.dw_min` in .* must be a number, but is '0.01'"),
        ("dw_min = 0.01", "dw_min = 0", "`pulses.dw_min` in .* must be above 0"),
        ("dw_min = 0.01", "w_max = -1.0", "must lie on both sides of 0"),
        ("dw_min = 0.01", "mult_noise = 1", "`pulses.mult_noise` in .* must be true or false"),
        ("dw_min = 0.01", "dw_min = nan", "`pulses.dw_min` in .* must be finite"),
        ("g_min = 1.0", "g_min = 30.0", r"`conductance.g_min` in .* must lie in \[0, g_max\)"),
        ("g_max = 20.0", "", "`conductance.g_max` in .* must be given"),
        ("exponent = 0.06", "", "`drift.exponent` in .* must be given"),
        ("last_time = 1e6", "last_time = -1", "`drift.last_time` in .* must be 0 s or more"),
        ("reference_time = 30.0", "reference_time = 0", "`drift.reference_time` in .* must be above 0 s"),
        ("exponent_spread = 0.02", "exponent_spread = -1", "`drift.exponent_spread` in .* must be 0 or more"),
        ('name = "my-reram"', "name = my", "must be a TOML file"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in WHOLE
    with pytest.raises(ValueError, match=message):
        read_device_file(write(tmp_path, WHOLE.replace(old, new)))


def test_a_file_without_use_or_without_a_range_is_refused(tmp_path: Path) -> None:
    head = 'name = "a"\ntechnology = "b"\nsource = "c"\n'
    with pytest.raises(ValueError, match=r"`\[pulses\] or \[drift\]` in .* must be given"):
        read_device_file(write(tmp_path, head))
    with pytest.raises(ValueError, match=r"`\[conductance\]` in .* must be given with \[drift\]"):
        read_device_file(write(tmp_path, head + "[drift]\nexponent = 0.1\nreference_time = 1.0\n"))


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file nowhere.toml"):
        get("nowhere.toml")


@pytest.mark.parametrize("law", LAWS)
def test_what_is_written_is_read_again(law: str, tmp_path: Path) -> None:
    nodes = {"piecewise_up": [2.0, 1.0, 0.5], "piecewise_down": [0.5, 1.0, 2.0]} if law == "Piecewise" else {}
    text = device_file(
        name='a "quoted" näme', technology="t", source="back\\slash", summary="s",
        conductance={"g_min": 0.123456789, "g_max": 1e3},
        pulses={"law": law, "dw_min": 1.5e-7, "dw_min_std": 0.25, **nodes}, drift=None,
    )  # fmt: skip
    device = read_device_file(write(tmp_path, text))
    assert (device.name, device.source, device.g_min) == ('a "quoted" näme', "back\\slash", 0.123456789)
    pulsed = device.training_config().device
    assert type(pulsed) is LAWS[law]
    assert (pulsed.dw_min, pulsed.dw_min_std) == (1.5e-7, 0.25)
    if isinstance(pulsed, PiecewiseStepDevice):
        assert pulsed.piecewise_up == nodes["piecewise_up"]


RAMP = "".join(f"1,{i}\n" for i in range(12)) + "".join(f"-1,{12 - i}\n" for i in range(12))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`measured` must have the columns pulse, conductance"),
        ("pulse,x\n1,2\n", "--columns conductance="),
        ("pulse,conductance\n1,2\n1,3\n", "must hold at least 10 pulses up, but .* holds 1"),
        ("pulse,conductance\n" + RAMP.replace("1,5\n", "1,x\n"), "`conductance` must .* in lines 7 and 21 "),
        ("pulse,conductance\n" + RAMP.replace("1,5\n", "1,nan\n"), "`conductance` must .* in lines 7 and 21 "),
        ("pulse,conductance\n" + RAMP.replace("1,5\n", "2,5\n"), "`pulse` must be 1, -1 or 0 in lines 7 "),
        ("pulse,conductance\n" + RAMP.replace("1,5\n", "1,5,6\n"), r"2 columns in lines 7 and 21 \(is first 3\)"),
        ("pulse,conductance\n" + RAMP.replace("-1,", "1,"), "at least 10 pulses down, but .* holds 0"),
        ("pulse,conductance\n" + "1,3\n-1,3\n" * 20, "all are equal"),
        ("pulse,conductance\n" + RAMP.replace("-1,", "0,").replace("1,", "-1,").replace("0,", "1,"),
         "must hold pulses up that raise the conductance"),
        ("1,2,3\n" * 30, r"\(or two columns up, down\)"),
    ],
)  # fmt: skip
def test_garbage_is_no_pulse_response(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "measured.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        fit_pulse_response(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,conductance\n1,2\n2,2\n3,2\n", "must hold at least 3 devices, but .* holds 1"),
        ("device,time,conductance\n" + "".join(f"{d},{t},2\n" for d in range(3) for t in (2, 1, 3)),
         "`time` must be later than the one before in lines 3, "),
        ("device,time,conductance\n" + "".join(f"{d},{t},{t - 1}\n" for d in range(3) for t in (1, 2, 3)),
         "`conductance` must be above 0 µS in lines 2, "),
        ("device,time,conductance\n" + "".join(f"{d},{t},2\n" for d in range(3) for t in (1, 2)),
         "at least 3 readings of each device"),
        ("device,time,conductance\n" + "".join(f"{d},{t},2\n" for d in range(3) for t in (10, 11, 12)),
         "must follow a device for 2 times"),
    ],
)  # fmt: skip
def test_garbage_is_no_drift(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "drift.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        fit_drift(path)


def test_aihwkits_layout_is_read(tmp_path: Path) -> None:
    """Two columns without a header: the way up and the way down, each a series of its own."""
    path = tmp_path / "measured.csv"
    path.write_text("".join(f"{i / 10},{4 - i / 10}\n" for i in range(40)))
    fit = fit_pulse_response(path, laws=["ConstantStep"])
    assert [len(trace.pulses) for trace in fit.traces] == [78]
    assert (fit.g_min, fit.g_max) == (0.0, 4.0)
    assert fit.best["step_up"].value == pytest.approx(0.05, rel=1e-3)  # 0.1 of 4 µS, which span 2


def test_a_law_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`laws` must be some of ConstantStep"):
        fit_pulse_response(tmp_path / "any.csv", laws=["Cubic"])
