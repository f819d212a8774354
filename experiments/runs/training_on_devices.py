"""Networks that learn on their devices, in situ or by write-verify: their tiles, their optimizer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import torch
from torch import nn

from crossbar import convert_to_analog, tile_arrays, use_gradient, write_verify_config
from crossbar.aihwkit.adapter import AnalogSGD
from crossbar.learning import why_not_batched
from devices import DeviceModel, derive_seed, get
from devices.pulsed import WriteVerify
from devices.units import Dimensionless

from .options.config import TrainConfig
from .options.fault_options import faults_of

__all__ = ["ages", "analog_sgd", "put_on_learning_tiles", "why_not_batched"]


_CHANGE: Final[ContextVar[Callable[[Any], None] | None]] = ContextVar("_CHANGE", default=None)


@contextmanager
def configuration_changed(change: Callable[[Any], None]) -> Iterator[None]:
    """Let every training in situ within the block change aihwkit's configuration before it makes the tiles."""
    token = _CHANGE.set(change)
    try:
        yield
    finally:
        _CHANGE.reset(token)


def ages(device: DeviceModel) -> bool:
    """Say whether a device that learns in situ also has a model of what time does to it afterwards."""
    return device.kind == "both"


def put_on_learning_tiles(network: nn.Module, config: TrainConfig) -> nn.Module:
    """Put a digital network onto tiles of devices that learn in situ, or are written while it learns.

    Args:
        network: The digital network with its initial weights.
        config: The resolved configuration: device, scaling of the weights, engine, backend, writing.
    """
    rpu_config: Any = get(config.device).training_config()
    writing = None if config.write_tolerance is None else WriteVerify(tolerance=config.write_tolerance)
    if config.mode == "write-verify":
        assert writing is not None
        assert config.write_every is not None
        rpu_config = write_verify_config(rpu_config, writing, write_every=config.write_every)
    rpu_config.mapping.weight_scaling_omega = config.weight_scaling
    if config.tile_size is not None:
        rpu_config.mapping.max_input_size = rpu_config.mapping.max_output_size = config.tile_size
    change = _CHANGE.get()
    if change is not None:
        change(rpu_config)
    # Layers draw the seed of their devices from torch's global stream.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "fabrication"))
        analog = convert_to_analog(
            network,
            rpu_config,
            backend=config.backend,
            faults=faults_of(config),
        )
    use_gradient(analog, "exact")
    for _, array in tile_arrays(analog):
        assert array.in_situ is not None
        if config.engine is not None:
            array.in_situ.engine = config.engine
        if writing is not None:
            array.in_situ.write_verify = writing
        # The ledger and the record want to know, and counts belong to the state that a checkpoint saves.
        for devices in array.in_situ.cells.device_arrays().values():
            devices.count_pulses()
    return analog


def analog_sgd(model: nn.Module, lr: Dimensionless) -> AnalogSGD:
    """Make aihwkit's optimizer: the devices' rule for the devices, plain SGD for the digital biases."""
    optimizer = AnalogSGD(model.parameters(), lr=lr)
    optimizer.regroup_param_groups(model)
    return optimizer
