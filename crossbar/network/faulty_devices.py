"""Faults of a whole model: devices that fail before they learn in place, and how many of all devices work."""

import torch
from torch import nn

from devices import Faults, ProgrammedTiles, derive_seed
from devices.pulsed import break_, is_faulty
from devices.units import Dimensionless

from ..aihwkit.adapter import PulseType
from .chip import tile_arrays
from .named_refusals import refuse_foreign_layers


@torch.no_grad()
def break_devices(model: nn.Module, faults: Faults) -> None:
    """Let some of the devices fail that will be trained in place; see `devices.pulsed.break_`.

    Which ones belongs to the chip: it follows from the seed of its fabrication, and not from where the devices stand.
    Every device of a unit cell fails by itself, save that a broken word line is that of all of them.

    Args:
        model: A model with analog layers that learn in place, before the training. The faults are part of its state
            from now on.
        faults: How many devices fail.

    Raises:
        ValueError: If no devices are trained in place, or aihwkit's own tiles, or no pulses, train them; or the model
            has analog layers of aihwkit's own.
    """
    refuse_foreign_layers(model, "given faults")
    arrays = [(name, array) for name, array in tile_arrays(model) if array.in_situ is not None]
    if not arrays:
        raise ValueError(
            "`model` must have devices that are trained in place, but has none. "
            "Faults of programmed devices are given to `program_chip`."
        )
    for name, array in arrays:
        in_situ = array.in_situ
        assert in_situ is not None
        if in_situ.reference is not None:
            raise ValueError(
                f"`faults` must be given before aihwkit's own tiles take over, but layer {name!r} has them already. "
                "Use the batched backend; where only aihwkit's tiles can train a layer, its devices cannot fail."
            )
        if in_situ.rpu_config.update.pulse_type == PulseType.NONE:
            raise ValueError(
                f"`faults` must be left out without pulses, but are {str(faults)!r}: with `update.pulse_type` NONE "
                f"the weights of layer {name!r} are numbers in a memory. Choose another pulse type."
            )
        for role, devices in in_situ.cells.device_arrays().items():
            seed = derive_seed(in_situ.seed, "faults")
            faulty = faults.draw(tuple(devices.shape), seed=seed, position=role)
            break_(devices, faulty, in_situ.population)
        array.show_devices()


def device_yield(model: nn.Module) -> Dimensionless:
    """Return which part of a model's devices works: of the programmed chip, or of those that are trained in place.

    Args:
        model: A model with analog layers, programmed or trained in place.

    Raises:
        ValueError: If there are no devices, or analog layers of aihwkit's own.
    """
    refuse_foreign_layers(model, "counted by device_yield")
    faulty = total = 0
    for _, array in tile_arrays(model):
        if array.in_situ is not None:
            exists = array.in_situ.population
            for devices in array.in_situ.cells.device_arrays().values():
                fails = is_faulty(devices) if exists is None else is_faulty(devices) & exists
                total += fails.numel() if exists is None else int(exists.sum())
                faulty += int(fails.sum())
        elif array.programmed is not None:
            assert isinstance(array.programmed, ProgrammedTiles)
            of_array = array.programmed.faulty_and_existing()
            faulty, total = faulty + of_array[0], total + of_array[1]
    if total == 0:
        raise ValueError("`model` must hold devices, but is not programmed. Call `program_chip` first.")
    return 1 - faulty / total
