"""How looks at copies are summed up over chips and times."""

import pytest
import torch

from crossbar import AnalogLocallyConnected2d
from devices import get
from experiments.runs.copies import CopiesLog
from experiments.runs.options.config import TrainConfig
from experiments.runs.options.defaults import resolve
from experiments.runs.run_network import make_model


def test_mean_over_chips_and_the_largest_of_all():
    """Copies (1, 2) and (3, 2): off by (1, 0) from (2, 2), with rms weight 2; then (1, 2) and (1, 6): (0, 2)."""
    layer = AnalogLocallyConnected2d(
        2, 1, (1, 1), (1, 2), placement="replicated(tiles=2)", rpu_config=get("reram-sb").training_config()
    )
    model, log = torch.nn.Sequential(layer), CopiesLog()
    layer.tile_array.mapping_scales.fill_(1.0)
    for time, second in ((None, (3.0, 2.0)), (1.0, (3.0, 2.0)), (1.0, (1.0, 6.0))):
        layer.tile_array.weight = torch.tensor([[[1.0, 2.0]], [second]])
        log.look(model, time)
    rms = [0.5 / 2**0.5, 2 / 17**0.5]  # root mean squares of the differences over those of the means
    largest = [0.5, 2 / 8.5**0.5]
    (looks,) = log.summary().values()
    assert [look["time"] for look in looks] == [None, 1.0]
    assert looks[0] == pytest.approx({"time": None, "rms": rms[0], "largest": largest[0]})
    assert looks[1]["rms"] == pytest.approx(sum(rms) / 2)
    assert looks[1]["largest"] == pytest.approx(max(largest))


def test_one_tile_has_no_copies():
    log = CopiesLog()
    log.look(torch.nn.Sequential(AnalogLocallyConnected2d(1, 1, 2, 3, placement="time_multiplexed")), 1.0)
    assert log.summary() == {}


@pytest.mark.parametrize("wish", [{"mode": "write-verify"}, {"mode": "in-situ", "sleep_every": 2}])
def test_the_write_tolerance_reaches_the_loop(wish):
    config = resolve(
        TrainConfig(
            device="ecram", model="cnn_digits", placement="blocks(rows=2,cols=2)", write_tolerance=0.1, **wish
        ),
        (1, 8, 8),
    )
    array = make_model(config).local1.tile_array
    loop = array.cells.settings if config.mode == "write-verify" else array.in_situ.write_verify
    assert loop.tolerance == 0.1
