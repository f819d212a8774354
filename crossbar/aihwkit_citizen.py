"""What a tile array must look like for aihwkit's tools to accept it as one of their tiles.

aihwkit recognises tiles by class (`TileModule`, `InferenceTileWithPeriphery`), so the tile array inherits from
both; but those classes keep a C++ tile, pickled configurations and scalar scales, none of which we have. Here
everything that concerns state is given back to plain `nn.Module`, and what aihwkit calls is translated.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .aihwkit_adapter import BaseNoiseModel, InferenceTileWithPeriphery, RPUConfigBase, TileModule


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
    weight: nn.Parameter

    def __init__(self) -> None:
        nn.Module.__init__(self)

    # State: plain tensors, no configuration objects, no C++ tile.
    state_dict = nn.Module.state_dict
    _load_from_state_dict = nn.Module._load_from_state_dict
    _apply = nn.Module._apply
    cuda = nn.Module.cuda
    cpu = nn.Module.cpu
    __setstate__ = nn.Module.__setstate__

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

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

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        return ""

    def set_learning_rate(self, learning_rate: float | None) -> None:
        """Accept a learning rate; the torch optimizer that holds the weights has its own."""

    def get_learning_rate(self) -> float:
        """Return the learning rate of the tile's own update, which it does not have."""
        return 0.0

    # Translations. The methods on the right belong to the tile array.
    def program_weights(self, from_reference: bool = True, noise_model: BaseNoiseModel | None = None) -> None:
        """Program the present weights (there is no other reference) with a seed of the noise stream."""
        if noise_model is not None:
            self.rpu_config.noise_model = noise_model
        self.program()

    def drift_weights(self, t_inference: float = 0.0) -> None:
        """Let the programmed devices drift until a time in seconds, programming them first if need be."""
        if not self.is_programmed:
            self.program()
        self.at(t_inference)

    def post_update_step(self) -> None:
        """Clip and remap the weights after an optimizer's step."""
        self.settle()

    def remap_weights(self, weight_scaling_omega: float | None = 1.0) -> None:
        """Map the weights anew onto the conductance range."""
        self.set_kernels(self.kernels_weight(), omega=weight_scaling_omega)

    def get_weights(self, **kwargs: Any) -> tuple[Tensor, None]:
        """Return the weights of every kernel with their scales; the layer holds the bias."""
        return self.kernels_weight(), None

    def set_weights(self, weight: Tensor, bias: Tensor | None = None, **kwargs: Any) -> None:
        """Set the weights of every kernel and map them onto the conductance range."""
        if bias is not None:
            raise ValueError(
                "`bias` must be None, but is given. Set it on the layer, which adds it digitally."
            )
        self.set_kernels(weight)

    def set_input_range(self, value: Tensor | float) -> None:
        """Set every tile's input range."""
        if self.input_range is None:
            raise ValueError("`input_range` must be enabled in the configuration before it can be set.")
        with torch.no_grad():
            self.input_range.copy_(torch.as_tensor(value).abs().expand_as(self.input_range))

    # What a tile array provides.
    is_programmed: bool
    input_range: Tensor | None

    def program(self, noise_model: BaseNoiseModel | None = None, *, seed: int | None = None) -> None:
        """Write the weights into the devices."""
        raise NotImplementedError

    def at(self, time: float, *, seed: int | None = None) -> None:
        """Let the devices age."""
        raise NotImplementedError

    def settle(self) -> None:
        """Bring weights back into the range."""
        raise NotImplementedError

    def kernels_weight(self) -> Tensor:
        """Return the network's weights."""
        raise NotImplementedError

    def set_kernels(self, weight: Tensor, *, omega: float | None = None) -> None:
        """Set the network's weights."""
        raise NotImplementedError

    def replace_rpu_config(self, rpu_config: Any) -> None:
        """Change the settings."""
        raise NotImplementedError
