"""The measure of emergent sharing against a slow double loop, the paper's 0.109, and kernels that are equal."""

import math

import numpy as np
import pytest
import torch
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import SoftBoundsDevice

from crossbar import (
    LocallyConnected2d,
    age_chip,
    convert_to_analog,
    program_chip,
    seed_noise,
    tile_arrays,
)
from devices import get
from experiments.runs.emergent_sharing import expected_at_start, kernel_distances, sharing_of
from models import build, initialise


def slow(kernels: np.ndarray, distance: int) -> tuple[float, float, float]:
    """Do as the definition says, place by place."""
    kernels = kernels / math.sqrt((kernels**2).sum())
    rows, columns = kernels.shape[:2]
    euclidean, orthogonal, cosine = [], [], []
    for i in range(distance, rows - distance):
        for j in range(distance, columns - distance):
            ring = [
                kernels[a, b]
                for a in range(i - distance, i + distance + 1)
                for b in range(j - distance, j + distance + 1)
                if max(abs(a - i), abs(b - j)) == distance
            ]
            own = kernels[i, j]
            euclidean.append(np.mean([np.linalg.norm(own - other) for other in ring]))
            orthogonal.append(np.mean([math.sqrt(own @ own + other @ other) for other in ring]))
            cosine.append(
                np.mean([1 - own @ other / np.linalg.norm(own) / np.linalg.norm(other) for other in ring])
            )
    return float(np.mean(euclidean)), float(np.mean(cosine)), float(np.mean(orthogonal))


@pytest.mark.parametrize(
    ("rows", "columns", "distance"), [(3, 3, 1), (5, 7, 1), (9, 10, 4), (12, 9, 4), (7, 7, 2)]
)
def test_distances_are_those_of_the_definition(rows: int, columns: int, distance: int) -> None:
    kernels = torch.randn(rows, columns, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(
        kernel_distances(kernels, distance), slow(kernels.numpy(), distance), rtol=1e-12
    )


def test_equal_kernels_have_no_distance_and_small_maps_no_ring() -> None:
    kernels = torch.randn(1, 1, 9).expand(6, 6, 9)
    np.testing.assert_allclose(kernel_distances(kernels, 1), (0, 0, math.sqrt(2) / 6), atol=1e-12)
    assert kernel_distances(kernels, 3) is None


def test_two_kernels_by_hand() -> None:
    """A kernel e1 amid eight e2: norm 3, distance sqrt(2) / 3, cosine 0."""
    kernels = torch.zeros(3, 3, 2)
    kernels[..., 1] = 1
    kernels[1, 1] = torch.tensor([1.0, 0.0])
    np.testing.assert_allclose(
        kernel_distances(kernels, 1), (math.sqrt(2) / 3, 1.0, math.sqrt(2) / 3), rtol=1e-12
    )


def test_kernels_without_inputs_have_no_direction() -> None:
    """A kernel of zeros amid equal ones: as far as they are long, and in no direction from them."""
    kernels = torch.ones(4, 3, 5)
    kernels[1, 1] = 0
    found = kernel_distances(kernels, 1)
    assert found is not None
    assert found.cosine == pytest.approx(0, abs=1e-12)
    assert found.euclidean == pytest.approx((1 + 1 / 8) / 2 / math.sqrt(11), rel=1e-12)
    assert kernel_distances(torch.zeros(3, 3, 2), 1) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_training_starts_at_the_papers_value(seed: int) -> None:
    """0.109 (Ott et al.): sqrt(2 / 169), which the mean over 968 rings of 288 entries meets within 1 %."""
    model = build("fcn_mnist")
    initialise(model, seed)
    measures = sharing_of(model)["local1"]
    assert expected_at_start(169) == pytest.approx(0.1088, abs=5e-5)
    for distance in (1, 4):
        assert measures[f"euclidean {distance}"] == pytest.approx(expected_at_start(169), rel=0.01)
        assert measures[f"cosine {distance}"] == pytest.approx(1.0, abs=0.01)
    assert measures["snr"] == pytest.approx(1 / 169, rel=0.3)  # 288 weights: 8 % standard error


def test_a_layer_on_tiles_is_measured_as_it_is_read() -> None:
    digital = build("fcn_digits")
    initialise(digital, 0)
    config = get("pcm").rpu_config()
    config.mapping.max_input_size = 100  # local2 is split
    analog = convert_to_analog(digital, config).eval()
    before, here = sharing_of(digital), sharing_of(analog)
    assert before.keys() == here.keys() == {"local1", "local2"}
    for layer, measures in before.items():
        for name, value in measures.items():
            assert here[layer][name] == pytest.approx(value, rel=1e-4)
    program_chip(analog, seed=0)
    noisy = sharing_of(analog)
    assert noisy["local1"]["euclidean 1"] != here["local1"]["euclidean 1"]
    for _, array in tile_arrays(analog):
        array.erase()
    assert sharing_of(analog) == here


def kernels_by_probing(layer: torch.nn.Module, channels: int, side: int) -> np.ndarray:
    """Send in one pixel at a time; what comes out are the weights: (rows, columns, out * in * 3 * 3)."""
    pixels = torch.eye(channels * side**2).reshape(-1, channels, side, side)
    with torch.no_grad():
        weight = (layer(pixels) - layer(torch.zeros(1, channels, side, side))).double().numpy()
    weight = weight.reshape(channels, side, side, *weight.shape[1:])
    return np.stack(
        [
            [weight[:, i : i + 3, j : j + 3, :, i, j].transpose(3, 0, 1, 2).ravel() for j in range(side - 2)]
            for i in range(side - 2)
        ]
    )


@torch.no_grad()
def agree_with_probing(model: torch.nn.Module) -> None:
    """Float32 outputs of weights of order 0.1 have some 1e-7 / 0.1 of rounding; a hundred times that is allowed."""
    measures = sharing_of(model.eval())
    for name, channels, side in (("local1", 1, 8), ("local2", 16, 6)):
        probed = kernels_by_probing(model.get_submodule(name), channels, side)
        found = [measures[name][f"{measure} 1"] for measure in ("euclidean", "cosine", "orthogonal")]
        np.testing.assert_allclose(found, slow(probed, 1), rtol=1e-4)
        locations = probed.reshape(-1, probed.shape[2])
        snr = np.mean(locations.mean(axis=0) ** 2 / locations.var(axis=0))
        assert measures[name]["snr"] == pytest.approx(snr, rel=1e-3)


@pytest.mark.parametrize("compensation", ["none", "per_column"])
def test_drifted_devices_are_measured_as_signals_see_them(compensation: str) -> None:
    digital = build("fcn_digits")
    initialise(digital, 0)
    config = get("pcm").rpu_config()
    config.forward.is_perfect = True
    config.mapping.max_input_size = 100  # local2 is split
    analog = convert_to_analog(digital, config).eval()
    program_chip(analog, seed=0, compensation=compensation)  # type: ignore[arg-type]
    fresh = sharing_of(analog)
    age_chip(analog, 1e7, seed=0)
    agree_with_probing(analog)
    assert abs(sharing_of(analog)["local1"]["cosine 1"] / fresh["local1"]["cosine 1"] - 1) > 1e-4


def test_devices_trained_in_place_are_measured_as_signals_see_them() -> None:
    digital = build("fcn_digits")
    initialise(digital, 0)
    config = SingleRPUConfig(device=SoftBoundsDevice())
    config.forward.is_perfect = config.backward.is_perfect = True
    config.mapping.weight_scaling_omega = 0.6
    config.mapping.max_input_size = 100  # local2 is split
    analog = convert_to_analog(digital, config)
    before = sharing_of(analog)
    optimizer = AnalogSGD(analog.parameters(), lr=0.1)
    optimizer.regroup_param_groups(analog)
    rng = torch.Generator().manual_seed(0)
    for step in range(2):
        seed_noise(analog, 0, "train", step)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            analog(torch.rand(8, 1, 8, 8, generator=rng)), torch.arange(8)
        )
        loss.backward()
        optimizer.step()
    assert sharing_of(analog)["local1"] != before["local1"]
    agree_with_probing(analog)


def test_layers_that_share_have_nothing_to_measure() -> None:
    assert sharing_of(build("cnn_digits")) == {}
    assert (
        sharing_of(torch.nn.Sequential(LocallyConnected2d(1, 2, 3, 5, placement="blocks(rows=3,cols=3)")))
        == {}
    )


def test_a_map_need_not_be_square() -> None:
    """11 x 12 locations: rings of 4 fit into both, and those of a map read in the wrong order differ."""
    layer = LocallyConnected2d(2, 3, kernel_size=3, input_size=(13, 14))
    with torch.no_grad():
        layer.weight.add_(torch.arange(11 * 12).reshape(-1, *[1] * (layer.weight.dim() - 1)) // 12)
    kernels = layer.weight.detach().double().numpy().reshape(11, 12, -1)  # rows differ, columns hardly
    measures = sharing_of(torch.nn.Sequential(layer))["0"]
    for distance in (1, 4):
        found = [measures[f"{name} {distance}"] for name in ("euclidean", "cosine", "orthogonal")]
        np.testing.assert_allclose(found, slow(kernels, distance), rtol=1e-9)
