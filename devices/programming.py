"""Writing weights into the devices of many tiles, and what becomes of them."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from typing_extensions import final

from .aihwkit_adapter import BaseNoiseModel
from .conversion import Conductances, Populated, Weights, convert_tiles
from .faults import Faults
from .times import ValidTimes
from .trajectories import AbstractTrajectory, Look, WrittenDevices, trajectory_of
from .units import Seconds
from .working_memory import divided, filled, is_within

# Numbers of a device that writing or reading it holds at a time.
_IN_BETWEEN = 8
_ALL = slice(None)

Circuit = Callable[[Conductances], Conductances]
"""What the periphery sees of the conductances, in µS, one tensor for each device of the unit cell."""


def program(
    noise_model: BaseNoiseModel,
    target_weights: Weights,
    *,
    seed: int,
    populated: Tensor | None = None,
    programming_noise: bool = True,
    faults: Faults | None = None,
    held: Tensor | None = None,
    circuit: Circuit | None = None,
) -> "ProgrammedTiles":
    """Write target weights into the devices of one chip.

    Every tile is spread over its own conductance range, as aihwkit does tile by tile: its largest weight (for
    a single-device converter its largest and smallest) becomes g_max. Then each device misses its target by
    the model's programming noise and receives what it keeps for life, for example a drift exponent.

    Drawn once per call, on the CPU, from streams that `seed` names: the same seed gives the same chip,
    whatever was drawn before. torch's global generator does not move. (A user's model that draws from numpy
    or elsewhere is on its own.)

    Args:
        noise_model: Any of aihwkit's noise models, or a user's. It must treat every device by itself. It is
            copied.
        target_weights: What to write.
        seed: The chip's seed.
        populated: Where a device exists, a bool mask that broadcasts to the weights. The weight of an absent
            device is exactly zero, at every time.
        programming_noise: Whether devices miss their targets. False for devices that stand there already, as
            those that were trained in place: from time 0 on they drift and are read as written ones.
        faults: How many devices fail. Which ones belongs to the chip, that is to `seed`. They hold their
            conductance, between the converter's g_min and g_max, or 0 µS on a broken line, without programming
            noise, drift and read noise. All others are those of the chip without faults, to the last bit.
        held: Where devices stay at their targets for ever, a bool mask that broadcasts to the weights: those that
            are stuck already, in cells that were trained in place.
        circuit: What lies between the devices and the periphery, for example wires with resistance; nothing if None.
            Weights are what is seen through it; conductances are those of the devices.

    Returns:
        The written tiles.

    Raises:
        TypeError: If `noise_model` is no noise model, or a tensor has the wrong dtype.
        ValueError: If a shape does not fit, a weight is not finite, aihwkit lost an argument of the model, or a
            converter does not tell between which conductances devices can be stuck.

    Example:
        >>> from devices import get
        >>> tiles = program(get("pcm").noise_model(), torch.eye(4).repeat(3, 1, 1), seed=0)
        >>> tiles.drifted_weights(3600.0).shape
        torch.Size([3, 4, 4])
    """
    _check_target_weights(target_weights)
    mask = None if populated is None else _full_mask("populated", populated, target_weights)
    weights = target_weights.detach().to("cpu", copy=True)
    if mask is not None:
        weights.masked_fill_(~mask, 0.0)
    noise_model = copy.deepcopy(noise_model)
    trajectory = trajectory_of(noise_model)
    conversion = convert_tiles(noise_model.g_converter, weights, mask)
    positions = len(conversion.targets(slice(0, 1)))
    writes = [trajectory.begin_write((seed, position)) for position in range(positions)]
    # Where memory is short, exponents take time instead: they are drawn again when they are asked for.
    keeps = trajectory.begin_again((seed, 0)) is None or is_within(positions * weights.nbytes)

    def write(part: slice) -> list[Tensor | None]:
        written = [begun(g) for begun, g in zip(writes, conversion.targets(part), strict=True)]
        g_programmed = [one.g_programmed if programming_noise else one.g_target for one in written]
        return [*g_programmed, *(one.drawn if keeps else None for one in written)]

    results = _of_all_devices(trajectory, weights, positions, write)
    g_stuck = None if faults is None else _draw_stuck(noise_model, faults, conversion.g_target, seed)
    if held is not None:
        is_held = _full_mask("held", held, target_weights)
        at_target = [torch.where(is_held, g, torch.nan) for g in conversion.g_target]
        g_stuck = [
            torch.where(is_held, at, drawn) for at, drawn in zip(at_target, g_stuck or at_target, strict=True)
        ]
    return ProgrammedTiles(
        noise_model,
        target_weights=weights,
        populated=mask,
        g_programmed=[g for g in results[:positions] if g is not None],
        drawn=results[positions:] if keeps else None,
        g_stuck=g_stuck,
        seed=seed,
        torch_device=target_weights.device,
        circuit=circuit,
    )


@final
class ProgrammedTiles:
    """What was written into the tiles of one chip, and the history that follows.

    Time counts from the end of programming, as aihwkit's `t_inference`. The conductances of all devices of a
    unit cell are kept and aged. (aihwkit merges them to a weight after programming and splits that weight
    again when it drifts: the noise of the device that should be at zero is lost, and the conductance scale
    moves with the noise.)

    Conductances live on the CPU, so that a chip is the same wherever the network runs; weights are returned
    on the torch device of the target weights.

    Make one with `program` or `from_state`.

    Attributes:
        noise_model: The model that the devices follow.
        target_weights: What was asked for; zero where there is no device.
        populated: Where a device exists, or None for everywhere.
        seed: The chip's seed.
        g_stuck: The conductances that faulty devices hold, in µS, likewise, NaN for those that work; None for a chip
            without faults.
        torch_device: Where weights are returned.
        circuit: What lies between the devices and the periphery, or None.
    """

    def __init__(
        self,
        noise_model: BaseNoiseModel,
        *,
        target_weights: Weights,
        populated: Populated | None,
        g_programmed: Conductances,
        drawn: list[Tensor | None] | None,
        g_stuck: Conductances | None = None,
        seed: int,
        torch_device: torch.device | str,
        circuit: Circuit | None = None,
    ) -> None:
        self.noise_model = noise_model
        self.target_weights = target_weights
        self.populated = populated
        self.seed = seed
        self._drawn = drawn
        self.g_stuck = g_stuck
        self.torch_device = torch.device(torch_device)
        self.circuit = circuit
        self._trajectory = trajectory_of(noise_model)
        # Conversion is deterministic, so the targets and the way back follow from the weights.
        self._conversion = convert_tiles(noise_model.g_converter, target_weights, populated)
        # Faults come last: a model that looks at all conductances must treat the working devices as without them.
        self._g_written = [self._without_absent(g, _ALL) for g in g_programmed]

    @property
    def g_target(self) -> Conductances:
        """The conductances asked for, in µS, one tensor for each device of the unit cell. Computed anew."""
        return self._targets(_ALL)

    @property
    def g_programmed(self) -> Conductances:
        """The conductances written, in µS, one tensor for each device of the unit cell."""
        return self._with_faults(self._g_written, _ALL)

    @property
    def drawn(self) -> list[Tensor | None]:
        """What the devices keep for life, one tensor for each device of the unit cell; None for nothing."""
        if self._drawn is not None:
            return self._drawn
        again = self._begin_again()
        positions = len(again)
        return _of_all_devices(
            self._trajectory, self.target_weights, positions, lambda part: self._drawn_of(again, part)
        )

    @property
    def valid_times(self) -> ValidTimes:
        """When the tiles can be asked."""
        return self._trajectory.valid_times

    @property
    def programmed_weights(self) -> Weights:
        """The weights right after writing, without read noise."""
        return self._weights_of(lambda part: [g[part] for g in self._g_written])

    def conductances(self, time: Seconds) -> Conductances:
        """Return the conductances at a time, without read noise.

        Args:
            time: Time since the end of programming.

        Returns:
            In µS, one tensor for each device of the unit cell; zero where there is no device.

        Raises:
            ValueError: If the model states nothing about this time.
        """
        look_at = self._begin_drift(time)
        positions = len(self._g_written)
        g = _of_all_devices(self._trajectory, self.target_weights, positions, look_at)
        return self._with_faults([of_one for of_one in g if of_one is not None], _ALL)

    def drifted_weights(self, time: Seconds) -> Weights:
        """Return the weights at a time, without read noise.

        Deterministic: the trajectory of one chip, the same whenever and in whatever order it is asked for.

        Args:
            time: Time since the end of programming.

        Raises:
            ValueError: If the model states nothing about this time.
        """
        look_at = self._begin_drift(time)
        return self._weights_of(look_at)

    def read_weights(self, time: Seconds, *, rng: torch.Generator) -> Weights:
        """Return the weights as one read sees them at a time, with the 1/f noise accumulated until then.

        The noise is drawn anew from `rng` at every call. Models without separate read noise (ReRAM of Wan et
        al., users' own models) return the drifted weights.

        Args:
            time: Time since the end of programming.
            rng: The stream of this read.

        Raises:
            ValueError: If the model states nothing about this time.
        """
        self.valid_times.check(time)
        looks = [self._trajectory.begin_read(seed, float(time), rng) for seed in self._seeds()]
        return self._weights_of(self._begin(looks))

    def state(self) -> dict[str, Tensor]:
        """Return all but the noise model as a flat dictionary of tensors, for example for safetensors."""
        tensors = {"target_weights": self.target_weights, "seed": torch.tensor(self.seed)}
        if self.populated is not None:
            tensors["populated"] = self.populated
        for position, (g, drawn) in enumerate(zip(self._g_written, self.drawn, strict=True)):
            tensors[f"g_programmed.{position}"] = g
            if drawn is not None:
                tensors[f"drawn.{position}"] = drawn
        for position, g in enumerate(self.g_stuck or ()):
            tensors[f"g_stuck.{position}"] = g
        return {name: tensor.contiguous() for name, tensor in tensors.items()}

    @classmethod
    def from_state(
        cls,
        noise_model: BaseNoiseModel,
        tensors: dict[str, Tensor],
        *,
        torch_device: torch.device | str = "cpu",
        circuit: Circuit | None = None,
    ) -> "ProgrammedTiles":
        """Bring written tiles back.

        Args:
            noise_model: The model they were written with; its random numbers are in the state, its law is
                not.
            tensors: What `state` returned.
            torch_device: Where weights are to be returned.
            circuit: What lies between the devices and the periphery; no part of the state.

        Raises:
            ValueError: If a tensor is missing.
        """
        positions = range(sum(name.startswith("g_programmed.") for name in tensors))
        if not positions or "target_weights" not in tensors or "seed" not in tensors:
            raise ValueError(
                "`tensors` must hold target_weights, seed and g_programmed.0, ..., "
                f"but is a dictionary of {sorted(tensors)}. Pass what `state()` returned."
            )
        tensors = {name: tensor.to("cpu") for name, tensor in tensors.items()}
        return cls(
            copy.deepcopy(noise_model),
            target_weights=tensors["target_weights"],
            populated=tensors.get("populated"),
            g_programmed=[tensors[f"g_programmed.{position}"] for position in positions],
            drawn=[tensors.get(f"drawn.{position}") for position in positions],
            g_stuck=[tensors[f"g_stuck.{p}"] for p in positions] if "g_stuck.0" in tensors else None,
            seed=int(tensors["seed"]),
            torch_device=torch_device,
            circuit=circuit,
        )

    def faulty_and_existing(self) -> tuple[int, int]:
        """Count the devices that do not work, and all devices, of all unit cells."""
        exists = torch.ones_like(self.target_weights, dtype=torch.bool)
        exists = exists if self.populated is None else self.populated
        faulty = sum(int((~g.isnan() & exists).sum()) for g in self.g_stuck or ())
        return faulty, int(exists.sum()) * len(self.g_target)

    def _seeds(self) -> list[tuple[int, int]]:
        return [(self.seed, position) for position in range(len(self._g_written))]

    def _begin_drift(self, time: Seconds) -> Callable[[slice], Conductances]:
        self.valid_times.check(time)
        return self._begin([self._trajectory.begin_drift(seed, float(time)) for seed in self._seeds()])

    def _begin(self, looks: list[Look]) -> Callable[[slice], Conductances]:
        """Return what tells the conductances of tiles, part after part, as something that was begun sees them."""
        again = self._begin_again()

        def look_at(part: slice) -> Conductances:
            targets = self._targets(part)
            drawn = self._drawn_of(again, part)
            values = zip(looks, targets, self._g_written, drawn, self._seeds(), strict=True)
            return [
                look(WrittenDevices(g_target, g[part], of_life, seed))
                for look, g_target, g, of_life, seed in values
            ]

        return look_at

    def _begin_again(self) -> list[Callable[[Tensor], Tensor] | None]:
        """Return what draws again what the devices keep for life; None for each where it is kept."""
        if self._drawn is not None:
            return [None for _ in self._g_written]
        return [self._trajectory.begin_again(seed) for seed in self._seeds()]

    def _drawn_of(self, again: list[Callable[[Tensor], Tensor] | None], part: slice) -> list[Tensor | None]:
        if self._drawn is not None:
            return [values if values is None else values[part] for values in self._drawn]
        targets = self._conversion.targets(part)  # as they were written, absent devices included
        return [draw(g) for draw, g in zip(again, targets, strict=True) if draw is not None]

    def _weights_of(self, conductances: Callable[[slice], Conductances]) -> Weights:
        """Return the weights of all tiles that the periphery sees, from the conductances of some."""
        target = self.target_weights
        if self.circuit is not None:  # it is given all tiles
            return self._to_weights(self._with_faults(conductances(_ALL), _ALL), _ALL).to(self.torch_device)
        (weights,) = _of_all_devices(
            self._trajectory,
            target,
            len(self._g_written),
            lambda part: [self._to_weights(self._with_faults(conductances(part), part), part)],
        )
        assert weights is not None
        return weights.to(self.torch_device)

    def _targets(self, part: slice) -> Conductances:
        return [self._without_absent(g, part) for g in self._conversion.targets(part)]

    def _with_faults(self, conductances: Conductances, part: slice) -> Conductances:
        """Let faulty devices read what they hold, and absent ones nothing."""
        if self.g_stuck is not None:
            conductances = [
                torch.where(stuck[part].isnan(), g, stuck[part].to(g))
                for g, stuck in zip(conductances, self.g_stuck, strict=True)
            ]
        return [self._without_absent(g, part) for g in conductances]

    def _without_absent(self, values: Tensor, part: slice) -> Tensor:
        return values if self.populated is None else values.masked_fill(~self.populated[part], 0.0)

    def _to_weights(self, conductances: Conductances, part: slice) -> Weights:
        if self.circuit is not None:
            conductances = self.circuit(conductances)
        return self._without_absent(self._conversion.to_weights(conductances, part), part)


def _of_all_devices(
    trajectory: AbstractTrajectory,
    weights: Weights,
    positions: int,
    work: Callable[[slice], Sequence[Tensor | None]],
) -> list[Tensor | None]:
    """Do something for all tiles, some at a time where the law of the devices allows it."""
    of_tile = positions * _IN_BETWEEN * weights[0].nbytes
    return filled(len(weights), of_tile, work, can_be=trajectory.can_be_divided)


def _check_target_weights(target_weights: Tensor) -> None:
    if target_weights.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            f"`target_weights` must be float32 or float64, but is {target_weights.dtype}. "
            "Convert it with `.float()`."
        )
    if target_weights.dim() != 3 or target_weights.numel() == 0:
        raise ValueError(
            "`target_weights` must have the shape (tiles, bit_lines, word_lines), none of them zero, "
            f"but is of shape {tuple(target_weights.shape)}. Add the axis of tiles with `weights[None]`."
        )
    parts = divided(len(target_weights), 3 * target_weights[0].nbytes)
    missing = sum(int((~target_weights[part].isfinite()).sum()) for part in parts)
    if missing:
        raise ValueError(
            f"`target_weights` must be finite, but is inf or nan in {missing} places. Check the training."
        )


def _draw_stuck(
    noise_model: BaseNoiseModel, faults: Faults, g_target: Conductances, seed: int
) -> Conductances:
    """Draw which devices of a chip fail, and return the conductances they hold, NaN for those that work."""
    converter = noise_model.g_converter
    if not hasattr(converter, "g_min") or not hasattr(converter, "g_max"):
        raise ValueError(
            "`noise_model` must have a converter that states `g_min` and `g_max`, between which devices are stuck, "
            f"but has a {type(converter).__name__}. Set both on it, in µS."
        )
    maps = [faults.draw(tuple(g.shape), seed=seed, position=k) for k, g in enumerate(g_target)]
    return [faulty.values(converter.g_min, converter.g_max) for faulty in maps]


def _full_mask(name: str, values: Tensor, target_weights: Tensor) -> Populated:
    if values.dtype != torch.bool:
        raise TypeError(f"`{name}` must be a bool mask, but is {values.dtype}. Convert it with `.bool()`.")
    try:
        mask = torch.broadcast_to(values, target_weights.shape)
    except RuntimeError:
        raise ValueError(
            f"`{name}` must broadcast to {tuple(target_weights.shape)}, "
            f"but is of shape {tuple(values.shape)}. Give one bool for each device."
        ) from None
    return mask.to("cpu", copy=True).contiguous()
