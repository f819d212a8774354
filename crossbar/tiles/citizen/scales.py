"""The digital scales of a tile as aihwkit's users read and write them: one number, or one for each output."""

import torch
from torch import Tensor, nn

from devices.units import Dimensionless

from .context import TileWithContext


class TileWithScales(TileWithContext):
    """Tiles whose digital scales are read and written as those of aihwkit's tiles.

    Attributes:
        mapping_scales: (kernels, out) scales that map the network's weights onto the conductance range.
        out_scaling_alpha: (kernels, out) or (kernels, 1) learned scales, or None.
    """

    mapping_scales: Tensor
    out_scaling_alpha: nn.Parameter | None

    def scales(self) -> Tensor:
        """Return the digital scale of every bit line, (kernels, out): mapping scales times learned scales."""
        if self.out_scaling_alpha is None:
            return self.mapping_scales
        return self.mapping_scales * self.out_scaling_alpha

    @torch.no_grad()
    def get_scales(self) -> Tensor:
        """Return a copy of the digital scales, as aihwkit's tiles do.

        One number if all outputs are scaled alike, (1,), else one for each output, (out,); of an array of several
        kernels or blocks (kernels, 1) or (kernels, out).
        """
        return self._as_read(self.scales())

    def get_mapping_scales(self) -> Tensor:
        """Return a copy of those that map weights onto conductances, without learned ones; shapes as `get_scales`."""
        return self._as_read(self.mapping_scales)

    @torch.no_grad()
    def set_scales(self, scales: Tensor | Dimensionless) -> None:
        """Set the scales; learned ones become one.

        Args:
            scales: A number, or one for each output, or what `get_scales` returned.

        Raises:
            ValueError: If the shape is another one, or a scale is not finite.
        """
        self.set_mapping_scales(scales)
        self.set_learned_out_scales(1.0)

    @torch.no_grad()
    def set_mapping_scales(self, mapping_scales: Tensor | Dimensionless) -> None:
        """Set those that map weights onto conductances; see `set_scales`."""
        self.mapping_scales.copy_(self._spread("mapping_scales", mapping_scales, self.mapping_scales))

    @torch.no_grad()
    def set_learned_out_scales(self, alpha: Tensor | Dimensionless) -> None:
        """Set the learned scales; without them, nothing happens, as in aihwkit. See `set_scales`."""
        if self.out_scaling_alpha is not None:
            self.out_scaling_alpha.copy_(self._spread("alpha", alpha, self.out_scaling_alpha))

    def _as_read(self, scales: Tensor) -> Tensor:
        mapping = self.rpu_config.mapping
        by_column = mapping.weight_scaling_columnwise or (
            mapping.learn_out_scaling and mapping.out_scaling_columnwise
        )
        read = scales.detach()
        if not by_column and bool((read == read[:, :1]).all()):
            read = read[:, :1]
        return (read[0] if len(read) == 1 else read).clone()

    @staticmethod
    def _spread(name: str, values: Tensor | Dimensionless, like: Tensor) -> Tensor:
        given = torch.as_tensor(values, dtype=like.dtype, device=like.device).detach()
        if not torch.isfinite(given).all():
            raise ValueError(f"`{name}` must be finite, but is {values}. Check what it was computed from.")
        kernels, columns = like.shape
        rows = given.reshape(1, -1) if given.dim() < 2 or kernels == 1 else given
        if rows.shape[0] not in (1, kernels) or rows.shape[1] not in (1, columns):
            raise ValueError(
                f"`{name}` must be a number or have the shape {tuple(like.shape)}, but has {tuple(given.shape)}."
            )
        return rows.expand_as(like)
