"""Devices that training has left somewhere, and that drift from there by a law of their own."""

from copy import deepcopy
from functools import reduce

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from devices import ProgrammedTiles, generator
from devices import program as program_devices
from devices.pulsed import is_faulty
from devices.pulsed.retention import drift_
from devices.times import TimeRange, ValidTimes
from devices.units import Seconds

from ..aihwkit.adapter import BaseNoiseModel
from ..learning import UnitCells


def weights_of(cells: UnitCells, population: Tensor | None) -> Float[Tensor, "tiles out in"]:
    """Return what an MVM reads.

    Args:
        cells: The devices.
        population: (tiles, out, in) which of them exist; all if None.
    """
    weight = cells.weights()
    return weight if population is None else weight * population


def trained_devices(
    cells: UnitCells, population: Tensor | None, noise_model: BaseNoiseModel | None, *, seed: int
) -> "ProgrammedTiles | OwnDrift":
    """Return trained devices as a chip that ages from now on; nothing is written.

    Args:
        cells: The devices.
        population: (tiles, out, in) which of them exist; all if None.
        noise_model: The law of their drift and read noise; that of their own `DriftParameter` if None.
        seed: Names the chip: what its devices draw for life.

    Raises:
        ValueError: If there is no law of drift.
    """
    if noise_model is not None:
        return program_devices(
            noise_model,
            weights_of(cells, population),
            seed=seed,
            populated=population,
            programming_noise=False,
            held=stuck_cells(cells),
        )
    arrays = cells.device_arrays().values()
    if all(array.drift_nu is None for array in arrays):
        names = sorted({type(array.device).__name__ for array in arrays})
        raise ValueError(
            f"`noise_model` must be given for devices without a drift model of their own, but is None for "
            f"{', '.join(names)}. Pass one, such as `devices.get('pcm').noise_model()`, or set the device's `drift`."
        )
    return OwnDrift(cells, population, seed)


def stuck_cells(cells: UnitCells) -> Bool[Tensor, "tiles out in"] | None:
    """Return the cells whose weight nothing changes, since no device that adds to it works; None if there is none.

    Args:
        cells: Cells that were trained in place.
    """
    stuck = reduce(torch.logical_and, map(is_faulty, cells.showing()))
    return stuck if stuck.any() else None


class OwnDrift:
    """The devices of a trained array, ageing by the law of their own `DriftParameter`.

    The trained devices themselves stay as they are: every reading lets a copy drift, from where training ended.
    What differs from device to device was drawn at fabrication; what a device draws while it drifts comes from a
    stream that the chip's seed names, so that the same chip at the same time has the same weights.

    Args:
        cells: The trained devices.
        population: (tiles, out, in) which of them exist; all if None.
        seed: Names the chip.
    """

    valid_times: ValidTimes = TimeRange()

    def __init__(self, cells: UnitCells, population: Tensor | None, seed: int) -> None:
        self.cells = cells
        self.population = population
        self.seed = seed

    @property
    def programmed_weights(self) -> Tensor:
        """(tiles, out, in) the weights where training left them."""
        return weights_of(self.cells, self.population).clone()

    @torch.no_grad()
    def read_weights(self, time: Seconds, *, rng: torch.Generator) -> Tensor:
        """Return the weights at a time, in seconds since the end of training. `rng` is not used."""
        aged = deepcopy(self.cells)
        if time > 0:
            for role, array in aged.device_arrays().items():
                drift_(array, time, rng=generator(self.seed, "drift", role))
        return weights_of(aged, self.population).clone()

    def state(self) -> dict[str, Tensor]:
        """Return the seed: the devices are part of the model's own state."""
        return {"seed": torch.tensor(self.seed)}
