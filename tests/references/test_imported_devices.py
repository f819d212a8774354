"""Devices of other programs do what those programs say: one pulse on aihwkit's own tiles, against published laws."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.compounds import VectorUnitCell
from aihwkit.simulator.configs.devices import LinearStepDevice
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.inference import DriftParameter
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.tiles import AnalogTile

from devices import get
from devices.device_file import LAWS
from devices.imported import from_aihwkit, from_crosssim, from_neurosim
from devices.imported.from_neurosim import normalised_a
from experiments.cli import main

_ONE_PULSE = UpdateParameters(
    desired_bl=1, pulse_type=PulseType.DETERMINISTIC_IMPLICIT, update_bl_management=False, update_management=False,
    x_res_implicit=1.0, d_res_implicit=1.0,
)  # fmt: skip
AGSI = {
    "maxConductance": 3.8462e-8, "minConductance": 3.0769e-9, "maxNumLevelLTP": 97, "maxNumLevelLTD": 100,
    "NL_LTP": 2.4, "NL_LTD": -4.88,
}  # fmt: skip
# Label and A / P_max, as NeuroSim tabulates them (MLP+NeuroSim 3.0, documents/Nonlinearity-NormA.htm).
TABLE = {
    0.01: 126.269,
    0.5: 2.5199,
    1.0: 1.2517,
    1.75: 0.7021,
    3.0: 0.3868,
    4.88: 0.2003,
    7.01: 0.0897,
    9.0: 0.0228,
}


def pulsed(section: dict[str, Any], w: np.ndarray, is_up: bool) -> np.ndarray:
    """Return how far one pulse moves aihwkit's own device from each weight."""
    section = dict(section)
    device = LAWS[section.pop("law")](**section)
    tile = AnalogTile(len(w), 1, SingleRPUConfig(device=device, update=_ONE_PULSE))
    tile.set_weights(torch.tensor(w, dtype=torch.float32)[:, None])
    before = tile.get_weights()[0].flatten().double().numpy()
    tile.set_learning_rate(1.0)
    tile.update(torch.ones(1, 1), torch.full((1, len(w)), -1.0 if is_up else 1.0))
    return tile.get_weights()[0].flatten().double().numpy() - before


def test_labels_are_those_of_neurosims_table() -> None:
    for label, a in TABLE.items():
        # Half of the last of its four digits behind the point, and 1e-4: the definition was found from the table.
        assert normalised_a(label) == pytest.approx(a, rel=2e-4, abs=1e-4), label


def test_pulses_walk_along_neurosims_curves() -> None:
    """G(P + 1) - G(P) of NonlinearWeight with NeuroSim's tabulated A, at all P: to 1e-3 of the range's mean step."""
    section = from_neurosim(AGSI).pulses
    for is_up, levels, a in ((True, 97, 0.4992), (False, 100, 0.2003)):
        p = np.arange(levels)
        b = 1 / (1 - math.exp(-1 / a))
        curve = b * (1 - np.exp(-np.arange(levels + 1) / (a * levels)))  # from 0 to 1
        w = 2 * curve - 1 if is_up else 1 - 2 * curve
        found = pulsed(section, w[p], is_up)
        np.testing.assert_allclose(found, np.diff(w), rtol=2e-3, atol=2e-5)


def test_neurosims_noise_is_a_part_of_the_range() -> None:
    """sigmaCtoC = 1 % of the range, twice that in weights from -1 to 1; 4,000 pulses."""
    same = {**AGSI, "maxNumLevelLTD": 97, "NL_LTD": -2.4, "sigmaCtoC": 0.01}
    found = pulsed(from_neurosim(same).pulses, np.zeros(4000), True)
    assert found.std() == pytest.approx(0.02, rel=4.5 / math.sqrt(8000))


def test_crosssims_tables_give_their_means(tmp_path: Path) -> None:
    g, cdf = np.linspace(1e-6, 5e-6, 41), np.linspace(0, 1, 11)
    mean = {"up": 1e-7 * (6e-6 - g) / 4e-6, "down": -1e-7 * g / 4e-6}
    for way, sizes in mean.items():
        rows = [",".join(f"{s + 2e-8 * (c - 0.5):.6e}" for s in sizes) for c in cdf]
        lines = ["heading", ",".join(f"{x:.8e}" for x in g), ",".join(f"{c:.2f}" for c in cdf), *rows]
        (tmp_path / f"{way}.txt").write_text("\n".join(lines))
    described = from_crosssim(tmp_path / "up.txt", tmp_path / "down.txt")
    assert described.conductance == pytest.approx({"g_min": 1.0, "g_max": 5.0})
    spread = 2e-8 / math.sqrt(12)
    total = sum((sizes**2).sum() for sizes in mean.values())
    assert described.pulses["dw_min_std"] == pytest.approx(math.sqrt(2 * 41 * spread**2 / total), rel=1e-3)
    w = np.linspace(-0.8, 0.8, 9)
    for way, sizes in mean.items():
        found = pulsed({**described.pulses, "dw_min_std": 0.0}, w, way == "up")
        np.testing.assert_allclose(found, np.interp(3e-6 + 2e-6 * w, g, sizes) / 2e-6, rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="must raise and lower"):
        from_crosssim(tmp_path / "down.txt", tmp_path / "up.txt")
    (tmp_path / "up.txt").write_text("1,2\n")
    with pytest.raises(ValueError, match="must hold a heading"):
        from_crosssim(tmp_path / "up.txt", tmp_path / "down.txt")


def test_the_command_writes_what_commands_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import-device", "aihwkit", "ReRamESPreset", "--name", "my-es"]) == 0
    section = from_aihwkit("ReRamESPreset").pulses
    preset = get("reram-es").training_config().device
    assert {name: getattr(preset, name) for name in section if name != "law"} == {
        name: value for name, value in section.items() if name != "law"
    }
    assert isinstance(preset, type(get("my-es.toml").training_config().device))
    words = [f"{name}={value}" for name, value in AGSI.items()]
    assert main(["import-device", "neurosim", *words, "--name", "agsi"]) == 0
    assert "Left out: Programming error" in capsys.readouterr().out
    assert get("agsi.toml").g_max == pytest.approx(0.038462)
    for wrong, message in (
        (["neurosim", *words[1:]], "maxConductance is missing"),
        (["neurosim", *words, "x=1"], "x is unknown"),
        (["neurosim", "NL_LTP=a"], "must be like NL_LTP=2.4"),
        (["aihwkit", "PCMPreset"], "Take it as it is: --device pcm"),
        (["crosssim", "a.txt"], "dG_decreasing.txt"),
    ):
        assert main(["import-device", *wrong]) == 2
        assert message in capsys.readouterr().err


def test_configurations_kept_as_json_are_known_by_their_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for law, kind in LAWS.items():
        config = SingleRPUConfig(device=kind(dw_min=0.004, w_max=0.7))
        Path("my.json").write_text(json.dumps(dataclasses.asdict(config), default=str))
        assert from_aihwkit("my.json").pulses == {"law": law, "dw_min": 0.004, "w_max": 0.7}
    assert main(["import-device", "aihwkit", "my.json", "--name", "mine"]) == 0
    assert get("mine.toml").training_config().device == kind(dw_min=0.004, w_max=0.7)
    device = dataclasses.asdict(LinearStepDevice(drift=DriftParameter(nu=0.1)))
    Path("device.json").write_text(json.dumps(device))
    assert from_aihwkit("device.json").not_modelled.startswith(
        "The device's drift, which a device file does not"
    )
    compound = SingleRPUConfig(device=VectorUnitCell(unit_cell_devices=[LinearStepDevice()]))
    for content, message in (
        (json.dumps(dataclasses.asdict(compound), default=str), "has a compound of devices"),
        ("[1]", "has other fields"),
        (json.dumps(device | {"w_max": "a"}), "`w_max` must be a number, but is 'a'"),
    ):
        Path("wrong.json").write_text(content)
        assert main(["import-device", "aihwkit", "wrong.json"]) == 2
        assert message in capsys.readouterr().err
