"""Attention whose projections lie on analog tiles; scores and weighted sums multiply activations, digitally."""

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Self, final

from devices.units import Dimensionless

from ..aihwkit.adapter import AnalogContainerBase
from .analog_linear import AnalogLinear
from .arguments import refuse_tile_class
from .readable_weight import ReadableWeight

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


@final
class ScaledDotProduct(nn.Module):
    """softmax(q k^T / sqrt(d) + mask) v for every head, computed digitally.

    Both factors of both products change with every input, so that no device could hold one of them.

    Args:
        heads: Number of heads.
        head_dim: Size of a head, d.
        dropout: Probability that a score is dropped in training.
    """

    def __init__(self, heads: int, head_dim: int, dropout: Dimensionless = 0.0) -> None:
        super().__init__()
        self.heads, self.head_dim, self.dropout = heads, head_dim, dropout

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, needs_scores: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Map queries, keys, values (batch, heads, length, d) to (batch, heads, length, d), and scores if wanted."""
        dropout = self.dropout if self.training else 0.0
        if not needs_scores:
            return nn.functional.scaled_dot_product_attention(q, k, v, mask, dropout), None
        scores = (q / math.sqrt(self.head_dim)) @ k.transpose(-2, -1)
        scores = nn.functional.softmax(scores if mask is None else scores + mask, dim=-1)
        scores = nn.functional.dropout(scores, dropout, training=dropout > 0)
        return scores @ v, scores

    def extra_repr(self) -> str:
        """Return the settings worth printing."""
        return f"heads={self.heads}, head_dim={self.head_dim}, digital"


@final
class AnalogMultiheadAttention(AnalogContainerBase, nn.Module):
    """`nn.MultiheadAttention` whose four projections lie on analog tiles, used for every token.

    Scores and weighted sums are computed digitally, by `scores`; `conversion_report` says so, and `record_events`
    counts their multiplications there.

    Args:
        embed_dim: Size of an embedding.
        num_heads: Number of heads.
        dropout: Probability that a score is dropped in training.
        bias: Whether the projections have biases.
        add_bias_kv: Whether to add a learned key and value to every sequence.
        add_zero_attn: Whether to add a key and value of zeros to every sequence.
        kdim: Size of the keys before their projection; `embed_dim` if None.
        vdim: Likewise of the values.
        batch_first: Whether the batch comes before the tokens.
        rpu_config: aihwkit configuration, of inference or training; `InferenceRPUConfig()` if None.

    Example:
        >>> layer = AnalogMultiheadAttention(8, 2, batch_first=True)
        >>> x = torch.zeros(3, 5, 8)
        >>> layer(x, x, x)[0].shape
        torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: Dimensionless = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        rpu_config: Any = None,
    ) -> None:
        super().__init__()
        arguments = embed_dim, num_heads, dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim, batch_first
        self._build(nn.MultiheadAttention(*arguments), rpu_config)

    q_proj: AnalogLinear
    k_proj: AnalogLinear
    v_proj: AnalogLinear

    def _build(self, digital: nn.MultiheadAttention, rpu_config: Any) -> None:
        """Put a digital layer onto tiles."""
        embed = self.embed_dim = digital.embed_dim
        self.num_heads, self.head_dim, self.dropout = digital.num_heads, digital.head_dim, digital.dropout
        self.kdim, self.vdim, self.batch_first = digital.kdim, digital.vdim, digital.batch_first
        self.add_zero_attn = digital.add_zero_attn
        self._qkv_same_embed_dim = digital._qkv_same_embed_dim
        packed, biases = digital.in_proj_weight, digital.in_proj_bias
        for i, (name, size) in enumerate(zip(PROJECTIONS, (embed, self.kdim, self.vdim), strict=True)):
            own = getattr(digital, f"{name}_weight") if packed is None else packed
            part = slice(None) if packed is None else slice(i * embed, (i + 1) * embed)
            like = SimpleNamespace(weight=_part(own, part), bias=None, training=digital.training)
            if biases is not None:
                like.bias = _part(biases, slice(i * embed, (i + 1) * embed))
            setattr(self, name, AnalogLinear(size, embed, biases is not None, rpu_config)._receive(like))
        self.out_proj = AnalogLinear.from_digital(digital.out_proj, rpu_config)
        self.bias_k, self.bias_v = digital.bias_k, digital.bias_v
        self.scores = ScaledDotProduct(self.num_heads, self.head_dim, self.dropout)
        self.train(digital.training)

    @property
    def in_proj_weight(self) -> Tensor | None:
        """The weights of queries, keys and values one under the other, to read; None if their sizes differ.

        As `AnalogLinear.weight`, it keeps torch's shortcuts for inference from computing digitally.
        """
        if not self._qkv_same_embed_dim:
            return None
        weights = [getattr(self, name).weight.plain() for name in PROJECTIONS]
        return torch.cat(weights).as_subclass(ReadableWeight)

    @property
    def in_proj_bias(self) -> Tensor | None:
        """The biases of queries, keys and values one after the other, to read, or None."""
        biases = [getattr(self, name).get_weights(trained=True)[1] for name in PROJECTIONS]
        return None if biases[0] is None else torch.cat(biases)

    @classmethod
    def from_digital(
        cls, module: nn.MultiheadAttention, rpu_config: Any, tile_module_class: Any = None
    ) -> Self:
        """Put a trained layer of torch's onto tiles."""
        refuse_tile_class(tile_module_class)
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._build(module, rpu_config)
        return layer

    @classmethod
    @torch.no_grad()
    def to_digital(cls, module: "AnalogMultiheadAttention", realistic: bool = False) -> nn.MultiheadAttention:
        """Return torch's layer with the trained weights; or with those that a read estimates."""
        parts = [module.get_submodule(name) for name in (*PROJECTIONS, "out_proj")]
        read = [part.get_weights(realistic=realistic, trained=not realistic) for part in parts]  # type: ignore[operator]
        digital = nn.MultiheadAttention(
            module.embed_dim,
            module.num_heads,
            module.dropout,
            read[0][1] is not None,
            module.bias_k is not None,
            module.add_zero_attn,
            module.kdim,
            module.vdim,
            module.batch_first,
        )
        weights, biases = [weight for weight, _ in read], [bias for _, bias in read]
        if digital.in_proj_weight is None:
            for name, weight in zip(PROJECTIONS, weights[:3], strict=True):
                digital.get_parameter(f"{name}_weight").copy_(weight)
        else:
            digital.in_proj_weight.copy_(torch.cat(weights[:3]))
        digital.out_proj.weight.copy_(weights[3])
        if biases[0] is not None:
            digital.in_proj_bias.copy_(torch.cat(biases[:3]))
            digital.out_proj.bias.copy_(biases[3])
        if digital.bias_k is not None and digital.bias_v is not None:
            digital.bias_k.copy_(module.bias_k)  # type: ignore[arg-type]
            digital.bias_v.copy_(module.bias_v)  # type: ignore[arg-type]
        return digital.to(weights[0]).train(module.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend, with the arguments and results of `nn.MultiheadAttention`.

        Raises:
            ValueError: If `is_causal` is given without the mask that it describes.
        """
        if is_causal and attn_mask is None:
            raise ValueError(
                "`attn_mask` must be given with `is_causal`, which only says what it is, but is None. Use "
                "`nn.Transformer.generate_square_subsequent_mask`."
            )
        is_single = query.dim() == 2
        if is_single:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        added = 0
        for extra_k, extra_v in self._extra_tokens(k):
            k, v, added = torch.cat([k, extra_k], dim=1), torch.cat([v, extra_v], dim=1), added + 1
        mask = self._mask(attn_mask, key_padding_mask, q, added)
        heads = [x.unflatten(2, (self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v)]
        sums, scores = self.scores(*heads, mask, need_weights)
        y = self.out_proj(sums.transpose(1, 2).flatten(2))
        if scores is not None and average_attn_weights:
            scores = scores.mean(dim=1)
        if is_single:
            return y.squeeze(0), None if scores is None else scores.squeeze(0)
        return (y if self.batch_first else y.transpose(0, 1)), scores

    def _extra_tokens(self, k: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the keys and values that are added to every sequence."""
        extra = []
        if self.bias_k is not None and self.bias_v is not None:
            extra.append((self.bias_k.expand(len(k), 1, -1), self.bias_v.expand(len(k), 1, -1)))
        if self.add_zero_attn:
            extra.append((k.new_zeros(len(k), 1, self.embed_dim),) * 2)
        return extra

    def _mask(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, like: Tensor, added: int
    ) -> Tensor | None:
        """Return what is added to the scores, broadcast to (batch, heads, length, keys); nothing masks added keys."""
        total = None
        if attn_mask is not None:
            mask = _additive(attn_mask, like)
            total = mask if mask.dim() == 2 else mask.unflatten(0, (len(like), self.num_heads))
        if key_padding_mask is not None:
            padding = _additive(key_padding_mask, like)[:, None, None, :]
            total = padding if total is None else total + padding
        return total if total is None or not added else nn.functional.pad(total, (0, added))


def _part(of: Tensor, rows: slice) -> Tensor:
    """Return rows of a parameter, that learn if it does, also where gradients are switched off."""
    return of.detach()[rows].requires_grad_(of.requires_grad)


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """Return a mask as what is added: -inf where a boolean one says True."""
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)
