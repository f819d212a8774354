"""Training with a digital gradient and devices that are only written: the configuration."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from devices.aihwkit_adapter import ConstantStepDevice, PulsedDevice
from devices.pulsed import WriteVerify

from ..aihwkit.adapter import (
    MixedPrecisionCompound,
    OneSidedUnitCell,
    ReferenceUnitCell,
    SingleRPUConfig,
    TransferCompound,
    VectorUnitCell,
)


@dataclass
class WriteVerifyRPUConfig(SingleRPUConfig):
    """aihwkit's configuration of a tile, extended by how its devices are written.

    Forward and backward pass go through the tiles. The gradient is computed in digital and added to target weights in
    a digital memory; from time to time the write-verify loop brings the devices there.

    Attributes:
        device: A plain pulsed device, or a one-sided pair of them.
        write_verify: Tolerance, noise of the reads, most bursts.
        write_every: Mini-batches between two writes.
    """

    device: PulsedDevice | OneSidedUnitCell = field(default_factory=ConstantStepDevice)
    write_verify: WriteVerify = field(default_factory=WriteVerify)
    write_every: int = 1

    def __post_init__(self) -> None:
        if self.write_every < 1:
            raise ValueError(
                f"`write_every` must be at least 1, but is {self.write_every}. 1 writes after every mini-batch."
            )


def write_verify_config(
    training_config: Any, settings: WriteVerify | None = None, write_every: int = 1
) -> WriteVerifyRPUConfig:
    """Keep the devices and the periphery of a training configuration, and write instead of pulsing gradients.

    Of a compound or a cell of several devices, which are learning rules, one plain device remains: the slow one, the
    first of equal ones, the one that mixed precision writes. One-sided pairs stay pairs. With the pulse types NONE
    and NONE_WITH_DEVICE devices are set to their target exactly, free of pulses.

    Args:
        training_config: aihwkit's configuration of training in place.
        settings: Tolerance, noise of the reads, most bursts; the defaults if None.
        write_every: Mini-batches between two writes.

    Raises:
        ValueError: If `write_every` is below 1.

    Example:
        >>> from devices import get
        >>> config = write_verify_config(get("tiki-taka-reram-sb").training_config(), write_every=10)
        >>> type(config.device).__name__, config.write_every
        ('ReRamSBPresetDevice', 10)
    """
    source = deepcopy(training_config)
    return WriteVerifyRPUConfig(
        device=written_device(source.device),
        forward=source.forward,
        backward=source.backward,
        update=source.update,
        mapping=source.mapping,
        pre_post=source.pre_post,
        runtime=source.runtime,
        write_verify=WriteVerify() if settings is None else settings,
        write_every=write_every,
    )


def written_device(device: Any) -> Any:
    """Return the plain device, or one-sided pair, whose weights are those of the network.

    Args:
        device: aihwkit's description of a device, cell or compound.
    """
    if isinstance(device, MixedPrecisionCompound):
        return written_device(device.device)
    if isinstance(device, TransferCompound):
        return written_device(device.unit_cell_devices[1])
    if isinstance(device, VectorUnitCell | ReferenceUnitCell) and not isinstance(device, OneSidedUnitCell):
        return written_device(device.unit_cell_devices[0])
    return device
