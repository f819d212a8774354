"""How a characterisation sums up many devices."""

import torch
from scipy.stats import norm

from devices.characterisation.retention import _readout
from devices.characterisation.table import over_devices

NORMAL = torch.from_numpy(norm.ppf((torch.arange(10_000) + 0.5).numpy() / 10_000, loc=3.0, scale=2.0))


def test_of_normal_numbers_mean_and_standard_deviation() -> None:
    row = over_devices("step", NORMAL, "µS", "why")
    assert row is not None
    # Quantiles of evenly spaced probabilities; 0.1587 is rounded to 5e-5.
    assert abs(row.value - 3.0) < 1e-3
    assert row.spread is not None
    assert abs(row.spread - 2.0) < 1e-3
    assert (row.name, row.unit, row.note) == ("step", "µS", "why")


def test_a_few_broken_devices_do_not_matter() -> None:
    sample = NORMAL.clone()
    sample[-10:] = 1e9
    row = over_devices("step", sample, "1")
    assert row is not None
    assert abs(row.value - 3.0) < 1e-3


def test_devices_without_the_quantity_are_counted() -> None:
    sample = NORMAL.clone()
    sample[:2500] = torch.nan
    row = over_devices("point", sample, "1", "why")
    assert row is not None
    assert row.note == "why; 75.0 % of the devices have one"
    assert over_devices("point", torch.full((3,), torch.nan), "1") is None


def test_a_factor_for_all_for_each_tile_and_for_each_bit_line() -> None:
    weights = torch.tensor([[[1.0, -3.0], [5.0, 7.0]], [[0.0, 2.0], [-4.0, 4.0]]])  # (tiles, out, in)
    assert _readout(weights, "none").tolist() == 1.0
    assert _readout(weights, "global").flatten().tolist() == [26 / 8]
    assert _readout(weights, "per_tile").flatten().tolist() == [4.0, 2.5]
    assert _readout(weights, "per_column").flatten().tolist() == [2.0, 6.0, 1.0, 4.0]
