"""Recurrent layers, stacked, in one or both directions, over a whole sequence."""

import warnings
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from devices.units import Dimensionless

from .cells import AnalogCell, State


def run(
    cell: AnalogCell, x: Tensor, sizes: Sequence[int], state: State, *, is_reverse: bool = False
) -> tuple[Tensor, State]:
    """Take a cell through a sequence whose steps lie one after the other.

    Args:
        cell: The cell.
        x: (sum of sizes, input_size): the vectors of the first step, then of the second, ...
        sizes: How many sequences have a first step, a second, ...: never more than before, as in torch's packed
            sequences. The first so many rows of the state are theirs.
        state: Of all sequences, at the beginning.
        is_reverse: Whether to go from the last step to the first; a sequence begins at its own last step.

    Returns:
        Outputs, ordered as the inputs, and the state after the last step of every sequence.
    """
    projected = cell.project(x).split(list(sizes))
    outputs: list[Tensor] = [x] * len(projected)
    for t in reversed(range(len(sizes))) if is_reverse else range(len(sizes)):
        present = _rows(state, slice(None, sizes[t]))
        after = cell.step(projected[t], present)
        outputs[t] = cell.output(after)
        state = _above(after, state, sizes[t])
    return torch.cat(outputs), state


def _rows(state: State, rows: slice) -> State:
    if isinstance(state, Tensor):
        return state if rows.stop == len(state) else state[rows]
    return (
        type(state)(*(_rows(part, rows) for part in state))
        if hasattr(state, "_fields")
        else tuple(_rows(part, rows) for part in state)
    )


def _above(after: State, before: State, size: int) -> State:
    """Replace the first rows of a state."""
    if isinstance(after, Tensor):
        return after if size == len(before) else torch.cat([after, before[size:]])
    return type(after)(*(_above(new, old, size) for new, old in zip(after, before, strict=True)))


class AnalogRNNLayer(nn.Module):
    """One direction of one layer, from the first step to the last.

    Args:
        cell: Makes the cell: its class, or anything that is called with the arguments.
        cell_args: The cell's arguments.
    """

    is_reverse = False

    def __init__(self, cell: Callable[..., AnalogCell], *cell_args: object) -> None:
        super().__init__()
        self.cell = cell(*cell_args)

    def get_zero_state(self, batch_size: int) -> State:
        """Return a state of zeros."""
        return self.cell.get_zero_state(batch_size)

    def run(self, x: Tensor, sizes: Sequence[int], state: State) -> tuple[Tensor, State]:
        """Go through a sequence; see `run`."""
        return run(self.cell, x, sizes, state, is_reverse=self.is_reverse)

    def forward(self, input_: Tensor, state: State) -> tuple[Tensor, State]:
        """Map (steps, batch, inputs) and a state to (steps, batch, hidden) and the state after the last step."""
        steps, batch = input_.shape[:2]
        outputs, state = self.run(input_.flatten(0, 1), [batch] * steps, state)
        return outputs.unflatten(0, (steps, batch)), state


class AnalogReverseRNNLayer(AnalogRNNLayer):
    """One direction of one layer, from the last step to the first. Arguments as `AnalogRNNLayer`."""

    is_reverse = True


class AnalogBidirRNNLayer(nn.Module):
    """Both directions of one layer, their outputs side by side. Arguments as `AnalogRNNLayer`."""

    def __init__(self, cell: Callable[..., AnalogCell], *cell_args: object) -> None:
        super().__init__()
        self.directions = nn.ModuleList(
            [AnalogRNNLayer(cell, *cell_args), AnalogReverseRNNLayer(cell, *cell_args)]
        )

    def get_zero_state(self, batch_size: int) -> list[State]:
        """Return states of zeros, one for each direction."""
        return [_directed(one).get_zero_state(batch_size) for one in self.directions]

    def run(self, x: Tensor, sizes: Sequence[int], state: Sequence[State]) -> tuple[Tensor, list[State]]:
        """Go through a sequence; see `run`."""
        results = [_directed(one).run(x, sizes, own) for one, own in zip(self.directions, state, strict=True)]
        return torch.cat([y for y, _ in results], dim=-1), [after for _, after in results]

    def forward(self, input_: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        """Map (steps, batch, inputs) and two states to (steps, batch, 2 hidden) and the states at the ends."""
        steps, batch = input_.shape[:2]
        outputs, after = self.run(input_.flatten(0, 1), [batch] * steps, states)
        return outputs.unflatten(0, (steps, batch)), after


def _directed(layer: nn.Module) -> AnalogRNNLayer:
    assert isinstance(layer, AnalogRNNLayer)
    return layer


class ModularRNN(nn.Module):
    """Layers one upon the other, with dropout between them.

    Args:
        layers: The layers, lowest first.
        dropout: Probability that an output of any layer but the last is dropped in training.
    """

    def __init__(
        self, layers: Iterable[AnalogRNNLayer | AnalogBidirRNNLayer], dropout: Dimensionless
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.num_layers = len(self.layers)
        if not 0 <= dropout <= 1:
            raise ValueError(f"`dropout` must be a probability, but is {dropout}.")
        if self.num_layers == 1 and dropout > 0:
            warnings.warn(
                f"`dropout` acts between layers, and there is only one: {dropout} has no effect", stacklevel=4
            )
        self.dropout_layer = nn.Dropout(dropout) if dropout > 0 else None

    def get_zero_state(self, batch_size: int) -> list[State]:
        """Return states of zeros, one for each layer."""
        return [self._layer(i).get_zero_state(batch_size) for i in range(self.num_layers)]

    def run(self, x: Tensor, sizes: Sequence[int], states: Sequence[State]) -> tuple[Tensor, list[State]]:
        """Go through a sequence; see `run`."""
        after = []
        for i, state in enumerate(states):
            x, last = self._layer(i).run(x, sizes, state)
            if self.dropout_layer is not None and i < self.num_layers - 1:
                x = self.dropout_layer(x)
            after.append(last)
        return x, after

    def forward(self, input: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        """Map (steps, batch, inputs) and one state for each layer to outputs and the states at the end."""
        if len(states) != self.num_layers:
            raise ValueError(
                f"`states` must have one state for each of {self.num_layers} layers, but has {len(states)}."
            )
        steps, batch = input.shape[:2]
        outputs, after = self.run(input.flatten(0, 1), [batch] * steps, states)
        return outputs.unflatten(0, (steps, batch)), after

    def _layer(self, index: int) -> AnalogRNNLayer | AnalogBidirRNNLayer:
        layer = self.layers[index]
        assert isinstance(layer, AnalogRNNLayer | AnalogBidirRNNLayer)
        return layer
