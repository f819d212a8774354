"""Conductances of a network for IBM's Fusion chip, in aihwkit's format, and measured ones read back."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..aihwkit.adapter import BaseConductanceConverter
from .named_refusals import arrays_to_act_on, layer_name

Conductances = Mapping[str, list[float]]
"""By the name of a layer: the conductances of its tiles, one after the other, each row by row."""


def fusion_export(
    analog_model: nn.Module,
    g_converter: BaseConductanceConverter | None = None,
    file_name: str | Path | None = None,
) -> tuple[Conductances, dict[str, list[Any]], dict[str, Tensor]]:
    """Turn the trained weights of every tile into conductances, as aihwkit's function of this name.

    Args:
        analog_model: The model.
        g_converter: How weights become conductances; aihwkit's `FusionConductanceConverter` if None.
        file_name: Where to write them as the CSV file that the chip's composer takes; nowhere if None.

    Returns:
        Conductances in µS by the name of the layer, what the converter needs to turn them back, and a copy of the
        model's state.

    Raises:
        ValueError: If the model has layers of aihwkit's own.

    Example:
        >>> from crossbar import AnalogLinear
        >>> model = nn.Sequential(AnalogLinear(3, 2), nn.ReLU())
        >>> conductances, parameters, state = fusion_export(model)
        >>> list(conductances), len(conductances["0"])
        (['0'], 6)
    """
    from ..aihwkit import fusion_format  # here: it takes long to import

    arrays = arrays_to_act_on(analog_model, "exported by fusion_export")
    converter = deepcopy(g_converter) or fusion_format.FusionConductanceConverter()
    conductances: OrderedDict[str, list[float]] = OrderedDict()
    parameters: dict[str, list[Any]] = {}
    for name, array in arrays:
        layer = layer_name(name)
        conductances[layer], parameters[layer] = [], []
        held = array.held_weights(apply_weight_scaling=False, trained=True)
        for kernel, (rows, columns) in _present(array):
            converted, used = converter.convert_to_conductances(held[kernel, :rows, :columns])
            parameters[layer].append(used)
            for matrix in converted:
                conductances[layer] += matrix.flatten().tolist()
    if file_name is not None:
        fusion_format.save_table(str(file_name), conductances, fusion_format.header(analog_model))
    return conductances, parameters, deepcopy(analog_model.state_dict())


@torch.no_grad()
def fusion_import(
    conductance_data: Conductances | str | Path,
    analog_model: nn.Module,
    params: Mapping[str, list[Any]],
    state_dict: Mapping[str, Tensor] | None = None,
    g_converter: BaseConductanceConverter | None = None,
) -> nn.Module:
    """Set the weights of a model to measured conductances, as aihwkit's function of this name.

    Args:
        conductance_data: What `fusion_export` returned, with the measured values, or a CSV file of that form.
        analog_model: The model that was exported; it is changed in place.
        params: What `fusion_export` returned second.
        state_dict: The state that the model had; scales and biases are taken from it. Those that it has if None.
        g_converter: The converter of the export.

    Returns:
        The model, in evaluation.

    Raises:
        ValueError: If a layer is missing, or has another number of conductances.
    """
    from ..aihwkit import fusion_format  # here: it takes long to import

    arrays = arrays_to_act_on(analog_model, "filled by fusion_import")
    converter = deepcopy(g_converter) or fusion_format.FusionConductanceConverter()
    if state_dict is not None:
        analog_model.load_state_dict(state_dict)
    if isinstance(conductance_data, str | Path):
        header = fusion_format.header(analog_model)
        table: Conductances = fusion_format.load_table(str(conductance_data), header)
    else:
        table = conductance_data
    for name, array in arrays:
        layer = layer_name(name)
        if layer not in table or layer not in params:
            raise ValueError(
                f"`conductance_data` and `params` must have layer {layer!r}, but have {sorted(table)} and "
                f"{sorted(params)}. Use what fusion_export returned for this model."
            )
        measured = torch.tensor(table[layer])
        weight = array.held_weights(apply_weight_scaling=False, trained=True)
        present = list(_present(array))
        cells = sum(rows * columns for _, (rows, columns) in present)
        devices = len(measured) // cells if cells else 0
        if devices * cells != len(measured) or not devices:
            raise ValueError(
                f"`conductance_data` of layer {layer!r} must have {cells} values, or a multiple of that, but has "
                f"{len(measured)}. Use what fusion_export returned for this model."
            )
        for (kernel, (rows, columns)), used in zip(present, params[layer], strict=True):
            taken, measured = measured.split(
                [devices * rows * columns, len(measured) - devices * rows * columns]
            )
            matrices = list(taken.reshape(devices, rows, columns))
            weight[kernel, :rows, :columns] = converter.convert_back_to_weights(matrices, used).to(weight)
        array.write_weights(weight, apply_weight_scaling=False)
    return analog_model.eval()


def _present(array: Any) -> Iterator[tuple[int, tuple[int, int]]]:
    """Return each kernel, and how many outputs and inputs of it there are: blocks may be smaller than their tile."""
    for kernel in range(array.kernels):
        if array.populated is None:
            yield kernel, (array.out_size, array.in_size)
        else:
            there = array.populated[kernel]
            yield kernel, (int(there.any(dim=1).sum()), int(there.any(dim=0).nonzero().max()) + 1)
