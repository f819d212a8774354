"""Attention on tiles: torch's numbers where tiles are perfect, and its digital products named and counted."""

import pytest
import torch
from torch import nn

from crossbar import (
    AnalogLinear,
    AnalogMultiheadAttention,
    age_chip,
    conversion_report,
    convert_to_analog,
    load_model,
    load_profile,
    price,
    program_chip,
    record_events,
    save_model,
    tile_arrays,
)
from crossbar.aihwkit.adapter import InferenceRPUConfig

EMBED, HEADS, LENGTH, BATCH = 8, 2, 5, 3
CLOSE = 1e-5
"""Sums of 8 products and a softmax in float32."""
CAUSAL = nn.Transformer.generate_square_subsequent_mask(LENGTH)
PADDED = torch.tensor([[False] * 5, [False, False, False, True, True], [False, False, False, False, True]])


def perfect():
    config = InferenceRPUConfig()
    config.forward.is_perfect = True
    return config


def tokens(size=EMBED, seed=1):
    return torch.randn(LENGTH, BATCH, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"kdim": 6, "vdim": 4},
        {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
    ],
    ids=lambda options: ",".join(options) or "plain",
)
@pytest.mark.parametrize(
    "masks",
    [
        {},
        {"need_weights": False, "attn_mask": CAUSAL, "is_causal": True},
        {"key_padding_mask": PADDED, "average_attn_weights": False},
        {"key_padding_mask": PADDED, "attn_mask": CAUSAL < 0},
        {"attn_mask": CAUSAL.expand(BATCH * HEADS, -1, -1)},
    ],
    ids=lambda masks: ",".join(masks) or "all",
)
def test_perfect_tiles_give_torchs_numbers_and_gradients(options, masks):
    torch.manual_seed(0)
    digital = nn.MultiheadAttention(EMBED, HEADS, **options)
    nn.init.normal_(digital.out_proj.weight)
    if options.get("add_bias_kv") and masks.get("is_causal"):
        pytest.skip("torch's shortcut for causal masks hides the added keys from the first queries")
    analog = convert_to_analog(digital, perfect())
    sizes = EMBED, options.get("kdim", EMBED), options.get("vdim", EMBED)
    inputs = [tokens(size, seed) for seed, size in enumerate(sizes)]
    if options.get("batch_first"):
        inputs = [x.transpose(0, 1) for x in inputs]
    ours, theirs = ([x.clone().requires_grad_() for x in inputs] for _ in range(2))
    y, scores = analog(*ours, **masks)
    expected, weights = digital(*theirs, **masks)
    assert torch.allclose(y, expected, atol=CLOSE)
    assert (scores is None) == (weights is None)
    assert scores is None or torch.allclose(scores, weights, atol=CLOSE)
    y.square().sum().backward()
    expected.square().sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=CLOSE)
    if digital.in_proj_weight is not None:
        learned = torch.cat([getattr(analog, f"{n}_proj").tile_array.weight.grad[0] for n in "qkv"])
        assert torch.allclose(learned, digital.in_proj_weight.grad, atol=CLOSE)
        assert torch.equal(analog.in_proj_weight.plain(), digital.in_proj_weight)
    back = AnalogMultiheadAttention.to_digital(analog)
    for mine, other in zip(back.parameters(), digital.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_single_sequences_and_a_mask_that_is_only_announced():
    digital = nn.MultiheadAttention(EMBED, HEADS)
    analog = convert_to_analog(digital, perfect())
    x = tokens()[:, 0]
    for mine, other in zip(analog(x, x, x), digital(x, x, x), strict=True):
        assert torch.allclose(mine, other, atol=CLOSE)
    with pytest.raises(ValueError, match="`attn_mask` must be given with `is_causal`"):
        analog(x, x, x, is_causal=True)


@pytest.mark.parametrize("training", [True, False])
def test_a_transformer_encoder_computes_on_the_tiles(training):
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(EMBED, HEADS, 16, batch_first=True, dropout=0.0)
    digital = nn.TransformerEncoder(block, 2, enable_nested_tensor=False).train(training)
    analog = convert_to_analog(digital, perfect())
    kinds = [row.kind for row in conversion_report(analog).layers]
    assert kinds.count("AnalogLinear") == 12
    x = tokens().transpose(0, 1)
    calls = []
    handles = [
        layer.register_forward_hook(lambda *_: calls.append(1))
        for layer in analog.modules()
        if isinstance(layer, AnalogLinear)
    ]
    with torch.no_grad():
        assert torch.allclose(analog(x), digital(x), atol=CLOSE)
        assert torch.allclose(
            analog(x, src_key_padding_mask=PADDED), digital(x, src_key_padding_mask=PADDED), atol=CLOSE
        )
    assert len(calls) == 24
    for handle in handles:  # hooks alone would switch torch's shortcut off
        handle.remove()
    noisy = convert_to_analog(digital, InferenceRPUConfig()).eval()
    with torch.no_grad():
        assert not torch.equal(noisy(x), noisy(x))


def test_digital_products_are_named_and_counted_beside_a_chip(tmp_path):
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(EMBED, HEADS, 16, batch_first=True)
    model = convert_to_analog(block, InferenceRPUConfig()).eval()
    report = conversion_report(model)
    assert report.names("digital") == ["self_attn.scores"]
    assert "multiply activations" in str(report)
    assert not report.unforeseen
    program_chip(model, seed=3)
    age_chip(model, 1e6, seed=4)
    with torch.no_grad(), record_events(model) as ledger:
        model(tokens().transpose(0, 1))
    scores = ledger.layers["self_attn.scores"]
    # every query with every key, and every score with every value
    assert scores.counts["forward"]["digital_macs"] == 2 * BATCH * LENGTH * LENGTH * EMBED
    assert not scores.shape.is_analog
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        assert ledger.layers[f"self_attn.{name}"].counts["forward"]["mvms"] == BATCH * LENGTH
    assert "self_attn.scores" in str(price(ledger, load_profile("hermes-pcm")))
    path = tmp_path / "block.safetensors"
    save_model(model, path)
    fresh = load_model(path, convert_to_analog(block, InferenceRPUConfig()).eval())
    for (_, ours), (_, theirs) in zip(tile_arrays(model), tile_arrays(fresh), strict=True):
        assert torch.equal(ours.reading.weight, theirs.reading.weight)


def test_what_is_frozen_stays_frozen_also_without_gradients():
    block = nn.MultiheadAttention(EMBED, HEADS)
    with torch.no_grad():
        analog = convert_to_analog(block, perfect())
    assert analog.q_proj.tile_array.weight.requires_grad
    block.requires_grad_(False)
    assert not any(p.requires_grad for p in convert_to_analog(block, perfect()).parameters())
