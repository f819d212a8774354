"""From aihwkit's training configurations to unit cells."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import torch

from devices.pulsed import DeviceArray, fabricate
from devices.pulsed.fabrication import DEVICES
from devices.streams import derive_seed

from ..aihwkit.adapter import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DigitalRankUpdateRPUConfig,
    DynamicTransferCompound,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    PulseType,
    ReferenceUnitCell,
    SingleRPUConfig,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
    VectorUnitCell,
)
from ..reading.noise import NoiseStream
from ..reading.periphery import check_io_support
from .mixed_precision import MixedPrecision
from .one_sided import OneSidedCells, invert_
from .single import SingleCells
from .tiki_taka.buffered_transfer import BufferedTransfer
from .tiki_taka.chain_settings import transfer_settings
from .tiki_taka.chopped_transfer import ChoppedTransfer
from .tiki_taka.dynamic_transfer import DynamicTransfer
from .tiki_taka.transfer import Transfer
from .tiki_taka.transfer_cells import TransferCells
from .unit_cells import UnitCells
from .vector_cell import VectorCells
from .write_verify_cells import WriteVerifyCells
from .write_verify_config import WriteVerifyRPUConfig

_WITHOUT_PULSES = (PulseType.NONE, PulseType.NONE_WITH_DEVICE)
Sizes = tuple[int, int, int]
"""Tiles, bit lines and word lines of a tile."""


class Recipe(NamedTuple):
    """How the unit cells that a description names are made.

    Attributes:
        device: Class of the description, aihwkit's or one of our own.
        make: From the description, the settings of the pulses, the sizes and the seed of the fabrication.
        why_not: Which setting of a description is not honoured, as a sentence; None if all are.
        unusable: Pulse types with which the rule could not learn.
    """

    device: type | tuple[type, ...]
    make: Callable[[Any, UpdateParameters, Sizes, int], UnitCells]
    why_not: Callable[[Any], str | None]
    unusable: tuple[PulseType, ...] = _WITHOUT_PULSES


def make_cells(rpu_config: Any, tiles: int, out_size: int, in_size: int, *, seed: int) -> UnitCells:
    """Fabricate the unit cells of T tiles, with the learning rule that a configuration names. All weights are zero.

    Args:
        rpu_config: aihwkit's configuration: one device, a unit cell or compound, or a digital rank update; or
            `WriteVerifyRPUConfig`.
        tiles: Number of tiles T.
        out_size: Bit lines of a tile.
        in_size: Word lines of a tile.
        seed: The array's seed; fabrication draws from streams that it names.

    Raises:
        ValueError: If the configuration contradicts itself, or only aihwkit's own tiles honour it.

    Example:
        >>> from aihwkit.simulator.presets import TikiTakaReRamSBPreset
        >>> make_cells(TikiTakaReRamSBPreset(), 3, 4, 5, seed=0).weights().shape
        torch.Size([3, 4, 5])
    """
    reason = why_not_batched(rpu_config)
    if reason is not None:
        raise ValueError(f"`rpu_config` must be one that runs batched, but it is not: {reason}")
    device, sizes = rpu_config.device, (tiles, out_size, in_size)
    recipe = _recipe_of(device, RECIPES)
    assert recipe is not None
    cells = recipe.make(device, deepcopy(rpu_config.update), sizes, seed)
    if isinstance(rpu_config, WriteVerifyRPUConfig):
        cells = WriteVerifyCells(cells, rpu_config.write_verify, rpu_config.write_every)
    cells.set_weights(
        torch.zeros(1, 1, 1).expand(sizes), noise=NoiseStream(seed, "fabrication", "first weights")
    )
    return cells


def why_not_batched(rpu_config: Any) -> str | None:
    """Return which setting of a configuration only aihwkit's own tiles honour, as a sentence; None if there is none.

    Args:
        rpu_config: aihwkit's configuration.
    """
    if not isinstance(rpu_config, SingleRPUConfig | UnitCellRPUConfig | DigitalRankUpdateRPUConfig):
        return f"`rpu_config` is a {type(rpu_config).__name__}, which trains no pulsed devices."
    device, pulse_type = rpu_config.device, rpu_config.update.pulse_type
    if isinstance(rpu_config, WriteVerifyRPUConfig) and not isinstance(device, (*DEVICES, OneSidedUnitCell)):
        raise ValueError(
            f"`device` must be a plain device or a one-sided pair to be written, but is a {type(device).__name__}. "
            "Make the configuration by `write_verify_config`."
        )
    recipe = _recipe_of(device, RECIPES)
    if recipe is None:
        return _exists_in_aihwkit_only(device)
    if pulse_type in recipe.unusable:
        return f"`update.pulse_type` is {pulse_type.name}, but {type(device).__name__} learns by pulses."
    return recipe.why_not(device)


def _recipe_of(device: Any, recipes: tuple[Recipe, ...]) -> Recipe | None:
    return next((recipe for recipe in recipes if isinstance(device, recipe.device)), None)


def _single(device: Any, update: UpdateParameters, sizes: Sizes, seed: int) -> SingleCells:
    return SingleCells(fabricate(device, *sizes, seed=seed), update)


def _one_sided(cell: Any, update: UpdateParameters, sizes: Sizes, seed: int) -> OneSidedCells:
    # aihwkit makes both devices after the first description.
    minus, plus = _fabricate_all([cell.unit_cell_devices[0]] * 2, sizes, seed)
    if cell.copy_inverted:
        invert_(plus, minus)
    return OneSidedCells(minus, plus, cell, update, seed=seed)


def _vector(cell: Any, update: UpdateParameters, sizes: Sizes, seed: int) -> VectorCells:
    devices = list(cell.unit_cell_devices)
    if isinstance(cell, ReferenceUnitCell):
        devices = (devices * 2)[:2] if len(devices) == 1 else devices[:2]
    arrays = _fabricate_all(devices, sizes, seed)
    return VectorCells(arrays, update, cell.update_policy, cell.first_update_idx, cell.gamma_vec)


def _mixed_precision(compound: Any, update: UpdateParameters, sizes: Sizes, seed: int) -> MixedPrecision:
    update.update_management = update.update_bl_management = True
    recipe = _recipe_of(compound.device, _PLAIN)
    assert recipe is not None
    return MixedPrecision(recipe.make(compound.device, update, sizes, seed), compound)


def _transfer(
    rule: Callable[..., TransferCells], compound: Any, update: UpdateParameters, sizes: Sizes, seed: int
) -> TransferCells:
    # aihwkit makes all slow devices after the second description.
    fast, *others = compound.unit_cell_devices
    arrays = _fabricate_all([fast, *[others[0]] * len(others)], sizes, seed)
    return rule(arrays, compound, update, seed=seed)


def _fabricate_all(devices: list[Any], sizes: Sizes, seed: int) -> list[DeviceArray]:
    return [
        fabricate(device, *sizes, seed=derive_seed(seed, "device", number))
        for number, device in enumerate(devices)
    ]


def _why_not_devices(cell: Any) -> str | None:
    for device in cell.unit_cell_devices:
        if not isinstance(device, DEVICES):
            return f"`unit_cell_devices` holds a {type(device).__name__}, which is no plain pulsed device."
    fewest = 2 if isinstance(cell, TransferCompound) else 1
    if len(cell.unit_cell_devices) < fewest:
        return f"`unit_cell_devices` holds {len(cell.unit_cell_devices)} devices, fewer than {fewest}."
    return None


def _exists_in_aihwkit_only(device: Any) -> str:
    return f"`device` is a {type(device).__name__}, which exists in aihwkit's own tiles only."


def _honoured(device: Any) -> None:
    """Plain devices are honoured with all their settings."""


def _why_not_one_sided(cell: Any) -> str | None:
    reason = _why_not_devices(cell)
    if reason is not None:
        return reason
    if cell.refresh_every > 0 and getattr(cell.unit_cell_devices[0], "write_noise_std", 0.0) > 0:
        return (
            "`refresh_every` resets single devices, which aihwkit refuses for devices with `write_noise_std`."
        )
    return _why_not_io("refresh_forward", cell.refresh_forward)


def _why_not_mixed(compound: Any) -> str | None:
    if 1 in (compound.n_x_bins, compound.n_d_bins):
        return "`n_x_bins` or `n_d_bins` is 1, with which aihwkit divides by zero."
    if compound.transfer_lr < 0:
        return f"`transfer_lr` is {compound.transfer_lr}, with which steps would be written the wrong way."
    if compound.random_row and isinstance(compound.device, OneSidedUnitCell):
        return "`random_row` makes refreshes of one-sided cells depend on the row that each tile begins with."
    recipe = _recipe_of(compound.device, _PLAIN)
    return _exists_in_aihwkit_only(compound.device) if recipe is None else recipe.why_not(compound.device)


def _why_not_transfer(compound: Any) -> str | None:
    reason = _why_not_devices(compound)
    if reason is not None:
        return reason
    if compound.with_reset_prob > 0 and not compound.transfer_columns:
        return "`with_reset_prob` is set for rows, which aihwkit cannot reset."
    if not isinstance(compound, ChoppedTransferCompound):
        return _why_not_io("transfer_forward", transfer_settings(compound.transfer_forward))
    if len(compound.unit_cell_devices) != 2:
        return f"`unit_cell_devices` holds {len(compound.unit_cell_devices)} devices, but choppers need two."
    if compound.n_reads_per_transfer != 1 or compound.random_selection or compound.with_reset_prob > 0:
        return (
            "`n_reads_per_transfer`, `random_selection` or `with_reset_prob` is set, but choppers need single reads "
            "in order, without resets."
        )
    if compound.gamma != 0 or compound.gamma_vec not in ([], [0.0, 1.0]):
        return "`gamma` or `gamma_vec` shows the fast devices, but choppers need them hidden."
    if compound.transfer_every < 0:
        return (
            f"`transfer_every` is {compound.transfer_every}, by which aihwkit counts in states of the device."
        )
    if not compound.no_self_transfer or any(compound.transfer_every_vec[1:]):
        return "`no_self_transfer` or `transfer_every_vec` lets aihwkit transfer twice at a time."
    return _why_not_io("transfer_forward", transfer_settings(compound.transfer_forward))


def _why_not_io(name: str, io: Any) -> str | None:
    try:
        check_io_support(io)
    except ValueError as error:
        return f"`{name}` is not modelled: {error}"
    return None


_PLAIN = (
    Recipe(DEVICES, _single, _honoured, unusable=()),
    Recipe(OneSidedUnitCell, _one_sided, _why_not_one_sided),
    Recipe((VectorUnitCell, ReferenceUnitCell), _vector, _why_not_devices),
)
"""Cells without a digital part, which mixed precision can write."""

RECIPES = (
    *_PLAIN,
    Recipe(MixedPrecisionCompound, _mixed_precision, _why_not_mixed, unusable=(PulseType.NONE,)),
    # The most specific first: the dynamic compound is a chopped one.
    Recipe(DynamicTransferCompound, partial(_transfer, DynamicTransfer), _why_not_transfer),
    Recipe(ChoppedTransferCompound, partial(_transfer, ChoppedTransfer), _why_not_transfer),
    Recipe(BufferedTransferCompound, partial(_transfer, BufferedTransfer), _why_not_transfer),
    Recipe(TransferCompound, partial(_transfer, Transfer), _why_not_transfer),
)
"""All learning rules, one a line; a device that none of them describes runs on aihwkit's own tiles only."""
