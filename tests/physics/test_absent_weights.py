"""Absent weights are no devices: exactly zero, without noise, pulses and costs; copies may lack different ones."""

import pytest
import torch
from torch import Tensor, nn

from crossbar import (
    AnalogLocallyConnected2d,
    LocallyConnected2d,
    age_chip,
    convert_to_analog,
    load_model,
    model_sharing,
    program_chip,
    record_events,
    replace_placement,
    save_model,
    write_verify_config,
)
from crossbar.aihwkit.adapter import AnalogSGD
from crossbar.learning.synchronisation import synchronise
from crossbar.network.residual import copies_residual
from devices import get
from devices.pulsed import WriteVerify
from models import build, draw_absent_weights, initialise

SIZES = (2, 3, 3, (6, 5))  # 12 locations, 3 outputs, 18 inputs
COPIES = "replicated(tiles=4)"
X = torch.rand(4, 2, 6, 5, generator=torch.Generator().manual_seed(2)) - 0.3


def mask(holders: int, share: float = 0.4, seed: int = 0) -> Tensor:
    return torch.rand(holders, 3, 2, 3, 3, generator=torch.Generator().manual_seed(seed)) >= share


def layer(placement: str, populated: Tensor | None) -> LocallyConnected2d:
    torch.manual_seed(0)
    return LocallyConnected2d(*SIZES, placement=placement, populated=populated)


def perfect(device: str = "pcm", *, trains: bool = False, largest: int = 0) -> object:
    config = get(device).training_config() if trains else get(device).rpu_config(weight_noise=0.0)
    config.forward.is_perfect = True
    config.mapping.max_input_size = largest
    if trains:
        config.backward.is_perfect = True
    else:
        config.clip.type = type(config.clip.type).NONE
        config.remap.type = type(config.remap.type).NONE
        config.pre_post.input_range.enable = False
    return config


CASES = pytest.mark.parametrize(
    ("placement", "holders"),
    [("free", 12), ("time_multiplexed", 1), (COPIES, 1), (COPIES, 4), ("blocks(rows=2,cols=1)", 2)],
)


@CASES
def test_they_are_zeros_forward_and_backward(placement: str, holders: int) -> None:
    """By hand: a kernel of its own for each location, with zeros; gradients are summed over those that are there."""
    shared, apart = layer(placement, mask(holders)), layer("free", None)
    placed = shared.placement
    of_location = placed.tile_of_location if holders == placed.tiles else placed.kernel_of_location
    exists = mask(holders)[of_location]
    with torch.no_grad():
        apart.weight.copy_(shared.weight[placed.kernel_of_location] * exists)
        apart.bias.copy_(shared.bias[placed.kernel_of_location])
    shared(X).square().sum().backward()
    apart(X).square().sum().backward()
    torch.testing.assert_close(shared(X), apart(X), rtol=1e-5, atol=1e-6)
    expected = torch.zeros_like(shared.weight).index_add_(
        0, placed.kernel_of_location, apart.weight.grad * exists
    )
    torch.testing.assert_close(shared.weight.grad, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("largest", [0, 10])
@CASES
def test_tiles_compute_the_same_and_are_trained_with_the_same_gradient(
    placement: str, holders: int, largest: int
) -> None:
    digital = layer(placement, mask(holders))
    analog = AnalogLocallyConnected2d.from_digital(digital, perfect(largest=largest)).eval()
    torch.testing.assert_close(analog(X), digital(X), rtol=1e-5, atol=1e-5)
    analog.train()(X).square().sum().backward()
    digital(X).square().sum().backward()
    scale = analog.tile_array.mapping_scales[..., None]
    learned = analog._split(analog.tile_array.weight.grad * scale)[0]
    torch.testing.assert_close(learned.sign(), digital.weight.grad.sign(), rtol=0, atol=0)
    assert torch.equal(AnalogLocallyConnected2d.to_digital(analog).populated, mask(holders))


@pytest.mark.parametrize("largest", [0, 10])
@CASES
def test_a_noisy_chip_has_nothing_there(placement: str, holders: int, largest: int) -> None:
    config = get("pcm").rpu_config()
    config.mapping.max_input_size = largest
    net = convert_to_analog(nn.Sequential(layer(placement, mask(holders))), config).eval()
    array = net[0].tile_array
    absent = ~array.tile_population()
    with record_events(net) as ledger:
        program_chip(net, seed=0, compensation="none")
    assert ledger.total("written_cells") == int(array.tile_population().sum())
    for time in (1.0, 86400.0):
        age_chip(net, time)
        assert bool((array.reading.weight[absent] == 0).all())
        assert bool((array.reading.weight[~absent] != 0).any())


def test_copies_that_lack_different_devices_still_share_exactly_what_they_have() -> None:
    net = convert_to_analog(nn.Sequential(layer(COPIES, mask(4))), perfect()).eval()
    residual = copies_residual(net[0].tile_array)
    assert residual is not None
    assert residual.rms < 1e-6  # float32
    alike = model_sharing(nn.Sequential(layer(COPIES, mask(1))))["0"].signal_to_noise
    assert alike == float("inf")


@CASES
def test_the_bill_counts_lines_and_devices_that_there_are(placement: str, holders: int) -> None:
    """By hand, location by location: its tile's word lines, bit lines and devices."""
    populated = mask(holders, share=0.9)  # of some outputs nothing is left
    net = convert_to_analog(nn.Sequential(layer(placement, populated)), get("pcm").rpu_config()).eval()
    placed = net[0].placement
    index = placed.tile_of_location if holders == placed.tiles else placed.kernel_of_location
    of_location = populated.flatten(2)[index]
    with record_events(net) as ledger:
        outputs = net(X)
    counts = next(iter(ledger.layers.values())).counts["forward"]
    images = len(X)
    assert counts["dac_conversions"] == images * int(of_location.any(dim=1).sum())
    assert counts["adc_conversions"] == images * int(of_location.any(dim=2).sum())
    assert counts["cell_reads"] == images * int(of_location.sum())
    silent = ~of_location.any(dim=2)  # (locations, out)
    assert silent.any()
    bias = net[0].bias.reshape(-1, 3)[placed.kernel_of_location if len(net[0].bias) > 1 else 0].expand(12, 3)
    seen = outputs.flatten(2).permute(2, 1, 0)  # (locations, out, batch)
    assert torch.equal(seen[silent], bias[silent][:, None].expand(-1, images))
    with record_events(nn.Sequential(software := layer(placement, populated))) as digital, torch.no_grad():
        software(X)
    assert digital.total("digital_macs") == images * int(of_location.sum())


@pytest.mark.parametrize("device", ["ecram", "ttv2-reram-es"])
@pytest.mark.parametrize(("placement", "holders"), [("free", 12), (COPIES, 1), (COPIES, 4)])
def test_devices_that_are_absent_receive_no_pulse(device: str, placement: str, holders: int) -> None:
    net = convert_to_analog(nn.Sequential(layer(placement, mask(holders))), perfect(device, trains=True))
    array = net[0].tile_array
    absent = ~array.tile_population()
    before = {role: devices.hidden_weight.clone() for role, devices in array.cells.device_arrays().items()}
    optimizer = AnalogSGD(net.parameters(), lr=1.0)
    optimizer.regroup_param_groups(net)
    with record_events(net) as ledger:
        for _ in range(3):
            optimizer.zero_grad()
            net.train()(X).square().mean().backward()
            optimizer.step()
    assert bool((array.weight[absent] == 0).all())
    for role, devices in array.cells.device_arrays().items():
        moved = devices.hidden_weight != before[role]
        assert moved.any()
        assert not bool(moved[absent].any())
    assert 0 < ledger.total("update_pulses") <= int((~absent).sum()) * 31 * 12 * 4 * 3 * len(before)


def test_write_verify_reads_no_word_line_without_devices() -> None:
    populated = torch.zeros(1, 3, 2, 3, 3, dtype=torch.bool)
    populated[0, 1, 0, 0, :2] = True  # two devices, on two word lines
    config = write_verify_config(perfect("ecram", trains=True), WriteVerify(tolerance=0.02, read_noise=0.0))
    net = convert_to_analog(nn.Sequential(layer("time_multiplexed", populated)), config)
    optimizer = AnalogSGD(net.parameters(), lr=1.0)
    optimizer.regroup_param_groups(net)
    with record_events(net) as ledger:
        net.train()(X).square().mean().backward()
        optimizer.step()
    cells = net[0].tile_array.cells
    assert cells.last_write.devices <= 2
    rows = ledger.total("verify_rows")
    assert 2 <= rows <= 2 * 31  # the first read, and one after each of at most 30 bursts
    assert int((net[0].tile_array.weight != 0).sum()) == 2


def test_copies_are_averaged_over_those_that_have_the_device() -> None:
    config = perfect("ecram", trains=True)
    net = convert_to_analog(nn.Sequential(layer("replicated(tiles=4,sync_every=5)", mask(4))), config)
    array = net[0].tile_array
    exists, cells = array.tile_population(), array.cells
    devices = cells.slow()
    devices.weight.copy_(torch.rand(devices.shape, generator=torch.Generator().manual_seed(1)) - 0.5)
    before = devices.weight.clone()
    mean = (before * exists).sum(dim=0) / exists.sum(dim=0).clamp(min=1)
    settings = WriteVerify(tolerance=0.02, read_noise=0.0)
    counts = synchronise(cells, array.kernel_of_tile, settings, exists=exists, noise=array.noise)
    error = (devices.weight - mean)[exists].abs()
    # The loop stops within the tolerance, or half a nominal step of the device where that is more.
    assert float(error.max()) <= max(0.02, float(devices.granularity) / 2)
    assert torch.equal(devices.weight[~exists], before[~exists])
    assert counts.allreduce_adds == int((exists.sum(dim=0) - 1).clamp(min=0).sum())


def test_they_are_saved_carried_over_and_refused_where_they_do_not_fit(tmp_path) -> None:
    config = get("pcm").rpu_config()
    net = convert_to_analog(nn.Sequential(layer(COPIES, mask(4))), config).eval()
    save_model(net, tmp_path / "net.safetensors")
    other = convert_to_analog(nn.Sequential(layer(COPIES, mask(4, seed=1))), config).eval()
    load_model(tmp_path / "net.safetensors", other)
    assert torch.equal(other[0].tile_array.tile_population(), net[0].tile_array.tile_population())
    with pytest.raises(
        ValueError, match="`placement` must stay where copies of a kernel lack different devices"
    ):
        replace_placement(net, "free", (2, 6, 5))
    common = convert_to_analog(nn.Sequential(layer("time_multiplexed", mask(1))), config).eval()
    free = replace_placement(common, "free", (2, 6, 5))
    assert torch.equal(free[0].populated, mask(1).expand(12, -1, -1, -1, -1))
    with pytest.raises(
        ValueError, match=r"`populated` must have the shape of the weights, \(1, 3, 2, 3, 3\) or \(4"
    ):
        LocallyConnected2d(*SIZES, placement=COPIES, populated=mask(2))
    with pytest.raises(TypeError, match=r"`populated` must be a bool mask, but is torch\.float32"):
        LocallyConnected2d(*SIZES, populated=mask(12).float())


def test_a_network_loses_the_share_that_is_asked_for_and_more_is_the_same_and_more() -> None:
    found = {}
    for share in (0.3, 0.6):
        for pattern in ("own", "common"):
            net = build("cnn_digits", "replicated(tiles=4)")
            initialise(net, 0)
            draw_absent_weights(net, share, 0, pattern)
            found[share, pattern] = net.local2.populated
            assert int((~net.local2.populated).sum()) == round(share * net.local2.populated.numel())
    assert (len(found[0.3, "own"]), len(found[0.3, "common"])) == (4, 1)
    for pattern in ("own", "common"):
        assert not bool((found[0.6, pattern] & ~found[0.3, pattern]).any())
    own = found[0.3, "own"]
    assert len({tuple(tile.flatten().tolist()) for tile in own}) == 4
    with pytest.raises(ValueError, match=r"`absent` must lie in \[0, 1\), but is 1"):
        draw_absent_weights(build("fcn_digits"), 1.0, 0)
    with pytest.raises(ValueError, match="`model` must have a locally connected layer"):
        draw_absent_weights(nn.Sequential(nn.Linear(2, 2)), 0.5, 0)
