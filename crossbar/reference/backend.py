"""The reference: T real aihwkit tiles, one after the other. Slow, exact, for tests and for doubters."""

from collections import OrderedDict
from copy import deepcopy
from typing import Any

import torch
from aihwkit.simulator.configs import InferenceRPUConfig
from aihwkit.simulator.configs.compounds import OneSidedUnitCell, TransferCompound
from aihwkit.simulator.parameters.mapping import MappingParameter
from aihwkit.simulator.parameters.pre_post import PrePostProcessingParameter
from aihwkit.simulator.tiles.analog import AnalogTile
from aihwkit.simulator.tiles.inference import InferenceTile
from torch import Tensor, nn

from devices.pulsed import DeviceArray, Engine, from_hidden, to_hidden
from devices.units import Dimensionless

from ..learning.unit_cells import UnitCells
from ..learning.write_verify_config import WriteVerifyRPUConfig
from ..reading.gradient import Gains, unmasked
from ..reading.mvm import outer_sum
from ..reading.noise import NoiseStream
from ..reading.periphery import Periphery


class ReferenceTiles:
    """T of aihwkit's C++ tiles whose weights are slices of one tensor.

    They do the analog product only; scales, ranges, modifiers, programming and drift are the tile array's.

    Args:
        tiles: Number of tiles T.
        out_size: Bit lines of each tile.
        in_size: Word lines of each tile.
        rpu_config: aihwkit inference configuration.
        periphery: What is frozen in the tiles' periphery; the C++ tiles get the same values.
    """

    def __init__(
        self, tiles: int, out_size: int, in_size: int, rpu_config: Any, periphery: Periphery
    ) -> None:
        self._made_of = tiles, out_size, in_size, rpu_config, periphery
        # Only what concerns the product: a mapping of one tile, without aihwkit's own scales and ranges.
        config = InferenceRPUConfig(
            forward=deepcopy(rpu_config.forward),
            mapping=MappingParameter(max_input_size=0, max_output_size=0),
        )
        self.io = config.forward
        self.weight = torch.zeros(tiles, out_size, in_size)
        self.tiles = [InferenceTile(out_size, in_size, config) for _ in range(tiles)]
        for index, tile in enumerate(self.tiles):
            tile.tile.set_shared_weights(self.weight[index])
            _share_periphery(tile, periphery, index)

    def mvm(self, weight: Tensor, x: Tensor, gains: Gains, *, is_test: bool) -> Tensor:
        """Multiply (tiles, batch, in) by (tiles, out, in), tile after tile, with aihwkit's gradient rules."""
        into_weight, into_x = (
            None if factor is None else factor.float() for factor in (gains.weight, gains.x)
        )
        gains = Gains(into_weight, into_x, gains.like_aihwkit)
        result: Tensor = _Loop.apply(weight.float(), x.float(), gains, self, is_test)
        return result.to(x.dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies are made anew: all that they have to keep is frozen in the periphery, and weights come with products.
        return ReferenceTiles, self._made_of


class ReferenceCells(UnitCells):
    """T of aihwkit's C++ training tiles: the reference for devices that are trained in place.

    The product forward and backward is theirs too. Scales, ranges and the order of vectors are the tile array's.
    Copies of one kernel receive the same vectors, but draw their own pulse trains: aihwkit's tiles cannot share them,
    and their noise cannot be seeded.

    Everything that aihwkit lets one read and write is in the state dictionary, as tensors. It lets one write neither
    the digital matrix of mixed precision nor the write noise that a weight is read with: where a device has these,
    a loaded state is not exact.

    Args:
        rpu_config: aihwkit training configuration.
        tiles: Number of tiles T.
        out_size: Bit lines of each tile.
        in_size: Word lines of each tile.
        seed: Seed of the fabrication; each tile has its own.

    Raises:
        ValueError: If devices are to be written to digital targets, which aihwkit's training tiles do not know; or
            are described by a class that is not aihwkit's.
    """

    def __init__(self, rpu_config: Any, tiles: int, out_size: int, in_size: int, *, seed: int) -> None:
        if isinstance(rpu_config, WriteVerifyRPUConfig):
            raise ValueError(
                "`rpu_config` must train by pulses to run on aihwkit's own tiles, but is a WriteVerifyRPUConfig of a "
                f"{type(rpu_config.device).__name__}, pulse type {rpu_config.update.pulse_type.name}. Use backend "
                "'batched', and pulses for pairs."
            )
        if not hasattr(rpu_config.device, "as_bindings"):
            raise ValueError(
                "`device` must be one of aihwkit's to run on its own tiles, but is a "
                f"{type(rpu_config.device).__name__}. Use backend 'batched', if it is in the table of learning rules."
            )
        super().__init__(tiles, out_size, in_size)
        self.rpu_config, self.seed = rpu_config, seed
        config = deepcopy(rpu_config)
        # Only what concerns the devices and their peripheries: no scales and ranges of aihwkit's own.
        config.mapping = MappingParameter(max_input_size=0, max_output_size=0)
        config.pre_post = PrePostProcessingParameter()
        self.aihwkit_tiles = []
        for index in range(tiles):
            if hasattr(config.device, "construction_seed"):
                config.device.construction_seed = 1 + (seed + index) % (2**31 - 1)  # 0 would be the clock
            self.aihwkit_tiles.append(AnalogTile(out_size, in_size, config, bias=False))

    def share_periphery(self, forward: Periphery, backward: Periphery) -> None:
        """Give the tiles what is frozen in the peripheries of both directions."""
        for index, tile in enumerate(self.aihwkit_tiles):
            _share_periphery(tile, forward, index)
            _share_periphery(tile, backward, index, is_backward=True)

    def mvm(self, x: Tensor, *, is_test: bool) -> Tensor:
        """Multiply (tiles, batch, in) by the weights, tile after tile: (tiles, batch, out)."""
        return torch.stack(
            [
                tile.tile.forward(vectors.contiguous(), False, False, False, is_test)
                for tile, vectors in zip(self.aihwkit_tiles, x, strict=True)
            ]
        )

    def backward_mvm(self, d: Tensor) -> Tensor:
        """Multiply (tiles, batch, out) by the transposed weights: (tiles, batch, in)."""
        return torch.stack(
            [
                tile.tile.backward(vectors.contiguous(), False)
                for tile, vectors in zip(self.aihwkit_tiles, d, strict=True)
            ]
        )

    @property
    def granularity(self) -> Dimensionless:
        """Size of a step near zero, as aihwkit knows it."""
        extra = self.aihwkit_tiles[0].tile.dump_extra()
        name = next(
            name for name in extra if name.startswith("rpu.rpu_device") and name.endswith("granularity")
        )
        value: Dimensionless = extra[name][0]
        return value

    def weights(self) -> Tensor:
        """Return what an MVM reads, (tiles, out, in)."""
        return torch.stack([tile.tile.get_weights() for tile in self.aihwkit_tiles])

    def set_weights(self, weight: Tensor, *, noise: NoiseStream) -> None:
        """Put the devices where their bounds allow."""
        for tile, values in zip(self.aihwkit_tiles, weight, strict=True):
            tile.tile.set_weights(values.contiguous())

    def update(
        self,
        x: Tensor,
        d: Tensor,
        learning_rate: Dimensionless,
        *,
        noise: NoiseStream,
        engine: Engine = "auto",
        tile_of_train: Tensor | None = None,
    ) -> None:
        """Send the pulses of one mini-batch; aihwkit draws its own noise, with its own engine."""
        trains = range(self.tiles) if tile_of_train is None else tile_of_train.tolist()
        for tile, train in zip(self.aihwkit_tiles, trains, strict=True):
            tile.tile.set_learning_rate(learning_rate)
            tile.tile.update(x[train].contiguous(), d[train].contiguous(), False)

    def end_batch(self, *, noise: NoiseStream) -> None:
        """Let devices decay and diffuse."""
        for tile in self.aihwkit_tiles:
            tile.post_update_step()

    def device_arrays(self) -> dict[str, DeviceArray]:
        """Return copies of the devices by their role, as batched cells do."""
        hidden = [tile.get_hidden_parameters() for tile in self.aihwkit_tiles]
        device = getattr(self.rpu_config.device, "device", self.rpu_config.device)
        parts = getattr(device, "unit_cell_devices", None)
        if parts is None:
            return {"main": from_hidden(device, hidden, self.weights())}
        number = sum(name.startswith("max_bound") for name in hidden[0])
        arrays = [
            from_hidden(
                parts[k % len(parts)],
                hidden,
                [values[f"hidden_weights_{k}"] for values in hidden],
                suffix=f"_{k}",
            )
            for k in range(number)
        ]
        if isinstance(device, OneSidedUnitCell):
            return {"plus": arrays[1], "minus": arrays[0]}
        if isinstance(device, TransferCompound) and number == 2:
            return {"fast": arrays[0], "slow": arrays[1]}
        return {str(k): array for k, array in enumerate(arrays)}

    def slow(self) -> DeviceArray:
        """Return a copy of the devices that mostly hold the network's weights."""
        arrays = self.device_arrays()
        return arrays["plus"] if "plus" in arrays else list(arrays.values())[-1]

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, values in self._state().items():
            destination[f"{prefix}{name}"] = values

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *args: Any) -> None:
        mine = {name: state[prefix + name] for name in self._state() if prefix + name in state}
        unexpected = args[3]
        super()._load_from_state_dict(state, prefix, *args)
        unexpected[:] = [key for key in unexpected if key.removeprefix(prefix) not in mine]
        for index, tile in enumerate(self.aihwkit_tiles):
            hidden, extra = OrderedDict(), dict(tile.tile.dump_extra())
            for name, values in mine.items():
                kind, _, key = name.partition("/")
                if kind == "hidden":
                    hidden[key] = values[index].clone()
                elif kind == "extra":
                    extra[key] = values[index].tolist()
            tile.set_hidden_parameters(hidden)
            tile.tile.load_extra(extra, False)
            # A cell of several devices would forget their hidden weights, of which its weight follows.
            if not any(name.startswith("hidden_weights") for name in hidden):
                tile.tile.set_weights(
                    mine.get("hidden/persistent_weights", mine["weight"])[index].contiguous()
                )

    def _state(self) -> dict[str, Tensor]:
        hidden = [tile.get_hidden_parameters() for tile in self.aihwkit_tiles]
        extra = [tile.tile.dump_extra() for tile in self.aihwkit_tiles]
        state = {f"hidden/{name}": torch.stack([values[name] for values in hidden]) for name in hidden[0]}
        state["weight"] = self.weights()
        for name, values in extra[0].items():
            if len(values) > 0:
                state[f"extra/{name}"] = torch.tensor([each[name] for each in extra])
        return state

    def __reduce__(self) -> tuple[Any, ...]:
        # aihwkit's own pickling loses what is hidden in cells of several devices.
        sizes = self.tiles, self.out_size, self.in_size
        return _cells_with, (self.rpu_config, sizes, self.seed, self.training, dict(self.state_dict()))


def _cells_with(
    rpu_config: Any, sizes: tuple[int, int, int], seed: int, is_training: bool, state: dict[str, Tensor]
) -> ReferenceCells:
    """Return tiles in this state: what a copy is made by."""
    cells = ReferenceCells(rpu_config, *sizes, seed=seed)
    cells.load_state_dict(state)
    return cells.train(is_training)


def copy_devices(source: UnitCells, target: UnitCells) -> None:
    """Make the devices of some cells those of others, standing where they stand; from aihwkit's tiles or to them.

    Digital buffers, choppers and counters are not copied: call it when they are as after `set_weights`. aihwkit draws
    the write noise of its tiles anew, and in cells of several devices leaves the noise of one write in the weights
    that pulses act on.
    """
    arrays = source.device_arrays()
    if not isinstance(target, ReferenceCells):
        for mine, theirs in zip(target.device_arrays().values(), arrays.values(), strict=True):
            for name, values in theirs.named_buffers():
                setattr(mine, name, values)
        return
    is_single = "main" in arrays
    # aihwkit numbers the devices of a one-sided pair the other way round.
    in_order = [arrays["minus"], arrays["plus"]] if "minus" in arrays else list(arrays.values())
    suffixes = [""] if is_single else [f"_{number}" for number in range(len(in_order))]
    of_arrays = [to_hidden(array, suffix=suffix) for array, suffix in zip(in_order, suffixes, strict=True)]
    for index, tile in enumerate(target.aihwkit_tiles):
        hidden = tile.get_hidden_parameters()
        for array, suffix, of_tiles in zip(in_order, suffixes, of_arrays, strict=True):
            hidden.update(of_tiles[index])
            if not is_single:
                hidden[f"hidden_weights{suffix}"] = array.hidden_weight[index].clone()
        tile.set_hidden_parameters(hidden)
        if is_single:  # a cell of several devices would forget their hidden weights
            tile.tile.set_weights(arrays["main"].hidden_weight[index].contiguous())


def _share_periphery(tile: Any, periphery: Periphery, index: int, *, is_backward: bool = False) -> None:
    parameters = tile.get_backward_parameters() if is_backward else tile.get_forward_parameters()
    ours = {
        "out_noise_values": periphery.out_noise_values,
        "v_offset": periphery.v_offset,
        "out_nonlinearity": periphery.out_nonlinearity,
        "out_nonlinearity_factor": periphery.nonlinearity_factor,
        "w_asymmetry": periphery.w_asymmetry,
    }
    shared = OrderedDict(parameters)
    for name, values in ours.items():
        if values is not None and parameters[name].numel() > 0:
            shared[name] = values[index].detach().reshape(parameters[name].shape).clone()
    (tile.set_backward_parameters if is_backward else tile.set_forward_parameters)(shared)


class LoopOfTiles(nn.Module):
    """What a user of aihwkit writes for T tiles: a Python loop over T complete tile modules.

    The baseline of `xbar bench`, with aihwkit's own scales, ranges, modifiers and autograd.

    Args:
        tiles: Number of tiles T.
        out_size: Bit lines of each tile.
        in_size: Word lines of each tile.
        rpu_config: aihwkit configuration; its class decides which tile of aihwkit is used.
    """

    def __init__(self, tiles: int, out_size: int, in_size: int, rpu_config: Any) -> None:
        super().__init__()
        self.tiles = nn.ModuleList(
            rpu_config.tile_class(out_size, in_size, deepcopy(rpu_config), bias=False) for _ in range(tiles)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (tiles, batch, in) to (tiles, batch, out), one tile after the other."""
        return torch.stack([tile(vectors) for tile, vectors in zip(self.tiles, x, strict=True)])

    def set_weights(self, weight: Tensor) -> None:
        """Set every tile's weights, (tiles, out, in)."""
        for tile, values in zip(self.tiles, weight, strict=True):
            tile.set_weights(values)  # type: ignore[operator]

    def after_step(self) -> None:
        """Clip, remap and modify, as aihwkit's optimizers ask every tile to do after a step."""
        for tile in self.tiles:
            tile.post_update_step()  # type: ignore[operator]


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        x: Tensor,
        gains: Gains,
        reference: ReferenceTiles,
        is_test: bool,
    ) -> Tensor:
        ctx.reference = reference
        reference.weight.copy_(weight)
        outputs = [
            tile.tile.forward(vectors.contiguous(), False, False, False, is_test)
            for tile, vectors in zip(reference.tiles, x, strict=True)
        ]
        y = torch.stack(outputs)
        inside = unmasked(y, reference.io) if gains.like_aihwkit else None
        ctx.save_for_backward(reference.weight.clone(), x, inside, gains.weight, gains.x)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, x, inside, *factors = ctx.saved_tensors
        gains, grad = Gains(*factors), grads[0]
        ctx.reference.weight.copy_(weight)
        tiles = ctx.reference.tiles
        into_x = gains.for_x(grad if inside is None else grad * inside).contiguous()
        grad_x = [tile.tile.backward(d, False) for tile, d in zip(tiles, into_x, strict=True)]
        return outer_sum(gains.for_weight(grad), x), torch.stack(grad_x), None, None, None
