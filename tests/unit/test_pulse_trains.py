"""Pulse trains: lengths and probabilities by hand, slots by their law, and what can be done with trains.

The hand-computed cases follow aihwkit's `rpu_pulsed_meta_parameter.cpp`; that whole updates are aihwkit's is tested
in tests/references. Deterministic-implicit trains carry the bare probabilities, which makes them easy to read.

Random facts fail by chance once in a million (Z = 4.9, two-sided) for every number compared; all draws are seeded.
"""

import math
from typing import Any

import numba
import numpy as np
import pytest
import torch
from aihwkit.simulator.configs.devices import ConstantStepDevice, SoftBoundsDevice
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.parameters.training import UpdateParameters
from scipy import stats
from torch import Tensor

from devices.pulsed import (
    DeviceArray,
    PulseTrains,
    apply_trains,
    draw_trains,
    fabricate,
    pulsed_update,
    threaded_loops,
)
from devices.pulsed.pulse_trains import _prepare_on_cpu, prepare_in_torch

Z = 4.9
GRANULARITY = 0.001
X = torch.tensor([[[0.5, -0.25, 0.0]]])
D = torch.tensor([[[0.2, -0.8]]])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def implicit(rate: float | Tensor, x: Tensor = X, d: Tensor = D, **settings: Any) -> PulseTrains:
    """Draw the trains whose values are the probabilities: x_pulses = p_x, d_pulses = p_d * length, with signs."""
    update = UpdateParameters(
        pulse_type=PulseType.DETERMINISTIC_IMPLICIT, x_res_implicit=-1.0, d_res_implicit=-1.0, **settings
    )
    return draw_trains(x, d, rate, GRANULARITY, update, rng=rng())


def random_trains(
    *shape: int, rate: float = 0.02, desired_bl: int = 31, seed: int = 0, **settings: Any
) -> PulseTrains:
    tiles, batch, out_size, in_size = shape
    x = torch.randn(tiles, batch, in_size, generator=rng(seed))
    d = 0.3 * torch.randn(tiles, batch, out_size, generator=rng(seed + 1))
    update = UpdateParameters(desired_bl=desired_bl, **settings)
    return draw_trains(x, d, rate, GRANULARITY, update, rng=rng(seed + 2))


def slots(bits: Tensor) -> Any:
    """Unpack (tiles, batch, words, lines) words of 64 slots into booleans, (tiles, batch, 64 * words, lines)."""
    words = bits.numpy().view(np.uint64)
    one_by_one = (words[:, :, :, None, :] >> np.arange(64, dtype=np.uint64)[:, None]) & np.uint64(1)
    tiles, batch, number, _, lines = one_by_one.shape
    return one_by_one.reshape(tiles, batch, number * 64, lines).astype(bool)


def pulses_on_devices(trains: PulseTrains) -> Any:
    """Count coincidences slot by slot: (tiles, batch, out, in), down positive."""
    assert trains.x_bits is not None
    assert trains.d_bits is not None
    x = slots(trains.x_bits) * trains.x_sign.numpy()[:, :, None]
    d = slots(trains.d_bits) * trains.d_sign.numpy()[:, :, None]
    return np.einsum("tbko,tbki->tboi", d, x)


def two_step_sizes(tiles: int, out_size: int, in_size: int) -> DeviceArray:
    """Devices that go up by 0.001 and down by 0.002, without noise, far from their bounds."""
    device = ConstantStepDevice(
        dw_min=0.0015, up_down=0.0, dw_min_dtod=0.0, dw_min_std=0.0, up_down_dtod=0.0, w_max=60, w_min=-60
    )
    devices = fabricate(device, tiles, out_size, in_size, seed=1)
    devices.scale_up.fill_(0.001)
    devices.scale_down.fill_(0.002)
    devices.count_pulses()
    return devices


class TestLengthsAndProbabilities:
    def test_without_management(self) -> None:
        trains = implicit(0.0124, update_management=False, update_bl_management=False)
        gain = math.sqrt(0.0124 / (0.001 * 31))  # 0.6325
        assert trains.length.tolist() == [[31.0]]
        torch.testing.assert_close(trains.x_pulses, gain * X)
        torch.testing.assert_close(trains.d_pulses, gain * 31 * D)

    def test_a_rate_too_large_for_the_length_makes_it_longer_where_allowed(self) -> None:
        off: dict[str, Any] = {"update_management": False, "update_bl_management": False}
        longer = implicit(0.0455, fixed_bl=False, **off)
        assert longer.length.tolist() == [[46.0]]  # 0.0455 / 0.001, rounded up
        torch.testing.assert_close(longer.x_pulses, X)  # both gains are 1
        torch.testing.assert_close(longer.d_pulses, 46 * D)
        fixed = implicit(0.0455, fixed_bl=True, **off)
        assert fixed.length.tolist() == [[31.0]]
        torch.testing.assert_close(fixed.x_pulses, math.sqrt(0.0455 / 0.031) * X)

    def test_management_of_probabilities_gives_both_lines_equal_maxima(self) -> None:
        trains = implicit(0.0124, update_bl_management=False)
        assert trains.length.tolist() == [[31.0]]
        # gain sqrt(0.4); x times sqrt(0.8 / 0.5), d times sqrt(0.5 / 0.8): largest 0.4 each.
        torch.testing.assert_close(trains.x_pulses, 0.8 * X)
        torch.testing.assert_close(trains.d_pulses, 0.5 * 31 * D)

    def test_management_of_probabilities_lets_only_gradients_be_cut_off(self) -> None:
        # 0.31 * 0.5 * 0.8 / 0.001 = 124 pulses are wanted, 31 are there: a quarter of the largest gradient counts.
        trains = implicit(0.31, update_bl_management=False)
        torch.testing.assert_close(trains.x_pulses, 2.0 * X)  # largest 1: full trains, none beyond
        assert trains.d_pulses.tolist() == [[[31.0, -31.0]]]  # 0.2 is that quarter, 0.8 beyond it

    def test_management_of_lengths_takes_as_many_slots_as_the_largest_change_needs(self) -> None:
        trains = implicit(0.0124)
        assert trains.length.tolist() == [[5.0]]  # 0.0124 * 0.5 * 0.8 / 0.001 = 4.96
        x_largest, d_largest = math.sqrt(0.992), math.sqrt(0.992)
        torch.testing.assert_close(trains.x_pulses, x_largest / 0.5 * X)
        torch.testing.assert_close(trains.d_pulses, 5 * d_largest / 0.8 * D)
        assert implicit(0.31).length.tolist() == [[31.0]]

    def test_the_scale_of_gradients_makes_more_or_less_of_them_count(self) -> None:
        trains = implicit(0.0124, update_bl_management=False, um_grad_scale=0.25)
        torch.testing.assert_close(trains.x_pulses, 0.4 * X)  # by the square root of 0.25 less
        torch.testing.assert_close(trains.d_pulses, 1.0 * 31 * D)
        assert implicit(0.0124, um_grad_scale=0.25).length.tolist() == [[2.0]]  # 4.96 / 4, rounded up

    def test_the_rate_may_differ_between_vectors_and_its_sign_does_not_matter(self) -> None:
        both = implicit(
            torch.tensor([[0.0124], [-0.0124]]),
            X.expand(2, -1, -1),
            D.expand(2, -1, -1),
        )
        assert torch.equal(both.x_pulses[0], both.x_pulses[1])
        assert torch.equal(both.d_pulses[0], implicit(0.0124).d_pulses[0])

    def test_a_vector_of_zeros_has_no_slots(self) -> None:
        x = torch.stack([X[0], 0 * X[0]], dim=1)
        d = torch.stack([0 * D[0], D[0]], dim=1)
        for managed in (False, True):
            trains = implicit(0.1, x, d, update_bl_management=managed)
            assert trains.length.tolist() == [[0.0, 0.0]]
            assert not trains.d_pulses.any()
        stochastic = draw_trains(x, d, 0.1, GRANULARITY, UpdateParameters(), rng=rng())
        assert int(stochastic.x_pulses.sum() + stochastic.d_pulses.sum()) == 0

    @pytest.mark.parametrize("managed", [(False, False), (True, False), (True, True)], ids=str)
    def test_the_expected_change_is_the_rate_times_the_product(self, managed: tuple[bool, bool]) -> None:
        x, d = torch.randn(3, 4, 5, generator=rng(1)), 0.2 * torch.randn(3, 4, 6, generator=rng(2))
        trains = implicit(0.005, x, d, update_management=managed[0], update_bl_management=managed[1])
        change = trains.d_pulses[..., None] * trains.x_pulses[:, :, None] * GRANULARITY
        torch.testing.assert_close(change, 0.005 * d[..., None] * x[:, :, None])

    def test_mean_counts_are_rounded_products_of_length_and_probability(self) -> None:
        update = UpdateParameters(
            pulse_type=PulseType.MEAN_COUNT, update_bl_management=False, update_management=False, res=-1.0
        )
        trains = draw_trains(X, D, 0.0124, GRANULARITY, update, rng=rng())
        # 31 * 0.6325 * (0.5, 0.25, 0) = 9.8, 4.9, 0; 31 * 0.6325 * (0.2, 0.8) = 3.92, 15.7
        assert trains.x_pulses.tolist() == [[[10.0, -5.0, 0.0]]]
        torch.testing.assert_close(trains.d_pulses, torch.tensor([[[4.0, -16.0]]]) / 31)

    def test_a_resolution_rounds_probabilities_and_at_random_keeps_their_mean(self) -> None:
        off: dict[str, Any] = {"update_management": False, "update_bl_management": False, "fixed_bl": False}
        rounded = UpdateParameters(
            pulse_type=PulseType.DETERMINISTIC_IMPLICIT, x_res_implicit=0.2, d_res_implicit=0.5, **off
        )
        trains = draw_trains(X, D, 0.0455, GRANULARITY, rounded, rng=rng())  # gains are 1
        torch.testing.assert_close(trains.x_pulses, torch.tensor([[[0.4, -0.2, 0.0]]]))  # 2.5 goes to even
        torch.testing.assert_close(trains.d_pulses, torch.tensor([[[0.0, -46.0]]]))  # 0.4 and 1.6 of 0.5
        rounded.sto_round = True
        n = 10_000
        trains = draw_trains(X.expand(1, n, 3), D.expand(1, n, 2), 0.0455, GRANULARITY, rounded, rng=rng())
        # 0.5 lies half-way between 0.4 and 0.6; 0.2 lies 2/5 of the way from 0 to 0.5.
        for values, mean, step, fraction in (
            (trains.x_pulses[0, :, 0], 0.5, 0.2, 0.5),
            (trains.d_pulses[0, :, 0] / 46, 0.2, 0.5, 0.4),
        ):
            error = step * math.sqrt(fraction * (1 - fraction) / n)
            assert abs(float(values.mean()) - mean) < Z * error
            assert len(set(values.tolist())) == 2


class TestSlots:
    @pytest.mark.parametrize("length", [1, 31, 64, 100, 130])
    def test_counts_are_the_slots_that_are_set_and_none_lies_beyond_the_length(self, length: int) -> None:
        trains = random_trains(2, 8, 5, 7, desired_bl=length, update_bl_management=False)
        for bits, counts in ((trains.x_bits, trains.x_pulses), (trains.d_bits, trains.d_pulses)):
            assert bits is not None
            assert bits.shape[2] == math.ceil(length / 64)
            pulses = slots(bits)
            assert np.array_equal(pulses.sum(axis=2), counts.numpy())
            assert not pulses[:, :, length:].any()

    @pytest.mark.parametrize("kind", [PulseType.STOCHASTIC, PulseType.STOCHASTIC_COMPRESSED], ids=str)
    @pytest.mark.parametrize("length", [1, 31, 100])
    def test_every_slot_pulses_with_the_probability_of_its_line(self, kind: PulseType, length: int) -> None:
        n = 4000
        update = UpdateParameters(pulse_type=kind, desired_bl=length, update_bl_management=False)
        rate = 0.4 * length * GRANULARITY  # 0.4 * 0.5 * 0.8 = 0.4 * 0.4: the largest probabilities
        trains = draw_trains(X.expand(1, n, 3), D.expand(1, n, 2), rate, GRANULARITY, update, rng=rng(5))
        assert trains.x_bits is not None
        assert trains.d_bits is not None
        x, d = slots(trains.x_bits)[0, :, :length], slots(trains.d_bits)[0, :, :length]
        for line, expected in ((x[..., 0], 0.4), (x[..., 1], 0.2), (d[..., 0], 0.1), (d[..., 1], 0.4)):
            mean = line.mean(axis=0)
            error = math.sqrt(expected * (1 - expected) / n)
            assert np.abs(mean - expected).max() < Z * error
            assert abs(mean.mean() - expected) < Z * error / math.sqrt(length)
            counts = line.sum(axis=1)
            law = stats.binom(length, expected)
            variance_error = math.sqrt((law.stats("k") + 2) / n) * law.var()
            assert abs(counts.var() - law.var()) < Z * variance_error
        assert not x[..., 2].any()
        assert trains.x_sign[0, 0].tolist() == [1.0, -1.0, 1.0]
        assert trains.d_sign[0, 0].tolist() == [1.0, -1.0]

    def test_slots_of_different_lines_vectors_and_words_are_independent(self) -> None:
        trains = draw_trains(
            torch.ones(1, 6000, 3),
            torch.ones(1, 6000, 3),
            0.03,
            GRANULARITY,
            UpdateParameters(desired_bl=100, update_bl_management=False, update_management=False),
            rng=rng(3),
        )
        assert trains.x_bits is not None
        assert trains.d_bits is not None
        x, d = slots(trains.x_bits)[0], slots(trains.d_bits)[0]
        chosen = np.stack(
            [
                x[:, 0, 0],
                x[:, 1, 0],
                x[:, 63, 0],
                x[:, 64, 0],
                x[:, 0, 1],
                d[:, 0, 0],
                d[:, 64, 0],
                d[:, 0, 1],
                np.roll(x[:, 0, 0], 1),
                np.roll(d[:, 0, 0], 1),
            ]
        )
        correlations = np.corrcoef(chosen) - np.eye(len(chosen))
        assert np.abs(correlations).max() < Z / math.sqrt(6000)

    def test_certain_pulses_fill_the_train_and_impossible_ones_leave_it_empty(self) -> None:
        update = UpdateParameters(desired_bl=70, update_bl_management=False, update_management=False)
        trains = draw_trains(
            torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[2.0]]]), 0.07, GRANULARITY, update, rng=rng()
        )
        assert trains.x_pulses.tolist() == [[[70.0, 0.0]]]
        assert trains.d_pulses.tolist() == [[[70.0]]]


class TestWhatCanBeDoneWithTrains:
    def test_where_silences_lines_and_leaves_the_others(self) -> None:
        trains = random_trains(2, 6, 4, 5)
        kept = torch.rand(2, 6, 5, generator=rng(9)) < 0.5
        everything, some = pulses_on_devices(trains), pulses_on_devices(trains.where(kept))
        assert np.array_equal(some, everything * kept.numpy()[:, :, None, :])
        kept_d = torch.rand(2, 6, 4, generator=rng(9)) < 0.5
        some = pulses_on_devices(trains.where_d(kept_d))
        assert np.array_equal(some, everything * kept_d.numpy()[..., None])
        assert torch.equal(trains.where(kept).x_pulses, trains.x_pulses * kept)
        assert torch.equal(trains.where_d(kept_d).d_pulses, trains.d_pulses * kept_d)
        assert torch.equal(trains.where(kept[:1, :1]).x_pulses, trains.x_pulses * kept[:1, :1])

    def test_where_works_on_deterministic_trains(self) -> None:
        trains = implicit(0.0124)
        kept = torch.tensor([[[True, False, True]]])
        assert trains.where(kept).x_pulses[0, 0, 1] == 0
        assert trains.where(kept).x_pulses[0, 0, 0] == trains.x_pulses[0, 0, 0]
        assert trains.where_d(torch.tensor([[[False, True]]])).d_pulses[0, 0].ne(0).tolist() == [False, True]

    def test_between_takes_some_vectors(self) -> None:
        trains = random_trains(2, 6, 4, 5)
        part = trains.between(2, 5)
        assert part.shape == (2, 3, 4, 5)
        assert part.length.shape == (2, 3)
        assert np.array_equal(pulses_on_devices(part), pulses_on_devices(trains)[:, 2:5])
        assert torch.equal(part.d_pulses, trains.d_pulses[:, 2:5])
        assert part.is_stochastic
        assert implicit(0.1).between(0, 1).x_bits is None

    def test_mean_pulses_is_the_mean_over_devices(self) -> None:
        trains = random_trains(4, 64, 12, 10, rate=0.05)
        drawn = np.abs(pulses_on_devices(trains)).sum(axis=1)
        # Given the counts of the lines, coincidences are drawn; the variance of a device's is below its mean.
        error = math.sqrt(drawn.mean() / drawn.size)
        assert abs(trains.mean_pulses() - drawn.mean()) < Z * error
        deterministic = implicit(0.0124)
        expected = (deterministic.d_pulses[..., None] * deterministic.x_pulses[:, :, None]).abs().mean()
        assert deterministic.mean_pulses() == pytest.approx(float(expected))


@pytest.mark.parametrize("managed", [(False, False), (True, False), (False, True), (True, True)], ids=str)
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("rate", [1e-4, 0.02, 3.0])
def test_trains_are_prepared_alike_in_compiled_loops_and_in_torch(
    managed: tuple[bool, bool], fixed: bool, rate: float
) -> None:
    x, d = torch.randn(2, 16, 9, generator=rng(1)), torch.randn(2, 16, 7, generator=rng(2))
    d *= 10 ** torch.linspace(-4, 1, 16)[:, None]
    x[0, 3], d[1, 5], x[0, 4, 2], d[0, 6, 1] = 0, 0, 0, -0.0
    update = UpdateParameters(
        update_management=managed[0], update_bl_management=managed[1], fixed_bl=fixed, um_grad_scale=0.7
    )
    rates = rate * torch.rand(2, 16, generator=rng(3))
    compiled = _prepare_on_cpu(x, d, rates, 0.001, update)
    in_torch = prepare_in_torch(x, d, rates, 0.001, update)
    for index in (0, 3, 4):  # lengths and signs
        assert torch.equal(compiled[index], in_torch[index])
    for index in (1, 2):  # half a dozen roundings of float32
        assert torch.allclose(compiled[index], in_torch[index], rtol=6 * 2**-24, atol=0)
    for values in (x, d):  # what is no number stays visible
        values[1, 1, 0] = torch.nan
        assert all(
            torch.equal(one.isnan(), other.isnan())
            for one, other in zip(
                _prepare_on_cpu(x, d, rates, 0.001, update),
                prepare_in_torch(x, d, rates, 0.001, update),
                strict=True,
            )
        )


class TestPulsesOnDevices:
    def test_the_exact_engine_gives_every_device_its_coincidences(self) -> None:
        for length in (31, 100):
            trains = random_trains(3, 16, 4, 5, desired_bl=length, rate=0.1)
            net = pulses_on_devices(trains)
            ups, downs = -net.clip(max=0).sum(axis=1), net.clip(min=0).sum(axis=1)
            for polarity, change, received in (
                ("both", 0.001 * ups - 0.002 * downs, ups + downs),
                ("up", 0.001 * ups, ups),
                ("down", 0.001 * downs, downs),  # as pulses up, on the other device of a pair
            ):
                devices = two_step_sizes(3, 4, 5)
                apply_trains(devices, trains, rng=rng(), engine="exact", polarity=polarity)  # type: ignore[arg-type]
                assert np.array_equal(devices.pulses().numpy(), received)
                # Float32 sums of at most some hundred steps, up to 1 in size.
                assert np.abs(devices.weight.numpy() - change).max() < 3e-5
            assert ups.sum() > 100
            assert downs.sum() > 100

    def test_polarity_means_the_same_to_deterministic_pulses(self) -> None:
        update = UpdateParameters(pulse_type=PulseType.MEAN_COUNT)
        x, d = torch.randn(2, 8, 5, generator=rng(1)), torch.randn(2, 8, 4, generator=rng(2))
        trains = draw_trains(x, d, 0.02, GRANULARITY, update, rng=rng())
        net = (trains.d_pulses[..., None] * trains.x_pulses[:, :, None]).round()
        for polarity, expected in (("up", -net.clamp(max=0)), ("down", net.clamp(min=0))):
            devices = two_step_sizes(2, 4, 5)
            apply_trains(devices, trains, rng=rng(), polarity=polarity)  # type: ignore[arg-type]
            assert torch.equal(devices.pulses(), expected.sum(dim=1).int())
            assert (devices.weight - 0.001 * expected.sum(dim=1)).abs().max() < 3e-5

    def test_polarity_means_the_same_to_the_aggregated_engine(self) -> None:
        trains = random_trains(200, 64, 4, 5, rate=0.1)
        net = pulses_on_devices(trains)
        for polarity, expected in (("up", -net.clip(max=0)), ("down", net.clip(min=0))):
            devices = two_step_sizes(200, 4, 5)
            apply_trains(devices, trains, rng=rng(), engine="aggregated", polarity=polarity)  # type: ignore[arg-type]
            received = devices.pulses().numpy()
            # Given the lines' counts, both numbers of pulses vary by less than their mean, independently.
            error = math.sqrt(2 * received.mean() / received.size)
            assert abs(received.mean() - expected.sum(axis=1).mean()) < Z * error
            assert np.abs(devices.weight.numpy() - 0.001 * received).max() < 3e-5

    def test_copies_without_noise_that_share_trains_stay_equal(self) -> None:
        tile_of_train = torch.tensor([1, 0, 1])
        trains = random_trains(2, 16, 4, 5, rate=0.05)
        devices = two_step_sizes(3, 4, 5)
        apply_trains(devices, trains, rng=rng(), engine="exact", tile_of_train=tile_of_train)
        assert torch.equal(devices.weight[0], devices.weight[2])
        alone = two_step_sizes(2, 4, 5)
        apply_trains(alone, trains, rng=rng(), engine="exact")
        assert torch.equal(devices.weight, alone.weight[tile_of_train])

    @pytest.mark.parametrize("kind", [PulseType.MEAN_COUNT, PulseType.NONE], ids=str)
    def test_copies_share_deterministic_pulses_and_bare_products(self, kind: PulseType) -> None:
        x, d = torch.randn(2, 8, 5, generator=rng(1)), torch.randn(2, 8, 4, generator=rng(2))
        devices, alone = two_step_sizes(3, 4, 5), two_step_sizes(2, 4, 5)
        tile_of_train = torch.tensor([1, 0, 1])
        update = UpdateParameters(pulse_type=kind)
        pulsed_update(devices, x, d, 0.02, update, rng=rng(), tile_of_train=tile_of_train)
        pulsed_update(alone, x, d, 0.02, update, rng=rng())
        assert torch.equal(devices.weight, alone.weight[tile_of_train])
        assert devices.weight.abs().max() > 0.01

    def test_an_aggregated_copy_receives_the_lines_of_its_kernel(self) -> None:
        # Only one kernel pulses: only its copies move.
        trains = random_trains(2, 16, 4, 5, rate=0.5).where(torch.tensor([True, False])[:, None, None])
        devices = two_step_sizes(3, 4, 5)
        apply_trains(devices, trains, rng=rng(), engine="aggregated", tile_of_train=torch.tensor([1, 0, 1]))
        assert (devices.weight != 0).flatten(1).any(dim=1).tolist() == [False, True, False]


class TestReproducibility:
    @pytest.mark.parametrize("engine", ["exact", "aggregated"])
    def test_the_same_seed_gives_the_same_weights_with_one_thread_or_two(
        self, engine: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(threaded_loops, "LEAST_WORK", 0)
        device = SoftBoundsDevice(write_noise_std=1.0)
        x, d = torch.randn(4, 32, 9, generator=rng(1)), torch.randn(4, 32, 6, generator=rng(2))

        def update_with(threads: int, seed: int) -> Tensor:
            devices = fabricate(device, 4, 6, 9, seed=3)
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            try:
                pulsed_update(devices, x, d, 0.05, UpdateParameters(), rng=rng(seed), engine=engine)
            finally:
                torch.set_num_threads(before)
            return devices.weight

        first = update_with(1, 7)
        assert torch.equal(first, update_with(1, 7))
        assert torch.equal(first, update_with(min(2, numba.config.NUMBA_NUM_THREADS), 7))
        assert not torch.equal(first, update_with(1, 8))
        # Tiles and rows draw apart: no two rows of equal devices move alike.
        assert len(set(map(tuple, first.flatten(0, 1).tolist()))) == 24


class TestRefusals:
    def test_unknown_words(self) -> None:
        devices, trains = two_step_sizes(1, 4, 5), random_trains(1, 2, 4, 5)
        with pytest.raises(
            ValueError, match="`engine` must be 'auto', 'exact' or 'aggregated', but is 'fast'"
        ):
            apply_trains(devices, trains, rng=rng(), engine="fast")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="`polarity` must be 'both', 'up' or 'down', but is 'left'"):
            apply_trains(devices, trains, rng=rng(), polarity="left")  # type: ignore[arg-type]

    def test_deterministic_pulses_cannot_be_aggregated(self) -> None:
        with pytest.raises(ValueError, match="`engine` must be 'exact' or 'auto' for deterministic pulses"):
            apply_trains(two_step_sizes(1, 2, 3), implicit(0.01), rng=rng(), engine="aggregated")

    def test_trains_without_slots_cannot_be_exact(self) -> None:
        counts_only = random_trains(1, 2, 4, 5)
        object.__setattr__(counts_only, "x_bits", None)  # as they are drawn on a GPU
        with pytest.raises(
            ValueError, match="`engine` must be 'aggregated' or 'auto' on a GPU, but is 'exact'"
        ):
            apply_trains(two_step_sizes(1, 4, 5), counts_only, rng=rng(), engine="exact")
        apply_trains(two_step_sizes(1, 4, 5), counts_only, rng=rng())  # which then is aggregated

    def test_pulse_types_without_pulses_have_no_trains(self) -> None:
        with pytest.raises(
            ValueError, match=r"`update.pulse_type` must be one with pulses, but is PulseType.NONE"
        ):
            draw_trains(X, D, 0.1, GRANULARITY, UpdateParameters(pulse_type=PulseType.NONE), rng=rng())
