"""Networks that learn on their devices, in situ or by write-verify: their tiles, their optimizer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from crossbar import convert_to_analog, tile_arrays, use_gradient, use_refresh, write_verify_config
from crossbar.aihwkit.adapter import AnalogSGD
from crossbar.learning import why_not_batched
from devices import DeviceModel, derive_seed, get
from devices.pulsed import WriteVerify
from devices.units import Dimensionless

from .networks.layers import stays_digital
from .options.config import lines_of_tile
from .run import Run

__all__ = ["Change", "ages", "analog_sgd", "put_on_learning_tiles", "why_not_batched"]


# Something done to aihwkit's configuration before tiles are made.
Change = Callable[[Any], None]


def ages(device: DeviceModel) -> bool:
    """Say whether a device that learns in situ also has a model of what time does to it afterwards."""
    return device.kind == "both"


def put_on_learning_tiles(network: nn.Module, run: Run, change: Change | None = None) -> nn.Module:
    """Put a digital network onto tiles of devices that learn in situ, or are written while it learns.

    Args:
        network: The digital network with its initial weights.
        run: The run: device, scaling of the weights, engine, backend, writing.
        change: Changes the devices before they are made.
    """
    rpu_config: Any = get(run.device).training_config()
    writing = None if run.write_tolerance is None else WriteVerify(tolerance=run.write_tolerance)
    if writing is not None and run.write_every is not None:  # in situ, only copies and sleep are written
        rpu_config = write_verify_config(rpu_config, writing, write_every=run.write_every)
    if run.transfer_every is not None:
        rpu_config.device.transfer_every = run.transfer_every
    rpu_config.mapping.weight_scaling_omega = run.weight_scaling
    if run.tile_size is not None:
        mapping = rpu_config.mapping
        mapping.max_input_size, mapping.max_output_size = lines_of_tile(run.tile_size)
    if change is not None:
        change(rpu_config)
    # Layers draw the seed of their devices from torch's global stream.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(run.seed, "fabrication"))
        analog = convert_to_analog(
            network,
            rpu_config,
            backend=run.backend,
            faults=run.faults_of_chips,
            exclude_modules=stays_digital(network),
        )
    use_gradient(analog, "exact")
    if run.refresh == "when-full":
        use_refresh(analog, run.refresh)
    for learning in (array.in_situ for _, array in tile_arrays(analog) if array.in_situ is not None):
        if run.engine is not None:
            learning.engine = run.engine
        if writing is not None:
            learning.write_verify = writing
        # The ledger and the record want to know, and counts belong to the state that a checkpoint saves.
        for devices in learning.cells.device_arrays().values():
            devices.count_pulses()
    return analog


def analog_sgd(model: nn.Module, lr: Dimensionless) -> AnalogSGD:
    """Make aihwkit's optimizer: the devices' rule for the devices, plain SGD for the digital biases."""
    optimizer = AnalogSGD(model.parameters(), lr=lr)
    optimizer.regroup_param_groups(model)
    return optimizer
