"""What layers with locations share, digital and analog: sizes, a placement, and the way to the tiles and back."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from ..distributed.locations_of_process import LocationsOfProcess
from ..placement.geometry import Geometry
from ..placement.grouping import Grouping
from ..placement.patches import extract_patches, group_patches, ungroup
from ..placement.placement import Placement
from ..placement.saved_placement import note_placement, other_placement


class MapLayer(nn.Module):
    """A layer that computes one output vector at each location of a map.

    Attributes:
        dimensions: Axes of the map: 1 for signals, 2 for images, 3 for volumes.
        geometry: Sizes of input, kernel and output.
        placement: Which tile serves a location, and which kernel that holds.
        grouping: The locations, sorted by what computes them.
        connections: (in_channels, *sizes), which inputs there are; None for all.
        populated: (kernels or tiles, out, in, *kernel_size), which weights have a device; None for all.
        spread: The locations whose tiles this process holds, where they are spread over several; None for all.
    """

    dimensions: ClassVar[int]
    geometry: Geometry
    placement: Placement
    grouping: Grouping
    connections: Tensor | None
    populated: Tensor | None
    spread: LocationsOfProcess | None = None

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        note_placement(destination, prefix, self.placement)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        refusal = other_placement(local_metadata, prefix, self.placement)
        if refusal is not None:  # before anything of this layer changes
            raise RuntimeError(refusal)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    @property
    def output_size(self) -> tuple[int, ...]:
        """Sizes of the output, without channels."""
        return self.geometry.output_size

    def is_single(self, x: Tensor) -> bool:
        """Tell whether an input comes without a batch."""
        return x.dim() == self.dimensions + 1

    def at_locations(
        self, x: Tensor, geometry: Geometry, grouping: Grouping, multiply: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Cut out what each location sees, multiply, and return the outputs by location.

        Args:
            x: (batch, in_channels, *sizes).
            geometry: Sizes.
            grouping: Sorts the locations.
            multiply: (groups of locations, vectors, inputs) -> (groups of locations, vectors, outputs).

        Returns:
            (locations, batch, outputs), of the process's own locations where they are spread.
        """
        if self.connections is not None:
            x = x * self.connections
        if self.spread is not None:
            return multiply(self.spread.patches(x, geometry))
        patches = extract_patches(x, geometry, locations_first=grouping.is_identity)
        return ungroup(multiply(group_patches(patches, grouping)), grouping, patches.shape[1])

    def settings(self) -> dict[str, Any]:
        """Return what another layer of the same shape is made with, by name of the argument."""
        g = self.geometry
        return {
            "in_channels": g.in_channels,
            "out_channels": g.out_channels,
            "kernel_size": g.kernel_size,
            "stride": g.stride,
            "padding": g.padding if g.padding == g.padding_after else "same",
            "dilation": g.dilation,
            "groups": g.groups,
            "padding_mode": g.padding_mode,
        }

    def _sizes_in_words(self, **more: Any) -> str:
        """Return the sizes, as the constructor takes them, and more; what is as usual is left out."""
        words = self.settings()
        usual = {"groups": 1, "padding_mode": "zeros"}
        channels = f"{words.pop('in_channels')}, {words.pop('out_channels')}"
        words = {"kernel_size": words["kernel_size"], **more, **words}
        told = {name: value for name, value in words.items() if usual.get(name) != value}
        if "padding_mode" in told:
            told["padding_mode"] = repr(told["padding_mode"])
        return ", ".join([channels, *(f"{name}={value}" for name, value in told.items())])
