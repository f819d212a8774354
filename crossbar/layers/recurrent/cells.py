"""What a recurrent network does at one time step: matrix products on tiles, gates in digital."""

from abc import ABC, abstractmethod
from collections import namedtuple
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from typing_extensions import final, override

from ..analog_linear import AnalogLinear

LSTMState = namedtuple("LSTMState", ["hx", "cx"])
"""Hidden state and cell state of an LSTM, (batch, hidden) each; the names are aihwkit's."""

State: TypeAlias = Any
"""(batch, hidden), or a pair of those."""


class AnalogCell(nn.Module, ABC):
    """One time step.

    The products with the inputs do not depend on the state: a layer has them made for all steps in one call of the
    tiles, `project`, and then goes from step to step.

    Args:
        input_size: Inputs.
        hidden_size: Size of the state.
        bias: Whether to add biases, one to each of both products.
        rpu_config: aihwkit configuration, of inference or training; a digital `nn.Linear` if None, as in aihwkit.
        tile_module_class: aihwkit's argument; must be None.

    Attributes:
        gates: How many times as many outputs as states the products have.
    """

    gates: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        rpu_config: Any = None,
        tile_module_class: Any = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self._make_products(_linear_maker(rpu_config, tile_module_class), bias)

    def _make_products(self, linear: Callable[[int, int, bool], nn.Module], bias: bool) -> None:
        """Make what multiplies inputs and state."""
        outputs = self.gates * self.hidden_size
        self.weight_ih = linear(self.input_size, outputs, bias)
        self.weight_hh = linear(self.hidden_size, outputs, bias)

    def project(self, x: Tensor) -> Tensor:
        """Multiply the inputs of any number of steps: (vectors, input_size) -> what `step` takes."""
        projected: Tensor = self.weight_ih(x)
        return projected

    @abstractmethod
    def step(self, projected: Tensor, state: State) -> State:
        """Return the next state.

        Args:
            projected: Of this step, (batch, ...).
            state: The present one.
        """

    def output(self, state: State) -> Tensor:
        """Return what the next layer sees of a state, (batch, hidden)."""
        seen: Tensor = state
        return seen

    def forward(self, input_: Tensor, state: State) -> tuple[Tensor, State]:
        """Map inputs (batch, input_size) and a state to an output and the next state."""
        state = self.step(self.project(input_), state)
        return self.output(state), state

    def get_zero_state(self, batch_size: int) -> State:
        """Return a state of zeros, (batch_size, hidden)."""
        held = [*self.parameters(), *self.buffers()]  # devices in place are no parameters
        weight = next(values for values in held if values.dim() > 1 and values.is_floating_point())
        return weight.new_zeros(batch_size, self.hidden_size)


@final
class AnalogVanillaRNNCell(AnalogCell):
    """One step of an Elman network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Args:
        input_size: Inputs.
        hidden_size: Size of the state.
        bias: Whether to add biases, one to each of both products.
        rpu_config: aihwkit configuration, of inference or training; a digital `nn.Linear` if None, as in aihwkit.
        tile_module_class: aihwkit's argument; must be None.
        nonlinearity: "tanh" or "relu".

    Example:
        >>> from crossbar.aihwkit.adapter import InferenceRPUConfig
        >>> cell = AnalogVanillaRNNCell(4, 3, True, InferenceRPUConfig())
        >>> cell(torch.zeros(2, 4), cell.get_zero_state(2))[0].shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        rpu_config: Any = None,
        tile_module_class: Any = None,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
    ) -> None:
        super().__init__(input_size, hidden_size, bias, rpu_config, tile_module_class)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"`nonlinearity` must be 'tanh' or 'relu', but is {nonlinearity!r}.")
        self.nonlinearity = nonlinearity

    @override
    def step(self, projected: Tensor, state: State) -> State:
        total = projected + self.weight_hh(state)
        return torch.tanh(total) if self.nonlinearity == "tanh" else torch.relu(total)


class _WithCellState(AnalogCell):
    """Steps with a hidden state and a cell state."""

    gates: ClassVar[int] = 4

    @override
    def output(self, state: State) -> Tensor:
        seen: Tensor = state[0]
        return seen

    @override
    def get_zero_state(self, batch_size: int) -> State:
        """Return a pair of zeros, (batch_size, hidden) each."""
        zeros = super().get_zero_state(batch_size)
        return LSTMState(zeros, zeros.clone())


@final
class AnalogLSTMCell(_WithCellState):
    """One step of a long short-term memory.

        i, f, o = sigmoid(...), g = tanh(...) of W_ih x + b_ih + W_hh h + b_hh, split in the order i, f, g, o
        c' = f c + i g,  h' = o tanh(c')

    Arguments as `AnalogCell`.
    """

    @override
    def step(self, projected: Tensor, state: State) -> State:
        return _gated(projected + self.weight_hh(state[0]), state[1])


@final
class AnalogLSTMCellCombinedWeight(_WithCellState):
    """One step of a long short-term memory whose inputs and state go through one matrix, with one bias.

    Arguments as `AnalogCell`. The products wait for the state, so there is one call of the tiles for each step.
    """

    @override
    def _make_products(self, linear: Callable[[int, int, bool], nn.Module], bias: bool) -> None:
        self.weight = linear(self.input_size + self.hidden_size, self.gates * self.hidden_size, bias)

    @override
    def project(self, x: Tensor) -> Tensor:
        """Leave the inputs as they are: they are multiplied together with the state."""
        return x

    @override
    def step(self, projected: Tensor, state: State) -> State:
        return _gated(self.weight(torch.cat([projected, state[0]], dim=1)), state[1])


@final
class AnalogGRUCell(AnalogCell):
    """One step of a gated recurrent unit.

        r, z = sigmoid(...) of the first two thirds of W_ih x + b_ih + W_hh h + b_hh
        n = tanh(x_n + r h_n),  h' = n + z (h - n)

    Arguments as `AnalogCell`.
    """

    gates: ClassVar[int] = 3

    @override
    def step(self, projected: Tensor, state: State) -> State:
        x_r, x_z, x_n = projected.chunk(3, dim=1)
        h_r, h_z, h_n = self.weight_hh(state).chunk(3, dim=1)
        new = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
        return new + torch.sigmoid(x_z + h_z) * (state - new)


def _gated(total: Tensor, cell: Tensor) -> LSTMState:
    """Return the next states of an LSTM from the sums of its products."""
    i, f, g, o = total.chunk(4, dim=1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return LSTMState(torch.sigmoid(o) * torch.tanh(cell), cell)


def _linear_maker(rpu_config: Any, tile_module_class: Any) -> Callable[[int, int, bool], nn.Module]:
    """Return what makes the products: layers on tiles, or digital ones without a configuration."""
    if rpu_config is None:
        return nn.Linear
    return lambda inputs, outputs, bias: AnalogLinear(inputs, outputs, bias, rpu_config, tile_module_class)
