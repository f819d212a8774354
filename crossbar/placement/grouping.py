"""Grouping: image locations sorted by the tile or kernel that serves them, for one batched product."""

from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Grouping:
    """Locations sorted by the group that serves them, for one batched product over all groups.

    A group is a tile, or a kernel. Groups of unequal size are padded to the largest, the group's `width`.
    Make one with `Grouping.of`.

    Args:
        order: (groups, width), the locations of each group in ascending order, then -1 where it is padded.
        slot_of_location: (L,), where a location lies in the flattened `order`.
        valid: (groups, width), False where padded; None if nothing is.
        is_identity: Whether location l is the only one of group l, for every l.
    """

    order: Tensor
    slot_of_location: Tensor
    valid: Tensor | None
    is_identity: bool

    @classmethod
    def of(cls, group_of_location: Tensor, groups: int) -> "Grouping":
        """Sort locations by group.

        Args:
            group_of_location: (L,), which group serves a location.
            groups: Number of groups; some may be empty.

        Raises:
            ValueError: If a group lies outside [0, groups).

        Example:
            >>> Grouping.of(torch.tensor([1, 0, 1]), 2).order
            tensor([[ 1, -1],
                    [ 0,  2]])
        """
        lowest, highest = int(group_of_location.min()), int(group_of_location.max())
        if lowest < 0 or highest >= groups:
            raise ValueError(
                f"`group_of_location` must lie in [0, {groups - 1}], but lies in [{lowest}, {highest}]. "
                "Give more groups."
            )
        locations = len(group_of_location)
        counts = torch.bincount(group_of_location, minlength=groups)
        width = int(counts.max())
        by_group = torch.argsort(group_of_location, stable=True)
        group = group_of_location[by_group]
        rank = torch.arange(locations, device=group.device) - (counts.cumsum(0) - counts)[group]
        slots = group * width + rank
        order = torch.full((groups * width,), -1, device=group.device)
        order[slots] = by_group
        order = order.view(groups, width)
        slot_of_location = torch.empty_like(slots).index_copy_(0, by_group, slots)
        is_identity = order.shape == (locations, 1) and bool((order[:, 0] == slots).all())
        return cls(order, slot_of_location, None if (order >= 0).all() else order >= 0, is_identity)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.order.shape[0]

    @property
    def width(self) -> int:
        """Locations of the largest group."""
        return self.order.shape[1]

    @property
    def is_single(self) -> bool:
        """Whether one group serves all locations."""
        return self.groups == 1

    def to(self, torch_device: torch.device | str) -> "Grouping":
        """Return the same grouping on a torch device: itself if it is there already, and else always one copy."""
        torch_device = torch.device(torch_device)
        if self.order.device == torch_device:
            return self
        moved = _MOVED.setdefault(self, {})
        if torch_device not in moved:
            moved[torch_device] = replace(
                self,
                order=self.order.to(torch_device),
                slot_of_location=self.slot_of_location.to(torch_device),
                valid=None if self.valid is None else self.valid.to(torch_device),
            )
        return moved[torch_device]


_MOVED: WeakKeyDictionary[Grouping, dict[torch.device, Grouping]] = WeakKeyDictionary()
"""Copies on other torch devices: a pass that copied from the host would make it wait."""
