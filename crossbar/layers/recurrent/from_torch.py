"""torch's own recurrent layers, on analog tiles: same arguments, same inputs and outputs."""

from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from typing_extensions import Self, final, override

from devices.units import Dimensionless

from ...aihwkit.adapter import AnalogContainerBase, InferenceRPUConfig
from ..analog_linear import AnalogLinear
from .cells import AnalogCell, AnalogGRUCell, AnalogLSTMCell, AnalogVanillaRNNCell, LSTMState, State
from .unrolled import AnalogBidirRNNLayer, AnalogRNNLayer, ModularRNN


class AnalogTorchRNN(AnalogContainerBase, nn.Module):
    """A recurrent layer of torch's whose matrix products lie on analog tiles; gates and states are digital.

    The tiles serve every time step: they are programmed once, and each step counts as a product of its own.

    Args:
        input_size: Inputs of the lowest layer.
        hidden_size: Size of the state.
        num_layers: Layers one upon the other.
        bias: Whether to add biases.
        batch_first: Whether the batch comes before the steps.
        dropout: Probability that an output of any layer but the last is dropped in training.
        bidirectional: Whether every layer goes in both directions.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.
    """

    torch_class: ClassVar[type[nn.RNNBase]]
    cell_class: ClassVar[type[AnalogCell]]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: Dimensionless = 0.0,
        bidirectional: bool = False,
        rpu_config: Any = None,
        **of_cell: Any,
    ) -> None:
        super().__init__()
        digital = self._empty(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, **of_cell
        )
        self._build(digital, rpu_config)
        self._fill(self.torch_class(**self._arguments()))

    @classmethod
    def _empty(cls, *arguments: Any, **of_cell: Any) -> nn.RNNBase:
        """Make the digital layer without memory; it checks the arguments."""
        options: dict[str, Any] = {**of_cell, "device": "meta"}
        return cls.torch_class(*arguments, **options)

    def _build(self, like: nn.RNNBase, rpu_config: Any) -> None:
        """Make the tiles, for a digital layer of the same sizes."""
        if like.proj_size:
            raise ValueError(
                f"`proj_size` must be 0, but is {like.proj_size}: a projected state has no analog layer. Put an "
                "`nn.Linear` behind the layer instead."
            )
        self.input_size, self.hidden_size, self.num_layers = (
            like.input_size,
            like.hidden_size,
            like.num_layers,
        )
        self.has_bias, self.batch_first = like.bias, like.batch_first
        self.dropout, self.bidirectional = float(like.dropout), like.bidirectional
        self.of_cell = {"nonlinearity": like.nonlinearity} if isinstance(like, nn.RNN) else {}
        cell = partial(self.cell_class, **self.of_cell)
        layer = AnalogBidirRNNLayer if like.bidirectional else AnalogRNNLayer
        ways = 2 if like.bidirectional else 1
        inputs = [like.input_size] + [like.hidden_size * ways] * (like.num_layers - 1)
        config = InferenceRPUConfig() if rpu_config is None else rpu_config
        layers = [layer(cell, size, like.hidden_size, like.bias, config) for size in inputs]
        self.rnn = ModularRNN(layers, self.dropout)

    def _arguments(self) -> dict[str, Any]:
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "bias": self.has_bias,
            "batch_first": self.batch_first,
            "dropout": self.dropout,
            "bidirectional": self.bidirectional,
            **self.of_cell,
        }

    def _products(self) -> dict[str, AnalogLinear]:
        """Return the layers on tiles, by the ending of torch's names of their weights."""
        found = {}
        for i, layer in enumerate(self.rnn.layers):
            directions = [layer] if isinstance(layer, AnalogRNNLayer) else list(layer.directions)  # type: ignore[arg-type]
            for way, direction in zip(("", "_reverse"), directions, strict=False):
                found[f"ih_l{i}{way}"] = direction.cell.weight_ih
                found[f"hh_l{i}{way}"] = direction.cell.weight_hh
        return found  # type: ignore[return-value]

    def _fill(self, digital: nn.RNNBase) -> Self:
        for name, product in self._products().items():
            weight = getattr(digital, f"weight_{name}")
            bias = getattr(digital, f"bias_{name}") if digital.bias else None
            product._receive(SimpleNamespace(weight=weight, bias=bias, training=digital.training))
        return self.train(digital.training)

    def reset_parameters(self) -> None:
        """Draw weights and biases anew, as torch does."""
        for name, product in self._products().items():
            fresh = self.torch_class(**self._arguments())
            product.set_weights(getattr(fresh, f"weight_{name}"), getattr(fresh, f"bias_{name}", None))

    def flatten_parameters(self) -> None:
        """Do nothing: torch arranges weights for its own kernels so."""

    @classmethod
    def from_digital(cls, module: nn.RNNBase, rpu_config: Any, tile_module_class: Any = None) -> Self:
        """Put a trained layer of torch's onto tiles."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._build(module, rpu_config)
        return layer._fill(module)

    @classmethod
    @torch.no_grad()
    def to_digital(cls, module: "AnalogTorchRNN", realistic: bool = False) -> nn.RNNBase:
        """Return torch's layer with the trained weights; or with those that a read estimates."""
        products = module._products()
        digital = module.torch_class(**module._arguments())
        for name, product in products.items():
            weight, bias = product.get_weights(realistic=realistic, trained=not realistic)
            getattr(digital, f"weight_{name}").copy_(weight)
            if bias is not None:
                getattr(digital, f"bias_{name}").copy_(bias)
        return digital.to(weight).train(module.training)

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple[Tensor | PackedSequence, Any]:
        """Map sequences to outputs and last states, in the shapes that torch's layer has.

        Args:
            input: (steps, batch, inputs), batch first if so made, (steps, inputs) of one sequence, or packed.
            hx: (layers, batch, hidden) to begin with, a pair of those for an LSTM; zeros if None.
        """
        if isinstance(input, PackedSequence):
            sizes = input.batch_sizes.tolist()
            hx = self._permuted(hx, input.sorted_indices)
            y, after = self.rnn.run(input.data, sizes, self._states(hx, sizes[0]))
            packed = PackedSequence(y, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
            return packed, self._permuted(self._stacked(after), input.unsorted_indices)
        if input.dim() not in (2, 3) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"`input` must have the shape (steps, batch, {self.input_size}) or (steps, {self.input_size}), but "
                f"has {tuple(input.shape)}."
            )
        is_single = input.dim() == 2
        swaps = self.batch_first and not is_single
        x = input.unsqueeze(1) if is_single else input.transpose(0, 1) if swaps else input
        if is_single and hx is not None:
            hx = self._each(hx, lambda part: part.unsqueeze(1))
        steps, batch = x.shape[:2]
        y, after = self.rnn.run(x.flatten(0, 1), [batch] * steps, self._states(hx, batch))
        y, last = y.unflatten(0, (steps, batch)), self._stacked(after)
        if is_single:
            return y.squeeze(1), self._each(last, lambda part: part.squeeze(1))
        return (y.transpose(0, 1) if swaps else y), last

    @staticmethod
    def _each(parts: Any, change: Any) -> Any:
        """Change a state, or both states of a pair."""
        return change(parts) if isinstance(parts, Tensor) else tuple(change(part) for part in parts)

    def _permuted(self, hx: Any, indices: Tensor | None) -> Any:
        return (
            hx
            if hx is None or indices is None
            else self._each(hx, lambda part: part.index_select(1, indices))
        )

    def _states(self, hx: Any, batch: int) -> list[State]:
        """Split torch's states into one for each layer, two of them in both directions."""
        if hx is None:
            return self.rnn.get_zero_state(batch)
        parts = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        ways = 2 if self.bidirectional else 1
        shape = (self.num_layers * ways, batch, self.hidden_size)
        for part in parts:
            if tuple(part.shape) != shape:
                raise ValueError(f"`hx` must have the shape {shape}, but has {tuple(part.shape)}.")
        each: list[State] = [
            parts[0][i] if len(parts) == 1 else LSTMState(*(part[i] for part in parts))
            for i in range(shape[0])
        ]
        return each if ways == 1 else [each[i : i + 2] for i in range(0, len(each), 2)]

    def _stacked(self, states: list[State]) -> Any:
        """Undo `_states`."""
        each = [one for pair in states for one in pair] if self.bidirectional else states
        if isinstance(each[0], Tensor):
            return torch.stack(each)
        return tuple(torch.stack(parts) for parts in zip(*each, strict=True))

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        return ", ".join(f"{name}={value}" for name, value in self._arguments().items())


@final
class AnalogLSTM(AnalogTorchRNN):
    """`nn.LSTM` on analog tiles. Arguments as `AnalogTorchRNN`.

    Example:
        >>> layer = AnalogLSTM(4, 3, batch_first=True)
        >>> outputs, (h, c) = layer(torch.zeros(2, 7, 4))
        >>> outputs.shape, h.shape
        (torch.Size([2, 7, 3]), torch.Size([1, 2, 3]))
    """

    torch_class = nn.LSTM
    cell_class = AnalogLSTMCell


@final
class AnalogGRU(AnalogTorchRNN):
    """`nn.GRU` on analog tiles. Arguments as `AnalogTorchRNN`."""

    torch_class = nn.GRU
    cell_class = AnalogGRUCell


@final
class AnalogElmanRNN(AnalogTorchRNN):
    """`nn.RNN` on analog tiles. Arguments as `AnalogTorchRNN`, and `nonlinearity`, "tanh" or "relu"."""

    torch_class = nn.RNN
    cell_class = AnalogVanillaRNNCell

    @classmethod
    @override
    def _empty(cls, *arguments: Any, **of_cell: Any) -> nn.RNNBase:
        names = "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"
        return nn.RNN(**dict(zip(names, arguments, strict=True)), **of_cell, device="meta")
