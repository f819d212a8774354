"""`xbar wires`: accuracy and error of a trained network against the resistance of wires and the size of arrays."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import product
from typing import Any, Final

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from crossbar import WireParameters, erase_chip, load_model, program_chip, seed_noise, tile_arrays
from crossbar.aihwkit.adapter import BoundManagementType, IOParameters, NoiseManagementType
from crossbar.layers.analog_layer import AnalogLayer
from devices import derive_seed
from devices.units import Dimensionless, MicroSiemens, Ohm

from ...data.datasets import DataSplit
from ...runs.networks.first_network import take_off_tiles
from ...runs.networks.layers import stays_digital
from ...runs.options.config import LEARNS_ON_DEVICES, NO_DEVICE, available_threads
from ...runs.run import Run
from ...runs.run_data import images_of, refuse_too_many
from ...runs.run_folder import RunFolder
from ...runs.run_network import make_model
from ...runs.team.threads import use_threads
from ...runs.training import loss_and_accuracy
from ...support.answer import Answer
from ...support.interruption import Interruption
from ...support.json_files import read_json, write_json
from ...support.progress_bar import progress_bar
from .config import WiresConfig
from .layouts import (
    LARGEST_UNROLLED,
    UNROLLED,
    Layout,
    analog_layers,
    can_be_unrolled,
    inputs_of,
    largest_shorter_side,
    lay_out,
)
from .maps import voltage_maps
from .outputs import draw_and_write
from .points import LayerError, Point

_MOST_TEST_IMAGES: Final = 1000
_IMAGES_FOR_ERRORS: Final = 32  # assumed: some thousand outputs of every layer; their error is known to 2 %
_MICRO: Final = 1e-6


def run_wires(config: WiresConfig) -> Answer:
    """Measure what wires do to a trained network, write tables and figure, print the table.

    Returns:
        The file of numbers.

    Raises:
        ValueError: If the run is not trained, is digital without a device, or has learned on devices.
        FileNotFoundError: If the run or its data are missing.
        RunInterrupted: If the user stopped it; the points that were finished are kept.
    """
    folder = RunFolder.existing(config.run)
    trained = folder.read_config()
    _check(folder, trained)
    folder.admit_own_files(trust=config.trust)
    threads = config.threads or available_threads()
    use_threads(threads)
    data = _data(trained, config)
    model = load_model(folder.model_file, make_model(trained, facts=data.facts)).eval()
    digital = take_off_tiles(model, trained, data.facts) if trained.mode == "hwa" else model
    layouts = [Layout("tiles", size) for size in config.sizes()]
    notes = []
    side = largest_shorter_side(digital)
    kept = stays_digital(digital)
    if kept:
        notes.append(f"Digital, so without wires: {', '.join(kept)}.")
    if not can_be_unrolled(digital):
        notes.append("Layers were not unrolled: only a chain of locally connected and dense layers is.")
    elif side <= LARGEST_UNROLLED:
        layouts.append(Layout(UNROLLED))
    else:
        notes.append(
            f"Layers were not unrolled: the shorter side of an array would be {side} lines, and the time of an exact "
            f"solution grows with its cube (at most {LARGEST_UNROLLED} are tried)."
        )
    ohms = (0.0, *config.resistances())
    sample = {
        "chips": config.chips,
        "test_images": len(data.test),
        "device": trained.device,
        "run": folder.path.name,
    }
    numbers = folder.path / "wires.json"
    known = {} if config.force else _known_points(numbers, sample)
    points: list[Point] = []
    with (
        folder.lock(),
        Interruption("the same command") as interruption,
        progress_bar(
            total=len(layouts) * len(ohms) * (2 * config.chips + 1), desc="wires", unit="chip"
        ) as bar,
    ):
        prepared: dict[Layout, nn.Module] = {}

        def on_tiles(layout: Layout) -> nn.Module:
            if layout not in prepared:
                prepared.clear()
                prepared[layout] = lay_out(layout, digital, trained, data.train)
            return prepared[layout]

        for layout, ohm in product(layouts, ohms):
            key = (layout.name, layout.tile_size, ohm)
            if key in known:
                points.append(known[key])
                bar.update(2 * config.chips + 1)
                continue
            bar.set_postfix_str(f"{layout}, {ohm:g} ohm")
            points.append(
                _measure(on_tiles(layout), layout, ohm, trained, data, config.chips, bar, interruption)
            )
            known[key] = points[-1]
            write_json(numbers, {**sample, "points": [asdict(point) for point in known.values()]})
        ohm = _middle(config.resistances())
        maps = voltage_maps(on_tiles(Layout("tiles", config.sizes()[-1])), ohm)
        if layouts[-1].name == UNROLLED:
            maps += voltage_maps(on_tiles(layouts[-1]), ohm, is_unrolled=True)[:1]
    draw_and_write(points, maps, notes, sample, folder.path)
    return numbers


def _check(folder: RunFolder, trained: Run) -> None:
    if not folder.model_file.exists():
        raise ValueError(
            f"`run` must be trained, but {folder.path} has no model.safetensors yet. "
            f"Finish it with `xbar resume {folder.path}`."
        )
    if trained.mode in LEARNS_ON_DEVICES:
        raise ValueError(
            f"`run` must be trained with --mode hwa or digital, but {folder.path} has learned on its devices, whose "
            "weights have no unit of conductance. Train with --mode hwa."
        )
    if trained.device == NO_DEVICE:
        raise ValueError(
            f"`run` must have a device, but {folder.path} is digital without one. Train with --device pcm."
        )


def _data(trained: Run, config: WiresConfig) -> DataSplit:
    most = min(trained.test_images or _MOST_TEST_IMAGES, _MOST_TEST_IMAGES)
    images = images_of(replace(trained, test_images=config.test_images or most))
    refuse_too_many(config, images)
    return images


def _known_points(path: Any, sample: dict[str, Any]) -> dict[tuple[str, int, Ohm], Point]:
    """Read the points of an earlier call with the same sample; none if there was none, or its file is damaged."""
    try:
        content: Any = read_json(path)
        if {name: content[name] for name in sample} != sample:
            return {}
        points = [Point.from_json(values) for values in content["points"]]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        print(f"{path} is damaged: all of it is computed anew.")
        return {}
    return {(point.layout, point.tile_size, point.ohm): point for point in points}


def _middle(values: Sequence[Ohm]) -> Ohm:
    return values[len(values) // 2]


@torch.no_grad()
def _measure(
    model: nn.Module,
    layout: Layout,
    ohm: Ohm,
    trained: Run,
    data: DataSplit,
    chips: int,
    bar: "tqdm[Any]",
    interruption: Interruption,
) -> Point:
    wires = WireParameters(word_line=ohm, bit_line=ohm) if ohm else None
    errors = _errors(model, data.test.pixels[:_IMAGES_FOR_ERRORS], ohm, trained.seed) if ohm else {}
    bar.update()

    def accuracies() -> list[Dimensionless]:
        values = []
        for chip in range(chips):
            program_chip(model, seed=derive_seed(trained.seed, "chip", chip), compensation="none")
            seed_noise(model, trained.seed, "wires", chip)
            values.append(loss_and_accuracy(model, data.test)[1])
            bar.update()
            interruption.stop_if_requested()
        erase_chip(model)
        return values

    with approximate_wires(model, 0.0):
        for _, array in tile_arrays(model):
            array.use_wires(wires)
        exact = accuracies()
        for _, array in tile_arrays(model):
            array.use_wires(None)
    if not ohm:
        bar.update(chips)
        return Point(layout.name, layout.tile_size, ohm, exact, exact, errors)
    with approximate_wires(model, ohm):
        return Point(layout.name, layout.tile_size, ohm, exact, accuracies(), errors)


@contextmanager
def approximate_wires(model: nn.Module, ohm: Ohm, *, quiet: bool = False) -> Iterator[None]:
    """Set aihwkit's `ir_drop` of every array to bit lines of this resistance; 0 switches it off.

    aihwkit states the conductance of a wire segment relative to the largest of a device, and knows bit lines only
    (`ir_drop_g_ratio`, aihwkit 1.1.0, simulator/parameters/io.py).

    Args:
        model: A model with analog layers.
        ohm: Resistance of a segment.
        quiet: Whether to leave out converters and noise.
    """
    kept = {name: array.rpu_config for name, array in tile_arrays(model)}
    try:
        for _, array in tile_arrays(model):
            array.rpu_config = copy.copy(array.rpu_config)
            array.rpu_config.forward = io = _quiet() if quiet else copy.copy(array.rpu_config.forward)
            io.ir_drop = 1.0 if ohm else 0.0
            if ohm:
                io.ir_drop_g_ratio = 1 / (ohm * _largest_conductance(array.rpu_config) * _MICRO)
        yield
    finally:
        for name, array in tile_arrays(model):
            array.rpu_config = kept[name]


def _quiet() -> IOParameters:
    io = IOParameters(
        inp_bound=0.0,
        inp_res=-1.0,
        inp_noise=0.0,
        out_bound=0.0,
        out_res=-1.0,
        out_noise=0.0,
        w_noise=0.0,
    )
    io.noise_management, io.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    return io


def _largest_conductance(rpu_config: Any) -> MicroSiemens:
    converter = rpu_config.noise_model.g_converter
    if not hasattr(converter, "g_max"):
        raise ValueError(
            f"`g_converter` must state `g_max` for aihwkit's IR drop, but a {type(converter).__name__} does not. "
            "Set it, in µS."
        )
    largest: MicroSiemens = converter.g_max
    return largest


@torch.no_grad()
def _errors(model: nn.Module, pixels: Tensor, ohm: Ohm, seed: int) -> dict[str, LayerError]:
    """Compare the outputs of every layer with ideal wires, exact ones and aihwkit's, without any noise."""
    with approximate_wires(model, 0.0):
        inputs = inputs_of(model, pixels, seed)
    wires = WireParameters(word_line=ohm, bit_line=ohm)
    with approximate_wires(model, ohm, quiet=True):
        return {
            name: _layer_error(layer, inputs[id(layer.tile_array)], wires)
            for name, layer in analog_layers(model).items()
        }


def _layer_error(layer: AnalogLayer, x: Tensor, wires: WireParameters) -> LayerError:
    array = layer.tile_array
    scale = array.of_tiles(array.scales())
    if array.input_range is not None:
        scale = scale * array.input_range.abs()[:, None]
    weight = array.weight_for_reading()
    array.use_wires(wires)
    seen = array.weight_for_reading()
    array.use_wires(None)
    # aihwkit's first word line is the one nearest to the sense amplifiers; ours is the farthest.
    products = x @ weight.mT, x @ seen.mT, array.read(weight.flip(2), x.flip(2))
    ideal, exact, aihwkit = (layer.blocks.sum_outputs(y * scale[:, None, :]) for y in products)
    change = _rms(exact - ideal)
    return LayerError(
        exact=change / _rms(ideal),
        aihwkit=_rms(aihwkit - ideal) / _rms(ideal),
        missed=_rms(aihwkit - exact) / change,
    )


def _rms(values: Tensor) -> Dimensionless:
    return float(values.double().square().mean().sqrt())
