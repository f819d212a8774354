"""Cells of several devices that are read together: all of them learn, or one at a time."""

from collections.abc import Sequence
from functools import cache
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from devices.parts import any_of, drawn_for_own
from devices.pulsed import DeviceArray, Engine, apply_trains, count_lines, draw_trains
from devices.units import Dimensionless

from ..aihwkit.adapter import UpdateParameters, VectorUnitCellUpdatePolicy
from ..reading.noise import NoiseStream
from .trains_of_tiles import for_every_tile
from .unit_cells import UnitCells


@final
class VectorCells(UnitCells):
    """Several devices at every crosspoint, whose weighted sum is what an MVM reads.

        w = sum_k gamma_k w_k

    Which of them receive the pulses of a vector is the update policy: all of them, the same trains; one after the
    other; one at random, drawn for every tile and vector; or always the same one (a reference cell is a fixed one
    that learns, minus another that stays).

    Args:
        arrays: The devices, one array for each place in the cell.
        update: aihwkit's settings of the pulses.
        policy: Which devices receive the pulses.
        first: The device that is updated, or that begins.
        gamma: Weight of each device in the sum; equal parts if empty.

    Attributes:
        current: (tiles,) the device that was updated last, or is to be updated if that is fixed.

    Raises:
        ValueError: If there are not as many weights in `gamma` as devices, or `first` is none of them.
    """

    current: Tensor
    gamma: Tensor

    def __init__(
        self,
        arrays: Sequence[DeviceArray],
        update: UpdateParameters,
        policy: VectorUnitCellUpdatePolicy,
        first: int,
        gamma: Sequence[Dimensionless],
    ) -> None:
        super().__init__(*arrays[0].shape)
        number = len(arrays)
        if gamma and len(gamma) != number:
            raise ValueError(
                f"`gamma_vec` must have one weight for each of the {number} devices, but has {len(gamma)}. "
                "Add or remove some, or leave it empty for equal parts."
            )
        if not 0 <= first < number:
            raise ValueError(
                f"`first_update_idx` must be the number of a device, from 0 to {number - 1}, but is {first}. "
                "Choose one of them."
            )
        self.arrays = nn.ModuleList(arrays)
        self.update_parameters = update
        self.policy = policy
        self.first = first
        self.decays = any(array.device.requires_decay() for array in arrays)
        self.diffuses = any(array.device.requires_diffusion() for array in arrays)
        weights = torch.tensor(list(gamma) or [1.0 / number] * number, dtype=torch.float32)
        self.register_buffer("gamma", weights, persistent=False)
        self.register_buffer("current", torch.full((self.tiles,), first, dtype=torch.int64))

    @property
    @override
    def granularity(self) -> Dimensionless:
        return mean_of(tuple(array.step_size for array in self._arrays()))

    @property
    @override
    def draws_by_tile(self) -> bool:
        return True

    @override
    def weights(self) -> Float[Tensor, "tiles out in"]:
        return weighted_sum(self._arrays(), self.gamma)

    @override
    @torch.no_grad()
    def set_weights(self, weight: Float[Tensor, "tiles out in"], *, noise: NoiseStream) -> None:
        """Put the devices at this weight each: all of them, or only the one that is updated if that is fixed."""
        rng = noise.generator("cpu")
        is_fixed = self.policy == VectorUnitCellUpdatePolicy.SINGLE_FIXED
        if not is_fixed:
            self.current.fill_(self.first)
        for number, array in enumerate(self._arrays()):
            if not is_fixed:
                array.set_weights(weight, rng=rng)
            else:
                is_chosen = (self.current == number)[:, None, None]
                array.set_weights(torch.where(is_chosen, weight, array.hidden_weight), rng=rng)

    @override
    @torch.no_grad()
    def update(
        self,
        x: Float[Tensor, "trains batch in"],
        d: Float[Tensor, "trains batch out"],
        learning_rate: Dimensionless,
        *,
        noise: NoiseStream,
        engine: Engine = "auto",
        tile_of_train: Int[Tensor, " tiles"] | None = None,
    ) -> None:
        batch = x.shape[1]
        if learning_rate == 0 or batch == 0:
            return
        rng = noise.generator("cpu")
        trains = draw_trains(x, d, learning_rate, self.granularity, self.update_parameters, rng=rng)
        # Sent once, to all devices of a cell.
        count_lines(self._arrays()[0], trains, tile_of_train, rng=rng)
        if self.policy == VectorUnitCellUpdatePolicy.ALL:
            for array in self._arrays():
                apply_trains(array, trains, rng=rng, engine=engine, tile_of_train=tile_of_train)
            return
        trains = for_every_tile(trains, tile_of_train)
        chosen = self._choose(batch, rng)
        for number, array in enumerate(self._arrays()):
            mine = chosen == number
            if any_of(mine.any(), rng):
                apply_trains(array, trains.where(mine[..., None]), rng=rng, engine=engine)
        self.current.copy_(chosen[:, -1])

    @override
    def device_arrays(self) -> dict[str, DeviceArray]:
        return {str(number): array for number, array in enumerate(self._arrays())}

    @override
    def slow(self) -> DeviceArray:
        return self._arrays()[self.first]

    def _arrays(self) -> list[DeviceArray]:
        return list(self.arrays)  # type: ignore[arg-type]

    def _choose(self, batch: int, rng: torch.Generator) -> Int[Tensor, "tiles batch"]:
        """Choose the device that each vector updates."""
        number, shape = len(self.arrays), (self.tiles, batch)
        if self.policy == VectorUnitCellUpdatePolicy.SINGLE_RANDOM:
            chosen = drawn_for_own(shape, lambda all: torch.randint(number, all, generator=rng), rng)
            return chosen.to(self.current.device)
        if self.policy == VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL:
            steps = torch.arange(1, batch + 1, device=self.current.device)
            return (self.current[:, None] + steps) % number
        return self.current[:, None].expand(shape)


@cache
def mean_of(values: tuple[Dimensionless, ...]) -> Dimensionless:
    """Return the mean of float32 numbers as torch rounds it."""
    return float(torch.tensor(values).mean())


def weighted_sum(arrays: Sequence[DeviceArray], gamma: Float[Tensor, " devices"]) -> Tensor:
    """Return what several devices of a cell add up to.

    Args:
        arrays: The devices.
        gamma: Weight of each in the sum.
    """
    result = gamma[0] * arrays[0].weight
    for factor, array in zip(gamma[1:], arrays[1:], strict=True):
        result.addcmul_(factor, array.weight)
    return result
