"""One chip as evaluation sees it: what the devices hold, the last reading of them, and its compensation."""

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from devices import Faults, ProgrammedTiles, generator
from devices import program as program_devices
from devices.programming import Circuit
from devices.units import Seconds

from ..aihwkit.adapter import BaseNoiseModel, GlobalDriftCompensationWithExactReference
from ..reading.noise import NoiseStream
from ..wires.tiles import seen_through
from .compensation import Compensation, identity_inputs, readout
from .pulsed_drift import OwnDrift, trained_devices

if TYPE_CHECKING:
    from .tile_array import TileArray

Devices = ProgrammedTiles | OwnDrift


class ChipReading(nn.Module):
    """What the devices of one chip hold, and what was last read of them.

    A module, so that it is copied and moved with the tiles; a chip is in no state dictionary, but in `state`.

    Right after programming every word line is read in turn, and again at every later time; the ratio compensates
    drift.

    Args:
        devices: The devices after programming, or after training where nothing is programmed.
        array: The tiles that they belong to.

    Attributes:
        weight: (tiles, out, in) what the last reading saw, in units of the largest conductance.
        baseline: The readout right after programming; None without compensation.
        factor: (tiles, 1, 1) or (tiles, 1, out) what outputs are multiplied with; None before the first ageing.
        time: When the devices were last read, since the end of programming; 0 right after it. None in a chip from a
            file that does not say.
    """

    weight: Tensor
    baseline: Tensor | None
    factor: Tensor | None

    def __init__(self, devices: Devices, array: "TileArray") -> None:
        super().__init__()
        self.devices = devices
        self.register_buffer("weight", devices.programmed_weights.to(array.weight), persistent=False)
        self.register_buffer("baseline", None, persistent=False)
        self.register_buffer("factor", None, persistent=False)
        self.time: Seconds | None = 0.0

    def take_baseline(self, array: "TileArray", *, seed: int) -> None:
        """Read what later readouts will be compared with, if the array compensates drift."""
        if array.compensation == "none":
            return
        settings = getattr(array.rpu_config, "drift_compensation", None)
        if isinstance(settings, GlobalDriftCompensationWithExactReference):
            outputs = array.target_weights().transpose(1, 2)
        else:
            outputs = self.outputs(array, NoiseStream(seed, "baseline"))
        self.baseline = readout(outputs, array.compensation)

    def at(self, time: Seconds, array: "TileArray", *, seed: int) -> None:
        """Let the devices age until a time, read them, and compensate."""
        self.weight = self.devices.read_weights(time, rng=generator(seed, "read")).to(array.weight)
        self.time = float(time)
        if self.baseline is not None:
            outputs = self.outputs(array, NoiseStream(seed, "compensation"))
            self.factor = self.baseline / readout(outputs, array.compensation)

    def outputs(self, array: "TileArray", noise: NoiseStream) -> Tensor:
        """Read every word line in turn, (tiles, in, out), with noise of its own stream."""
        kept, array.noise = array.noise, noise
        if array.events is not None:
            array.events.add("programming", readback_rows=array.tiles * array.in_size)
        try:
            return array.read(self.weight, identity_inputs(array.tiles, array.in_size, self.weight))
        finally:
            array.noise = kept

    def state(self) -> dict[str, Tensor]:
        """Return everything as plain tensors."""
        time = None if self.time is None else torch.tensor(self.time, dtype=torch.float64)
        parts = {"read_weight": self.weight, "baseline": self.baseline, "factor": self.factor, "time": time}
        reading = {f"reading.{name}": tensor for name, tensor in parts.items() if tensor is not None}
        return {**self.devices.state(), **reading}


@torch.no_grad()
def write_chip(
    array: "TileArray", noise_model: BaseNoiseModel | None, *, seed: int, faults: Faults | None = None
) -> ChipReading:
    """Write the trained weights into devices, or take those that were trained in place as they are.

    Raises:
        ValueError: If devices that were trained in place have no law of drift, or are to fail only now.
    """
    devices: Devices
    if array.in_situ is not None:
        if faults is not None:
            raise ValueError(
                f"`faults` must be None for devices that were trained in place, but are {str(faults)!r}: theirs were "
                "drawn when they were made. Use `break_devices` before the training."
            )
        devices = trained_devices(array.in_situ, noise_model, seed=seed)
    else:
        noise_model = array.rpu_config.noise_model if noise_model is None else noise_model
        population = array.tile_population()
        target = array.target_weights()
        devices = program_devices(
            noise_model, target, seed=seed, populated=population, faults=faults, circuit=_circuit(array)
        )
        if array.events is not None:
            cells = array.tiles * array.out_size * array.in_size
            array.events.add(
                "programming", written_cells=cells if population is None else int(population.sum())
            )
    reading = ChipReading(devices, array)
    reading.take_baseline(array, seed=seed)
    return reading


def _circuit(array: "TileArray") -> Circuit | None:
    return None if array.wires is None else partial(seen_through, array.wires.resistances)


def restore_chip(
    array: "TileArray",
    state: dict[str, Tensor],
    compensation: Compensation,
    noise_model: BaseNoiseModel | None = None,
) -> None:
    """Bring back the chip whose `ChipReading.state` was kept.

    Args:
        array: The tiles it belongs to.
        state: What was kept.
        compensation: How its drift is compensated.
        noise_model: Its device model; that of the array's configuration if None.

    Raises:
        ValueError: If a tensor is missing, or the configuration has no device model.
    """
    devices: Devices
    if array.in_situ is not None and "target_weights" not in state:
        devices = OwnDrift(array.in_situ, int(state["seed"]))
    else:
        noise_model = getattr(array.rpu_config, "noise_model", None) if noise_model is None else noise_model
        if noise_model is None:
            raise ValueError(
                "`noise_model` must be given for a chip that was trained in place and ages by the law of a device "
                "model, but is None. Pass the one that `program_chip` was given."
            )
        devices = ProgrammedTiles.from_state(noise_model, state, circuit=_circuit(array))
    array.compensation = compensation
    array.reading = reading = ChipReading(devices, array)
    reading.weight = state["reading.read_weight"].to(reading.weight)
    baseline, factor = state.get("reading.baseline"), state.get("reading.factor")
    reading.baseline = None if baseline is None else baseline.to(reading.weight)
    reading.factor = None if factor is None else factor.to(reading.weight)
    reading.time = float(state["reading.time"]) if "reading.time" in state else None
    array.keep_settled()
