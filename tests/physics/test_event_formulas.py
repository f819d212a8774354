"""Ledgers against the closed formulas of the notes on costs (3b, 3c), written once more, and counts by hand.

Everything here is exact: no tolerances.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig
from aihwkit.simulator.configs.devices import SoftBoundsDevice
from aihwkit.simulator.configs.utils import (
    BoundManagementType,
    NoiseManagementType,
)
from torch import Tensor, nn

import crossbar.tiles.pulsed
from crossbar import (
    AnalogConv2d,
    AnalogLinear,
    AnalogLocallyConnected2d,
    EventLedger,
    LocallyConnected2d,
    program_chip,
    record_events,
    write_verify_config,
)
from crossbar.cost.events import PHASES
from crossbar.learning import MixedPrecision, WriteVerifyCells
from crossbar.learning.synchronisation import SyncCounts
from crossbar.network.soft_sharing import sleep
from devices import get


@dataclass(frozen=True)
class Numbers:
    """The symbols of the notes: locations, tiles, kernels, inputs, outputs, busiest tile, blocks, batch."""

    L: int
    T: int
    K: int
    n: int
    m: int
    w: int
    a_r: int
    a_c: int
    B: int


# Two inputs channels, 2 x 2 kernels, 5 outputs: n = 8, m = 5. Name: tiles, kernels, locations of the busiest tile.
ON_2_BY_2 = {
    "free": (4, 4, 1),
    "time_multiplexed": (1, 1, 4),
    "replicated": (4, 1, 1),
    "replicated(tiles=3)": (3, 1, 2),
    "replicated(tiles=3,sync_every=1)": (3, 1, 2),
    "replicated(tiles=2,sync_every=2)": (2, 1, 2),
    "blocks(rows=1,cols=2)": (2, 2, 2),
    "interleaved(period=2)": (4, 4, 1),
    "random(tiles=3)": (3, 3, 2),
    "random(tiles=3,redraw=True)": (3, 3, 2),
}
ON_3_BY_3 = {
    "free": (9, 9, 1),
    "time_multiplexed": (1, 1, 9),
    "replicated(tiles=4)": (4, 1, 3),
    "replicated(tiles=4,sync_every=1)": (4, 1, 3),
    "replicated(tiles=4,sync_every=2)": (4, 1, 3),
    "blocks(rows=2,cols=1)": (2, 2, 6),
    "interleaved(period=2)": (4, 4, 4),
    "random(tiles=4)": (4, 4, 3),
    "random(tiles=4,redraw=True)": (4, 4, 3),
}
CASES = [(2, name) for name in ON_2_BY_2] + [(3, name) for name in ON_3_BY_3]
TRAINED_TOGETHER = [(side, name) for side, name in CASES if "sync_every" not in name]


def numbers(side: int, placement: str, split: bool, batch: int) -> Numbers:
    tiles, kernels, width = (ON_2_BY_2 if side == 2 else ON_3_BY_3)[placement]
    a_r, a_c = (3, 2) if split else (1, 1)  # inputs 3 + 3 + 2, outputs 3 + 2
    return Numbers(side * side, tiles, kernels, 8, 5, width, a_r, a_c, batch)


def adapted(config: Any, split: bool) -> Any:
    config = deepcopy(config)
    config.forward.bound_management = BoundManagementType.NONE
    config.mapping.max_input_size, config.mapping.max_output_size = (3, 3) if split else (512, 512)
    config.mapping.weight_scaling_omega = 0.4
    return config


def local_layer(side: int, placement: str, config: Any, split: bool = False) -> AnalogLocallyConnected2d:
    torch.manual_seed(0)
    return AnalogLocallyConnected2d(2, 5, 2, side + 1, placement=placement, rpu_config=adapted(config, split))


def images(batch: int, side: int) -> Tensor:
    x = torch.rand(batch, 2, side + 1, side + 1, generator=torch.Generator().manual_seed(batch))
    return x.requires_grad_()


def in_situ_config() -> SingleRPUConfig:
    return SingleRPUConfig(device=SoftBoundsDevice())


def forward_of(s: Numbers) -> dict[str, int]:
    return products(s.B * s.L, s.n, s.m, s.a_r, s.a_c, s.B * s.w, s.T > 1)


def backward_of(s: Numbers) -> dict[str, int]:
    """The transposed products: inputs and outputs change places, gradients always come over the network."""
    return products(s.B * s.L, s.m, s.n, s.a_c, s.a_r, s.B * s.w, True)


def products(vectors: int, n: int, m: int, a_r: int, a_c: int, serial: int, comes: bool) -> dict[str, int]:
    dac = vectors * n * a_c
    return {
        "mvms": vectors * a_r * a_c,
        "dac_conversions": dac,
        "adc_conversions": vectors * m * a_r,
        "cell_reads": vectors * n * m,
        "serial_mvms": serial,
        "partial_sums": vectors * m * (a_r - 1),
        "scalings": vectors * m,
        "input_bytes": dac,
        "output_bytes": vectors * m,
        "network_bytes": vectors * m + (dac if comes else 0),
    }


def of(ledger: EventLedger, phase: str, name: str = "") -> dict[str, int]:
    return dict(ledger.layers[name].counts[phase])


def nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {name: number for name, number in counts.items() if number}


def train(layer: nn.Module, x: Tensor, steps: int = 1, rate: float = 0.1) -> EventLedger:
    optimizer = AnalogSGD(layer.parameters(), lr=rate)
    layer.train()
    with record_events(layer) as ledger:
        for _ in range(steps):
            optimizer.zero_grad()
            (layer(x) ** 2).mean().backward()
            optimizer.step()
    assert (ledger.steps, ledger.training_images, ledger.images) == (steps, steps * len(x), 0)
    return ledger


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("side", "placement"), TRAINED_TOGETHER)
def test_inference_and_programming(side: int, placement: str, split: bool, batch: int) -> None:
    s = numbers(side, placement, split, batch)
    layer = local_layer(side, placement, InferenceRPUConfig(), split).eval()
    with record_events(layer) as ledger:
        program_chip(layer, compensation="none", seed=0)
        layer(images(batch, side))
    assert of(ledger, "programming") == {"written_cells": s.T * s.n * s.m}
    assert of(ledger, "forward") == nonzero(forward_of(s))
    assert all(not of(ledger, phase) for phase in ("backward", "update", "gradient", "synchronisation"))
    assert (ledger.images, ledger.training_images, ledger.steps) == (batch, 0, 0)


@pytest.mark.parametrize("split", [False, True])
def test_compensation_reads_every_word_line_at_every_time(split: bool) -> None:
    layer = local_layer(2, "free", InferenceRPUConfig(), split).eval()
    array = layer.tile_array
    with record_events(layer) as ledger:
        program_chip(layer, compensation="global", seed=0)
        array.at(1.0, seed=1)
        array.at(9.0, seed=2)
    # Tiles of 3 word lines and 3 bit lines each where kernels are split; surplus lines are read with the others.
    tiles, rows, columns = (4 * 6, 3, 3) if split else (4, 8, 5)
    read = 3 * tiles * rows
    assert of(ledger, "programming") == {
        "written_cells": 4 * 8 * 5,
        "readback_rows": read,
        "mvms": read,
        "dac_conversions": read,
        "adc_conversions": read * columns,
        "cell_reads": read * columns,
    }


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("side", "placement"), CASES)
def test_training_in_place(
    side: int, placement: str, batch: int, split: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, s = 2, numbers(side, placement, split, batch)
    taken = caught_synchronisations(monkeypatch)
    ledger = train(local_layer(side, placement, in_situ_config(), split), images(batch, side), steps)
    twice = {name: steps * number for name, number in forward_of(s).items()}
    assert of(ledger, "forward") == nonzero(twice)
    assert of(ledger, "backward") == nonzero({n: steps * number for n, number in backward_of(s).items()})
    copies = s.T // s.K if "sync_every" not in placement else 1
    update = of(ledger, "update")
    vectors = steps * s.B * s.L
    assert update["updates"] == vectors * copies
    assert update.get("network_bytes", 0) == vectors * (s.n + s.m) * (copies - 1)
    assert set(update) - {"updates", "network_bytes"} == {"update_pulses", "line_pulses", "serial_slots"}
    assert not of(ledger, "gradient")
    assert not of(ledger, "programming")

    every = int(placement.split("sync_every=")[1][0]) if "sync_every" in placement else 0
    assert len(taken) == (steps // every if every else 0)
    sync = of(ledger, "synchronisation")
    if not every:
        assert not sync
        return
    times = steps // every
    tile_in, tile_out = (3, 3) if split else (8, 5)
    tiles, devices = s.T * s.a_r * s.a_c, s.n * s.m  # surplus cells hold none
    rows = sum(one.write.verify_rows for one in taken)
    assert sync["synchronisations"] == times
    assert sync["readback_rows"] == times * tiles * tile_in
    assert sync["allreduce_bytes"] == times * 2 * (s.T - 1) * devices * 2
    assert sync["allreduce_adds"] == times * (s.T - 1) * devices
    assert sync["verify_rows"] == rows >= times * s.T * s.n * s.a_c  # every word line at least once
    assert sync["mvms"] == sync["dac_conversions"] == rows + times * tiles * tile_in
    assert sync["adc_conversions"] == sync["cell_reads"] == sync["mvms"] * tile_out
    assert sync.get("programming_pulses", 0) == sum(one.write.pulses for one in taken)
    assert sync["serial_rows"] == sum(one.write.serial_rows for one in taken)
    assert sync["serial_mvms"] == sync["serial_rows"] + times * tile_in


def caught_synchronisations(monkeypatch: pytest.MonkeyPatch) -> list[SyncCounts]:
    taken: list[SyncCounts] = []
    synchronise = crossbar.tiles.pulsed.synchronise

    def catch(*args: Any, **kwargs: Any) -> SyncCounts:
        taken.append(synchronise(*args, **kwargs))
        return taken[-1]

    monkeypatch.setattr(crossbar.tiles.pulsed, "synchronise", catch)
    return taken


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("side", "placement"), TRAINED_TOGETHER)
def test_digital_gradient_and_write_verify(side: int, placement: str, split: bool) -> None:
    steps, batch = 2, 3
    s = numbers(side, placement, split, batch)
    layer = local_layer(side, placement, write_verify_config(in_situ_config()), split)
    cells = layer.tile_array.cells
    assert isinstance(cells, WriteVerifyCells)
    ledger = train(layer, images(batch, side), steps)
    assert of(ledger, "forward") == nonzero({n: steps * number for n, number in forward_of(s).items()})
    assert of(ledger, "backward") == nonzero({n: steps * number for n, number in backward_of(s).items()})
    assert not of(ledger, "update")
    assert not of(ledger, "synchronisation")
    total, tile_out = cells.writes_total, 3 if split else 5
    macs = steps * s.B * s.L * s.n * s.m
    assert of(ledger, "gradient") == nonzero(
        {
            "digital_macs": macs,
            "accumulator_bytes": 8 * macs,
            "programming_pulses": total.pulses,
            "verify_rows": total.verify_rows,
            "serial_rows": total.serial_rows,
            "mvms": total.verify_rows,
            "dac_conversions": total.verify_rows,
            "adc_conversions": total.verify_rows * tile_out,
            "cell_reads": total.verify_rows * tile_out,
            "allreduce_bytes": steps * 2 * (s.T - s.K) * s.n * s.m * 4,
            "allreduce_adds": steps * (s.T - s.K) * s.n * s.m,
        }
    )
    assert total.adc == total.verify_rows * tile_out
    assert total.verify_rows >= steps * s.T * s.n * s.a_c


@pytest.mark.parametrize(("side", "placement"), TRAINED_TOGETHER)
@pytest.mark.parametrize("is_digital", [True, False])
def test_training_in_software_is_multiplications_only(side: int, placement: str, is_digital: bool) -> None:
    s = numbers(side, placement, False, 3)
    layer: nn.Module = (
        LocallyConnected2d(2, 5, 2, side + 1, placement=placement)
        if is_digital
        else local_layer(side, placement, InferenceRPUConfig())
    )
    x = images(3, side)
    first = train(layer, x.detach())
    assert not of(first, "backward")
    assert of(first, "gradient") == of(first, "forward")
    ledger = train(layer, x)
    macs = {"digital_macs": s.B * s.L * s.n * s.m}
    for phase in PHASES:
        assert of(ledger, phase) == (macs if phase in ("forward", "backward", "gradient") else {})
    assert ledger.layers[""].shape.is_analog is not is_digital


@pytest.mark.parametrize("kind", ["in place", "write-verify", "inference", "digital"])
@pytest.mark.parametrize("batch", [1, 4])
def test_dense_layers(kind: str, batch: int) -> None:
    s = Numbers(L=1, T=1, K=1, n=8, m=5, w=1, a_r=3, a_c=2, B=batch)
    configs = {"in place": in_situ_config(), "write-verify": write_verify_config(in_situ_config())}
    x = torch.rand(batch, 8).requires_grad_()
    if kind == "digital":
        ledger = train(nn.Linear(8, 5), x)
        assert {phase: of(ledger, phase).get("digital_macs", 0) for phase in PHASES[:4]} == {
            "forward": 40 * batch,
            "backward": 40 * batch,
            "update": 0,
            "gradient": 40 * batch,
        }
        return
    layer = AnalogLinear(8, 5, rpu_config=adapted(configs.get(kind, InferenceRPUConfig()), True))
    if kind == "inference":
        with record_events(layer.eval()) as ledger:
            layer(x)
        assert of(ledger, "forward") == nonzero(forward_of(s))
        return
    ledger = train(layer, x)
    assert of(ledger, "forward") == nonzero(forward_of(s))
    assert of(ledger, "backward") == nonzero(backward_of(s))
    assert of(ledger, "update").get("updates", 0) == (batch if kind == "in place" else 0)
    assert of(ledger, "gradient").get("digital_macs", 0) == (0 if kind == "in place" else 40 * batch)
    assert "allreduce_bytes" not in of(ledger, "gradient")


def test_a_convolution_counts_the_locations_of_each_image() -> None:
    layer = AnalogConv2d(2, 5, 2, rpu_config=adapted(InferenceRPUConfig(), False)).eval()
    with record_events(layer) as ledger:
        layer(torch.rand(2, 2, 3, 3))  # 2 x 2 locations
        layer(torch.rand(2, 4, 5))  # one image, 3 x 4 locations
    locations = 2 * 4 + 12
    assert of(ledger, "forward") == nonzero(products(locations, 8, 5, 1, 1, locations, False))
    assert ledger.images == 3


def test_what_is_first_in_a_network_passes_no_gradient_back() -> None:
    layer = local_layer(2, "free", in_situ_config())
    ledger = train(layer, images(2, 2).detach())
    assert not of(ledger, "backward")
    assert of(ledger, "update")["updates"] == 8


def test_looking_at_the_test_set_while_training_is_inference() -> None:
    s = numbers(2, "free", False, 2)
    layer = local_layer(2, "free", in_situ_config())
    x = images(2, 2)
    with record_events(layer) as ledger:
        (layer.train()(x) ** 2).mean().backward()
        with torch.no_grad():
            layer.eval()(x)
    assert (ledger.training_images, ledger.steps, ledger.images) == (2, 1, 2)
    assert of(ledger, "forward") == nonzero({name: 2 * number for name, number in forward_of(s).items()})
    assert of(ledger, "update") == {"updates": 8}
    assert of(ledger, "backward") == nonzero(backward_of(s))


# Bound management --------------------------------------------------------------------------------------------------


def test_repeats_of_bound_management_by_hand() -> None:
    """aihwkit halves the input until no output exceeds the bound of the ADC.

    Weights of 1 and a bound of 1: a sum of 7 clips, so do 3.5 and 1.75, but 0.875 does not: three repeats. Sums of 3
    and 0.5 need two and none. One tile holds 3 word lines (of 8, in blocks of 3, 3 and 2), so the sums are of tiles.
    """
    config = adapted(InferenceRPUConfig(), False)
    io = config.forward
    io.bound_management, io.noise_management = BoundManagementType.ITERATIVE, NoiseManagementType.NONE
    io.inp_bound, io.inp_res, io.out_bound, io.out_res = 100.0, -1, 1.0, -1
    io.inp_noise = io.out_noise = io.w_noise = 0.0
    config.mapping.weight_scaling_omega, config.pre_post.input_range.enable = 0.0, False
    sums = torch.tensor([7.0, 3.0, 0.5, -7.0])
    repeats = 3 + 2 + 0 + 3

    whole = AnalogLinear(8, 5, bias=False, rpu_config=config).eval()
    whole.set_weights(torch.ones(5, 8))
    x = torch.zeros(4, 8)
    x[:, 0] = sums
    with record_events(whole) as ledger:
        y = whole(x)
        whole(x[2:3])  # what clipped before is not counted again
    assert torch.equal(y, sums[:, None].expand(4, 5))
    counts = of(ledger, "forward")
    assert counts["mvms"] == 5 + repeats
    assert counts["dac_conversions"] == counts["input_bytes"] == (5 + repeats) * 8
    assert counts["adc_conversions"] == (5 + repeats) * 5
    assert counts["cell_reads"] == (5 + repeats) * 40
    assert counts["serial_mvms"] == 5 + repeats
    assert counts["output_bytes"] == 5 * 5

    config.mapping.max_input_size = config.mapping.max_output_size = 3
    split = AnalogLinear(8, 5, bias=False, rpu_config=config).eval()
    split.set_weights(torch.ones(5, 8))
    x[:, 7] = torch.tensor([0.0, 0.0, 3.0, 0.0])  # the last block of 2 inputs repeats twice
    with record_events(split) as ledger:
        split(x)
    counts = of(ledger, "forward")
    # Blocks of outputs, 3 and 2: both read each of the blocks of inputs.
    assert counts["mvms"] == 4 * 6 + 2 * (repeats + 2)
    assert counts["dac_conversions"] == 4 * 8 * 2 + 2 * (repeats * 3 + 2 * 2)
    assert counts["adc_conversions"] == 4 * 5 * 3 + 5 * (repeats + 2)
    assert counts["cell_reads"] == 4 * 40 + 5 * (repeats * 3 + 2 * 2)
    # All tiles work on one vector: of the third the first block repeats nothing, and the last one twice.
    assert counts["serial_mvms"] == 4 + repeats + 2


def test_mixed_precision_multiplies_digitally_and_writes_with_pulses() -> None:
    layer = AnalogLinear(8, 5, rpu_config=adapted(get("mixed-precision-reram-sb").training_config(), False))
    assert isinstance(layer.tile_array.cells, MixedPrecision)
    array = next(iter(layer.tile_array.cells.device_arrays().values()))
    array.count_pulses()
    ledger = train(layer, torch.rand(4, 8).requires_grad_(), steps=3, rate=1.0)
    assert of(ledger, "gradient") == {"digital_macs": 3 * 4 * 40, "accumulator_bytes": 8 * 3 * 4 * 40}
    update = of(ledger, "update")
    assert update.get("update_pulses", 0) == int(array.pulses().sum()) > 0
    assert "updates" not in update


# Nothing twice, nothing negative -----------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [in_situ_config(), write_verify_config(in_situ_config())])
def test_a_sleep_is_counted_once(config: Any) -> None:
    layer = local_layer(2, "free", config)
    array = layer.tile_array
    for devices in array.cells.device_arrays().values():
        devices.count_pulses()
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    with record_events(layer.train()) as ledger:
        (layer(images(3, 2)) ** 2).mean().backward()
        optimizer.step()
        sleep(layer, 0.5, seed=1)
    pulses = sum(int(devices.pulses().sum()) for devices in array.cells.device_arrays().values())
    counted = ledger.total("update_pulses") + ledger.total("programming_pulses")
    assert counted == pulses
    assert ledger.total("synchronisations") == 1
    assert ledger.total("programming_pulses", "synchronisation") > 0
    if isinstance(array.cells, WriteVerifyCells):
        total = array.cells.writes_total
        assert ledger.total("programming_pulses") == total.pulses == pulses
        assert ledger.total("verify_rows") == total.verify_rows
        assert ledger.total("serial_rows") == total.serial_rows


def test_setting_weights_meanwhile_takes_no_events_back() -> None:
    s = numbers(2, "replicated", False, 3)
    layer = local_layer(2, "replicated", write_verify_config(in_situ_config(), write_every=2))
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    with record_events(layer.train()) as ledger:
        for step in range(4):
            if step == 3:
                layer.set_weights(*layer.get_weights())  # starts to count mini-batches anew
            optimizer.zero_grad()
            (layer(images(3, 2)) ** 2).mean().backward()
            optimizer.step()
    gradient = of(ledger, "gradient")
    assert gradient["allreduce_adds"] == (s.T - 1) * s.n * s.m
    assert gradient["verify_rows"] == layer.tile_array.cells.writes_total.verify_rows > 0
    assert EventLedger.from_json(ledger.to_json()) == ledger


@pytest.mark.parametrize("split", [False, True])
def test_writing_reaches_no_cell_without_device(split: bool) -> None:
    """All pulses that devices count are in the ledger, once, also where tiles have surplus cells."""
    layer = local_layer(2, "replicated(tiles=3,sync_every=1)", in_situ_config(), split)
    arrays = layer.tile_array.cells.device_arrays().values()
    for array in arrays:
        array.count_pulses()
    ledger = train(layer, images(3, 2), steps=3)
    population = layer.tile_array.tile_population()
    exists = torch.ones(()) if population is None else population
    pulses = sum(int((array.pulses() * exists).sum()) for array in arrays)
    assert ledger.total("update_pulses") + ledger.total("programming_pulses") == pulses
    assert ledger.total("update_pulses", "update") > 0
