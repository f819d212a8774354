"""The hidden parameters that we draw against those of aihwkit's C++ tiles: the same joint law.

Every parameter, and for every pair of parameters their sum and their difference (in units of their spreads,
so that each pair's correlation shows), is compared by a two-sample Kolmogorov-Smirnov test on 20,000 devices
each. It refuses at p < 1e-7: some 1,500 comparisons make one false alarm in 6,000 runs of the file. It sees
a shift by 0.07 of a spread. Means and spreads, cut at the outermost percents, are held to 4.9 standard
errors of their own (one false alarm in a million each).
"""

import itertools
import math

import numpy as np
import pytest
import torch
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
)
from aihwkit.simulator.parameters.inference import DriftParameter
from aihwkit.simulator.presets import (
    CapacitorPresetDevice,
    EcRamMOPresetDevice,
    EcRamPresetDevice,
    GokmenVlasovPresetDevice,
    IdealizedPresetDevice,
    PCMPresetDevice,
    ReRamArrayHfO2PresetDevice,
    ReRamArrayOMPresetDevice,
    ReRamESPresetDevice,
    ReRamSBPresetDevice,
)
from aihwkit.simulator.tiles import AnalogTile
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from devices.pulsed.aihwkit_copy import to_hidden
from devices.pulsed.fabrication import fabricate, granularity_of

OUT_SIZE, IN_SIZE = 100, 200
N = OUT_SIZE * IN_SIZE
ALARM = 1e-7
Z = 4.9

SPREADS = {
    "up_down": 0.2,
    "up_down_dtod": 0.1,
    "w_max": 0.8,
    "w_max_dtod": 0.4,
    "w_min": -0.5,
    "w_min_dtod": 0.5,
    "lifetime": 3.0,  # one in eleven below 1, where nothing is kept
    "lifetime_dtod": 0.5,
    "diffusion": 0.1,
    "diffusion_dtod": 0.6,
    "reset": 0.05,
    "reset_dtod": 0.1,
}
DRIFT = DriftParameter(nu=0.1, nu_dtod=0.3)
NODES = {"piecewise_up": [1.5, 1.0, 0.6, 0.2], "piecewise_down": [0.3, 1.0, 0.7, 2.0]}
CASES = {
    "constant": ConstantStepDevice(**SPREADS, drift=DRIFT),
    "constant, log-normal gain": ConstantStepDevice(**SPREADS, dw_min_dtod_log_normal=True),
    "constant, inconsistent": ConstantStepDevice(
        **{**SPREADS, "up_down": -0.2, "w_min_dtod": 2.0, "w_max_dtod": 2.0},
        enforce_consistency=False,
        dw_min_dtod=0.8,
    ),
    "constant, corrupt": ConstantStepDevice(
        **SPREADS, corrupt_devices_prob=0.4, corrupt_devices_range=0.3, dw_min_dtod=0.8
    ),
    "constant, inconsistent and corrupt": ConstantStepDevice(
        **{**SPREADS, "w_min_dtod": 2.0}, enforce_consistency=False, corrupt_devices_prob=0.4
    ),
    "linear": LinearStepDevice(gamma_up=0.1, gamma_down=0.2, gamma_up_dtod=0.15, **SPREADS),
    "linear, increasing, own bounds": LinearStepDevice(
        gamma_up=0.1, gamma_down=0.2, allow_increasing=True, mean_bound_reference=False, **SPREADS
    ),
    "linear, reverse": LinearStepDevice(
        gamma_up=0.3, gamma_down=0.2, reverse_up=True, reverse_down=True, reverse_offset=0.1, **SPREADS
    ),
    "soft bounds": SoftBoundsDevice(**SPREADS),
    "soft bounds, corrupt": SoftBoundsDevice(**SPREADS, corrupt_devices_prob=0.4),
    "soft bounds, reverse": SoftBoundsDevice(reverse_up=True, reverse_offset=0.05, **SPREADS),
    "soft bounds by pulse response": SoftBoundsPmaxDevice(
        p_max=300, alpha=0.004, range_min=-0.8, range_max=0.6, w_max_dtod=0.2, up_down_dtod=0.1
    ),
    "soft bounds with reference": SoftBoundsReferenceDevice(
        slope_up_dtod=0.2, slope_down_dtod=0.1, reference_mean=0.1, reference_std=0.2, **SPREADS
    ),
    "soft bounds at symmetry": SoftBoundsReferenceDevice(
        slope_up_dtod=0.2, slope_down_dtod=0.1, reference_std=0.05, subtract_symmetry_point=True, **SPREADS
    ),
    "soft bounds at symmetry, corrupt": SoftBoundsReferenceDevice(
        slope_up_dtod=0.2, subtract_symmetry_point=True, corrupt_devices_prob=0.4, **SPREADS
    ),
    "exponential": ExpStepDevice(**SPREADS),
    "power": PowStepDevice(pow_gamma=1.5, pow_gamma_dtod=0.3, pow_up_down=0.2, pow_up_down_dtod=0.1),
    "power, inconsistent": PowStepDevice(
        pow_gamma_dtod=0.8, pow_up_down=-0.2, pow_up_down_dtod=0.3, enforce_consistency=False
    ),
    # Bounds far from zero and exponents not near it: aihwkit would step across a bound, and leave NaN.
    "power at symmetry": PowStepReferenceDevice(
        pow_gamma=1.5,
        pow_gamma_dtod=0.1,
        pow_up_down=0.2,
        pow_up_down_dtod=0.05,
        reference_mean=0.1,
        reference_std=0.05,
        subtract_symmetry_point=True,
        corrupt_devices_prob=0.1,
        dw_min=0.02,
        **{**SPREADS, "w_max_dtod": 0.1, "w_min_dtod": 0.1},
    ),
    "power near symmetry": PowStepReferenceDevice(
        subtract_symmetry_point=True,
        n_estimation_steps=7,
        dw_min=0.02,
        **{**SPREADS, "w_max_dtod": 0.1, "w_min_dtod": 0.1},
    ),
    "piecewise": PiecewiseStepDevice(**NODES, **SPREADS),
    "ReRamES": ReRamESPresetDevice(),
    "ReRamSB": ReRamSBPresetDevice(subtract_symmetry_point=True),
    "ReRamArrayOM": ReRamArrayOMPresetDevice(corrupt_devices_prob=0.1348),
    "ReRamArrayHfO2": ReRamArrayHfO2PresetDevice(),
    "Capacitor": CapacitorPresetDevice(),
    "EcRam": EcRamPresetDevice(),
    "EcRamMO": EcRamMOPresetDevice(),
    "Idealized": IdealizedPresetDevice(),
    "GokmenVlasov": GokmenVlasovPresetDevice(),
    "PCM": PCMPresetDevice(),
}
every_case = pytest.mark.parametrize("case", CASES)

Parameters = dict[str, NDArray[np.float64]]


def aihwkit_tile(device: PulsedDevice, out_size: int = OUT_SIZE, in_size: int = IN_SIZE) -> AnalogTile:
    return AnalogTile(out_size, in_size, SingleRPUConfig(device=device))


def aihwkit_parameters(device: PulsedDevice) -> Parameters:
    # The visible weight is drawn as well, but it is not a parameter.
    hidden = aihwkit_tile(device).get_hidden_parameters()
    return {k: v.double().numpy().ravel() for k, v in hidden.items() if k != "persistent_weights"}


def our_parameters(device: PulsedDevice, seed: int = 11) -> Parameters:
    # Four tiles, so that a law that differs between tiles or along one is seen as well.
    tiles = to_hidden(fabricate(device, 4, OUT_SIZE // 2, IN_SIZE // 2, seed=seed))
    names = [name for name in tiles[0] if name != "persistent_weights"]
    return {name: torch.stack([tile[name] for tile in tiles]).double().numpy().ravel() for name in names}


def check_same_law(ours: NDArray[np.float64], theirs: NDArray[np.float64], what: str) -> None:
    assert ks_2samp(ours, theirs, method="asymp").pvalue > ALARM, what


def check_same_moments(ours: NDArray[np.float64], theirs: NDArray[np.float64], what: str) -> None:
    # A bound near zero makes a slope as large as you like: without the cut there may be no moments.
    cut = np.quantile(theirs, [0.01, 0.99])
    ours, theirs = ours.clip(*cut), theirs.clip(*cut)
    spread = math.sqrt((ours.var() + theirs.var()) / N)
    assert abs(ours.mean() - theirs.mean()) <= Z * spread, what
    squares = (ours - ours.mean()) ** 2, (theirs - theirs.mean()) ** 2
    spread = math.sqrt((squares[0].var() + squares[1].var()) / N)
    assert abs(squares[0].mean() - squares[1].mean()) <= Z * spread, what


def is_one_number(values: NDArray[np.float64]) -> bool:
    """Say whether a parameter has no spread but that of float32's last digits."""
    return bool(np.ptp(values) <= 1e-6 * np.abs(values).max())


@every_case
def test_hidden_parameters_have_the_law_of_aihwkit(case: str) -> None:
    ours, theirs = our_parameters(CASES[case]), aihwkit_parameters(CASES[case])
    assert list(ours) == list(theirs)
    varying = [name for name in theirs if not is_one_number(theirs[name])]
    for name in theirs:
        if name in varying:
            check_same_law(ours[name], theirs[name], name)
            check_same_moments(ours[name], theirs[name], name)
        else:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-6, err_msg=name)
    unit = {name: np.subtract(*np.quantile(theirs[name], [0.9, 0.1])) or 1.0 for name in varying}
    for one, other in itertools.combinations(varying, 2):
        for sign in (1.0, -1.0):
            first, second = (p[one] / unit[one] + sign * p[other] / unit[other] for p in (ours, theirs))
            # Devices at one point on a line (both steps of a stuck device are 0) must not tie by rounding.
            check_same_law(first.round(5), second.round(5), f"{one} and {other}")


@every_case
def test_granularity_is_that_of_aihwkit(case: str) -> None:
    extra = aihwkit_tile(CASES[case], 2, 2).tile.dump_extra()
    (granularity,) = extra["rpu.rpu_device.weight_granularity"]
    assert granularity_of(CASES[case]) == pytest.approx(granularity, rel=2e-7)
    assert fabricate(CASES[case], 1, 2, 2, seed=0).granularity.item() == pytest.approx(granularity, rel=2e-7)


def test_a_perfect_bias_line_is_that_of_aihwkit() -> None:
    """Stuck devices are in it as well: perfection comes last."""
    device = ConstantStepDevice(**SPREADS, perfect_bias=True, corrupt_devices_prob=0.5)
    theirs = aihwkit_tile(device, 50, 3).get_hidden_parameters()
    ours = to_hidden(fabricate(device, 2, 50, 3, seed=0))
    for name in ("max_bound", "min_bound", "dwmin_up", "dwmin_down"):
        assert theirs[name][:, -1].unique().numel() == 1
        for tile in ours:
            torch.testing.assert_close(tile[name][:, -1], theirs[name][:, -1], rtol=1e-6, atol=0.0)
            assert tile[name][:, 0].unique().numel() > 1


def test_a_step_across_the_whole_range_leaves_no_nan() -> None:
    """As it does in aihwkit, where the search for the symmetry point does not stop at the bounds."""
    device = PowStepReferenceDevice(subtract_symmetry_point=True, dw_min=0.5, up_down=0.5)
    assert np.isnan(aihwkit_parameters(device)["reference"]).any()
    ours = our_parameters(device)
    assert np.isfinite(ours["reference"]).all()
    assert (ours["reference"] <= ours["max_bound"]).all()
    assert (ours["reference"] >= ours["min_bound"]).all()


def test_the_test_sees_a_wrong_correlation() -> None:
    """Two parameters with the right laws, one of them shuffled: only the pair can tell."""
    device = CASES["linear"]
    theirs, ours = aihwkit_parameters(device), our_parameters(device)
    up, down = theirs["dwmin_up"], np.random.default_rng(0).permutation(ours["dwmin_down"])
    check_same_law(down, theirs["dwmin_down"], "shuffled")
    with pytest.raises(AssertionError, match="pair"):
        check_same_law(up - down, theirs["dwmin_up"] - theirs["dwmin_down"], "pair")
