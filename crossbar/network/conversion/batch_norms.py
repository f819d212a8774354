"""Batch normalisation folded into the layer before it, so that a chip needs no further scaling."""

from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from ...layers.locally_connected import LocallyConnected

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        """Look into users' modules only."""
        return isinstance(module, LocallyConnected) or super().is_leaf_module(module, qualified_name)


@torch.no_grad()
def fold_batch_norms_(model: nn.Module) -> list[str]:
    """Multiply every batch normalisation into the convolution or dense layer before it, in place.

    The normalisation becomes an `nn.Identity`. It is that of evaluation, with the running mean and variance: a model
    that goes on training is another one then. Where anything else also sees what the layer gives, or one of both is
    used more than once, both stay as they are.

    Args:
        model: A digital model.

    Returns:
        The names of the normalisations that were folded.

    Raises:
        ValueError: If the order of the layers cannot be traced.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2))
        >>> fold_batch_norms_(model), model[1]
        (['1'], Identity())
    """
    try:
        graph = _Tracer().trace(model)
    except Exception as error:
        raise ValueError(
            "`model` must be traceable by torch.fx where batch normalisation is to be folded, but is not "
            f"({type(error).__name__}: {error}). Fold it with torch.nn.utils.fusion before the conversion."
        ) from error
    calls = [node.target for node in graph.nodes if node.op == "call_module"]
    folded = []
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        norm: Any = model.get_submodule(str(node.target))
        layer: Any = model.get_submodule(str(before.target))
        is_once = calls.count(node.target) == calls.count(before.target) == 1
        if type(norm) not in _NORMS or norm.running_mean is None or not is_once:
            continue
        if _fold(layer, norm):
            parent, _, name = str(node.target).rpartition(".")
            model.get_submodule(parent)._modules[name] = nn.Identity()
            folded.append(str(node.target))
    return folded


def _fold(layer: Any, norm: Any) -> bool:
    """Fold one into the other, if they are of kinds that can be."""
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    if type(layer) in _CONVOLUTIONS:
        fused = fuse_conv_bn_weights(layer.weight, layer.bias, *statistics)
    elif type(layer) is nn.Linear:
        fused = fuse_linear_bn_weights(layer.weight, layer.bias, *statistics)
    else:
        return False
    learns = layer.weight.requires_grad
    layer.weight, layer.bias = (nn.Parameter(values.detach(), learns) for values in fused)
    return True
