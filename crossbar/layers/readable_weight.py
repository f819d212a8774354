"""The weights of an analog layer as torch code reads them: a tensor that answers, and refuses to be written."""

import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..tiles.tile_array import TileArray

_SHARES_MEMORY = (
    "__get__",
    "detach",
)  # `weight.data`, `weight.detach()`: still no way to write into the devices


class ReadableWeight(Tensor):
    """What `layer.weight` gives: numbers of the moment, in the digital layer's shape, for reading only.

    Writing into them would change nothing on the tiles, so it is refused. And torch's shortcuts for inference, which
    take the weights of `nn.Linear` layers and compute without calling them (`nn.TransformerEncoderLayer` in
    evaluation), do not touch tensors of other classes: the layer itself computes.
    """

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self.plain()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.plain().__reduce_ex__(protocol)

    def plain(self) -> Tensor:
        """Return a copy that is nobody's weight."""
        return self.as_subclass(Tensor).detach().clone()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute as with a plain tensor, but refuse what would write into the weight."""
        name = getattr(func, "__name__", "")
        writes = (name.endswith("_") and not name.endswith("__")) or name in ("__setitem__", "__set__")
        writes = writes or (name.startswith("__i") and name in _IN_PLACE_OPERATORS)
        if writes and args and isinstance(args[0], cls) and name not in ("requires_grad_", "retain_grad_"):
            raise RuntimeError(
                f"`weight` must be read only, but `{name}` would write into it: it is a copy of what the tiles hold. "
                "Use `set_weights`, or `reset_parameters`."
            )
        if name in _LAYERS:
            warnings.warn(
                f"`{name}` computes digitally with the weight of an analog layer, on no tile. Call the layer.",
                stacklevel=2,
            )
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        if name in _SHARES_MEMORY and type(result) is Tensor and result.dtype.is_floating_point:
            return result.as_subclass(cls)
        return result


_LAYERS = frozenset(
    (
        "linear",
        "bilinear",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "multi_head_attention_forward",
    )
)
_IN_PLACE_OPERATORS = frozenset(
    f"__i{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")
)


class LearnedWeight(torch.autograd.Function):
    """The network's weights, scales included, with a way back to the conductances.

    Backward, the gradient is divided by the scales: a step of plain SGD on a penalty of these numbers then moves them
    as it would move a digital layer's, as the gradient of products does.
    """

    @staticmethod
    def forward(
        ctx: Any, conductances: Float[Tensor, "kernels out in"], array: TileArray
    ) -> Float[Tensor, "kernels out in"]:
        """Return conductances times scales."""
        ctx.scales = array.scales().detach()
        return array.kernels_weight()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Return what the conductances get."""
        return grads[0] / ctx.scales[..., None], None
