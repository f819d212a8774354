"""The weights of a tile as aihwkit's users read and write them: one matrix and its bias."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from devices.units import Dimensionless

from .scales import TileWithScales


@runtime_checkable
class Owner(Protocol):
    """The layer that a tile array belongs to, as far as the array must know it."""

    is_one_kernel: bool

    def get_weights(
        self, apply_weight_scaling: bool = True, realistic: bool = False, **options: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias, in the digital layer's shapes or as a matrix."""

    def set_weights(self, weight: Tensor, bias: Tensor | None = None, **options: Any) -> None:
        """Set them."""

    def kernel_shape(self) -> tuple[int, ...]:
        """Return the shape of the weight."""


class TileWithMatrix(TileWithScales):
    """Tiles that answer for the whole matrix of the layer that they belong to.

    aihwkit's layers have one tile object, which returns an (out, in) matrix and the bias, be it kept digitally or on
    the tile. An array that belongs to a layer of one kernel does the same, also where that kernel is split over
    several physical tiles. An array of several kernels, or of no layer, returns (kernels, out, in), and no bias.
    """

    def belong_to(self, layer: Owner) -> None:
        """Remember the layer, but not as a part: nothing of it is this array's state."""
        self.__dict__["layer"] = layer

    @property
    def _matrix_owner(self) -> Owner | None:
        layer: Owner | None = self.__dict__.get("layer")
        return layer if layer is not None and layer.is_one_kernel else None

    @torch.no_grad()
    def get_weights(
        self,
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        *,
        trained: bool = False,
        over_sampling: int = 10,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what the tiles hold, as aihwkit's tiles do: the programmed chip as last read, or trained weights.

        Args:
            apply_weight_scaling: Whether in the network's weights, digital scales included (True), or in units of
                the largest conductance (False).
            realistic: Whether to estimate the weights from products of random inputs, through DAC, array and ADC
                and with drift compensation, instead of looking at the devices.
            trained: Whether to return the trained weights, also if a chip is programmed.
            over_sampling: How many times as many random inputs as there are word lines an estimate takes.

        Returns:
            The (out, in) matrix of the layer and its bias, or None without; the weights of all kernels and None, if
            the array has no layer of one kernel.

        Raises:
            ValueError: If trained weights are to be read realistically although a chip is programmed.
        """
        layer = self._matrix_owner
        if layer is None:
            return self.held_weights(apply_weight_scaling, realistic, trained, over_sampling), None
        options: dict[str, Any] = {"trained": trained, "over_sampling": over_sampling}
        weight, bias = layer.get_weights(apply_weight_scaling, realistic, **options)
        return weight.flatten(1), bias

    def set_weights(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        weight_scaling_omega: Dimensionless | None = None,
    ) -> None:
        """Set the weights of the layer, or of every kernel, in the shapes of `get_weights`.

        Args:
            weight: (out, in), or (kernels, out, in).
            bias: (out,), of the layer; None to leave it.
            apply_weight_scaling: Whether to map the weights onto the conductance range, with new digital scales
                (True), or to take them as they are, in units of the largest conductance (False).
            realistic: Whether to program them into a chip at once, with programming noise.
            weight_scaling_omega: What the largest weight is mapped to; that of the configuration if None.

        Raises:
            ValueError: If a shape differs, a bias is given without a layer that has one, or devices that learn in
                place are to be programmed.
        """
        options: dict[str, Any] = {
            "apply_weight_scaling": apply_weight_scaling,
            "realistic": realistic,
            "weight_scaling_omega": weight_scaling_omega,
        }
        layer = self._matrix_owner
        if layer is not None and weight.dim() == 2:
            shape = layer.kernel_shape()
            if weight.numel() == torch.Size(shape).numel():
                weight = weight.reshape(shape)
            layer.set_weights(weight, bias, **options)
            return
        if bias is not None:
            raise ValueError(
                "`bias` must be None, but is given. Set it on the layer, which adds it digitally."
            )
        self.write_weights(weight, **options)

    def read_weights(
        self, apply_weight_scaling: bool = False, over_sampling: int = 10
    ) -> tuple[Tensor, Tensor | None]:
        """Estimate the weights from noisy products of random inputs, as `get_weights(realistic=True)`.

        Args:
            apply_weight_scaling: Whether in the network's weights, digital scales included.
            over_sampling: How many times as many random vectors as there are inputs.
        """
        return self.get_weights(apply_weight_scaling, realistic=True, over_sampling=over_sampling)

    def held_weights(
        self,
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        trained: bool = False,
        over_sampling: int = 10,
    ) -> Float[Tensor, "kernels out in"]:
        """Return the weights of all kernels."""
        raise NotImplementedError

    def write_weights(
        self,
        weight: Float[Tensor, "kernels out in"],
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        weight_scaling_omega: Dimensionless | None = None,
    ) -> None:
        """Set the weights of all kernels."""
        raise NotImplementedError
