"""A network that reads a text and names, at every character, the next one."""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@final
class CharLSTM(nn.Module):
    """Layers of long short-term memory over characters, and a dense layer for the next character.

    A character enters as a vector with a single 1, so that all products, that with the character too, can lie on
    tiles. Every step in time uses the same weights: the tiles serve one step after the other.

    Source: Gokmen, Rasch and Haensch, "Training LSTM networks with resistive cross-point devices", Frontiers in
    Neuroscience 12 (2018) 745: two layers, their smallest states of 64; here the products with inputs and states are
    matrices of their own, as in torch.

    Args:
        characters: How many different ones there are.
        classes: Outputs at each position, where they are others than the characters.
        width: Size of the states.
        depth: Layers.
    """

    def __init__(self, characters: int, classes: int | None = None, width: int = 64, depth: int = 2) -> None:
        super().__init__()
        self._characters = characters
        self.lstm = nn.LSTM(characters, width, depth, batch_first=True)
        self.next = nn.Linear(width, characters if classes is None else classes)

    def forward(self, x: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch steps classes"]:
        """Map numbers of characters (batch, steps) to scores of the next ones (batch, steps, classes)."""
        one_hot = nn.functional.one_hot(x, self._characters).to(torch.get_default_dtype())
        scores: Tensor = self.next(self.lstm(one_hot)[0])
        return scores
