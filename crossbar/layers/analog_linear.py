"""Dense layers on analog tiles."""

from typing import Any

import torch
from torch import Tensor, nn

from ..aihwkit.adapter import TheirLinear
from ..tiles.lasting import lasting
from ..tiles.tile_array import Backend
from .analog_layer import AnalogLayer
from .arguments import refuse_tile_class


class AnalogLinear(AnalogLayer, TheirLinear):
    """A dense layer on analog tiles: one location.

    Args:
        in_features: Inputs.
        out_features: Outputs.
        bias: Whether to add a bias, digitally.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
        tile_module_class: aihwkit's argument; must be None: a tile array computes all tiles.
        backend: "batched" or "aihwkit", the slow reference.
        seed: Names the fabrication of the tiles and their noise; torch's generator decides if None.

    Raises:
        ValueError: If there are no inputs or no outputs, or a tile class of aihwkit's is given.

    Example:
        >>> layer = AnalogLinear(4, 3)
        >>> layer(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """

    is_one_kernel = True

    @lasting
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rpu_config: Any = None,
        tile_module_class: None = None,
        *,
        backend: Backend = "batched",
        seed: int | None = None,
    ) -> None:
        refuse_tile_class(tile_module_class)
        if min(in_features, out_features) < 1:
            raise ValueError(
                f"`in_features` and `out_features` must be at least 1, but are {in_features} and {out_features}."
            )
        one_tile = torch.zeros(1, dtype=torch.long)
        super().__init__(1, one_tile, out_features, in_features, bias, rpu_config, backend, seed=seed)
        self.in_features, self.out_features = in_features, out_features
        self.reset_parameters()

    def _digital(self) -> nn.Linear:
        return nn.Linear(self.in_features, self.out_features, self.has_bias)

    def kernel_shape(self) -> tuple[int, ...]:
        """Return (out, in)."""
        return self.out_features, self.in_features

    def bias_shape(self) -> tuple[int, ...]:
        """Return (out,)."""
        return (self.out_features,)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"`x` must have {self.in_features} values in its last dimension, but has the shape {tuple(x.shape)}."
            )
        y = self.multiply(x.reshape(1, -1, self.in_features))
        bias = self.bias_of_kernels
        y = y if bias is None else y + bias
        return self.quantise(y.reshape(*x.shape[:-1], self.out_features))

    @classmethod
    def from_digital(
        cls, module: nn.Linear, rpu_config: Any, tile_module_class: Any = None
    ) -> "AnalogLinear":
        """Put a trained `nn.Linear` onto tiles."""
        refuse_tile_class(tile_module_class)
        sizes = module.in_features, module.out_features
        seed = int(torch.randint(2**62, ()))
        layer = cls(*sizes, module.bias is not None, rpu_config, seed=seed)
        return layer._receive(module)

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        return f"{self.in_features}, {self.out_features}, {super().extra_repr()}"


class AnalogLinearMapped(AnalogLinear):
    """An `AnalogLinear` under aihwkit's name for one that may be split over several tiles, as every one here may.

    Arguments as `AnalogLinear`; the largest tile is `mapping.max_input_size` by `mapping.max_output_size`.
    """
