"""What a tile array must look like for aihwkit's tools to accept it as one of their tiles.

aihwkit recognises tiles by class (`TileModule`, `InferenceTileWithPeriphery`), so the tile array inherits from
both; but those classes keep a C++ tile, pickled configurations and scalar scales, none of which we have. Here
everything that concerns state is given back to plain `nn.Module`, and what aihwkit calls is translated.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from devices.units import Dimensionless, Seconds

from ..aihwkit.adapter import BaseNoiseModel, RPUConfigBase
from ..cost.events import LayerEvents
from ..distributed.images_of_process import ImagesOfProcess
from ..learning.synchronisation import count_synchronisation
from ..reading.noise import NoiseOfImages, NoiseStream
from ..reading.periphery import Periphery
from ..reading.precision import keeping_precision
from ..reading.quantised_outputs import QuantisedOutputs, quantised_outputs
from ..reading.recomputation import Passes
from .chip_reading import ChipReading
from .citizen.context import CONTEXT
from .citizen.hidden import TileWithHidden
from .citizen.noted_configuration import note_configuration, refuse_other_configuration
from .lasting import lasting
from .memory import Memory

OnUpdate = Callable[[Tensor, Tensor, Dimensionless, Tensor, Tensor], None]
"""Called with x (tiles, vectors, in), d (tiles, vectors, out), the learning rate, and `weight` before and after."""


class AihwkitTile(TileWithHidden):
    """A tile as aihwkit's tools see it, with the state of a plain `nn.Module`."""

    in_trans = False
    out_trans = False
    analog_bias = False
    digital_bias = False  # the layer adds the bias
    supports_indexed = False
    handle_output_bound = False
    non_blocking = False

    rpu_config: Any
    weight: Tensor
    learning_rate: Dimensionless = 0.0
    # What a user asked of `load_state_dict`. No state has a configuration; False compares the kind that is noted.
    load_rpu_config = True
    strict_rpu_config_check = True

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.images: ImagesOfProcess | None = None  # of every batch; None for all
        self.quantised: QuantisedOutputs | None = None  # the layer's, which applies it

    def get_ready(self) -> None:
        """Refuse a pass that would not do what the configuration says; then settle.

        Raises:
            RuntimeError: If devices that are trained in place are in one of several processes.
            ValueError: If outputs are to be quantised, which the layer would do, but there is no layer.
        """
        self.refuse_other_processes(are_known=self.images is not None)
        if self.quantised is None and quantised_outputs(self.rpu_config, 1) is not None:
            raise ValueError(
                f"`rpu_config` must not quantise digitally where an array belongs to no layer, but is a "
                f"{type(self.rpu_config).__name__} that does. Use a layer, such as AnalogLinear."
            )
        self.settle()

    # State: plain tensors, no configuration objects, no C++ tile.
    state_dict = nn.Module.state_dict
    cuda = nn.Module.cuda
    cpu = nn.Module.cpu

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "AihwkitTile":
        move = keeping_precision(fn, is_in_situ=self.memory.learns_in_place)
        has_chip = self.reading is not None
        is_settled = self.memory.is_settled(self.weight, self.rpu_config, has_chip=has_chip)
        moved: AihwkitTile = nn.Module._apply(self, move, recurse)
        if is_settled:
            self.keep_settled()
        return moved

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        nn.Module._save_to_state_dict(self, destination, prefix, keep_vars)
        destination.pop(prefix + CONTEXT, None)
        note_configuration(destination, prefix, self.rpu_config)

    def _load_from_state_dict(self, *args: Any) -> None:
        prefix, local_metadata, missing_keys = args[1], args[2], args[4]
        if not self.load_rpu_config and self.strict_rpu_config_check:
            refuse_other_configuration(local_metadata, prefix, self.rpu_config)
        nn.Module._load_from_state_dict(self, *args)
        if prefix + CONTEXT in missing_keys:
            missing_keys.remove(prefix + CONTEXT)
        if any(name.startswith(prefix) for name in args[0]):  # else other layers' state is loaded
            self.erase()
            self.keep_settled()

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

        Devices that are trained in place and no part of a programmed chip are left alone, as aihwkit's are, and so
        are weights without a device model.
        """
        if not self.is_programmed:
            if self.memory.learns_in_place or self.rpu_config.noise_model is None:
                return
            self.program()
        self.at(t_inference)

    def remap_weights(self, weight_scaling_omega: Dimensionless | None = 1.0) -> None:
        """Map the weights anew onto the conductance range."""
        self.set_kernels(self.kernels_weight(), omega=weight_scaling_omega)

    @torch.no_grad()
    def held_weights(
        self,
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        trained: bool = False,
        over_sampling: int = 10,
    ) -> Float[Tensor, "kernels out in"]:
        """Return what the tiles hold; where several hold one kernel, the mean over them. See `get_weights`."""
        if trained and realistic and self.reading is not None:
            raise ValueError(
                "`realistic` must be False for the trained weights while a chip is programmed, but is True: a read "
                "sees the chip. Leave `trained` out, or erase the chip."
            )
        self.refuse_part()
        self.settle()
        scales = self.scales()[..., None]
        if realistic:
            weight = self.memory.of_kernels(self._estimated_weights(over_sampling))
            return weight if apply_weight_scaling else weight / scales
        reading = None if trained else self.reading
        weight = self.trained_weights() if reading is None else self.memory.of_kernels(reading.weight)
        return weight * scales if apply_weight_scaling else weight.clone()

    def _estimated_weights(self, over_sampling: int) -> Float[Tensor, "tiles out in"]:
        """Estimate the network's weights from products of random inputs, as aihwkit's `read_weights`."""
        if over_sampling < 1:
            raise ValueError(f"`over_sampling` must be at least 1, but is {over_sampling}.")
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

    def write_weights(
        self,
        weight: Float[Tensor, "kernels out in"],
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        weight_scaling_omega: Dimensionless | None = None,
    ) -> None:
        """Set the weights of every kernel; see `set_weights`."""
        self.refuse_part()
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
        if self.images is not None:  # each process's loss is a mean over its own images
            x_input = self.images.gather(x_input)
            d_input = self.images.gather(d_input) / self.images.processes
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

    def noise_of_vectors(self, locations: int) -> NoiseStream:
        """Return the stream of a pass, of which this process may compute some of the images.

        Args:
            locations: How many vectors every image gives a tile.
        """
        if self.images is None or not self.training:
            return self.noise
        return NoiseOfImages(self.noise, self.images, locations)

    @property
    def all_tiles(self) -> int:
        """Tiles of the array, those that other processes hold among them."""
        return self.tiles if self.noise.part is None else self.noise.part.of_all

    def refuse_part(self) -> None:
        """Refuse what takes all tiles, where this process holds a part of them.

        Raises:
            ValueError: If so.
        """
        if self.noise.part is not None:
            raise ValueError(
                f"`layer` must have all its {self.noise.part.of_all} tiles in this process, but has "
                f"{self.noise.part.tiles} of them. Call `gather_tiles` first, in all processes."
            )

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

    def tile_population(self) -> Bool[Tensor, "tiles out in"] | None:
        """Return which devices of each tile exist, or None for all."""
        return self.memory.population

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
