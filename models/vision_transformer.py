"""A small vision transformer for images of 3 x 32 x 32."""

from typing import final

import torch
from torch import Tensor, nn


@final
class _Attention(nn.Module):
    """Self-attention: queries, keys, values and outputs by dense layers, the products of scores without weights."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)
        self._heads = heads

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        parts = self.project_in(x).reshape(batch, tokens, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        y = torch.nn.functional.scaled_dot_product_attention(*parts.unbind(0))
        projected: Tensor = self.project_out(y.transpose(1, 2).reshape(batch, tokens, width))
        return projected


@final
class _Encoder(nn.Module):
    """A layer of a transformer, normalised first."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.dense1 = nn.Linear(width, hidden)
        self.dense2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        moved: Tensor = x + self.dense2(nn.functional.gelu(self.dense1(self.norm2(x))))
        return moved


@final
class VisionTransformer(nn.Module):
    """A small vision transformer: patches of 4 x 4, 64 tokens, and the mean of the tokens at the end.

    Source: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021; sizes are ours (assumed: small enough for
    a laptop). Projections and dense layers can go onto tiles; products of queries, keys and values have no weights,
    and stay digital.

    Args:
        width: Numbers of a token.
        depth: Layers.
        heads: Of attention.
        hidden: Outputs of the first dense layer of each layer.
    """

    def __init__(self, width: int = 64, depth: int = 4, heads: int = 4, hidden: int = 128) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.places = nn.Parameter(torch.zeros(1, 64, width))
        self.layers = nn.Sequential(*(_Encoder(width, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.classes = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, 3, 32, 32) to scores (batch, 10)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        scores: Tensor = self.classes(self.norm(self.layers(tokens)).mean(dim=1))
        return scores
