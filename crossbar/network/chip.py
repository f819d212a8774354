"""The life of a chip, for a whole model: name its noise, program it, let it age, erase it."""

from collections.abc import Iterator
from numbers import Integral

from torch import nn

from devices import Faults, derive_seed, generator
from devices.streams import Name
from devices.times import seconds_of
from devices.units import Seconds

from ..aihwkit.adapter import BaseNoiseModel
from ..layers.locally_connected import LocallyConnected
from ..reading.noise import NoiseStream
from ..tiles.compensation import Compensation
from ..tiles.tile_array import TileArray
from .named_refusals import arrays_to_act_on, layer_name, naming


def tile_arrays(model: nn.Module) -> Iterator[tuple[str, TileArray]]:
    """Iterate over the tile arrays of a model and their names."""
    for name, module in model.named_modules():
        if isinstance(module, TileArray):
            yield name, module


def seed_noise(model: nn.Module, seed: int, *names: Name) -> None:
    """Start every layer's noise stream anew, named by the seed, the names and the layer.

    Called with the number of the training step among the names, it makes the noise of a step independent of
    what ran before, so that a resumed run repeats an uninterrupted one.

    Args:
        model: A model with analog layers, digital layers with redrawn placements, or both.
        seed: The run's seed.
        names: What the noise is for, for example `"train", step`.
    """
    for name, array in tile_arrays(model):
        array.noise = NoiseStream(seed, *names, name, part=array.noise.part)
    for name, module in model.named_modules():
        if isinstance(module, LocallyConnected):
            module.placement_rng = generator(seed, *names, name, "placement")


def program_chip(
    model: nn.Module,
    noise_model: BaseNoiseModel | None = None,
    *,
    seed: int | None = None,
    compensation: Compensation | None = None,
    faults: Faults | None = None,
) -> None:
    """Program the trained weights of every analog layer into the devices of one chip.

    Devices that were trained in place are not written: they are where training left them, and age from there.

    Args:
        model: A model with analog layers.
        noise_model: Device model; that of each layer's configuration if None, or for devices that were trained in
            place that of their own `DriftParameter`.
        seed: Names the chip: its programming noise, the drift of its devices, and which of them fail; drawn from the
            layers' noise streams if None.
        compensation: "none", "global" (one factor for each layer), "per_tile" or "per_column"; that of each
            layer's configuration if None.
        faults: How many devices fail. Devices that were trained in place had theirs before: see `break_devices`.

    Raises:
        TypeError: If the seed is no whole number.
        ValueError: If the model has no analog layer, or analog layers of aihwkit's own, or devices that were trained
            in place have no law of drift, or are to fail only now.
    """
    _check_is_seed(seed)
    for name, array in arrays_to_act_on(model, "programmed by program_chip"):
        with naming(layer_name(name)):
            of_layer = None if seed is None else derive_seed(seed, name)
            array.program(noise_model, seed=of_layer, compensation=compensation, faults=faults)


def age_chip(model: nn.Module, time: Seconds | str, *, seed: int | None = None) -> None:
    """Let a programmed chip drift until a time, and read it there.

    Args:
        model: A model that `program_chip` has programmed.
        time: Seconds since the end of programming, or as people write it: "1h", "1d", "1y".
        seed: Names the read noise; the drift belongs to the chip. Drawn from the layers' noise streams if None.

    Raises:
        RuntimeError: If a layer is not programmed.
        TypeError: If the seed is no whole number.
        ValueError: If the model has no analog layer, or analog layers of aihwkit's own, or the device models know
            no such time.
    """
    seconds = seconds_of(time)
    _check_is_seed(seed)
    for name, array in arrays_to_act_on(model, "aged by age_chip"):
        with naming(layer_name(name)):
            of_layer = None if seed is None else derive_seed(seed, name, "at", repr(float(seconds)))
            array.at(seconds, seed=of_layer)


def _check_is_seed(seed: object) -> None:
    is_whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if seed is not None and not is_whole:
        raise TypeError(
            f"`seed` must be a whole number or None, but is {seed!r}. Give for example seed=0; derive_seed makes one "
            "of a number and names."
        )


def erase_chip(model: nn.Module) -> None:
    """Forget the programmed devices: evaluation uses the trained weights again."""
    for _, array in tile_arrays(model):
        array.erase()
