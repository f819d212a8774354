"""Fits find again what devices were made of, and say how sure they are.

Devices are made and pulsed as in training (held against aihwkit elsewhere), and read with noise. A parameter may miss
the truth by 4.5 standard errors: 7e-6 by chance for each of the 40. The errors themselves are checked by how often
95 % intervals hold the truth (docs/fit_coverage.md has many more repeats of that).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aihwkit.inference.converter.conductance import SinglePairConductanceConverter
from aihwkit.inference.noise.custom import StateIndependentNoiseModel
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    SoftBoundsDevice,
)
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters
from aihwkit.simulator.tiles import AnalogTile

from devices import fit_drift
from devices.device_file import LAWS
from devices.fitting import PulseFit, PulseTrace, device_fit, fit_traces, predictive_check, pulse_fit
from devices.fitting.known_devices import Scheme, known_coordinates, measure
from devices.fitting.laws import FREE_LAWS, STEP_LAWS
from devices.fitting.population import noise_of_all, population, population_of_curves
from devices.fitting.profiles import Profile
from devices.fitting.pulse_fit import law_named
from devices.fitting.screening import readings_of
from devices.fitting.step_law import StepLaw
from devices.pulsed import DeviceArray, fabricate

EQUAL = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
COMMON: dict[str, Any] = {"w_max": 1.0, "w_min": -1.0, "dw_min_std": 0.3, **EQUAL}
_ONE_PULSE = UpdateParameters(
    desired_bl=1, pulse_type=PulseType.DETERMINISTIC_IMPLICIT, update_bl_management=False, update_management=False,
    x_res_implicit=1.0, d_res_implicit=1.0,
)  # fmt: skip
NODES_UP, NODES_DOWN = [2.0, 1.5, 1.0, 1.0, 0.7, 0.3], [0.3, 0.5, 1.0, 1.0, 1.5, 2.0]
DEVICES: dict[str, Any] = {
    "ConstantStep": ConstantStepDevice(dw_min=0.02, up_down=0.1, **COMMON),
    "LinearStep": LinearStepDevice(
        dw_min=0.02, up_down=-0.1, gamma_up=0.5, gamma_down=0.3, gamma_up_dtod=0.0, gamma_down_dtod=0.0, **COMMON
    ),
    "SoftBounds": SoftBoundsDevice(dw_min=0.02, up_down=0.05, **COMMON),
    "ExpStep": ExpStepDevice(
        dw_min=0.02, up_down=0.0, A_up=0.05, A_down=0.8, gamma_up=6.0, gamma_down=9.0, a=0.244, b=0.2425, **COMMON
    ),
    "PowStep": PowStepDevice(
        dw_min=0.04, up_down=0.1, pow_gamma=1.5, pow_up_down=0.2, pow_gamma_dtod=0.0, pow_up_down_dtod=0.0, **COMMON
    ),
    "Piecewise": PiecewiseStepDevice(
        dw_min=0.02, up_down=0.0, piecewise_up=NODES_UP, piecewise_down=NODES_DOWN, **COMMON
    ),
}  # fmt: skip
READ = 0.01
SCHEME = Scheme(pulses=150, cycles=2, read_noise=READ)


def fitted(
    device: Any, *, seed: int, laws: Sequence[str] = (), devices: int = 1, scheme: Scheme = SCHEME
) -> tuple[PulseFit, DeviceArray]:
    """Make devices, measure them and fit laws; all six if none is named."""
    array = fabricate(device, 1, devices, 1, seed=seed)
    chosen = [law_named(name) for name in laws] if laws else STEP_LAWS
    return fit_traces(measure(array, scheme, seed=seed), chosen), array


def truths(fit: PulseFit, array: DeviceArray, scheme: Scheme = SCHEME) -> dict[str, float]:
    """Express what the devices of an array are in the range that was measured: of the mean device."""
    span = scheme.g_max - scheme.g_min
    middle, half = (
        (fit.g_min + fit.g_max - scheme.g_min - scheme.g_max) / span,
        (fit.g_max - fit.g_min) / span,
    )
    known = known_coordinates(law_named(fit.best.law), array, middle, half)
    coordinates = fit.best.devices[0].coordinates
    shown = {
        c.name: float(np.exp(x).mean()) if c.kind == "log" else c.shown(float(x.mean()))
        for c, x in zip(coordinates, known, strict=False)
    }
    return {**shown, "read_noise": scheme.read_noise / half}


@pytest.mark.parametrize("name", DEVICES)
def test_parameters_are_found_again(name: str) -> None:
    fit, array = fitted(DEVICES[name], seed=1, laws=[name])
    for parameter, value in truths(fit, array).items():
        found = fit.best[parameter]
        if found.remark:  # said to be open
            assert found.low <= value <= found.high, parameter
        else:
            # An end of the interval is 1.96 errors away, whatever the shape of the likelihood.
            reach = found.high - found.value if value > found.value else found.value - found.low
            assert abs(found.value - value) < 4.5 / 1.96 * reach + 1e-3, parameter
    assert fit.best.noise == pytest.approx(
        0.3, abs=4.5 * 0.3 * 0.1
    )  # its error is about a tenth, from 600 pulses
    assert fit.best.read_noise == pytest.approx(READ, rel=4.5 / np.sqrt(2 * 600) + 0.1)
    assert fit.best.r_squared > 0.9


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """40 devices, 6 parameters: 215 to 238 of 240 at 95 %; 1e-3 by chance, with up to two in step with each other."""
    scheme = Scheme(pulses=60, cycles=3, read_noise=0.02)
    inside, missed = 0, []
    for seed in range(40):
        fit, array = fitted(DEVICES["SoftBounds"], seed=seed, laws=["SoftBounds"], scheme=scheme)
        for name, value in truths(fit, array, scheme).items():
            found = fit.best[name]
            inside += found.low <= value <= found.high
            if not found.low <= value <= found.high:
                missed.append(name)
    assert 215 <= inside <= 238, missed


@pytest.mark.parametrize(
    "name", [name if name == "SoftBounds" else pytest.param(name, marks=pytest.mark.slow) for name in DEVICES]
)
def test_the_law_of_the_device_is_chosen_or_one_that_cannot_be_told_from_it(name: str) -> None:
    fit, _ = fitted(DEVICES[name], seed=2)
    assert not fit.left_out
    own = next(law for law in fit.candidates if law.law == name)
    # A law with six parameters too many gains more than 27 in -2 ln L with a probability of 1.5e-4, and pays 12.
    assert own.aicc - min(law.aicc for law in fit.candidates) < 15
    assert sum(law.weight for law in fit.candidates) == pytest.approx(1)
    if name != "ConstantStep":
        constant = next(law for law in fit.candidates if law.law == "ConstantStep")
        assert constant.aicc - fit.best.aicc > 50


def test_devices_that_differ_do_not_count_as_noise() -> None:
    """6 devices with 12 % spread: mean, spread and noise of the steps; 4.5 errors, from 6 devices for the spreads."""
    differing = {"dw_min_dtod": 0.12, "w_max_dtod": 0.1, "w_min_dtod": 0.1, "up_down_dtod": 0.0}
    device = SoftBoundsDevice(**{**COMMON, **differing, "dw_min": 0.02, "w_max": 0.8, "w_min": -0.8})
    scheme = Scheme(pulses=150, cycles=2, read_noise=0.02)
    fit, array = fitted(device, seed=3, laws=["SoftBounds"], devices=6, scheme=scheme)
    half = (fit.g_max - fit.g_min) / 20
    assert fit.best.noise == pytest.approx(0.3, abs=4.5 * 0.3 * 0.15 / np.sqrt(6))
    assert fit.best["w_max"].low * half < 0.8 < fit.best["w_max"].high * half + 0.05
    assert fit.best["w_max"].value == pytest.approx(truths(fit, array)["w_max"], rel=0.03)
    assert fit.gain_spread == pytest.approx(0.12, abs=4.5 * 0.12 / np.sqrt(10))
    assert fit.bound_spread == pytest.approx(0.1, abs=4.5 * 0.1 / np.sqrt(20))


def test_three_noises_are_told_apart() -> None:
    """Of 6 devices with 1,200 pulses each: a few per cent for the noises, a fifth for the length; 4.5 times that."""
    scheme = Scheme(pulses=150, cycles=4, read_noise=0.02, slow_noise=0.03, slow_pulses=15.0)
    fit, _ = fitted(DEVICES["SoftBounds"], seed=4, laws=["SoftBounds"], devices=6, scheme=scheme)
    half = (fit.g_max - fit.g_min) / 20
    assert fit.best.read_noise * half == pytest.approx(0.02, rel=0.1)
    assert fit.best.slow_noise * half == pytest.approx(0.03, rel=0.2)
    assert fit.best.slow_pulses == pytest.approx(15, rel=0.6)
    found = fit.best["noise"]
    assert found.low < 0.3 < found.high < 0.6
    without, _ = fitted(DEVICES["SoftBounds"], seed=4, laws=["SoftBounds"], devices=6)
    assert without.best.slow_noise == 0.0


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))])
def test_nearly_linear_devices_are_no_singularity(seed: int) -> None:
    """50 steps up of 0.8 µS, 100 down of 0.4 µS, readings to 0.05 µS: to 4.5 errors of the slope of a line."""
    rng = np.random.default_rng(seed)
    g = 2 + np.concatenate([[0], np.cumsum([0.8] * 50 + [-0.4] * 100)]) + 0.05 * rng.normal(size=151)
    pulses = np.array([1.0] * 50 + [-1.0] * 100)
    fit = fit_traces([PulseTrace("1", pulses, g[:-1], g[1:])])
    assert not fit.left_out
    assert not fit.best.at_limit
    half = (fit.g_max - fit.g_min) / 2
    for name, size, count in (("step_up", 0.8, 50), ("step_down", 0.4, 100)):
        # Not the bare slope: the bends of other laws are free as well, which makes it about twice as loose.
        error = 2 * 0.05 / np.sqrt(count**3 / 12)
        assert fit.best[name].value * half == pytest.approx(size, abs=4.5 * error + 0.002)
    bound = fit.best["w_min"]
    assert bound.low == -np.inf or bound.remark or bound.value < -0.98
    assert predictive_check(fit, file_device(fit)).inside > 0.8


def file_device(fit: PulseFit) -> Any:
    section = fit.pulses()
    return LAWS[section.pop("law")](**section)


def test_simulated_devices_of_the_right_law_do_what_was_measured_and_others_do_not() -> None:
    """With the law's own devices 90 % of the points lie in the band; readings of a trace hang together."""
    differing = {**COMMON, "dw_min_dtod": 0.1, "w_max_dtod": 0.05, "w_min_dtod": 0.05}
    device = SoftBoundsDevice(**{**differing, "dw_min": 0.02, "up_down": 0.0})
    fit, _ = fitted(device, seed=5, laws=["SoftBounds"], devices=6)
    check = predictive_check(fit, file_device(fit))
    assert check.passes
    assert check.within("scatter") >= 4
    wrong = predictive_check(fit, ConstantStepDevice(dw_min=0.02, **COMMON))
    assert not wrong.passes
    assert "device " in wrong.where()[0]
    assert " the band" in wrong.where()[0]


def test_a_law_that_fails_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(law: StepLaw, *args: Any) -> Any:
        if law.name == "PowStep":
            raise ArithmeticError("no parameters give these data a likelihood")
        return real(law, *args)

    real = device_fit.fit_device
    monkeypatch.setattr(pulse_fit, "fit_device", fail)
    fit, _ = fitted(DEVICES["SoftBounds"], seed=6, laws=["SoftBounds", "PowStep"])
    assert [law.law for law in fit.candidates] == ["SoftBounds"]
    assert fit.left_out == {"PowStep": "no parameters give these data a likelihood"}


def test_a_table_has_the_steps_and_their_spread_at_each_conductance() -> None:
    """Of a polygon with a noise of 0.3: of 16 steps and 16 spreads 95 % intervals hold 27 or more; 2e-2 by chance."""
    nodes = {
        "piecewise_up": np.linspace(1.6, 0.4, 8).tolist(),
        "piecewise_down": np.linspace(0.4, 1.6, 8).tolist(),
    }
    scheme = Scheme(pulses=120, cycles=4, read_noise=0.002)
    device = PiecewiseStepDevice(dw_min=0.02, up_down=0.0, **nodes, **COMMON)
    fit, array = fitted(device, seed=7, laws=["LookupTable"], scheme=scheme)
    known = truths(fit, array, scheme)
    own = [fit.best[name] for name in known if name.startswith(("up_", "down_"))]
    assert len(own) == 32
    assert sum(found.low <= known[found.name] <= found.high for found in own) >= 27
    assert fit.best.noise == pytest.approx(0.3, rel=0.15)
    table = fit.table()
    assert table is not None
    assert [len(row) for row in table] == [5] * 8
    half = (fit.g_max - fit.g_min) / 2
    assert table[2][1] == pytest.approx(fit.best["up_2"].value * half)
    assert table[2][4] == pytest.approx(fit.best["down_spread_2"].value * half)
    section = fit.pulses()
    assert section["law"] == "Piecewise"
    assert section["dw_min_std"] == fit.best.noise


def test_spread_over_devices_is_found_again() -> None:
    """40 devices: a standard deviation within 4.5 / sqrt(80) of itself, and noise of the steps adds little."""
    device = ConstantStepDevice(**{**COMMON, "dw_min": 0.02, "dw_min_dtod": 0.2, "dw_min_std": 0.1})
    scheme = Scheme(pulses=60, cycles=1, read_noise=READ)
    fit, _ = fitted(device, seed=3, laws=["ConstantStep"], devices=40, scheme=scheme)
    assert fit.gain_spread == pytest.approx(0.2, rel=4.5 / np.sqrt(80))


def test_noise_is_not_taken_for_the_law() -> None:
    """30 devices with polygons of 26 numbers: the likeliest noise is a fifth too small, that of restricted likelihood
    is right to its error; 4.5 errors of the mean."""
    device = PiecewiseStepDevice(
        dw_min=0.02, up_down=0.0, piecewise_up=NODES_UP, piecewise_down=NODES_DOWN, **COMMON
    )
    array = fabricate(device, 1, 30, 1, seed=8)
    traces = measure(array, Scheme(pulses=60, cycles=2, read_noise=0.02), seed=8)
    readings = [readings_of(trace, 5.0, 25.0) for trace in traces]
    law = law_named("PiecewiseStep")
    likeliest = [device_fit.fit_device(law, own) for own in readings]
    place = [c.name for c in likeliest[0].coordinates].index("noise")
    mended = pulse_fit.restrict(law, likeliest, readings)
    before, after = (np.array([fit.x[place] for fit in fits]) - np.log(0.3) for fits in (likeliest, mended))
    error = after.std(ddof=1) / np.sqrt(30)
    assert abs(np.median(after)) < 4.5 * 1.25 * error
    assert np.median(before) < np.median(after) - 0.1


def test_a_bound_that_few_devices_reached_has_an_open_end() -> None:
    """Half of the devices reached a bound near 0.9, the others stopped at 0.8 and know only that theirs is above."""
    away = np.linspace(-6, 6, 25)
    reached = [Profile(place + 0.01 * away, away) for place in (0.88, 0.9, 0.92)]
    not_reached = [Profile(0.8 + 0.01 * away, np.minimum(away, 0.0)) for _ in range(3)]
    estimates = np.array([0.88, 0.9, 0.92, 0.8, 0.8, 0.8])
    found = population_of_curves(estimates, [*reached, *not_reached])
    assert 0.88 < found.mean < 0.95
    assert not found.is_open
    unknown = population_of_curves(estimates[3:], not_reached)
    assert unknown.is_open
    assert unknown.high == np.inf
    assert unknown.low < 0.8
    alone = Profile(0.8 + 0.01 * away, np.minimum(away, 0.0)).interval()
    assert alone[0] == pytest.approx(0.8 - 0.0196, abs=1e-4)
    assert alone[1] == np.inf


def test_curves_of_normal_errors_give_students_interval() -> None:
    """Four devices that are known far better than they differ: mean and t interval of a textbook, to the grid."""
    from scipy.stats import t as student

    estimates, away = np.array([1.0, 1.2, 1.4, 1.1]), np.linspace(-6, 6, 25)
    found = population_of_curves(estimates, [Profile(place + 1e-3 * away, away) for place in estimates])
    reach = float(student.ppf(0.975, 3)) * estimates.std(ddof=1) / 2
    assert found.mean == pytest.approx(estimates.mean(), abs=0.01)
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.1)
    alike = noise_of_all(estimates, [Profile(place + 0.3 * away, away) for place in estimates])
    assert alike.spread == 0
    assert alike.mean == pytest.approx(
        estimates.mean(), abs=0.01
    )  # within 4 % of its error a curve counts as flat
    assert alike.high - alike.low == pytest.approx(1.96 * 0.3, rel=0.01)
    assert noise_of_all(estimates, [Profile(place + 0.01 * away, away) for place in estimates]).spread > 0.1


def test_means_of_equal_and_of_differing_estimates() -> None:
    """Against the textbook: equal errors and no spread give the mean of all; large spread Student's interval."""
    from scipy.stats import t as student

    estimates = np.array([1.0, 2.0, 4.0, 3.0])
    found = population(estimates, np.full(4, 1e-8))
    assert found.mean == pytest.approx(2.5, abs=1e-6)
    assert found.spread == pytest.approx(estimates.std(ddof=1), rel=1e-3)
    reach = float(student.ppf(0.975, 3)) * estimates.std(ddof=1) / 2
    assert found.high - found.mean == pytest.approx(reach, rel=1e-3)
    assert found.spread_low < found.spread < found.spread_high
    quiet = population(np.array([1.0, 1.1, 0.9]), np.full(3, 4.0))
    assert quiet.spread == 0
    assert quiet.error == pytest.approx(2 / np.sqrt(3))
    one_off = population(np.array([1.0, 1.0, 9.0]), np.array([0.01, 0.01, 400.0]))
    assert one_off.mean == pytest.approx(1.0, abs=0.1)


def drift_file(path: Path, *, seed: int, devices: int = 60, nu: float = 0.05, spread: float = 0.015) -> Path:
    rng = np.random.default_rng(seed)
    lines = ["device,time,conductance,target"]
    for device in range(devices):
        target = 4.0 * (device % 4 + 1)
        start, own = target + 0.4 * rng.normal(), nu + spread * rng.normal()
        for time in (20, 100, 1000, 10000, 100000):
            g = start * ((time + 20) / 20) ** -own * (1 + 0.01 * rng.normal())
            lines.append(f"{device},{time},{g:.9g},{target}")
    path.write_text("\n".join(lines))
    return path


def test_drift_is_found_again(tmp_path: Path) -> None:
    fit = fit_drift(drift_file(tmp_path / "drift.csv", seed=4), reference_time=20.0)
    assert abs(fit.exponent - 0.05) < 4.5 * fit.exponent_error
    assert fit.exponent_error == pytest.approx(0.015 / np.sqrt(60), rel=4.5 / np.sqrt(120))
    assert fit.exponent_spread == pytest.approx(0.015, rel=4.5 / np.sqrt(120))
    assert fit.programming_noise == pytest.approx(0.4, rel=4.5 / np.sqrt(120) + 0.05)
    assert fit.residual == pytest.approx(0.01, rel=4.5 / np.sqrt(2 * 180))
    assert not fit.depends_on_conductance


def test_drift_of_aihwkits_devices_is_found_again(tmp_path: Path) -> None:
    """aihwkit's own power law, without noise: each exponent and start to float32, whatever the spread."""
    model = StateIndependentNoiseModel(
        SinglePairConductanceConverter(g_max=25.0),
        prog_noise_scale=0.0, read_noise_scale=0.0, drift_nu_mean=0.05, drift_nu_std=0.015, t_0=20.0,
    )  # fmt: skip
    start, own = torch.linspace(4.0, 24.0, 30), torch.linspace(0.02, 0.08, 30)
    lines = ["device,time,conductance"]
    for time in (20.0, 100.0, 1000.0, 1e4, 1e5):
        conductances = model.apply_drift_noise_to_conductance(start, own, time)
        lines += [f"{device},{time},{g:.9g}" for device, g in enumerate(conductances.tolist())]
    (tmp_path / "drift.csv").write_text("\n".join(lines))
    fit = fit_drift(tmp_path / "drift.csv", reference_time=20.0)
    np.testing.assert_allclose(fit.exponents, own.numpy(), rtol=1e-4)
    np.testing.assert_allclose(fit.start, start.numpy(), rtol=1e-4)


def test_equal_devices_have_no_spread(tmp_path: Path) -> None:
    """What the precision of single lines adds to their scatter is taken off."""
    fit = fit_drift(drift_file(tmp_path / "drift.csv", seed=5, spread=0.0), reference_time=20.0)
    assert fit.exponents.std() > 0.0008
    assert fit.exponent_spread < 0.0008


COORDINATES = {
    "ConstantStep": [np.log(0.02), np.log(0.03), 1.0, -0.95],
    "LinearStep": [np.log(0.03), np.log(0.02), 0.4, -0.2, 1.0, -0.9],
    "SoftBounds": [np.log(0.02), np.log(0.03), 1 / 1.3, 1 / 0.9],
    "ExpStep": [np.log(0.03), np.log(0.02), 0.3, 0.5, 1.5, 2.2, 0.95, -1.05],
    "PowStep": [np.log(0.04), np.log(0.05), 1.4, 1.0, 1 / 1.1, 1 / 1.2],
    "Piecewise": [0.05, 0.04, 0.03, 0.02, 0.015, 0.01, 0.01, 0.015, 0.02, 0.02, 0.03, 0.04, 1.0, -1.0],
    "LookupTable": [
        *np.linspace(0.05, 0.01, 8),
        *np.linspace(0.01, 0.04, 8),
        *[np.log(0.01)] * 16,
        0.95,
        -0.9,
    ],
    "PiecewiseStep": [*np.linspace(0.05, 0.01, 12), *np.linspace(0.012, 0.04, 12) ** 1.1, 0.95, -0.9],
}


@pytest.mark.parametrize("law", [*STEP_LAWS, *FREE_LAWS], ids=lambda law: law.name)
def test_the_device_of_a_file_makes_the_steps_of_the_law(law: StepLaw) -> None:
    """One pulse on aihwkit's own tiles, without spread and noise, at 17 weights; float32."""
    from devices.fitting.filter import mean_steps

    x = np.array(COORDINATES[law.name])
    described, notes = law.device(x)
    assert not notes
    shapes = dict.fromkeys(("gamma_up_dtod", "gamma_down_dtod", "pow_gamma_dtod", "pow_up_down_dtod"), 0.0)
    known = {field.name for field in dataclasses.fields(LAWS[law.file_law])}
    quiet = {key: value for key, value in shapes.items() if key in known}
    device = LAWS[law.file_law](**{**EQUAL, **quiet, "dw_min_std": 0.0, **described})
    w = np.linspace(-0.8, 0.8, 17)
    for is_up in (True, False):
        tile = AnalogTile(17, 1, SingleRPUConfig(device=device, update=_ONE_PULSE))
        tile.set_weights(torch.tensor(w, dtype=torch.float32)[:, None])
        before = tile.get_weights()[0].flatten().double().numpy()
        tile.set_learning_rate(1.0)
        tile.update(torch.ones(1, 1), torch.full((1, 17), -1.0 if is_up else 1.0))
        change = tile.get_weights()[0].flatten().double().numpy() - before
        size = mean_steps(law, x, before, is_up)
        np.testing.assert_allclose(change, size if is_up else -size, atol=2e-6)
