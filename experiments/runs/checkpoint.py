"""A training's state on the disk: plain tensors and JSON, no pickled objects.

A checkpoint can come from anywhere, so it is read as data: safetensors holds no code, and every name and
shape is compared with what the model expects before a value is used.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from crossbar.distributed import communication
from crossbar.network.spread.tiles import state_in_shares
from crossbar.network.storage import check_fits, read_tensors, write_tensors
from devices.files import MANIFEST, is_listed, parse_json, remove

_FORMAT: Final = "crossbar-emulator training 1"
_SHARD: Final = "crossbar-emulator share of a training 1"
_SHARD_NAME: Final = re.compile(r"-[0-9a-f]{8}-\d+-of-\d+\.safetensors$")
# What torch's Adam remembers of each parameter: a counter, and two running means as large as the parameter.
_ADAMS_MEMORY: Final = {"step", "exp_avg", "exp_avg_sq"}
_NEVER_NEGATIVE: Final = ("step", "exp_avg_sq")
# What is drawn when devices are made, and no training changes.
_FABRICATED: Final = (
    "max_bound", "min_bound", "scale_up", "scale_down", "shape_up", "shape_down", "decay_scale", "diffusion_rate",
    "reset_bias", "drift_nu", "granularity",
)  # fmt: skip
_OTHER_MACHINE: Final = 1e-4  # relative: another processor may round the draws otherwise


def save_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: object) -> None:
    """Write a checkpoint atomically.

    Where tiles are spread over processes, all of them call it together. Each writes what it holds to a file of its
    own, beside that of the first process, which names them all; that one is written last, and takes the place of the
    one before. (`torch.distributed.checkpoint` would keep its metadata as a pickle.)

    Args:
        path: The file.
        model: Its parameters and buffers are saved.
        optimizer: Its state for each parameter of the model is saved, under the parameter's name. Plain SGD
            has none.
        progress: Counters and records, in the types of JSON.
    """
    state, shares = state_in_shares(model, optimizer)
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    metadata = {"format": _FORMAT, "progress": json.dumps(progress, allow_nan=False)}
    files: list[str] = []
    if shares:
        files = _shard_files(path, progress)
        own = {name: tensors.pop(name) for name in shares}
        write_tensors(path.with_name(files[communication.rank()]), own, {"format": _SHARD})
        axes = {name: share.axis for name, share in shares.items()}
        metadata["shards"] = json.dumps({"files": files, "axes": axes})
        communication.wait_for_all()
    if communication.rank() == 0:
        write_tensors(path, tensors, metadata)
        for file in shards_beside(path):
            if file.name not in files:
                remove(file)


def shards_beside(path: Path) -> list[Path]:
    """Return the files of several processes that lie beside a checkpoint, those of an unfinished one among them."""
    return [file for file in path.parent.glob(f"{path.stem}-*.safetensors") if _SHARD_NAME.search(file.name)]


def _shard_files(path: Path, progress: object) -> list[str]:
    """Return the names of the files of all processes: others than those of a checkpoint at another step."""
    number = communication.processes()
    step = hashlib.blake2b(json.dumps(_step_of(progress)).encode(), digest_size=4).hexdigest()
    return [f"{path.stem}-{step}-{rank + 1}-of-{number}.safetensors" for rank in range(number)]


def _step_of(progress: object) -> list[object]:
    return [progress.get(name) for name in ("epoch", "step")] if isinstance(progress, dict) else []


def _with_shards(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> dict[str, Tensor]:
    """Return all tensors of a checkpoint: those that several processes have written, put together.

    Raises:
        ValueError: If a file of theirs is missing, damaged, or of something else.
    """
    if "shards" not in metadata:
        return tensors
    try:
        shards = parse_json(metadata["shards"])
        files, axes = list(shards["files"]), dict(shards["axes"])
        if not all(_SHARD_NAME.search(file) and Path(file).name == file for file in files):
            raise ValueError("it names other files")
        if any(is_listed(path.with_name(file)) is False for file in files):
            raise ValueError(f"{MANIFEST} does not know it")
        parts = [read_tensors(path.with_name(file))[0] for file in files]
        whole = {name: torch.cat([part[name] for part in parts], dim=axis) for name, axis in axes.items()}
    except (OSError, KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise ValueError(
            f"`path` must lie beside the files of all processes that wrote it, but a part of {path} is missing or "
            f"damaged ({error}). Start over with --force."
        ) from None
    return {**tensors, **whole}


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Any:
    """Read a checkpoint into a model and its optimizer, which change only if the whole file fits.

    Args:
        path: The file.
        model: A model of the same configuration, as it was made: with the same devices.
        optimizer: An optimizer of the model's parameters.

    Returns:
        The counters and records that were saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, no checkpoint, or one of another model.
    """
    tensors, metadata = read_tensors(path)
    tensors = _with_shards(tensors, metadata, path)
    try:
        progress = parse_json(metadata["progress"])
    except (KeyError, ValueError):
        progress = None
    if metadata.get("format") != _FORMAT or progress is None:
        raise ValueError(
            f"`path` must name a training's checkpoint, but {path} was written by something else."
        )

    parameters = dict(model.named_parameters())
    weights: dict[str, Tensor] = {}
    memory: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        key, _, owner = rest.partition("/")
        if kind == "model":
            weights[rest] = value
        elif kind == "optimizer" and key in _ADAMS_MEMORY and owner in parameters:
            shape = torch.Size() if key == "step" else parameters[owner].shape
            if value.shape == (1, *shape):  # of a bias, as versions before wrote it
                value = value[0]
            _check_memory(name, value, shape, path)
            memory.setdefault(owner, {})[key] = value
        else:
            raise ValueError(f"`path` must hold nothing beside model and optimizer, but {path} has {name!r}.")
    for owner, values in memory.items():
        if set(values) != _ADAMS_MEMORY:
            raise ValueError(f"`path` must hold Adam's whole memory, but {path} lacks some for {owner!r}.")
    check_fits(weights, model, path)
    _check_devices(weights, model, path)
    model.load_state_dict(weights)
    for owner, values in memory.items():
        parameter = parameters[owner]
        # Adam counts its steps on the CPU wherever the parameter lies.
        optimizer.state[parameter] = {
            key: value if key == "step" else value.to(parameter.device) for key, value in values.items()
        }
    return progress


def _check_memory(name: str, value: Tensor, shape: torch.Size, path: Path) -> None:
    if value.shape != shape or value.dtype != torch.float32:
        raise ValueError(
            f"`{name}` must be float32 of shape {tuple(shape)}, but is {value.dtype} of shape "
            f"{tuple(value.shape)} in {path}."
        )
    if name.split("/")[1] in _NEVER_NEGATIVE and (value < 0).any():
        raise ValueError(f"`{name}` must be 0 or more, but is not in {path}. Start over with --force.")
    if not torch.isfinite(value).all():
        raise ValueError(f"`{name}` must be finite, but {path} holds NaN or infinity in it.")


def _check_devices(weights: dict[str, Tensor], model: nn.Module, path: Path) -> None:
    """Compare what is drawn once for each device with what was drawn for this model, from the same seed."""
    for name, made in model.state_dict().items():
        if ".cells." in name and name.endswith(_FABRICATED):
            reach = _OTHER_MACHINE * float(made.abs().max())
            if not torch.allclose(weights[name].to(made), made, rtol=_OTHER_MACHINE, atol=reach):
                raise ValueError(
                    f"`{name}` must be that of the run's own devices, but {path} holds other ones. "
                    "Start over with --force."
                )
