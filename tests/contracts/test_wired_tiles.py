"""What wires promise: straight-through gradients, computed every few steps, exact resumption, clear refusals."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import crossbar.wires.tiles
from crossbar import (
    LocallyConnected2d,
    TileArray,
    WireParameters,
    age_chip,
    convert_to_analog,
    load_model,
    program_chip,
    replace_placement,
    save_model,
    tile_arrays,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig
from devices import get

WIRES = WireParameters(word_line=30.0, bit_line=50.0)


def config(weight_noise: float = 0.0) -> InferenceRPUConfig:
    made = get("pcm").rpu_config(weight_noise=weight_noise)
    made.forward.is_perfect = made.backward.is_perfect = True
    made.clip.type = type(made.clip.type).NONE
    made.remap.type = type(made.remap.type).NONE
    return made


def array(wires: WireParameters | None, *, every: int = 1, **options: object) -> TileArray:
    made = TileArray(2, 6, 20, config(), seed=1, **options)
    made.use_wires(wires, every=every)
    made.set_kernels(torch.rand(made.kernels, 6, 20, generator=torch.Generator().manual_seed(2)) - 0.5)
    return made


def test_training_sees_what_a_chip_without_noise_shows() -> None:
    """In training, in evaluation without a chip, and programmed without noise: the same weights."""
    x = torch.rand(2, 5, 20)
    wired = array(WIRES)
    in_training, in_evaluation = wired.train()(x), wired.eval()(x)
    wired.program(get("ideal").noise_model(), seed=0, compensation="none")
    torch.testing.assert_close(in_training, in_evaluation, rtol=0, atol=0)
    torch.testing.assert_close(wired(x), in_evaluation, rtol=1e-5, atol=1e-6)
    assert bool(((array(None).eval()(x) - in_evaluation).abs() > 0.05).any())


def test_gradients_pass_straight_through_the_wires() -> None:
    """Of a weight: as without wires. Of an input: through the weights that are seen."""
    x = torch.rand(2, 5, 20)
    grads = []
    for wires in (None, WIRES):
        made, inputs = array(wires), x.clone().requires_grad_()
        made(inputs).sum().backward()
        grads.append((made.weight.grad, inputs.grad))
    torch.testing.assert_close(grads[0][0], grads[1][0], rtol=1e-6, atol=0)
    assert not torch.allclose(grads[0][1], grads[1][1], rtol=1e-2)


def test_what_wires_take_is_computed_every_few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    exact = crossbar.wires.tiles.seen_through
    monkeypatch.setattr(crossbar.wires.tiles, "seen_through", lambda *a: calls.append(1) or exact(*a))
    made, x = array(WIRES, every=3), torch.rand(2, 5, 20)
    counts = []
    for _ in range(7):
        made(x)
        with torch.no_grad():
            made.weight.mul_(0.99)
        counts.append(len(calls))
    assert counts == [1, 1, 1, 2, 2, 2, 3]
    made.eval()
    for _ in range(3):
        made(x)
    assert len(calls) == 4  # the same weights are not computed again
    assert made.wires is not None
    assert int(made.wires.passes) == 7  # looking on does not count as training


def test_copies_of_a_kernel_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    exact = crossbar.wires.tiles.seen_through
    monkeypatch.setattr(
        crossbar.wires.tiles, "seen_through", lambda w, g: shapes.append(g[0].shape) or exact(w, g)
    )
    made = array(WIRES, kernel_of_tile=torch.tensor([0, 0]))
    made(torch.rand(2, 5, 20))
    assert shapes == [(1, 6, 20)]


def test_a_saved_training_goes_on_as_if_it_had_not_stopped() -> None:
    x = torch.rand(2, 5, 20)

    def step(made: TileArray) -> torch.Tensor:
        y = made(x)
        with torch.no_grad():
            made.weight.mul_(0.9)
        return y.detach()

    whole, first = array(WIRES, every=4), array(WIRES, every=4)
    expected = [step(whole) for _ in range(10)]
    for _ in range(6):
        step(first)
    second = array(WIRES, every=4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for k in range(6, 10):
        assert torch.equal(step(second), expected[k])


def test_a_saved_chip_is_read_through_its_wires_later(tmp_path: Path) -> None:
    def model(wires: WireParameters | None) -> nn.Module:
        return convert_to_analog(nn.Sequential(nn.Linear(20, 6)), config(), wires=wires).eval()

    whole, other = model(WIRES), model(WIRES)
    program_chip(whole, seed=3)
    save_model(whole, tmp_path / "chip.safetensors")
    load_model(tmp_path / "chip.safetensors", other)
    x = torch.rand(4, 20)
    for chip in (whole, other):
        age_chip(chip, 3600.0, seed=4)
    assert torch.equal(whole(x), other(x))
    with pytest.raises(ValueError, match="Use the same architecture and configuration"):
        load_model(tmp_path / "chip.safetensors", model(None))


def test_absent_devices_stay_absent() -> None:
    populated = torch.rand(2, 6, 20, generator=torch.Generator().manual_seed(3)) < 0.7
    wired = array(WIRES, populated=populated)
    for reading in (wired.train(), wired.eval()):
        seen = reading.weight_for_reading()
        assert bool((seen[~populated] == 0).all())
        assert bool((seen[populated] != 0).all())
    wired.eval().program(seed=0)
    assert wired.reading is not None
    assert bool((wired.reading.weight[~populated] == 0).all())


def test_absent_devices_load_no_wire_where_a_present_one_would() -> None:
    """A single device at its lowest weight still conducts; an absent one does not."""
    populated = torch.rand(2, 6, 20, generator=torch.Generator().manual_seed(3)) < 0.5
    made = array(WIRES, populated=populated).eval()
    made.rpu_config.noise_model = get("ideal").noise_model()
    made.rpu_config.noise_model.g_converter = get("reram-cmo").noise_model().g_converter
    seen = made.weight_for_reading()
    made.program(seed=0, compensation="none")
    torch.testing.assert_close(made.weight_for_reading(), seen, rtol=1e-5, atol=1e-6)


def test_training_learns_to_live_with_wires() -> None:
    """A regression through wires: trained for them, the error is a small part of that of the plain training."""
    rng = torch.Generator().manual_seed(5)
    wanted, x = torch.rand(1, 6, 20, generator=rng) - 0.5, torch.rand(1, 200, 20, generator=rng)
    wires = WireParameters(word_line=60.0, bit_line=60.0)
    errors = []
    for in_training in (None, wires):
        rpu_config = config()
        rpu_config.mapping.learn_out_scaling = False
        rpu_config.pre_post.input_range.enable = False
        made = TileArray(1, 6, 20, rpu_config, wires=in_training, seed=1)
        made.set_kernels(wanted)
        optimizer = torch.optim.Adam(made.parameters(), lr=3e-3)
        for _ in range(300):
            optimizer.zero_grad()
            (made(x) - x @ wanted.mT).square().mean().backward()
            optimizer.step()
        made.eval().use_wires(wires)
        made.program(get("ideal").noise_model(), seed=0, compensation="none")
        errors.append((made(x) - x @ wanted.mT).detach().square().mean().item())
    assert errors[1] < 0.05 * errors[0]


def test_a_model_is_wired_as_a_whole_and_stays_wired_when_it_is_placed_anew() -> None:
    digital = nn.Sequential(
        LocallyConnected2d(1, 2, 3, 6, placement="time_multiplexed"), nn.Flatten(), nn.Linear(32, 3)
    )
    analog = convert_to_analog(digital, config(), wires=WIRES, wires_every=7)
    placed = replace_placement(analog, "free", (1, 6, 6))
    for model in (analog, placed):
        wired = [array.wires for _, array in tile_arrays(model)]
        assert [(w.resistances, w.every) for w in wired if w is not None] == [(WIRES, 7)] * 2
    program_chip(placed, seed=0)


def test_taking_wires_away_forgets_the_chip_that_was_read_through_them() -> None:
    made = array(WIRES).eval()
    made.program(seed=0)
    made.use_wires(None)
    assert not made.is_programmed
    assert made.wires is None


def test_where_wires_have_no_meaning_they_are_refused() -> None:
    with pytest.raises(ValueError, match="no unit of conductance"):
        TileArray(1, 2, 3, get("ecram").training_config(), wires=WIRES)
    with pytest.raises(ValueError, match=r"`backend` must be 'batched' for tiles with resistive wires"):
        TileArray(1, 2, 3, config(), wires=WIRES, backend="aihwkit")
    with pytest.raises(ValueError, match=r"`backend` must be 'batched' for tiles with resistive wires"):
        array(WIRES).use_backend("aihwkit")
    with pytest.raises(ValueError, match=r"`wires_every` must be 1 or more, but is 0\. Try 20\."):
        array(None).use_wires(WIRES, every=0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "word=1",
            r"`wires` must name each of word_line, bit_line, .* once at most, but has 'word=1' in 'word=1'",
        ),
        ("bit_line=1,bit_line=2", r"once at most, but has 'bit_line=2'"),
        (
            "bit_line=x",
            r"`wires` must give a number for bit_line, but has 'x'\. Write 'bit_line=1', in ohm\.",
        ),
        ("bit_line=-1", r"`bit_line` must be 0 ohm or more and finite, but is -1\.0"),
        ("drivers=up", r"`drivers` must be"),
        ("", r"`wires` must name each of"),
    ],
)
def test_wires_are_read_from_text(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        WireParameters.parse(text)


@pytest.mark.parametrize(
    "text", ["word_line=1,bit_line=2.5", "word_line=0,bit_line=1,sense=3,drivers=both,sensed=both"]
)
def test_wires_survive_as_text(text: str) -> None:
    assert str(WireParameters.parse(text)) == text
