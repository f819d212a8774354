"""The write-verify loop: what it costs by hand on devices without noise, and what it promises on real ones."""

from math import ceil

import pytest
import torch
from aihwkit.simulator.configs.devices import ConstantStepDevice, PowStepDevice, SoftBoundsDevice
from aihwkit.simulator.presets import EcRamPresetDevice, ReRamSBPresetDevice
from torch import Tensor

from devices.pulsed import DeviceArray, WriteCounts, WriteVerify, fabricate, send_pulses, write_verify

TILES, OUT, IN = 3, 4, 5
STEP = 0.01
EXACT = ConstantStepDevice(
    dw_min=STEP, dw_min_dtod=0.0, dw_min_std=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def devices(device: object = EXACT, shape: tuple[int, int, int] = (TILES, OUT, IN)) -> DeviceArray:
    array = fabricate(device, *shape, seed=0)
    array.count_pulses()
    return array


def test_costs_by_hand() -> None:
    """Two bursts of one device, one of another in the same line, one in another tile."""
    array = devices()
    target = torch.zeros(TILES, OUT, IN)
    target[0, 1, 2] = 0.5  # 50 pulses, but its bound is at 0.45: 5 more, and again 5
    array.max_bound[0, 1, 2] = 0.45
    target[0, 3, 2] = -0.3  # 30 pulses down
    target[2, 0, 4] = 0.03  # 3 pulses
    target[2, 1, 4] = 0.004  # within the tolerance
    settings = WriteVerify(tolerance=0.02, read_noise=0.0, max_iterations=3)
    counts = write_verify(array, target, settings, rng=rng())
    # All 15 lines once; then both lines once; then line 2 of tile 0 twice.
    assert counts == WriteCounts(
        pulses=50 + 5 + 5 + 30 + 3,
        verify_rows=15 + 2 + 1 + 1,
        serial_rows=5 + 1 + 1 + 1,
        adc=19 * OUT,
        devices=3,
        unfinished=1,
        iterations=3,
    )
    assert array.pulses()[0, 1, 2] == 60
    assert array.pulses()[0, 3, 2] == 30
    assert array.pulses()[2, 0, 4] == 3
    assert int(array.pulses().sum()) == counts.pulses
    expected = torch.zeros(TILES, OUT, IN)
    expected[0, 1, 2], expected[0, 3, 2], expected[2, 0, 4] = 0.45, -0.3, 0.03
    assert torch.allclose(array.weight, expected, atol=1e-5)


def test_every_device_gets_the_pulses_that_its_error_asks_for() -> None:
    target = 0.5 * torch.rand(TILES, OUT, IN, generator=rng(1)) - 0.25
    array = devices()
    counts = write_verify(array, target, WriteVerify(read_noise=0.0), rng=rng())
    is_off = target.abs() > 0.02
    expected = [
        ceil(value / STEP - 0.5) if off else 0
        for value, off in zip(target.abs().flatten(), is_off.flatten(), strict=True)
    ]
    assert array.pulses().flatten().tolist() == expected
    assert counts.pulses == sum(expected)
    assert counts.devices == int(is_off.sum())
    assert counts.verify_rows == TILES * IN + int(is_off.any(dim=1).sum())
    assert counts.serial_rows == IN + int(is_off.any(dim=1).sum(dim=1).max())
    assert (array.weight - target).abs().max() <= 0.02


def test_nothing_is_sent_where_devices_stand_already() -> None:
    array = devices()
    counts = write_verify(array, array.weight.clone(), WriteVerify(read_noise=0.0), rng=rng())
    assert counts == WriteCounts(verify_rows=15, serial_rows=5, adc=15 * OUT)
    assert not array.weight.any()


def test_a_tolerance_below_half_a_step_is_half_a_step() -> None:
    coarse = ConstantStepDevice(dw_min=0.1, dw_min_dtod=0.0, dw_min_std=0.0, up_down_dtod=0.0)
    array = devices(coarse)
    target = torch.full((TILES, OUT, IN), 0.23)
    target[0] = 0.049  # nothing to do
    counts = write_verify(array, target, WriteVerify(read_noise=0.0), rng=rng())
    assert counts.unfinished == 0
    assert counts.iterations == 1
    assert counts.pulses == 2 * OUT * IN * 2


@pytest.mark.parametrize("how", ["absent", "where"])
def test_absent_devices_get_nothing_and_their_lines_are_not_read(how: str) -> None:
    array = devices()
    exists = torch.ones(TILES, OUT, IN, dtype=torch.bool)
    exists[1, 2:] = False
    exists[:, :, 4] = False
    if how == "absent":
        array.scale_up.mul_(exists)
        array.scale_down.mul_(exists)
    target = torch.full((TILES, OUT, IN), 0.1)
    counts = write_verify(
        array, target, WriteVerify(read_noise=0.0), rng=rng(), where=exists if how == "where" else None
    )
    assert counts == WriteCounts(
        pulses=10 * int(exists.sum()),
        verify_rows=2 * TILES * 4,
        serial_rows=8,
        adc=2 * TILES * 4 * OUT,
        devices=int(exists.sum()),
        unfinished=0,
        iterations=1,
    )
    assert torch.equal(array.pulses() > 0, exists)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_finished_devices_lie_within_the_tolerance_plus_the_noise_of_a_read(noise: float) -> None:
    """12,000 devices, up to 3 reads each: 5.5 standard deviations are exceeded once in 700 runs."""
    array = devices(EcRamPresetDevice(), (10, 30, 40))
    target = 0.3 * torch.randn(10, 30, 40, generator=rng(1)).clamp(-2, 2)
    counts = write_verify(array, target, WriteVerify(read_noise=noise), rng=rng())
    error = (array.weight - target).abs()
    assert int((error > 0.02 + 5.5 * noise).sum()) <= counts.unfinished <= 0.01 * error.numel()
    if noise == 0:
        assert int((error > 0.02).sum()) == counts.unfinished
    else:
        assert (error > 0.02).any()


def test_reads_see_the_write_noise_and_pulses_act_below_it() -> None:
    """The noise is as large as the tolerance, so that most devices are written more than once."""
    device = ReRamSBPresetDevice(write_noise_std=10.0)
    array = devices(device, (10, 30, 40))
    target = torch.full(array.shape, 0.2)
    counts = write_verify(array, target, WriteVerify(tolerance=0.02, read_noise=0.0), rng=rng())
    error = (array.weight - target).abs()
    assert int((error > 0.02).sum()) == counts.unfinished
    assert array.persistent_weight is not None
    hidden = (array.persistent_weight - target).abs() > 0.02
    assert 0.05 < hidden.float().mean() < 0.9
    before = array.weight.clone()
    pulses = torch.zeros(array.shape, dtype=torch.int32)
    pulses[:, :, 0] = 1
    send_pulses(array, pulses, rng=rng(2))
    assert torch.equal(array.weight[:, :, 1:], before[:, :, 1:])
    assert not (array.weight[:, :, 0] == before[:, :, 0]).any()
    # 300 draws: five standard errors of a spread are 20 %.
    seen = (array.weight - array.persistent_weight)[:, :, 0] / array.write_noise
    assert 0.8 < seen.std() < 1.2


def test_the_seed_decides() -> None:
    target = 0.3 * torch.randn(TILES, OUT, IN, generator=rng(1))

    def written(seed: int) -> tuple[WriteCounts, Tensor]:
        array = devices(SoftBoundsDevice())
        return write_verify(array, target, WriteVerify(), rng=rng(seed)), array.weight

    (first, weight), (again, same), (_, other) = written(3), written(3), written(4)
    assert first == again
    assert torch.equal(weight, same)
    assert not torch.equal(weight, other)


def test_devices_draw_noise_of_their_own() -> None:
    device = ConstantStepDevice(dw_min_std=1.0, dw_min_dtod=0.0, up_down_dtod=0.0)
    array = devices(device, (1, 60, 60))
    for pulses in (1, 100):
        array.weight.zero_()
        send_pulses(array, torch.full(array.shape, pulses), rng=rng(pulses))
        assert len(array.weight.unique()) > 3_000
        rows, columns = (array.weight - array.weight.mean(dim=dim, keepdim=True) for dim in (1, 2))
        for centred in (rows, columns):
            # 3,600 devices: two-sided, one false alarm in a million for each.
            neighbours = (centred[0, 1:] * centred[0, :-1]).mean() / centred.var()
            assert abs(float(neighbours)) < 4.9 / 60 + 1 / 60


def test_costs_add_up() -> None:
    first = WriteCounts(1, 2, 3, 4, 5, 6, 7)
    assert first + WriteCounts(10, 20, 30, 40, 50, 60, 2) == WriteCounts(11, 22, 33, 44, 55, 66, 7)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"tolerance": -0.1}, "`tolerance` must be finite and at least 0, but is -0.1"),
        ({"read_noise": float("nan")}, "`read_noise` must be finite and at least 0, but is nan"),
        ({"max_iterations": 0}, "`max_iterations` must be at least 1, but is 0"),
    ],
)
def test_settings_are_checked(settings: dict[str, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        WriteVerify(**settings)  # type: ignore[arg-type]


def test_targets_are_checked() -> None:
    array = devices(PowStepDevice())
    with pytest.raises(ValueError, match=r"`target` must have the shape \(3, 4, 5\).* \(3, 4\)"):
        write_verify(array, torch.zeros(3, 4), WriteVerify(), rng=rng())
    with pytest.raises(ValueError, match="`target` must be finite"):
        write_verify(array, torch.full((3, 4, 5), torch.nan), WriteVerify(), rng=rng())
