"""A recurrent network of any cell, as aihwkit's users build it."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import final

from devices.units import Dimensionless

from ...aihwkit.adapter import AnalogContainerBase
from ..analog_linear import AnalogLinear
from .cells import AnalogCell, State
from .unrolled import AnalogBidirRNNLayer, AnalogRNNLayer, ModularRNN

Initialisation = Callable[[Tensor], Any]


@final
class AnalogRNN(AnalogContainerBase, nn.Module):
    """A recurrent network whose matrix products lie on analog tiles; gates and states are digital.

    The tiles of a layer serve every time step: they are programmed once, and each step counts as a product of its
    own. The products with the inputs of all steps are made in one call, so that an input range that follows the data
    moves once for each sequence there (aihwkit's: once for each step).

    Args:
        cell: Class of the cell, for example `AnalogLSTMCell`.
        input_size: Inputs of the lowest layer.
        hidden_size: Size of the state.
        bias: Whether to add biases.
        rpu_config: aihwkit configuration, of inference or training; digital products if None, as in aihwkit.
        tile_module_class: aihwkit's argument; must be None.
        xavier: Whether to draw weights by Xavier's rule, with biases of zero, instead of torch's own.
        num_layers: Layers one upon the other.
        bidir: Whether every layer goes in both directions.
        dropout: Probability that an output of any layer but the last is dropped in training.

    Example:
        >>> from crossbar.aihwkit.adapter import InferenceRPUConfig
        >>> from .cells import AnalogLSTMCell
        >>> network = AnalogRNN(AnalogLSTMCell, 4, 3, rpu_config=InferenceRPUConfig())
        >>> outputs, states = network(torch.zeros(7, 2, 4))
        >>> outputs.shape, states[0].hx.shape
        (torch.Size([7, 2, 3]), torch.Size([2, 3]))
    """

    def __init__(
        self,
        cell: Callable[..., AnalogCell],
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        rpu_config: Any = None,
        tile_module_class: Any = None,
        xavier: bool = False,
        num_layers: int = 1,
        bidir: bool = False,
        dropout: Dimensionless = 0.0,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(
                "`input_size`, `hidden_size` and `num_layers` must be at least 1, but are "
                f"{input_size}, {hidden_size} and {num_layers}."
            )
        layer = AnalogBidirRNNLayer if bidir else AnalogRNNLayer
        inputs = [input_size] + [hidden_size * (2 if bidir else 1)] * (num_layers - 1)
        options = hidden_size, bias, rpu_config, tile_module_class
        self.rnn = ModularRNN((layer(cell, size, *options) for size in inputs), dropout)
        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.reset_parameters(xavier)

    @torch.no_grad()
    def init_layers(self, weight_init_fn: Initialisation, bias_init_fn: Initialisation | None = None) -> None:
        """Draw weights and biases anew.

        Args:
            weight_init_fn: Fills a weight in place.
            bias_init_fn: Fills a bias in place; as the weights if None.
        """
        for module in self.modules():
            if not isinstance(module, AnalogLinear | nn.Linear):
                continue
            weight, bias = (
                module.get_weights() if isinstance(module, AnalogLinear) else (module.weight, module.bias)
            )
            weight_init_fn(weight)
            if bias is not None:
                (bias_init_fn or weight_init_fn)(bias)
            if isinstance(module, AnalogLinear):
                module.set_weights(weight, bias)

    def reset_parameters(self, xavier: bool = False) -> None:
        """Draw weights and biases anew, within +-1/sqrt(hidden_size), or by Xavier's rule."""
        if xavier:
            self.init_layers(nn.init.xavier_uniform_, nn.init.zeros_)
        else:
            bound = 1 / math.sqrt(self.hidden_size)
            self.init_layers(lambda values: values.uniform_(-bound, bound))

    def get_weights(self, **options: Any) -> "OrderedDict[str, tuple[Tensor, Tensor | None]]":
        """Return weight and bias of every layer on tiles, by the name of its tiles; see `AnalogLayer.get_weights`."""
        return super().get_weights(**options)

    def get_zero_state(self, batch_size: int) -> list[State]:
        """Return states of zeros, one for each layer."""
        return self.rnn.get_zero_state(batch_size)

    def forward(self, input: Tensor, states: list[State] | None = None) -> tuple[Tensor, list[State]]:
        """Map (steps, batch, input_size) to (steps, batch, hidden_size), twice that in both directions.

        Args:
            input: The sequences.
            states: What each layer begins with, as `get_zero_state` returns it; zeros if None.

        Returns:
            The outputs of the highest layer, and the states after the last step.
        """
        if input.dim() != 3:
            raise ValueError(
                f"`input` must have the shape (steps, batch, inputs), but has {tuple(input.shape)}. "
                "Use `unsqueeze(1)` for a single sequence."
            )
        states = self.get_zero_state(input.shape[1]) if states is None else states
        result: tuple[Tensor, list[State]] = self.rnn(input, states)
        return result
