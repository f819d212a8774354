"""Digital quantisation behind the converters: outputs of tiles and layers, their scales and biases in few bits."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import final

from ..aihwkit.adapter import range_estimator

_SMALLEST = 1e-8  # the smallest step, as in aihwkit's quantisers


class _Rounded(torch.autograd.Function):
    """Round; backward, let the gradient through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def quantise(x: Tensor, low: Tensor, high: Tensor, bits: int, *, symmetric: bool) -> Tensor:
    """Round to the nearest of 2^bits levels; what lies beyond them is clipped, and gets no gradient.

    Symmetric levels are step * n, with n from -2^(bits - 1) to 2^(bits - 1) - 1, or from 0 to 2^bits - 1 if nothing
    is negative; asymmetric ones cut the range from the lowest to the highest value, zero included, into 2^bits - 1
    steps.
    Source: the uniform quantisers of aihwkit 1.1.0, `simulator.digital_low_precision`.

    Args:
        x: Values.
        low: Lowest value that the range holds, of a shape that fits that of `x`.
        high: Highest.
        bits: Of the result.
        symmetric: Whether zero is a level in the middle.

    Example:
        >>> quantise(torch.tensor([-1.0, 0.2, 0.6]), torch.tensor(-1.0), torch.tensor(0.6), 2, symmetric=True)
        tensor([-1.,  0.,  1.])
    """
    low, high = low.clamp(max=0.0), high.clamp(min=_SMALLEST)
    if symmetric:
        is_signed = low < 0
        most = torch.where(is_signed, 2.0 ** (bits - 1) - 1, 2.0**bits - 1)
        least = torch.where(is_signed, -(2.0 ** (bits - 1)), 0.0)
        step = torch.maximum(low.abs(), high) / most.to(high)
        zero: Any = 0.0
    else:
        most, least = torch.full_like(high, 2.0**bits - 1), torch.zeros_like(high)
        step = (high - low) / most
        zero = (-low / step).round().clamp(0.0, 2.0**bits - 1)
    step = step.clamp(min=_SMALLEST)
    rounded: Tensor = _Rounded.apply(x / step)
    levels = torch.clamp(rounded + zero, least.to(x), most.to(x))
    return step * (levels - zero)


def quantise_by_content(
    x: Float[Tensor, "*sets n"], bits: int, *, symmetric: bool
) -> Float[Tensor, "*sets n"]:
    """Quantise each set of numbers over the range that it has."""
    held = x.detach()
    low, high = held.amin(dim=-1, keepdim=True), held.amax(dim=-1, keepdim=True)
    return quantise(x, low, high, bits, symmetric=symmetric)


@final
class Quantiser(nn.Module):
    """A digital quantiser with a range that training finds, by one of aihwkit's estimators.

    In training the range follows what comes, except while `torch.utils.checkpoint` computes a pass again; in
    evaluation it stays. What searching estimators keep besides their range (losses) is in no saved state: they begin
    anew.

    Args:
        settings: aihwkit's `ActivationQuantConfig`.

    Attributes:
        low: Lowest value of the range.
        high: Highest value of the range.
        is_set: Whether anything was seen.
    """

    low: Tensor
    high: Tensor
    is_set: Tensor

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.bits, self.symmetric = settings.n_bits, settings.symmetric
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("is_set", torch.zeros((), dtype=torch.bool))
        self._estimator = [range_estimator(settings)]  # in a list: no part of this module

    def forward(self, x: Tensor) -> Tensor:
        """Quantise.

        Raises:
            RuntimeError: If nothing was seen in training.
        """
        if self.training and torch._C._current_graph_task_id() == -1:
            self._follow(x.detach())
        elif not self.is_set:
            raise RuntimeError(
                "`act_quant_config` quantises outputs over a range that training finds, but this layer was not "
                "trained, nor loaded. Let batches pass in training mode first."
            )
        return quantise(x, self.low, self.high, self.bits, symmetric=self.symmetric)

    @torch.no_grad()
    def _follow(self, x: Tensor) -> None:
        estimator = self._estimator[0]
        if self.is_set and estimator.current_xmin is None:
            estimator.current_xmin, estimator.current_xmax = self.low.clone(), self.high.clone()
        low, high = estimator(x)
        self.low.copy_(low.reshape(()))
        self.high.copy_(high.reshape(()))
        self.is_set.fill_(True)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._estimator[0].reset()

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        return f"bits={self.bits}, symmetric={self.symmetric}"


@final
class QuantisedOutputs(nn.Module):
    """What of a layer is quantised digitally: its outputs, and those of each block of a kernel on several tiles.

    A kernel that fills one tile is quantised once, behind its bias. One that is cut into blocks is quantised behind
    each of them, over a range of its own, and once more behind sum and bias, as in aihwkit. All locations of a layer
    and all its kernels share these ranges.

    Args:
        settings: aihwkit's `ActivationQuantConfig`, or None for outputs as they are.
        periphery: aihwkit's `PeripheryQuantizationParameter`, of scales and biases.
        blocks: How many blocks a kernel is cut into.
    """

    def __init__(self, settings: Any, periphery: Any, blocks: int) -> None:
        super().__init__()
        self.periphery = periphery
        quantises = settings is not None and settings.n_bits > 0
        several = blocks if quantises and blocks > 1 else 0
        self.of_blocks = nn.ModuleList(Quantiser(settings) for _ in range(several))
        self.of_layer = Quantiser(settings) if quantises else None

    def blocks(self, y: Float[Tensor, "blocks_of_tiles batch out"], sizes: list[int]) -> Tensor:
        """Quantise what every block of every kernel gives.

        Args:
            y: (tiles * blocks, batch, out), the blocks of a tile one after the other.
            sizes: How many outputs each block has; behind them are no devices.
        """
        if not len(self.of_blocks):
            return y
        parts = y.unflatten(0, (-1, len(self.of_blocks)))
        quantised = []
        for i, (quantiser, size) in enumerate(zip(self.of_blocks, sizes, strict=True)):
            part = quantiser(parts[:, i, :, :size].flatten(0, 1)).unflatten(0, parts[:, i].shape[:2])
            quantised.append(nn.functional.pad(part, (0, y.shape[-1] - size)))
        return torch.stack(quantised, dim=1).flatten(0, 1)

    def layer(self, y: Tensor) -> Tensor:
        """Quantise what the layer gives."""
        return y if self.of_layer is None else self.of_layer(y)

    def digital(self, values: Float[Tensor, "*sets n"]) -> Float[Tensor, "*sets n"]:
        """Quantise scales or biases, each set over the range that it has."""
        bits = self.periphery.n_bits
        return values if bits <= 0 else quantise_by_content(values, bits, symmetric=self.periphery.symmetric)


def quantised_outputs(rpu_config: Any, blocks: int) -> QuantisedOutputs | None:
    """Return what a configuration quantises digitally, or None if nothing."""
    settings = getattr(rpu_config, "act_quant_config", None)
    periphery = getattr(rpu_config.pre_post, "periph_quant", None)
    outputs = settings is not None and settings.n_bits > 0
    if not outputs and (periphery is None or periphery.n_bits <= 0):
        return None
    return QuantisedOutputs(settings, periphery, blocks)
