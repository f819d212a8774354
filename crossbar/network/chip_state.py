"""The programmed chip of a model as plain values, to be kept beside its `state_dict`."""

from typing import Any

import torch
from torch import nn

from ..aihwkit.adapter import BaseNoiseModel
from ..tiles.compensation import check_compensation
from .chip import tile_arrays

ChipState = dict[str, dict[str, Any]]
"""For the tile array of every layer with a chip, its values by name."""

_COMPENSATION = "compensation"


def chip_state(model: nn.Module) -> ChipState:
    """Return what the programmed devices of a model hold, which `state_dict` does not: it has what was trained.

    Devices, what was last read of them and when, the readout right after programming, the factors of the drift
    compensation and its kind are in it; the device model is not. Tensors and strings only, so that
    `torch.load(..., weights_only=True)` reads it.

    Args:
        model: Any model. Layers without a chip are left out.

    Example:
        >>> import torch
        >>> from crossbar import AnalogLinear, program_chip
        >>> layer, other = AnalogLinear(4, 3).eval(), AnalogLinear(4, 3).eval()
        >>> program_chip(layer, seed=0)
        >>> saved = {"model": layer.state_dict(), "chip": chip_state(layer)}
        >>> _ = other.load_state_dict(saved["model"])
        >>> load_chip_state(other, saved["chip"])
        >>> torch.equal(other.get_weights()[0], layer.get_weights()[0])
        True
    """
    state: ChipState = {}
    for name, array in tile_arrays(model):
        if array.reading is not None:
            tensors = {key: tensor.detach() for key, tensor in array.reading.state().items()}
            state[name] = {_COMPENSATION: array.compensation, **tensors}
    return state


def load_chip_state(model: nn.Module, state: ChipState, noise_model: BaseNoiseModel | None = None) -> None:
    """Bring back the chip that `chip_state` returned, after the model's own state was loaded.

    Layers that are not in the state have no programmed chip afterwards. In the other order it is refused, as the chip
    holds other weights.

    Args:
        model: A model built as that one was.
        state: What was returned.
        noise_model: Device model of the chip; that of each layer's configuration if None.

    Raises:
        ValueError: If the model has other layers, sizes or trained weights than what was programmed, a value is
            missing, or there is no device model.
    """
    check_chip_state(state, model)
    _check_targets(state, model)
    for name, array in tile_arrays(model):
        if name in state:
            tensors = {key: values for key, values in state[name].items() if key != _COMPENSATION}
            array.bring_back(tensors, state[name][_COMPENSATION], noise_model)
        else:
            array.erase()


def _check_targets(state: ChipState, model: nn.Module) -> None:
    """Refuse a chip into which other weights were written than the model has: it would be another network's."""
    for name, array in tile_arrays(model):
        target = state.get(name, {}).get("target_weights")
        if target is None:
            continue
        own = array.target_weights()
        # In half precision a model's weights are not quite those that were written. Tile by tile, as there may be no
        # room for all differences.
        if not all(
            torch.allclose(written.to(there), there, rtol=1e-2, atol=1e-2)
            for written, there in zip(target, own, strict=True)
        ):
            raise ValueError(
                f"`state` must be of a chip that holds the trained weights of this model, but those of {name!r} "
                f"differ by up to {float((target.to(own) - own).abs().max()):.3g} of the largest conductance. Load "
                "the model's own state first."
            )


def check_chip_state(state: ChipState, model: nn.Module) -> None:
    """Refuse the chip of another model before anything is changed.

    Args:
        state: What `chip_state` returned.
        model: The model that it is for.

    Raises:
        ValueError: If the model has other tiles, or a value is missing.
    """
    arrays = dict(tile_arrays(model))
    unknown = sorted(state.keys() - arrays.keys())
    if unknown:
        raise ValueError(
            f"`state` must be of the chip of this model, but has tiles {unknown[:3]}, which the model has not. Build "
            "the model as it was."
        )
    for name, values in state.items():
        check_compensation(values.get(_COMPENSATION, "missing"))
        expected = (arrays[name].tiles, arrays[name].out_size, arrays[name].in_size)
        read = values.get("reading.read_weight")
        if read is None or tuple(read.shape) != expected:
            shape = None if read is None else tuple(read.shape)
            raise ValueError(
                f"`state` must hold a chip of {expected} (tiles, out, in) for {name!r}, but it holds {shape}. Build "
                "the model as it was."
            )
