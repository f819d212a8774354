"""Wires of the tiles of a network: how devices are seen through them, and how training learns to live with them."""

import copy
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from devices.conversion import Conductances, convert_tiles

from .parameters import WireParameters

_SIEMENS: float = 1e-6  # per µS, the unit of the device models


def seen_through(wires: WireParameters, conductances: Conductances) -> Conductances:
    """Return what the periphery sees of the devices of many tiles through resistive wires.

    Each device of a unit cell belongs to an array of its own, with wires of its own: the positive and the negative
    one of a differential pair, for example. All arrays of all tiles are computed in one call.

    Args:
        wires: Those of every array.
        conductances: In µS, one tensor (tiles, bit_lines, word_lines) for each device of the unit cell.

    Returns:
        Effective conductances in µS, likewise.

    Raises:
        ValueError: If a conductance is negative or not finite.
    """
    seen = wires.effective_conductance(torch.stack(conductances).double() * _SIEMENS) / _SIEMENS
    return [g.to(ideal) for g, ideal in zip(seen, conductances, strict=True)]


class TileWires(nn.Module):
    """The wires of a tile array.

    Programmed devices are seen through them exactly, at every time (`seen_through`). Weights that are still in
    training are laid out over devices without noise; what the wires take of each weight is kept, and computed anew
    every few training passes only: it moves as slowly as the weights do. The gradient of a weight is that of a weight
    without wires (straight through); the gradient of the inputs passes through the weights that are seen.

    Args:
        resistances: Those of the wires.
        every: Training passes between two computations of what the wires take.
        kernels: Sizes (kernels, out, in) of the weights.

    Attributes:
        taken: (kernels, out, in) what the wires take of the weights, in units of the largest conductance; part of the
            saved state, as the number of passes, so that a resumed training repeats an uninterrupted one.
    """

    taken: Tensor
    passes: Tensor

    def __init__(self, resistances: WireParameters, every: int, kernels: tuple[int, int, int]) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"`wires_every` must be 1 or more, but is {every}. Try 20.")
        self.resistances = resistances
        self.every = every
        self.register_buffer("taken", torch.zeros(kernels))
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))
        self._evaluated: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def taken_in_training(
        self, weight: Tensor, converter: Any, populated: Bool[Tensor, "kernels out in"] | None
    ) -> Float[Tensor, "kernels out in"]:
        """Return what the wires take of trained weights, as of the last computation; one training pass goes by."""
        if int(self.passes) % self.every == 0:
            self.taken.copy_(self.taken_in_evaluation(weight, converter, populated))
        self.passes += 1
        return self.taken

    @torch.no_grad()
    def taken_in_evaluation(
        self, weight: Tensor, converter: Any, populated: Bool[Tensor, "kernels out in"] | None
    ) -> Float[Tensor, "kernels out in"]:
        """Return what the wires take of trained weights now; computed once for the same weights."""
        if self._evaluated is None or not torch.equal(self._evaluated[0], weight.detach().cpu()):
            self._evaluated = weight.detach().cpu().clone(), self._taken_of(weight, converter, populated)
        return self._evaluated[1].to(weight)

    def _taken_of(self, weight: Tensor, converter: Any, populated: Tensor | None) -> Tensor:
        weight = weight.detach()
        layout = convert_tiles(converter, weight, populated)
        ideal = layout.g_target
        if populated is not None:
            ideal = [g.masked_fill(~populated, 0.0) for g in ideal]
        taken = layout.to_weights(ideal) - layout.to_weights(seen_through(self.resistances, ideal))
        return taken if populated is None else taken.masked_fill(~populated, 0.0)

    def without_approximation(self, io: Any) -> Any:
        """Return the settings of a product without aihwkit's approximate `ir_drop`, whose place the wires take."""
        io = copy.copy(io)
        io.ir_drop = 0.0
        return io

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"{self.resistances}, every={self.every}"
