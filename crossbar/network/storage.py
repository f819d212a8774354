"""Models on disk: plain tensors and JSON, nothing that could execute code."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from devices.files import check_regular, parse_json, read_regular, write_atomically

from ..aihwkit.adapter import BaseNoiseModel
from ..layers.map_layer import MapLayer
from ..placement.saved_placement import layout_of, why_not
from ..tiles.compensation import check_compensation
from ..tiles.trained import TrainedWeights
from .chip import tile_arrays
from .chip_state import ChipState, check_chip_state, chip_state, load_chip_state
from .named_refusals import refuse_foreign_layers

FORMAT = "crossbar-emulator model 1"
_CHIP = "programmed"
_METADATA = "crossbar-emulator"
_OF_TYPES = "Save it as the model computes, or convert the model first."
_AT_ONCE = 2**20
_MAY_BE_NAN = ("drift_start_weight", "drifted_weight")  # of devices that have not drifted yet


def save_model(model: nn.Module, path: str | Path) -> None:
    """Write a model's tensors to one file, programmed devices included.

    The file appears whole or not at all. The model's shape and its configuration are not in it: build the
    model as before, then `load_model`.

    Args:
        model: Any model, analog or digital.
        path: The file, usually with the ending .safetensors.

    Raises:
        ValueError: If the model has analog layers of aihwkit's own, whose state is no table of tensors.
    """
    refuse_foreign_layers(model, "saved by save_model")
    tensors = _each_by_itself(model.state_dict())
    compensations: dict[str, str] = {}
    for name, chip in chip_state(model).items():
        compensations[name] = chip.pop("compensation")
        tensors |= {f"{_CHIP}/{name}/{key}": tensor.contiguous() for key, tensor in chip.items()}
    placements = {name: layout_of(layer.placement) for name, layer in _placed_layers(model)}
    tables = {"compensations": compensations, "placements": placements}
    metadata = {name: json.dumps(table, sort_keys=True) for name, table in tables.items()}
    write_tensors(path, tensors, {"format": FORMAT, **metadata})


def _each_by_itself(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors that share no memory: of tied modules a file holds the values under each of their names."""
    seen: set[int] = set()
    tensors = {}
    for name, tensor in state.items():
        own = tensor.detach().contiguous()
        tensors[name] = own.clone() if own.untyped_storage().data_ptr() in seen else own
        seen.add(own.untyped_storage().data_ptr())
    return tensors


def _placed_layers(model: nn.Module) -> Iterator[tuple[str, MapLayer]]:
    for name, layer in model.named_modules():
        if isinstance(layer, MapLayer):
            yield name, layer


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and metadata to a safetensors file; the same content gives the same bytes.

    All metadata go under one key, as safetensors writes several in an order that changes from run to run.
    """
    content = save(tensors, metadata={_METADATA: json.dumps(metadata, sort_keys=True)})
    write_atomically(path, content)


def load_model(
    path: str | Path,
    model: nn.Module,
    noise_model: BaseNoiseModel | None = None,
    *,
    mapped: bool = False,
) -> nn.Module:
    """Fill a model with the tensors of a file that `save_model` wrote.

    Args:
        path: The file.
        model: A model built as the saved one was. It is changed only if the whole file fits.
        noise_model: Device model of a programmed chip; that of each layer's configuration if None.
        mapped: Leave the weights of tiles and the devices of the chip in the file, and let the system read what is
            looked at: into memory that all processes share which map this file, and that it takes back when memory
            is short. No number depends on it. Whatever is changed is copied; the file never changes. It must not be
            written over in place as long as the model lives (`save_model` does not: it puts a new file there).

    Returns:
        The model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is something else, or does not fit the model.
    """
    refuse_foreign_layers(model, "loaded by load_model")
    tensors, metadata = read_tensors(path, mapped=mapped)
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"`path` must be a model written by save_model, but {path} says {metadata.get('format')!r}."
        )
    try:
        compensations = parse_json(metadata["compensations"])
        for kind in compensations.values():
            check_compensation(kind)
    except (KeyError, ValueError, AttributeError) as error:
        raise ValueError(
            f"`path` must be a model written by save_model, but {path} has no list of chips."
        ) from error
    chips: ChipState = {}
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{_CHIP}/"):
            _, array_name, key = name.split("/", 2)
            chip = chips.setdefault(array_name, {"compensation": compensations.get(array_name, "none")})
            chip[key] = tensor
        else:
            state[name] = tensor
    _check_placements(metadata.get("placements"), model, path)
    check_fits(state, model, path)
    check_chip_state(chips, model)
    if mapped:
        _leave_in_file(state, model)
    model.load_state_dict(state)
    load_chip_state(model, chips, noise_model)
    return model


def _leave_in_file(state: Mapping[str, Tensor], model: nn.Module) -> None:
    """Let the weights of tiles be those of a mapped file; loading them finds that they are there.

    Only weights that training in software has left, on tiles of ours: those of devices that learn in place, and of
    aihwkit's tiles, share their memory with others.
    """
    for name, array in tile_arrays(model):
        memory = array.memory
        if not isinstance(memory, TrainedWeights) or memory.reference is not None or array.weight.is_cuda:
            continue
        tensor = state[f"{name}.weight" if name else "weight"]
        if tensor.dtype == array.weight.dtype:
            array.weight.data = tensor


def _check_placements(written: str | None, model: nn.Module, path: str | Path) -> None:
    """Compare the placements of all layers before anything is changed; files of before do not say.

    Raises:
        ValueError: If a layer has another one.
    """
    try:
        placements = parse_json(written or "{}")
        if not isinstance(placements, dict):
            raise ValueError("they are no table")
    except ValueError as error:
        raise ValueError(
            f"`path` must be a model written by save_model, but {path} has no list of placements."
        ) from error
    for name, layer in _placed_layers(model):
        if name in placements:
            refusal = why_not(str(placements[name]), name, layer.placement)
            if refusal is not None:
                raise ValueError(f"{refusal} The file is {path}.")


def read_tensors(path: str | Path, *, mapped: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors and the metadata of a safetensors file.

    Args:
        path: The file.
        mapped: Leave the tensors in the file; what is written into one is copied first.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or of another kind.
    """
    content = b""
    try:
        if mapped:
            check_regular(path)
        else:
            content = read_regular(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"`path` must name a file, but {path} does not exist.") from None
    try:
        if mapped:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                said = file.metadata() or {}
        else:
            tensors, said = load(content), _metadata_of(content)
        metadata = parse_json(said.get(_METADATA, "{}"))
        if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError("its metadata are no table of texts")
        return tensors, metadata
    except (
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        MemoryError,
        RuntimeError,
    ) as error:
        raise ValueError(
            f"`path` must name a whole safetensors file, but {path} is damaged or of another kind ({error}). "
            "Delete it and make it anew."
        ) from error


def _metadata_of(content: bytes) -> dict[str, Any]:
    """Return what a safetensors file says about itself: eight bytes with a length, and so many of JSON."""
    header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata: dict[str, Any] = header.get("__metadata__", {})
    return metadata


def check_fits(state: dict[str, Tensor], model: nn.Module, path: str | Path) -> None:
    """Compare names and shapes before anything is changed.

    Raises:
        ValueError: If a tensor is missing, too many, of another shape or type, or not finite.
    """
    expected = model.state_dict()
    missing, surplus = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or surplus:
        raise ValueError(
            f"`model` must be built as the one in {path}, but tensors are missing ({missing[:3]}) or too many "
            f"({surplus[:3]}). Use the same architecture and configuration."
        )
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise ValueError(
                f"`{name}` must have the shape {tuple(tensor.shape)}, but has {tuple(state[name].shape)} in {path}."
            )
        if not _holds(tensor.dtype, state[name].dtype):
            raise ValueError(
                f"`{name}` must be {tensor.dtype}, but is {state[name].dtype} in {path}. {_OF_TYPES}"
            )
        is_checked = state[name].is_floating_point() and not name.endswith(_MAY_BE_NAN)
        if is_checked and not _is_finite(state[name]):
            raise ValueError(f"`{name}` must be finite, but {path} holds NaN or infinity in it.")


def _is_finite(values: Tensor) -> bool:
    """Say whether all numbers are finite; looks at some at a time, as a large tensor has no room beside itself."""
    return all(bool(torch.isfinite(some).all()) for some in values.reshape(-1).split(_AT_ONCE))


def _holds(expected: torch.dtype, stored: torch.dtype) -> bool:
    """Say whether all numbers of a type can be kept in another: the same one, or a wider floating-point type."""
    is_wider = expected.is_floating_point and stored.is_floating_point
    return stored == expected or (is_wider and torch.promote_types(expected, stored) == expected)
