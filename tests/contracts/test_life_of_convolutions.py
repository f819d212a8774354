"""The life of grouped, transposed, 1-d and 3-d layers: devices, faults, wires, drift, files, soft sharing."""

import pytest
import torch
from torch import Tensor, nn

import crossbar
from crossbar import (
    WireParameters,
    age_chip,
    break_devices,
    convert_to_analog,
    copies_residual,
    load_model,
    model_sharing,
    program_chip,
    save_model,
    seed_noise,
    tile_arrays,
    use_gradient,
)
from crossbar.aihwkit.adapter import AnalogSGD, InferenceRPUConfig
from devices import Faults, get

NETWORKS = {
    "signal": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, 3, groups=2, padding=1, padding_mode="circular"),
            nn.Tanh(),
            nn.ConvTranspose1d(4, 2, 4, 2, 1, groups=2),
            nn.Tanh(),
            crossbar.LocallyConnected1d(2, 3, 3, 12, stride=3, groups=1, placement="blocks(cols=2)"),
        ),
        (2, 6),
    ),
    "volume": (
        lambda: nn.Sequential(
            nn.Conv3d(2, 4, 2, groups=2),
            nn.Tanh(),
            nn.ConvTranspose3d(4, 2, 2, 1),
            nn.Tanh(),
            crossbar.LocallyConnected3d(2, 4, 2, 3, groups=2, placement="interleaved(period=2)"),
        ),
        (2, 3, 3, 3),
    ),
}


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[nn.Sequential, tuple[int, ...], Tensor]:
    torch.manual_seed(0)
    make, shape = NETWORKS[request.param]
    return make(), shape, torch.rand(4, *shape, generator=torch.Generator().manual_seed(1))


def test_a_programmed_chip_ages_and_comes_back_from_its_file(case, tmp_path):
    digital, _, x = case
    config = get("pcm").rpu_config()
    models = [convert_to_analog(digital, config).eval() for _ in range(2)]
    clean = models[0](x)
    program_chip(models[0], seed=3, faults=Faults(stuck_low=0.2))
    assert not torch.allclose(models[0](x), clean, atol=1e-3)
    age_chip(models[0], 3e7, seed=4)
    assert copies_residual(models[0][0].tile_array) is None
    assert set(model_sharing(models[0])) == {"0", "2", "4"}
    save_model(models[0], tmp_path / "model.safetensors")
    load_model(tmp_path / "model.safetensors", models[1])
    outputs = []
    for model in models:
        seed_noise(model, 1, "evaluation")
        outputs.append(model(x))
    assert torch.equal(*outputs)


@pytest.mark.parametrize("device", ["reram-sb", "ecram"])
def test_devices_learn_in_place_and_break(case, device):
    digital, shape, x = case
    config = get(device).training_config()
    analog = convert_to_analog(digital, config, shape, placement={"0": "replicated(tiles=2)"})
    target = torch.zeros_like(digital(x))
    optimizer = AnalogSGD(analog.parameters(), lr=0.1)
    optimizer.regroup_param_groups(analog)
    before = [array.weight.clone() for _, array in tile_arrays(analog)]
    losses = []
    for step in range(12):
        seed_noise(analog, 0, "train", step)
        optimizer.zero_grad()
        loss = (analog(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for (_, array), old in zip(tile_arrays(analog), before, strict=True):
        assert not torch.equal(array.weight, old)
    assert copies_residual(analog[0].tile_array) is not None  # copies of every group have drifted apart
    break_devices(analog, Faults(stuck_random=0.5))
    assert torch.isfinite(analog(x)).all()


def test_wires_take_their_part_of_every_group(case):
    digital, _, x = case
    config = get("pcm").rpu_config()
    config.forward.is_perfect = True
    lines = None, WireParameters(word_line=1e-6, bit_line=1e-6), WireParameters(word_line=50.0, bit_line=50.0)
    ideal, wired, resistive = (convert_to_analog(digital, config, wires=wires).eval() for wires in lines)
    assert torch.allclose(wired(x), ideal(x), atol=1e-4)
    assert (resistive(x) - ideal(x)).abs().max() > 1e-3


def test_both_backends_compute_with_the_same_tiles(case):
    """Real aihwkit tiles, one for each group, location or copy."""
    digital, shape, x = case
    config = InferenceRPUConfig()
    config.forward.out_noise = config.forward.inp_noise = config.forward.w_noise = 0.0
    ours, theirs = (
        convert_to_analog(
            digital, config, shape, placement={"0": "replicated(tiles=2)"}, backend=backend
        ).eval()
        for backend in ("batched", "aihwkit")
    )
    with torch.no_grad():
        # One step of the ADC, 1 / 510 of the range 2 * 12, may fall to the other side of a tie.
        assert (ours(x) - theirs(x)).abs().median() < 1e-5


def test_the_exact_gradient_is_that_of_the_network(case):
    digital, _, x = case
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    analog = convert_to_analog(digital, config)
    use_gradient(analog, "exact")
    inputs = [(20 * x).requires_grad_() for _ in range(2)]
    for model, of in zip((digital, analog), inputs, strict=True):
        model(of).square().sum().backward()
    largest = inputs[0].grad.abs().max()
    assert (inputs[0].grad - inputs[1].grad).abs().max() < 1e-5 * largest
