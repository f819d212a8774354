"""What the recorder writes, against numbers computed by hand, and how it is read again."""

import math

import numpy as np
import pytest
import torch

from crossbar import (
    AnalogLinear,
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    convert_to_analog,
    tile_arrays,
)
from devices import get
from experiments.drawing import dynamics_figures
from experiments.runs.watching.record import PULSE_BINS, Record, read_columns
from experiments.runs.watching.recorder import Recorder


def learning(layers):
    """Put layers onto devices that count their pulses."""
    torch.manual_seed(0)
    analog = convert_to_analog(layers, get("reram-sb").training_config())
    for _, array in tile_arrays(analog):
        for devices in array.in_situ.cells.device_arrays().values():
            devices.count_pulses()
    return analog


@pytest.fixture
def model():
    """Two tiles of 1 x 2 devices side by side on a map of 1 x 2 locations."""
    layer = LocallyConnected2d(2, 1, (1, 1), (1, 2), bias=False)
    analog = learning(torch.nn.Sequential(layer))
    assert isinstance(analog[0], AnalogLocallyConnected2d)
    return analog


def devices_of(model):
    (_, array), *_ = tile_arrays(model)
    (devices,) = array.in_situ.cells.device_arrays().values()
    return array, devices


def test_an_update_against_the_ideal_by_hand(model, tmp_path):
    """Tile 0: wanted (-1, -2), made (-1, 0). Tile 1: wanted (3, 0), made nothing."""
    recorder = Recorder(model, every=1, steps=1)
    array, _ = devices_of(model)
    with recorder.watching(0, 0.5):
        x = torch.tensor([[[1.0, 2.0], [1.0, 2.0]], [[-6.0, 0.0], [0.0, 0.0]]])  # (tiles, batch, in)
        d = torch.tensor([[[1.0], [1.0]], [[1.0], [7.0]]])
        before = torch.zeros(2, 1, 2)
        array.on_update(x, d, 0.5, before, before + torch.tensor([[[-1.0, 0.0]], [[0.0, 0.0]]]))
    recorder.save(tmp_path / "r.npz")
    columns = read_columns(tmp_path / "r.npz")
    nan = math.nan
    # float32 with a few roundings
    np.testing.assert_allclose(columns["0/cosine"], [[1 / math.sqrt(5), nan]], rtol=1e-6)
    np.testing.assert_allclose(columns["0/gain"], [[1 / 5, 0]], rtol=1e-6)
    np.testing.assert_allclose(columns["0/signal_to_noise"], [[5 / 4, nan]], rtol=1e-6)
    assert columns["step"].tolist() == [0]
    assert columns["learning_rate"].tolist() == [0.5]


def test_the_state_of_the_devices_by_hand(model, tmp_path):
    array, devices = devices_of(model)
    devices.max_bound.fill_(1.0)
    devices.min_bound.fill_(-1.0)
    devices.reference.fill_(0.1)
    # Soft bounds at -1 and 1: w + reference = (up - down) / (up + down); here 0 and 1/11.
    devices.scale_up.copy_(torch.tensor([[[0.01, 0.012]], [[0.01, 0.012]]]))
    devices.scale_down.fill_(0.01)
    devices.granularity.fill_(0.01)
    recorder = Recorder(model, every=1, steps=1)
    weights = torch.tensor([[[0.3, -0.2]], [[0.895, 0.885]]])
    devices.hidden_weight.copy_(weights)
    array.weight = weights.clone()
    devices.pulse_count.copy_(torch.tensor([[[0, 5]], [[1, 1024]]]))
    with recorder.watching(0, 1.0):
        pass
    recorder.save(tmp_path / "r.npz")
    record = Record.read(tmp_path / "r.npz")
    columns = record.columns
    np.testing.assert_allclose(columns["0/at_bound"], [[0, 0.5]])
    distances = np.array([[0.4, -0.1 - 1 / 11], [0.995, 0.985 - 1 / 11]])
    rms = np.sqrt((distances**2).mean(axis=1))
    np.testing.assert_allclose(columns["0/symmetry_distance"], [rms], rtol=1e-5)
    norms = [math.hypot(0.3, 0.2), math.hypot(0.895, 0.885)]
    np.testing.assert_allclose(columns["0/weight_norm"], [norms], rtol=1e-6)
    np.testing.assert_allclose(columns["0/weight_spread"], [[0.25, 0.005]], rtol=1e-4)
    np.testing.assert_allclose(columns["0/main/pulses_mean"], [[2.5, 512.5]])
    assert columns["0/main/pulses_max"].tolist() == [[5, 1024]]
    histogram = dict(zip(PULSE_BINS.tolist(), columns["0/main/pulses_histogram"][0].tolist(), strict=True))
    assert {low: count for low, count in histogram.items() if count} == {0: 1, 1: 1, 4: 1, 1024: 1}
    assert np.isnan(columns["0/cosine"]).all()  # no update was seen
    assert record.layers == ["0"]
    assert record.roles("0") == ["main"]
    np.testing.assert_allclose(record.on_map("0", "main/pulses_mean"), [[2.5, 512.5]])
    np.testing.assert_allclose(record.of_layer("0", "main/pulses_mean"), [257.5])


@pytest.mark.parametrize("spec", ["replicated(tiles=2)", "free", "time_multiplexed"])
def test_how_equal_tiles_are_by_hand(tmp_path, spec):
    """Two tiles of 1 x 2 devices. Copies (1, 2) and (3, 2): mean (2, 2), off by (1, 0); rms weight 2."""
    layer = AnalogLocallyConnected2d(
        2, 1, (1, 1), (1, 2), bias=False, placement=spec, rpu_config=get("reram-sb").training_config()
    )
    model = torch.nn.Sequential(layer)
    array, devices = devices_of(model)
    devices.count_pulses()
    array.mapping_scales.fill_(0.5)
    array.weight = torch.tensor([[[2.0, 4.0]], [[6.0, 4.0]]])[: array.tiles]
    recorder = Recorder(model, every=1, steps=2)
    for step in range(2):
        with recorder.watching(step, 1.0):
            pass
    recorder.save(tmp_path / "r.npz")
    record = Record.read(tmp_path / "r.npz")
    assert record.layers_with("copies_rms") == (["0"] if spec.startswith("replicated") else [])
    assert record.layers_with("weight_snr") == ([] if spec == "time_multiplexed" else ["0"])
    if spec.startswith("replicated"):
        np.testing.assert_allclose(record.of_layer("0", "copies_rms"), [math.sqrt(0.5) / 2] * 2, rtol=1e-6)
        np.testing.assert_allclose(record.of_layer("0", "copies_largest"), [1 / 2] * 2, rtol=1e-6)
    if spec != "time_multiplexed":
        # The second weight is the same in both: its ratio has no bound, and neither has the mean.
        assert np.isinf(record.columns["0/weight_snr"]).all()
        assert np.isnan(record.of_layer("0", "weight_snr")).all()
    other = Recorder(model, every=1, steps=3)
    other.restore(tmp_path / "r.npz", 2)
    with other.watching(2, 1.0):
        pass
    other.save(tmp_path / "more.npz")
    assert Record.read(tmp_path / "more.npz").steps.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("spec", "panels"), [("replicated(tiles=2)", 11), ("free", 10), ("time_multiplexed", 9)]
)
def test_sharing_is_drawn_where_there_is_any(tmp_path, monkeypatch, spec, panels):
    layer = AnalogLocallyConnected2d(1, 2, 2, 4, placement=spec, rpu_config=get("reram-sb").training_config())
    model = torch.nn.Sequential(layer)
    array, devices = devices_of(model)
    devices.count_pulses()
    recorder = Recorder(model, every=1, steps=1)
    with recorder.watching(0, 1.0):
        array.on_update(
            torch.ones(array.tiles, 1, 4),
            torch.ones(array.tiles, 1, 2),
            0.1,
            array.weight,
            array.weight - 0.1,
        )
    recorder.save(tmp_path / "r.npz")
    record = Record.read(tmp_path / "r.npz")
    kept = []
    monkeypatch.setattr(dynamics_figures, "save_figure", lambda figure, path: kept.append(figure))
    dynamics_figures.draw_dynamics(record, "title", tmp_path / "r.png")
    assert len(kept[0].axes) == panels
    older = {
        key: value for key, value in record.columns.items() if not key.endswith(("_rms", "_largest", "_snr"))
    }
    dynamics_figures.draw_dynamics(Record(older), "title", tmp_path / "r.png")
    assert len(kept[1].axes) == 9


def test_devices_that_do_not_exist_do_not_count(tmp_path):
    """A kernel of 3 inputs on tiles of 2: the second tile has one device only."""
    rpu_config = get("reram-sb").training_config()
    rpu_config.mapping.max_input_size = 2
    model = torch.nn.Sequential(AnalogLinear(3, 1, rpu_config=rpu_config))
    (_, array), *_ = tile_arrays(model)
    devices = array.in_situ.cells.slow()
    devices.count_pulses()
    devices.pulse_count.copy_(torch.tensor([[[2, 4]], [[6, 1000]]]))
    recorder = Recorder(model, every=1, steps=1)
    with recorder.watching(0, 1.0):
        before = torch.zeros(2, 1, 2)
        x, d = torch.ones(2, 1, 2), torch.ones(2, 1, 1)
        array.on_update(x, d, 1.0, before, before - 1.0)
    recorder.save(tmp_path / "r.npz")
    record = Record.read(tmp_path / "r.npz")
    assert record.columns["0/devices"].tolist() == [2, 1]
    assert record.columns["0/main/pulses_mean"].tolist() == [[3, 6]]
    assert record.columns["0/main/pulses_max"].tolist() == [[4, 6]]
    assert record.columns["0/main/pulses_histogram"].sum() == 3
    np.testing.assert_allclose(record.columns["0/gain"], [[1, 1]])
    np.testing.assert_allclose(record.of_layer("0", "main/pulses_mean"), [4.0])
    assert record.on_map("0", "main/pulses_mean") is None


def test_a_map_averages_over_the_tiles_of_a_location(tmp_path):
    """Two tiles for each kernel: of 2 and 1 devices."""
    rpu_config = get("reram-sb").training_config()
    rpu_config.mapping.max_input_size = 2
    layer = AnalogLocallyConnected2d(
        3, 1, (1, 1), (2, 2), placement="blocks(rows=2,cols=1)", rpu_config=rpu_config
    )
    model = torch.nn.Sequential(layer)
    (_, array), *_ = tile_arrays(model)
    devices = array.in_situ.cells.slow()
    devices.count_pulses()
    devices.pulse_count.copy_(torch.tensor([[[3, 3]], [[9, 50]], [[1, 1]], [[1, 50]]]))
    recorder = Recorder(model, every=1, steps=1)
    with recorder.watching(0, 1.0):
        pass
    recorder.save(tmp_path / "r.npz")
    np.testing.assert_allclose(
        Record.read(tmp_path / "r.npz").on_map("0", "main/pulses_mean"), [[5, 5], [1, 1]]
    )


def test_every_nth_step_and_the_last(model):
    recorder = Recorder(model, every=3, steps=6)
    array, _ = devices_of(model)
    for step in range(6):
        with recorder.watching(step, 1.0):
            assert (array.on_update is not None) == (step in (0, 3, 5))
        assert array.on_update is None
    assert [int(row["step"]) for row in recorder.rows] == [0, 3, 5]


def test_recording_nothing(model, tmp_path):
    recorder = Recorder(model, every=0, steps=6)
    with recorder.watching(0, 1.0):
        assert devices_of(model)[0].on_update is None
    recorder.save(tmp_path / "r.npz")
    assert not (tmp_path / "r.npz").exists()


def test_rows_from_the_interrupted_step_on_are_dropped(model, tmp_path):
    recorder = Recorder(model, every=2, steps=9)
    for step in range(9):
        with recorder.watching(step, 1.0 / (step + 1)):
            pass
    recorder.save(tmp_path / "r.npz")
    for step, kept in ((3, [0, 2]), (4, [0, 2]), (5, [0, 2, 4]), (0, [])):
        other = Recorder(model, every=2, steps=9)
        other.restore(tmp_path / "r.npz", step)
        assert [int(row["step"]) for row in other.rows] == kept
    other.restore(tmp_path / "r.npz", 5)
    for step in range(5, 9):
        with other.watching(step, 1.0 / (step + 1)):
            pass
    other.save(tmp_path / "again.npz")
    one, two = read_columns(tmp_path / "r.npz"), read_columns(tmp_path / "again.npz")
    assert one.keys() == two.keys()
    for name, column in one.items():
        np.testing.assert_array_equal(two[name], column, err_msg=name)
        assert two[name].dtype == column.dtype


DAMAGE = {
    "empty": b"",
    "garbage": b"\x80" * 300,
    "another archive": None,
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_records_are_refused(tmp_path, how):
    path = tmp_path / "r.npz"
    if DAMAGE[how] is None:
        np.savez(path, step=np.arange(3))
    else:
        path.write_bytes(DAMAGE[how])
    with pytest.raises(ValueError, match=r"`run` must hold an undamaged record, but .*r\.npz is damaged"):
        read_columns(path)


def test_pickled_records_are_refused(tmp_path):
    np.savez(tmp_path / "r.npz", step=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="`run` must hold an undamaged record"):
        read_columns(tmp_path / "r.npz")


def test_a_record_of_another_network_is_refused(model, tmp_path):
    recorder = Recorder(model, every=1, steps=2)
    with recorder.watching(0, 1.0):
        pass
    recorder.save(tmp_path / "r.npz")
    other = Recorder(
        learning(torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(2, 2))), every=1, steps=2
    )
    with pytest.raises(ValueError, match=r"`run` must hold the record of its own network, but .*r\.npz"):
        other.restore(tmp_path / "r.npz", 1)


def test_a_layer_is_its_median_tile_for_updates_and_its_mean_device_for_states():
    columns = {
        "step": np.arange(2), "0/devices": np.array([1, 1, 3]),
        "0/gain": np.array([[1.0, 2.0, 1e6], [np.nan, np.nan, np.nan]]),
        "0/at_bound": np.array([[0.0, 1.0, 1.0], [np.nan, 0.5, 0.5]]),
    }  # fmt: skip
    record = Record(columns)
    np.testing.assert_array_equal(record.of_layer("0", "gain"), [2.0, np.nan])
    np.testing.assert_allclose(record.of_layer("0", "at_bound"), [0.8, 0.5])
