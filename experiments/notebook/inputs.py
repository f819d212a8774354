"""Networks and data that are handed over in Python, as the engine behind the command line takes them.

Arrays become a file of arrays, named by their content. A function becomes a name that this process knows; so studies
of it are done in this process, one run after another. What it makes is hashed (code of its classes, initial weights,
answers to a probe), so that a changed network is another run.
"""

import copy
import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from devices.files import make_folder, write_atomically

from ..data.datasets import Facts, load_data
from ..data.objective_names import Loss, Metric
from ..data.own_data import check_classes, checked, parts_of_result
from ..data.user_function import as_function, hand_over
from ..runs.networks.own_network import AS_BUILT, build_own

_WHERE: Final = "`data`"


def data_file(data: Any, folder: Path, loss: Loss | None = None, metric: Metric | None = None) -> str:
    """Return how the command line names data; arrays and datasets are written to a file first.

    Args:
        data: A text as for `xbar train --data`; (inputs, labels); or (train, test) or (train, validation, test) of
            such pairs or of torch Datasets.
        folder: Where the file goes.
        loss: Decides whether whole numbers are classes.
        metric: Likewise.

    Raises:
        ValueError: If the data cannot be trained on.
    """
    if isinstance(data, str | Path):
        return str(data)
    parts = {
        name: checked(part, _WHERE, loss, metric) for name, part in parts_of_result(data, _WHERE).items()
    }
    check_classes(list(parts.values()), _WHERE)
    arrays: dict[str, Any] = {}
    for name, part in parts.items():
        prefix = "" if name == "train" else f"{name}_"
        arrays[f"{prefix}inputs"], arrays[f"{prefix}labels"] = part.pixels.numpy(), part.labels.numpy()
    content = io.BytesIO()
    np.savez(content, **arrays)
    digest = hashlib.blake2b(digest_size=8)
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.shape}{array.dtype}".encode() + array.tobytes())
    make_folder(folder)
    path = folder / f"data-{digest.hexdigest()}.npz"
    if not path.exists():
        write_atomically(path, content.getvalue())
    return str(path)


def model_name(model: Any, facts: Facts) -> str:
    """Return a name by which this process knows a network.

    Args:
        model: A text as for `xbar train --model`; a function that builds a network; or a network, of which every run
            gets a copy with its weights.
        facts: What is known of the data.

    Raises:
        TypeError: If it is something else.
        ValueError: If the function builds no network that fits the data.
    """
    if isinstance(model, str | Path):
        return str(model)
    if isinstance(model, nn.Module):
        given = copy.deepcopy(model)
        name, function = type(model).__name__, lambda: copy.deepcopy(given)
    elif callable(model):
        name, function = getattr(model, "__name__", "network"), model
    else:
        raise TypeError(
            f"`model` must be a function that builds a network, a network or a name, but is a {type(model).__name__}."
        )
    name = name if name.isidentifier() else "network"
    trial = hand_over(function, name, "0" * 16)
    network = build_own(trial, AS_BUILT, facts, 0)
    return hand_over(function, name, _digest_of(function, network, facts))


def facts_of_data(data: str, loss: Loss | None, metric: Metric | None) -> Facts:
    """Return what is known of data before a study begins."""
    return load_data(data, seed=0, loss=loss, metric=metric).facts


def is_handed_over(model: str) -> bool:
    """Say whether a model is known to this process only."""
    function = as_function(model, "model")
    return function is not None and function.file.name.startswith("python-")


@torch.no_grad()
def _digest_of(function: Callable[..., Any], network: nn.Module, facts: Facts) -> str:
    digest = hashlib.sha256(repr(network).encode())
    _add_code(digest, function)
    for kind in {type(module) for module in network.modules()}:
        if not kind.__module__.startswith("torch."):
            for name, member in sorted(vars(kind).items()):
                digest.update(name.encode())
                _add_code(digest, member)
    for name, value in network.state_dict().items():
        digest.update(name.encode() + str(value.dtype).encode() + value.cpu().numpy().tobytes())
    probe = facts.example()
    if probe.is_floating_point():
        probe = torch.rand(probe.shape, generator=torch.Generator().manual_seed(0))
    digest.update(network.eval()(probe).cpu().numpy().tobytes())
    return digest.hexdigest()


def _add_code(digest: Any, member: Any) -> None:
    code = getattr(member, "__code__", None)
    if isinstance(code, CodeType):
        _add(digest, code)


def _add(digest: Any, code: CodeType) -> None:
    digest.update(code.co_code + repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add(digest, constant)
        else:
            digest.update(repr(constant).encode())


def without_nones(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options without those that were left open."""
    return {name: value for name, value in options.items() if value is not None}
