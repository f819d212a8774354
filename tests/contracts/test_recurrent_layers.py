"""Recurrent layers on tiles: torch's numbers where tiles are perfect, one chip for all steps, a product a step."""

import copy

import pytest
import torch
from aihwkit.inference import PCMLikeNoiseModel
from aihwkit.optim import AnalogSGD
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from crossbar import (
    AnalogGRUCell,
    AnalogLSTM,
    AnalogLSTMCell,
    AnalogLSTMCellCombinedWeight,
    AnalogRNN,
    AnalogVanillaRNNCell,
    age_chip,
    conversion_report,
    convert_to_analog,
    load_model,
    load_profile,
    price,
    program_chip,
    record_events,
    save_model,
    tile_arrays,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig, SingleRPUConfig

STEPS, BATCH, INPUTS, HIDDEN = 6, 3, 4, 5
CLOSE = 1e-5
"""Sums of 9 products and a few gates in float32, over 6 steps and 2 layers, keep far below this."""


def perfect(config=None):
    config = InferenceRPUConfig() if config is None else config
    config.forward.is_perfect = config.backward.is_perfect = True
    return config


def sequences(batch_first=False):
    x = torch.randn(STEPS, BATCH, INPUTS, generator=torch.Generator().manual_seed(1))
    return x.transpose(0, 1).contiguous() if batch_first else x


def parts(states):
    return (states,) if isinstance(states, torch.Tensor) else tuple(states)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"batch_first": True, "bidirectional": True, "num_layers": 2},
    ],
    ids=lambda options: ",".join(options) or "plain",
)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN], ids=lambda kind: kind.__name__)
def test_perfect_tiles_give_torchs_numbers_and_gradients(kind, options):
    torch.manual_seed(0)
    digital = kind(INPUTS, HIDDEN, **options)
    analog = convert_to_analog(digital, perfect())
    ours, theirs = (sequences(options.get("batch_first", False)).requires_grad_() for _ in range(2))
    y, states = analog(ours)
    expected, last = digital(theirs)
    assert torch.allclose(y, expected, atol=CLOSE)
    for mine, other in zip(parts(states), parts(last), strict=True):
        assert torch.allclose(mine, other, atol=CLOSE)
    (y.square().sum() + parts(states)[0].sum()).backward()
    (expected.square().sum() + parts(last)[0].sum()).backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=CLOSE)
    for name, product in analog._products().items():
        weight = digital.get_parameter(f"weight_{name}")
        assert torch.allclose(product.tile_array.weight.grad[0], weight.grad, atol=CLOSE)
        if product.bias is not None:
            assert torch.allclose(product.bias.grad, digital.get_parameter(f"bias_{name}").grad, atol=CLOSE)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU], ids=lambda kind: kind.__name__)
def test_packed_and_single_sequences_and_first_states_are_torchs(kind):
    torch.manual_seed(0)
    digital = kind(INPUTS, HIDDEN, num_layers=2, bidirectional=True)
    analog = convert_to_analog(digital, perfect())
    packed = pack_padded_sequence(sequences(), [2, STEPS, 4], enforce_sorted=False)
    first = torch.randn(4, BATCH, HIDDEN)
    first = (first, first.flip(0)) if kind is nn.LSTM else first
    for given in ((packed,), (packed, first), (sequences(), first), (sequences()[:, 0],)):
        ours, theirs = analog(*given), digital(*given)
        outputs = [y if isinstance(y, torch.Tensor) else y.data for y in (ours[0], theirs[0])]
        assert torch.allclose(*outputs, atol=CLOSE)
        for mine, other in zip(parts(ours[1]), parts(theirs[1]), strict=True):
            assert mine.shape == other.shape
            assert torch.allclose(mine, other, atol=CLOSE)
    with pytest.raises(ValueError, match=r"`hx` must have the shape \(4, 3, 5\)"):
        analog(sequences(), torch.zeros(1, BATCH, HIDDEN))
    with pytest.raises(ValueError, match="`input` must have the shape"):
        analog(torch.zeros(2, 3, INPUTS + 1))


CELLS = {
    AnalogVanillaRNNCell: nn.RNN,
    AnalogLSTMCell: nn.LSTM,
    AnalogGRUCell: nn.GRU,
}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)
def test_cells_of_aihwkits_names_give_torchs_numbers(cell):
    network = AnalogRNN(cell, INPUTS, HIDDEN, rpu_config=perfect(), num_layers=2, bidir=True)
    digital = CELLS[cell](INPUTS, HIDDEN, num_layers=2, bidirectional=True)
    for index, layer in enumerate(network.rnn.layers):
        for way, direction in zip(("", "_reverse"), layer.directions, strict=True):
            for name in ("ih", "hh"):
                weight, bias = direction.cell.get_submodule(f"weight_{name}").get_weights()
                digital.get_parameter(f"weight_{name}_l{index}{way}").data = weight
                digital.get_parameter(f"bias_{name}_l{index}{way}").data = bias
    y, states = network(sequences())
    expected, _ = digital(sequences())
    assert torch.allclose(y, expected, atol=CLOSE)
    assert len(states) == 2
    assert len(states[0]) == 2
    again, _ = network(sequences(), network.get_zero_state(BATCH))
    assert torch.equal(again, y)
    weights = network.get_weights()
    assert len(weights) == 8
    assert weights["rnn.layers.0.directions.0.cell.weight_ih.analog_module"][0].dim() == 2
    network.set_weights({name: (2 * w, b) for name, (w, b) in weights.items()})
    assert torch.allclose(network(sequences())[0], y) is False


def test_one_matrix_for_inputs_and_state_is_the_two_side_by_side():
    torch.manual_seed(0)
    combined = AnalogLSTMCellCombinedWeight(INPUTS, HIDDEN, True, perfect())
    apart = AnalogLSTMCell(INPUTS, HIDDEN, True, perfect())
    weight, bias = combined.weight.get_weights()
    apart.weight_ih.set_weights(weight[:, :INPUTS], bias)
    apart.weight_hh.set_weights(weight[:, INPUTS:], torch.zeros_like(bias))
    state = apart.get_zero_state(BATCH)
    for x in sequences():
        (y, state), (expected, _) = apart(x, state), combined(x, state)
        assert torch.allclose(y, expected, atol=CLOSE)


def test_one_chip_serves_all_steps_and_every_step_is_counted(tmp_path):
    torch.manual_seed(0)
    model = convert_to_analog(nn.LSTM(INPUTS, HIDDEN), InferenceRPUConfig()).eval()
    program_chip(model, seed=3)
    age_chip(model, 1e6, seed=4)
    with torch.no_grad(), record_events(model) as ledger:
        model(sequences())
    counts = {name: layer.counts["forward"] for name, layer in ledger.layers.items()}
    for name, inputs in (("ih", INPUTS), ("hh", HIDDEN)):
        layer = counts[f"rnn.layers.0.cell.weight_{name}"]
        assert layer["mvms"] == layer["serial_mvms"] == STEPS * BATCH
        assert layer["dac_conversions"] == STEPS * BATCH * inputs
        assert layer["adc_conversions"] == STEPS * BATCH * 4 * HIDDEN
    assert "rnn.layers.0.cell.weight_hh" in str(price(ledger, load_profile("hermes-pcm")))
    path = tmp_path / "lstm.safetensors"
    save_model(model, path)
    fresh = load_model(path, convert_to_analog(nn.LSTM(INPUTS, HIDDEN), InferenceRPUConfig()).eval())
    for (_, ours), (_, theirs) in zip(tile_arrays(model), tile_arrays(fresh), strict=True):
        assert torch.equal(ours.reading.weight, theirs.reading.weight)


def test_what_a_chip_holds_is_the_same_at_every_step():
    """Without noise of reading, a step with the inputs and the state of another gives its outputs."""
    torch.manual_seed(0)
    config = perfect()
    config.noise_model = PCMLikeNoiseModel()
    model = convert_to_analog(nn.GRU(INPUTS, HIDDEN), config).eval()
    program_chip(model, seed=0)
    cell = model.rnn.layers[0].cell
    state, x = torch.randn(1, HIDDEN), torch.randn(1, INPUTS)
    assert torch.equal(cell(x, state)[0], cell(x, state)[0])
    there, _ = model(x[None], state[None])
    assert torch.allclose(there[0], cell(x, state)[0], atol=CLOSE)


def test_devices_that_learn_in_place_learn_from_every_step():
    torch.manual_seed(0)
    model = AnalogRNN(AnalogLSTMCell, INPUTS, HIDDEN, rpu_config=SingleRPUConfig())
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    optimizer.regroup_param_groups(model)
    target = torch.full((STEPS, BATCH, HIDDEN), 0.3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(sequences())[0], target)
        loss.backward()
        waiting = model.rnn.layers[0].cell.weight_hh.tile_array.analog_ctx.analog_input
        assert sum(len(x) for x in waiting) == STEPS * BATCH
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_conversion_back_and_copies_and_refusals():
    digital = nn.LSTM(INPUTS, HIDDEN, num_layers=2, dropout=0.1)
    analog = convert_to_analog(digital, InferenceRPUConfig())
    assert [row.place for row in conversion_report(analog).layers] == ["analog"] * 4
    back = AnalogLSTM.to_digital(analog)
    for mine, other in zip(back.parameters(), digital.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert copy.deepcopy(analog).dropout == 0.1
    with pytest.raises(ValueError, match="layer 'rnn': `proj_size` must be 0"):
        convert_to_analog(nn.ModuleDict({"rnn": nn.LSTM(4, 3, proj_size=2)}), InferenceRPUConfig())
    with pytest.warns(UserWarning, match="`dropout` acts between layers"):
        AnalogRNN(AnalogGRUCell, 4, 3, dropout=0.5)
    with pytest.raises(ValueError, match="`tile_module_class` must be None"):
        AnalogRNN(AnalogGRUCell, 4, 3, True, InferenceRPUConfig(), nn.Linear)
    with pytest.raises(ValueError, match="`states` must have one state for each of 1 layers"):
        AnalogRNN(AnalogGRUCell, 4, 3)(sequences(), [])
