"""What a tile array must look like for aihwkit's tools to accept it as one of their tiles.

aihwkit recognises tiles by class (`TileModule`, `InferenceTileWithPeriphery`), so the tile array inherits from
both; but those classes keep a C++ tile, pickled configurations and scalar scales, none of which we have. Here
everything that concerns state is given back to plain `nn.Module`, and what aihwkit calls is translated.

Tiles that are trained in place have aihwkit's `AnalogContext`: a parameter without meaning as a number, by which its
optimizers find the tile, and where inputs and gradients of the batch wait for the update. It belongs to one object in
one process, so it is in no state dictionary, and a copy gets its own.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from devices.units import Dimensionless, Seconds

from ..aihwkit.adapter import (
    AnalogContext,
    BaseNoiseModel,
    InferenceTileWithPeriphery,
    RPUConfigBase,
    TileModule,
)
from ..cost.events import LayerEvents
from ..learning.synchronisation import count_synchronisation
from ..reading.noise import NoiseStream
from ..reading.periphery import Periphery
from ..reading.precision import keeping_precision
from ..reading.recomputation import Passes
from .chip_reading import ChipReading
from .lasting import lasting
from .memory import Memory

OnUpdate = Callable[[Tensor, Tensor, Dimensionless, Tensor, Tensor], None]
"""Called with x (tiles, vectors, in), d (tiles, vectors, out), the learning rate, and `weight` before and after."""

_CONTEXT = "analog_ctx"
_SEVERAL = (
    "`{}` must not wrap devices that are trained in place: every process would have a chip of its own, which learns "
    "from its share of each batch only, and nothing makes them equal again. Train in one process, or hardware-aware."
)


class AihwkitTile(TileModule, InferenceTileWithPeriphery):
    """A tile as aihwkit's tools see it, with the state of a plain `nn.Module`."""

    in_trans = False
    out_trans = False
    analog_bias = False
    digital_bias = False  # the layer adds the bias
    supports_indexed = False
    supports_ddp = True
    handle_output_bound = False
    non_blocking = False

    rpu_config: Any
    weight: Tensor
    analog_ctx: AnalogContext
    learning_rate: Dimensionless = 0.0

    def __init__(self) -> None:
        nn.Module.__init__(self)

    # State: plain tensors, no configuration objects, no C++ tile.
    state_dict = nn.Module.state_dict
    cuda = nn.Module.cuda
    cpu = nn.Module.cpu

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "AihwkitTile":
        move = keeping_precision(fn, is_in_situ=_CONTEXT in self._parameters)
        has_chip = self.reading is not None
        is_settled = self.memory.is_settled(self.weight, self.rpu_config, has_chip=has_chip)
        moved: AihwkitTile = nn.Module._apply(self, move, recurse)
        if is_settled:
            self.keep_settled()
        return moved

    def open_context(self) -> None:
        """Wait for the optimizer's updates from now on, as a tile that is trained in place."""
        self.supports_ddp = False
        AnalogContext(self)  # registers itself

    def refuse_other_processes(self) -> None:
        """Refuse a pass inside `DistributedDataParallel`, if the devices are trained in place.

        Raises:
            RuntimeError: If so.
        """
        if _CONTEXT in self._parameters and DistributedDataParallel._get_active_ddp_module() is not None:
            raise RuntimeError(_SEVERAL.format("DistributedDataParallel"))

    def _replicate_for_data_parallel(self) -> Any:
        if _CONTEXT in self._parameters:
            raise RuntimeError(_SEVERAL.format("DataParallel"))
        return super()._replicate_for_data_parallel()

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        nn.Module._save_to_state_dict(self, destination, prefix, keep_vars)
        destination.pop(prefix + _CONTEXT, None)

    def _load_from_state_dict(self, *args: Any) -> None:
        prefix, missing_keys = args[1], args[4]
        nn.Module._load_from_state_dict(self, *args)
        if prefix + _CONTEXT in missing_keys:
            missing_keys.remove(prefix + _CONTEXT)
        if any(name.startswith(prefix) for name in args[0]):  # else other layers' state is loaded
            self.erase()
            self.keep_settled()

    def __getstate__(self) -> dict[str, Any]:
        parameters = {name: value for name, value in self._parameters.items() if name != _CONTEXT}
        context = self._parameters.get(_CONTEXT)
        learns = None if context is None else context.requires_grad
        return {**self.__dict__, "_parameters": parameters, "context_learns": learns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        learns = state.pop("context_learns")
        nn.Module.__setstate__(self, state)
        if learns is not None:
            self.open_context()
            self.analog_ctx.requires_grad_(learns)
        self.memory.share_periphery(self.periphery)

    def to(self, *args: Any, **kwargs: Any) -> "AihwkitTile":
        """Move as `nn.Module.to`; a configuration, as `replace_rpu_config` passes it, replaces ours."""
        config = kwargs.pop("rpu_config", None)
        if args and isinstance(args[0], RPUConfigBase):
            config, args = args[0], args[1:]
        if config is not None:
            self.replace_rpu_config(config)
        return nn.Module.to(self, *args, **kwargs) if args or kwargs else self

    @property
    def device(self) -> torch.device:
        """The torch device of the weights, under the name that aihwkit uses."""
        return self.weight.device

    def get_dtype(self) -> torch.dtype:
        """Return the type of the weights."""
        return self.weight.dtype

    def get_runtime(self) -> Any:
        """Return aihwkit's runtime settings."""
        return self.rpu_config.runtime

    @property
    def is_cuda(self) -> bool:
        """Whether the weights lie on a GPU."""
        return self.weight.is_cuda

    def get_brief_info(self) -> str:
        """Return one line about the tiles."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        return ""

    def set_learning_rate(self, learning_rate: Dimensionless | None) -> None:
        """Set the learning rate of in-situ updates; the torch optimizer of trained weights has its own."""
        if learning_rate is not None:
            self.learning_rate = float(learning_rate)

    def get_learning_rate(self) -> Dimensionless:
        """Return the learning rate of in-situ updates."""
        return self.learning_rate

    # Translations. The methods on the right belong to the tile array.
    def program_weights(self, from_reference: bool = True, noise_model: BaseNoiseModel | None = None) -> None:
        """Program the present weights (there is no other reference) with a seed of the noise stream."""
        if noise_model is not None and hasattr(self.rpu_config, "noise_model"):
            self.rpu_config.noise_model = noise_model
        self.program(noise_model)

    def drift_weights(self, t_inference: Seconds = 0.0) -> None:
        """Let the programmed devices drift until a time in seconds, programming them first if need be.

        Devices that are trained in place and no part of a programmed chip are left alone, as aihwkit's are.
        """
        if not self.is_programmed:
            if _CONTEXT in self._parameters:
                return
            self.program()
        self.at(t_inference)

    def remap_weights(self, weight_scaling_omega: Dimensionless | None = 1.0) -> None:
        """Map the weights anew onto the conductance range."""
        self.set_kernels(self.kernels_weight(), omega=weight_scaling_omega)

    @torch.no_grad()
    def get_weights(
        self, apply_weight_scaling: bool = True, realistic: bool = False, *, trained: bool = False
    ) -> tuple[Float[Tensor, "kernels out in"], None]:
        """Return what the tiles hold, as aihwkit's tiles do: the programmed chip as last read, or trained weights.

        Where several tiles hold one kernel, the mean over them is returned.

        Args:
            apply_weight_scaling: Whether in the network's weights, digital scales included (True), or in units of
                the largest conductance (False).
            realistic: Whether to estimate the weights from products of random inputs, through DAC, array and ADC
                and with drift compensation, instead of looking at the devices.
            trained: Whether to return the trained weights, also if a chip is programmed.

        Returns:
            The weights, and None: the layer holds the bias.

        Raises:
            ValueError: If trained weights are to be read realistically although a chip is programmed.
        """
        if trained and realistic and self.reading is not None:
            raise ValueError(
                "`realistic` must be False for the trained weights while a chip is programmed, but is True: a read "
                "sees the chip. Leave `trained` out, or erase the chip."
            )
        self.settle()
        scales = self.scales()[..., None]
        if realistic:
            weight = self.memory.of_kernels(self._estimated_weights())
            return weight if apply_weight_scaling else weight / scales, None
        reading = None if trained else self.reading
        weight = self.trained_weights() if reading is None else self.memory.of_kernels(reading.weight)
        return weight * scales if apply_weight_scaling else weight.clone(), None

    def _estimated_weights(self, over_sampling: int = 10) -> Float[Tensor, "tiles out in"]:
        """Estimate the network's weights from products of random inputs, as aihwkit's `read_weights`."""
        shape = self.tiles, self.in_size * over_sampling, self.in_size
        # Over the whole range of the DAC, and not beyond: what is clipped tells nothing of a weight.
        x = 2 * self.noise.uniform_like(self.mapping_scales.new_empty(shape)) - 1
        if self.input_range is not None:
            x = x * self.input_range.abs()[:, None, None]
        was_training = self.training
        try:
            y = self.eval()(x)
        finally:
            self.train(was_training)
        weight: Tensor = torch.linalg.lstsq(x, y).solution.transpose(1, 2)
        population = self.tile_population()
        return weight if population is None else weight * population

    def set_weights(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        weight_scaling_omega: Dimensionless | None = None,
    ) -> None:
        """Set the weights of every kernel.

        Args:
            weight: (kernels, out, in).
            bias: Must be None: the layer holds it.
            apply_weight_scaling: Whether to map the weights onto the conductance range, with new digital scales
                (True), or to take them as they are, in units of the largest conductance (False).
            realistic: Whether to program them into a chip at once, with programming noise.
            weight_scaling_omega: What the largest weight is mapped to; that of the configuration if None.

        Raises:
            ValueError: If a bias is given, or devices that learn in place are to be programmed.
        """
        if bias is not None:
            raise ValueError(
                "`bias` must be None, but is given. Set it on the layer, which adds it digitally."
            )
        if realistic and not hasattr(self.rpu_config, "noise_model"):
            raise ValueError(
                f"`realistic` must be False for {type(self.rpu_config).__name__}, but is True: its devices are "
                "trained in place, and nothing is programmed. Leave it out."
            )
        self.set_kernels(weight, omega=weight_scaling_omega, keeps_scales=not apply_weight_scaling)
        if realistic:
            self.program()

    @lasting
    def update(
        self, x_input: Float[Tensor, "vectors tiles in"], d_input: Float[Tensor, "vectors tiles out"]
    ) -> None:
        """Send the pulses of one mini-batch, with the learning rate that was set last; aihwkit's optimizers call it.

        Args:
            x_input: Inputs of the tiles, in the network's units.
            d_input: Gradients of the outputs.

        Raises:
            RuntimeError: If the array is not trained in place.
        """
        x, d = x_input, d_input / self.memory.of_tiles(self.mapping_scales)
        if self.input_range is not None:
            limit = self.input_range.detach().abs()[:, None]
            x = x.clamp(-limit, limit) / limit
        before = None if self.on_update is None else self.weight.clone()
        self.memory.update(x, d, self.learning_rate, noise=self.noise)
        self.forget_changed()
        self.passes.forget()
        self.show_devices()
        if self.on_update is not None and before is not None:
            per_tile = self.memory.per_tile
            self.on_update(per_tile(x), per_tile(d), self.learning_rate, before, self.weight)

    @lasting
    def post_update_step(self) -> None:
        """End a mini-batch: devices decay and diffuse; or trained weights are clipped and remapped."""
        self.settle()
        have_moved, counts = self.memory.end_batch(noise=self.noise)
        count_synchronisation(self.events, counts)
        if have_moved:
            self.forget_changed()
            self.show_devices()

    def set_input_range(self, value: Tensor | Dimensionless) -> None:
        """Set every tile's input range."""
        if self.input_range is None:
            raise ValueError("`input_range` must be enabled in the configuration before it can be set.")
        asked = torch.as_tensor(value).abs()
        if not torch.isfinite(asked).all():
            raise ValueError(
                f"`value` must be finite, but is {value}. Choose the largest input that matters."
            )
        with torch.no_grad():
            self.input_range.copy_(asked.expand_as(self.input_range))

    # What a tile array provides.
    tiles: int
    in_size: int
    memory: Memory
    noise: NoiseStream
    periphery: Periphery
    reading: ChipReading | None
    mapping_scales: Tensor
    events: LayerEvents | None
    on_update: OnUpdate | None
    passes: Passes
    is_programmed: bool
    input_range: Tensor | None

    def program(self, noise_model: BaseNoiseModel | None = None, *, seed: int | None = None) -> None:
        """Write the weights into the devices."""
        raise NotImplementedError

    def at(self, time: Seconds, *, seed: int | None = None) -> None:
        """Let the devices age."""
        raise NotImplementedError

    def settle(self) -> None:
        """Clip and remap what an optimizer has changed."""
        raise NotImplementedError

    def erase(self) -> None:
        """Forget the chip."""
        raise NotImplementedError

    def keep_settled(self) -> None:
        """Remember the weights as they are."""
        raise NotImplementedError

    def forget_changed(self) -> None:
        """Forget the chip, with a word."""
        raise NotImplementedError

    def show_devices(self) -> None:
        """Show what the devices hold."""
        raise NotImplementedError

    def scales(self) -> Tensor:
        """Return the digital scales."""
        raise NotImplementedError

    def tile_population(self) -> Bool[Tensor, "tiles out in"] | None:
        """Return which devices of each tile exist, or None for all."""
        populated = self.memory.populated
        return None if populated is None else self.memory.of_tiles(populated)

    def trained_weights(self) -> Tensor:
        """Return the trained weights in units of the largest conductance."""
        raise NotImplementedError

    def kernels_weight(self) -> Tensor:
        """Return the network's weights."""
        raise NotImplementedError

    def set_kernels(
        self, weight: Tensor, *, omega: Dimensionless | None = None, keeps_scales: bool = False
    ) -> None:
        """Set the network's weights."""
        raise NotImplementedError

    def replace_rpu_config(self, rpu_config: Any) -> None:
        """Change the settings."""
        raise NotImplementedError
