"""Attention and Transformer blocks against their formulas, torch's layers and published parameter counts."""

from __future__ import annotations

import cmath
import math
from typing import Any

import pytest
import torch
from torch import nn

from netloom.compile import module, source
from netloom.explain import explain_model
from netloom.nn.attention import (
    AdditiveAttention,
    AttentionPooling,
    CrossAttention,
    DotProductAttention,
    LinearAttention,
    MultiHeadAttention,
    SelfAttention,
)
from netloom.nn.position import AlibiBias, RelativeBuckets, RotaryPosition, SinusoidalEncoding
from netloom.nn.transformer import FeedForward, GatedFeedForward, TransformerBlock, TransformerDecoderBlock
from netloom.validation import analyze
from tests.explain.models import source as sample
from tests.explain.models import trained
from tests.networks import project

MASK = torch.tensor([[1.0, 1.0, 0.0, 1.0, 0.25, 0.0], [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)

SELF: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"causal": True},
    "window": {"window": 2},
    "causal window": {"causal": True, "window": 3},
    "multi-query": {"kv_heads": 1},
    "grouped": {"kv_heads": 2, "causal": True},
    "no bias": {"bias": False},
    "wide heads": {"head_width": 6},
    "alibi": {"position": "alibi", "causal": True},
    "alibi both sides": {"position": "alibi"},
    "rotary": {"position": "rotary", "base": 100.0},
    "llama": {"position": "rotary", "causal": True, "kv_heads": 2, "bias": False},
    "table": {"position": "table", "reach": 3},
    "buckets": {"position": "buckets", "buckets": 8, "reach": 16},
    "causal buckets": {"position": "buckets", "buckets": 6, "reach": 5, "causal": True},
}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


def build_seeded(kind: type[nn.Module], *args: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(*args, **options).double()


def linear_rows(linear: nn.Linear, x: torch.Tensor, part: slice) -> torch.Tensor:
    """Selected outputs of a Linear for one vector."""
    output = linear.weight[part] @ x
    return output if linear.bias is None else output + linear.bias[part]


def rotated(x: torch.Tensor, step: int, base: float) -> torch.Tensor:
    """RoPE as multiplication by complex numbers."""
    width = len(x)
    parts = [torch.complex(x[i], x[i + 1]) * cmath.exp(1j * step * base ** (-i / width)) for i in range(0, width, 2)]
    return torch.stack([number for part in parts for number in (part.real, part.imag)])


def reference_bucket(offset: int, buckets: int, reach: int, both: bool) -> int:
    """T5's bucket, from the description in its paper and code."""
    side = buckets // 2 if both else buckets
    start = side if both and offset > 0 else 0
    distance = abs(offset) if both else max(-offset, 0)
    exact = side // 2
    if distance < exact:
        return start + distance
    return start + min(side - 1, exact + int(math.log(distance / exact) / math.log(reach / exact) * (side - exact)))


def position_bias(layer: Any, head: int, i: int, j: int, options: dict[str, Any]) -> Any:
    position = options.get("position")
    if position == "alibi":
        return -(2.0 ** (-8 * (head + 1) / layer.heads)) * abs(i - j)
    if position == "table":
        reach = options["reach"]
        return layer.place.table.weight[max(-reach, min(reach, j - i)) + reach, head]
    if position == "buckets":
        bucket_index = reference_bucket(j - i, options["buckets"], options["reach"], both=not layer.causal)
        return layer.place.table.weight[bucket_index, head]
    return 0.0


def reference_attention(
    layer: Any, x: torch.Tensor, options: dict[str, Any], mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """softmax(q·k/√d + bias)·v per example, head and pair of steps; returns the output and the weights."""
    batch, steps, _ = x.shape
    width, heads = layer.width, layer.heads
    shared = layer.k.out_features // width
    outputs, maps = [], torch.zeros(batch, heads, steps, steps, dtype=x.dtype)
    for n in range(batch):
        gathered = torch.zeros(steps, heads * width, dtype=x.dtype)
        for head in range(heads):
            query_columns = slice(head * width, (head + 1) * width)
            group = head // (heads // shared)
            key_columns = slice(group * width, (group + 1) * width)
            for i in range(steps):
                q = linear_rows(layer.q, x[n, i], query_columns)
                q = rotated(q, i, options.get("base", 10000.0)) if options.get("position") == "rotary" else q
                weights = torch.zeros(steps, dtype=x.dtype)
                for j in range(steps):
                    visible = (not layer.causal or j <= i) and (layer.window is None or abs(i - j) < layer.window)
                    if not visible:
                        continue
                    k = linear_rows(layer.k, x[n, j], key_columns)
                    k = rotated(k, j, options.get("base", 10000.0)) if options.get("position") == "rotary" else k
                    score = (q @ k) / math.sqrt(width) + position_bias(layer, head, i, j, options)
                    weights[j] = score.exp() * (1.0 if mask is None else mask[n, j])
                if weights.sum() > 0:
                    weights = weights / weights.sum()
                maps[n, head, i] = weights
                gathered[i, query_columns] = sum(
                    weights[j] * linear_rows(layer.v, x[n, j], key_columns) for j in range(steps)
                )
        outputs.append(torch.stack([linear_rows(layer.out, gathered[i], slice(None)) for i in range(steps)]))
    return torch.stack(outputs), maps


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", SELF)
def test_self_attention_matches_its_formula(name: str, masked: bool) -> None:
    options = SELF[name]
    layer = build_seeded(SelfAttention, 16, 4, **options)
    x, mask = random(2, 6, 16), MASK if masked else None
    layer.capture = True
    with torch.no_grad():
        output = layer(x) if mask is None else layer(x, mask)
        expected, maps = reference_attention(layer, x, options, mask)
    assert_close(layer.attention, maps)
    assert_close(output, expected)


@pytest.mark.parametrize("name", SELF)
@pytest.mark.parametrize("masked", [False, True])
def test_self_attention_passes_gradcheck(name: str, masked: bool) -> None:
    layer = build_seeded(SelfAttention, 8, 4, **{**SELF[name], **({"head_width": 2} if name == "wide heads" else {})})
    x = random(2, 4, 8).requires_grad_()
    mask = MASK[:, :4].clone().requires_grad_() if masked else None
    if mask is None:
        assert torch.autograd.gradcheck(layer, (x,), fast_mode=True)
    else:  # where the mask is 0 its own gradient is one-sided
        assert torch.autograd.gradcheck(lambda value: layer(value, mask.detach()), (x,), fast_mode=True)
        layer(x, mask).sum().backward()
        assert mask.grad is not None
        assert mask.grad.isfinite().all()
        assert (mask.grad != 0).any()


@pytest.mark.parametrize(("heads", "options"), [(4, {}), (2, {"causal": True})])
def test_self_attention_without_options_equals_multi_head_attention(heads: int, options: dict[str, Any]) -> None:
    reference, layer = (
        build_seeded(MultiHeadAttention, 8, heads, **options),
        build_seeded(SelfAttention, 8, heads, **options),
    )
    layer.load_state_dict(reference.state_dict())
    x = random(2, 5, 8)
    assert torch.equal(reference(x), layer(x))


@pytest.mark.parametrize("masked", [False, True])
def test_cross_attention_matches_torch(masked: bool) -> None:
    layer = build_seeded(CrossAttention, 12, 10, 3)
    torch_layer = build_seeded(nn.MultiheadAttention, 12, 3, kdim=10, vdim=10, batch_first=True)
    state = {f"{key}_proj_weight": getattr(layer, key).weight for key in "qkv"}
    state["in_proj_bias"] = torch.cat([layer.q.bias, layer.k.bias, layer.v.bias])
    state |= {"out_proj.weight": layer.out.weight, "out_proj.bias": layer.out.bias}
    torch_layer.load_state_dict(state)
    x, memory = random(2, 4, 12), random(2, 7, 10, seed=1)
    real = torch.tensor([[1, 1, 1, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1, 1]], dtype=torch.float64)
    layer.capture = True
    if masked:
        output = layer(x, memory, real)
        expected, maps = torch_layer(x, memory, memory, key_padding_mask=real == 0, average_attn_weights=False)
    else:
        output = layer(x, memory)
        expected, maps = torch_layer(x, memory, memory, average_attn_weights=False)
    assert_close(output, expected)
    assert_close(layer.attention, maps)


def test_cross_attention_passes_gradcheck() -> None:
    layer = build_seeded(CrossAttention, 8, 6, 4, kv_heads=2)
    inputs = random(2, 3, 8).requires_grad_(), random(2, 5, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(layer, inputs)
    mask = torch.tensor([[1.0, 0.5, 2.0, 1.0, 0.1]] * 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(layer, (*inputs, mask))


def test_dot_product_attention_matches_its_formula() -> None:
    q, k, v = random(2, 4, 6), random(2, 5, 6, seed=1), random(2, 5, 9, seed=2)
    expected = torch.cat(
        [
            (q[..., a] @ k[..., a].transpose(1, 2) / math.sqrt(2)).softmax(-1) @ v[..., b]
            for a, b in ((slice(0, 2), slice(0, 3)), (slice(2, 4), slice(3, 6)), (slice(4, 6), slice(6, 9)))
        ],
        dim=-1,
    )
    assert_close(DotProductAttention(3)(q, k, v), expected)
    inputs = [part.requires_grad_() for part in (q, k, v)]
    assert torch.autograd.gradcheck(DotProductAttention(3), inputs)
    assert torch.autograd.gradcheck(DotProductAttention(1), (*inputs, random(2, 4, 5).exp().requires_grad_()))


def test_pairwise_mask_equals_causal_and_window_options() -> None:
    q, k, v = random(2, 6, 6), random(2, 6, 6, seed=1), random(2, 6, 4, seed=2)
    pairs = torch.ones(6, 6, dtype=torch.float64).tril().expand(2, 6, 6)
    torch.testing.assert_close(DotProductAttention(2)(q, k, v, pairs), DotProductAttention(2, causal=True)(q, k, v))
    near = pairs.triu(-2)
    assert_close(DotProductAttention(2)(q, k, v, near), DotProductAttention(2, causal=True, window=3)(q, k, v))
    blocked = pairs.clone()
    blocked[:, 3] = 0
    assert (DotProductAttention(2)(q, k, v, blocked)[:, 3] == 0).all()


@pytest.mark.parametrize("masked", [False, True])
def test_additive_attention_matches_its_formula(masked: bool) -> None:
    layer = build_seeded(AdditiveAttention, 4, 5, 3)
    x, memory, mask = random(2, 3, 4), random(2, 6, 5, seed=1), MASK if masked else None
    expected, maps = torch.zeros(2, 3, 5, dtype=x.dtype), torch.zeros(2, 1, 3, 6, dtype=x.dtype)
    layer.capture = True
    with torch.no_grad():
        output = layer(x, memory) if mask is None else layer(x, memory, mask)
        for n in range(2):
            for i in range(3):
                for j in range(6):
                    both = layer.q.weight @ x[n, i] + layer.q.bias + layer.k.weight @ memory[n, j]
                    score = (layer.score.weight[0] @ both.tanh()).exp()
                    maps[n, 0, i, j] = score * (1 if mask is None else mask[n, j])
                maps[n, 0, i] /= maps[n, 0, i].sum()
                expected[n, i] = maps[n, 0, i] @ memory[n]
    assert_close(output, expected)
    assert_close(layer.attention, maps)
    inputs = x.requires_grad_(), memory.requires_grad_()
    assert torch.autograd.gradcheck(layer, inputs)
    assert (layer(*inputs, torch.zeros(2, 6)) == 0).all()


@pytest.mark.parametrize("masked", [False, True])
def test_attention_pooling_matches_its_formula(masked: bool) -> None:
    layer, x, mask = build_seeded(AttentionPooling, 4, 3), random(2, 6, 4), MASK if masked else None
    expected = []
    for n in range(2):
        scores = [
            (layer.score.weight[0] @ (layer.project.weight @ step + layer.project.bias).tanh()).exp() for step in x[n]
        ]
        weights = torch.stack(scores) * (1 if mask is None else mask[n])
        expected.append(weights / weights.sum() @ x[n])
    assert_close(layer(x) if mask is None else layer(x, mask), torch.stack(expected))
    assert torch.autograd.gradcheck(layer, (x.requires_grad_(),))
    soft_mask = random(2, 6).exp().requires_grad_()
    assert torch.autograd.gradcheck(layer, (x, soft_mask))
    assert (layer(x, torch.zeros(2, 6)) == 0).all()


def test_masked_steps_do_not_change_the_output() -> None:
    mask = torch.tensor([[1.0, 1, 1, 0, 0, 0]])
    for layer in (
        SelfAttention(8, 2),
        SelfAttention(8, 2, position="rotary", causal=True),
        LinearAttention(8, 2),
        LinearAttention(8, 2, causal=True),
    ):
        x = torch.randn(1, 6, 8)
        changed = x.clone()
        changed[:, 3:] = 40 * torch.randn(1, 3, 8)
        assert torch.equal(layer(x, mask)[:, :3], layer(changed, mask)[:, :3])
        torch.testing.assert_close(layer(x, mask)[:, :3], layer(x[:, :3]))


def test_fully_masked_query_gets_zero_attention() -> None:
    layer = SelfAttention(8, 2, causal=True, dropout=0.2)
    x = torch.randn(2, 4, 8, requires_grad=True)
    mask = torch.tensor([[0.0, 0, 1, 1], [0, 0, 0, 0]])
    layer.capture = True
    out = layer(x, mask)
    for n, steps in ((0, (0, 1)), (1, range(4))):
        for step in steps:
            torch.testing.assert_close(out[n, step], layer.out.bias)
            assert layer.attention is not None
            assert (layer.attention[n, :, step] == 0).all()
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_alibi_has_the_published_slopes() -> None:
    """Section 3 of the paper, and its authors' code for head counts that are not powers of two."""
    assert AlibiBias(8).slopes == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    more = [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]
    assert AlibiBias(12).slopes == pytest.approx([*AlibiBias(8).slopes, *more], abs=1e-15)
    assert AlibiBias(1).slopes == [2**-8]
    assert len(AlibiBias(7).slopes) == 7


def test_rotary_scores_depend_only_on_distance() -> None:
    q, k = random(8), random(8, seed=1)
    rotary = RotaryPosition()
    rotated_q, rotated_k = rotary(q.expand(1, 1, 50, 8)), rotary(k.expand(1, 1, 50, 8))
    scores = (rotated_q @ rotated_k.transpose(-2, -1))[0, 0]
    for distance in (0, 1, 7, -3):
        line = scores.diagonal(distance)
        assert_close(line, line[:1].expand_as(line))
    assert_close(scores[0, 0], q @ k)
    assert (scores[0, 1] - scores[0, 2]).abs() > 1e-3
    assert_close(rotated_q.norm(dim=-1), q.norm().expand(1, 1, 50))
    expected = torch.stack([rotated(q, step, 10000.0) for step in range(50)])
    assert_close(rotated_q[0, 0], expected)


def test_relative_buckets_match_t5() -> None:
    both, past = RelativeBuckets(2), RelativeBuckets(2, both_sides=False)
    # Half of 32 buckets look ahead; of each half, 8 are exact, and 8 reach logarithmically up to 128.
    offsets = torch.tensor([0, -1, -7, -8, -200, 1, 7, 8, 200])
    assert both.bucket(offsets).tolist() == [0, 1, 7, 8, 15, 17, 23, 24, 31]
    assert past.bucket(offsets).tolist() == [0, 1, 7, 8, 31, 0, 0, 0, 0]
    for layer, sides in ((both, True), (past, False)):
        for offset in range(-150, 151):
            actual = int(layer.bucket(torch.tensor([offset])))
            if abs(offset) not in (16, 32, 64, 128):  # the logarithm is an integer there, so float32 rounding decides
                assert actual == reference_bucket(offset, 32, 128, sides)


def test_sinusoidal_encoding_matches_its_formula() -> None:
    x = random(2, 7, 5)
    expected = x.clone() * math.sqrt(5)
    for step in range(7):
        for i in range(5):
            angle = step / 10000 ** ((i - i % 2) / 5)
            expected[:, step, i] += math.cos(angle) if i % 2 else math.sin(angle)
    assert_close(SinusoidalEncoding(scaled=True)(x), expected)
    assert torch.autograd.gradcheck(SinusoidalEncoding(base=50.0), (x.requires_grad_(),))


def quadratic_linear_attention(layer: LinearAttention, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Linear attention in its quadratic form, with all weights, head by head."""
    parts = []
    for head in range(layer.heads):
        head_columns = slice(head * layer.width, (head + 1) * layer.width)
        q, k, v = (
            x @ linear.weight[head_columns].T + linear.bias[head_columns] for linear in (layer.q, layer.k, layer.v)
        )
        q, k = (torch.where(part > 0, part + 1, part.exp()) for part in (q, k))
        weights = q @ k.transpose(1, 2)
        weights = weights.tril() if layer.causal else weights
        weights = weights if mask is None else weights * mask.unsqueeze(1)
        parts.append(weights / weights.sum(-1, keepdim=True) @ v)
    return torch.cat(parts, dim=-1) @ layer.out.weight.T + layer.out.bias


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("steps", "chunk"), [(1, 64), (6, 1), (7, 3), (9, 3), (64, 64), (131, 64)])
def test_linear_attention_matches_its_quadratic_form(steps: int, chunk: int, causal: bool) -> None:
    layer = build_seeded(LinearAttention, 8, 2, causal=causal, chunk=chunk)
    x = random(2, steps, 8)
    assert_close(layer(x), quadratic_linear_attention(layer, x, None))
    mask = torch.ones(2, steps, dtype=torch.float64)
    mask[:, steps // 2 + 1 :] = 0.0
    assert_close(layer(x, mask), quadratic_linear_attention(layer, x, mask))


@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_passes_gradcheck(causal: bool) -> None:
    layer = build_seeded(LinearAttention, 4, 2, causal=causal, chunk=2)
    assert torch.autograd.gradcheck(layer, (random(2, 5, 4).requires_grad_(),))


@pytest.mark.parametrize(
    ("layer", "memory"),
    [
        (SelfAttention(16, 4, kv_heads=2, position="rotary", window=3), False),
        (SelfAttention(16, 4, position="alibi", causal=True), False),
        (SelfAttention(16, 2, position="buckets"), False),
        (LinearAttention(16, 4), False),
        (LinearAttention(16, 4, causal=True), False),
        (CrossAttention(16, 16, 4, kv_heads=1), True),
    ],
)
def test_captured_weights_reproduce_the_output(layer: Any, memory: bool) -> None:
    """The attention explainer's test requires the same of MultiHeadAttention."""
    layer.eval()
    x, other = torch.randn(2, 6, 16), torch.randn(2, 5, 16)
    with torch.no_grad():
        plain = layer(x, other) if memory else layer(x)
        layer.capture = True
        captured = layer(x, other) if memory else layer(x)
        mixed = layer.attention @ layer.split(layer.v(other if memory else x))
        rebuilt = layer.out(mixed.transpose(1, 2).flatten(2))
    assert torch.equal(plain, captured)
    torch.testing.assert_close(rebuilt, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer.attention.sum(-1), torch.ones(2, 4 if layer.heads == 4 else 2, 6))


def test_dropout_acts_only_in_training() -> None:
    layer, x = SelfAttention(8, 2, dropout=0.5), torch.randn(2, 5, 8)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu", "silu", "sigmoid"])
def test_feed_forward_layers_match_their_formulas(activation: str) -> None:
    known: dict[str, Any] = {
        "gelu": nn.functional.gelu,
        "gelu_tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
        "relu": torch.relu,
        "silu": lambda x: x * torch.sigmoid(x),
        "sigmoid": torch.sigmoid,
    }
    x = random(2, 3, 6)
    plain, gated = build_seeded(FeedForward, 6, 10, activation), build_seeded(GatedFeedForward, 6, 10, activation)
    middle = known[activation](x @ plain.up.weight.T + plain.up.bias)
    assert_close(plain(x), middle @ plain.down.weight.T + plain.down.bias)
    middle = known[activation](x @ gated.gate.weight.T) * (x @ gated.up.weight.T)
    assert_close(gated(x), middle @ gated.down.weight.T)
    assert torch.autograd.gradcheck(gated, (x.requires_grad_(),))
    with pytest.raises(ValueError, match="choose one of"):
        FeedForward(6, 10, "tansig")


def copy_weights(block: Any, torch_layer: nn.Module) -> None:
    """Copy the block's weights into the torch layer."""
    decoder = isinstance(block, TransformerDecoderBlock)
    names = {"self_attn": block.attention.part}
    state: dict[str, torch.Tensor] = {}
    if isinstance(block, TransformerDecoderBlock):
        names["multihead_attn"] = block.cross.part
    for name, part in names.items():
        heads = [part.q, part.k, part.v]
        state[f"{name}.in_proj_weight"] = torch.cat([linear.weight for linear in heads])
        state[f"{name}.out_proj.weight"] = part.out.weight
        if heads[0].bias is not None:
            state[f"{name}.in_proj_bias"] = torch.cat([linear.bias for linear in heads])
            state[f"{name}.out_proj.bias"] = part.out.bias
    pair = block.feed_forward.part
    norms = [block.attention.norm, *([block.cross.norm] if decoder else []), block.feed_forward.norm]
    parts = {"linear1": pair.up, "linear2": pair.down, **{f"norm{index}": norm for index, norm in enumerate(norms, 1)}}
    for name, part in parts.items():
        state |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
    torch_layer.load_state_dict(state)


def perturbed(block: Any) -> Any:
    """Perturb all parameters, so that swapped norms change the output."""
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return block


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("first", [True, False])
def test_encoder_block_matches_torch(first: bool, activation: str, bias: bool) -> None:
    options = {"bias": bias, "norm_first": first}
    block = perturbed(build_seeded(TransformerBlock, 8, 2, 12, feed_forward=activation, **options))
    torch_layer = build_seeded(
        nn.TransformerEncoderLayer, 8, 2, 12, 0.0, activation=activation, batch_first=True, **options
    )
    copy_weights(block, torch_layer)
    x, mask = random(2, 6, 8), (MASK > 0).double()
    assert_close(block(x), torch_layer(x))
    assert_close(block(x, mask), torch_layer(x, src_key_padding_mask=mask == 0))
    block.attention.part.causal = True
    future = torch.ones(6, 6).triu(1).bool()
    assert_close(block(x), torch_layer(x, src_mask=future))


@pytest.mark.parametrize("first", [True, False])
def test_decoder_block_matches_torch(first: bool) -> None:
    block = perturbed(build_seeded(TransformerDecoderBlock, 8, 8, 2, 12, feed_forward="relu", norm_first=first))
    torch_layer = build_seeded(nn.TransformerDecoderLayer, 8, 2, 12, 0.0, batch_first=True, norm_first=first)
    copy_weights(block, torch_layer)
    x, memory, mask = random(2, 4, 8), random(2, 6, 8, seed=1), (MASK > 0).double()
    future = torch.ones(4, 4).triu(1).bool()
    assert_close(block(x, memory), torch_layer(x, memory, tgt_mask=future))
    expected = torch_layer(x, memory, tgt_mask=future, memory_key_padding_mask=mask == 0)
    assert_close(block(x, memory, mask), expected)


def test_transformer_blocks_pass_gradcheck() -> None:
    llama = {"norm": "rms", "feed_forward": "swiglu", "position": "rotary", "kv_heads": 1, "bias": False}
    block = build_seeded(TransformerBlock, 4, 2, 6, causal=True, **llama)
    assert torch.autograd.gradcheck(block, (random(2, 4, 4).requires_grad_(),))
    decoder = build_seeded(TransformerDecoderBlock, 4, 3, 2, 6, norm_first=False, feed_forward="geglu")
    inputs = random(2, 3, 4).requires_grad_(), random(2, 5, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(decoder, inputs)


def test_rms_norm_block_matches_its_formula() -> None:
    block = perturbed(
        build_seeded(TransformerBlock, 4, 1, 6, norm="rms", feed_forward="geglu", bias=False, epsilon=1e-6)
    )
    x = random(2, 3, 4)

    def norm(value: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return scale * value / (value.square().mean(-1, keepdim=True) + 1e-6).sqrt()

    middle = x + block.attention.part(norm(x, block.attention.norm.weight))
    expected = middle + block.feed_forward.part(norm(middle, block.feed_forward.norm.weight))
    assert_close(block(x), expected)


def count(name: str, params: dict[str, Any], *shapes: tuple[int, ...]) -> int:
    """The parameters of a layer for inputs of these shapes, as the canvas shows them."""
    ports = ["in", "memory"][: len(shapes)]
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"layer_1": (name, params), "output_1": ("Output", {})}
    edges = [("layer_1", "output_1")]
    for port, shape in zip(ports, shapes, strict=True):
        nodes[f"input_{port}"] = ("Input", {"kind": "sequence", "shape": list(shape)})
        edges.append((f"input_{port}", f"layer_1.{port}"))
    return analyze(project(nodes, edges)).nodes["layer_1"].parameters


LLAMA = {"norm": "rms", "feed_forward": "swiglu", "position": "rotary", "bias": False, "causal": True}


def test_parameter_counts_match_published_models() -> None:
    """Whole models are the sum of these blocks, token and position embeddings and a final norm.

    GPT-2: https://huggingface.co/openai-community/gpt2, BERT: https://arxiv.org/abs/1810.04805, Llama:
    https://arxiv.org/abs/2302.13971, https://arxiv.org/abs/2407.21783, Mistral: https://arxiv.org/abs/2310.06825, T5:
    https://arxiv.org/abs/1910.10683; the exact sums are those of the released weights.
    """
    gpt2 = count(
        "TransformerBlock", {"heads": 12, "hidden": 3072, "causal": True, "feed_forward": "gelu_tanh"}, (4, 768)
    )
    assert gpt2 == 12 * 768**2 + 13 * 768
    assert 12 * gpt2 + 50257 * 768 + 1024 * 768 + 2 * 768 == 124_439_808
    assert count("TransformerEncoderBlock", {"heads": 12, "hidden": 3072}, (4, 768)) == gpt2
    bert = count("TransformerBlock", {"heads": 12, "hidden": 3072, "norm_first": False}, (4, 768))
    assert bert == 7_087_872
    assert 12 * bert + (30522 + 512 + 2) * 768 + 2 * 768 + 768**2 + 768 == 109_482_240
    llama_7b = count("TransformerBlock", {**LLAMA, "heads": 32, "hidden": 11008}, (4, 4096))
    assert 32 * llama_7b + 2 * 32000 * 4096 + 4096 == 6_738_415_616
    llama_3_8b = count("TransformerBlock", {**LLAMA, "heads": 32, "kv_heads": 8, "hidden": 14336}, (4, 4096))
    assert 32 * llama_3_8b + 2 * 128256 * 4096 + 4096 == 8_030_261_248  # Llama 3 8B
    assert 32 * llama_3_8b + 2 * 32000 * 4096 + 4096 == 7_241_732_096  # Mistral 7B


def test_parameter_count_matches_t5_small() -> None:
    """T5-small: six encoder and six decoder blocks; only the first of each has a relative position table."""
    options = {"heads": 8, "hidden": 2048, "norm": "rms", "feed_forward": "relu", "bias": False}
    first = {**options, "position": "buckets"}
    encoder = count("TransformerBlock", first, (4, 512)) + 5 * count("TransformerBlock", options, (4, 512))
    decoders = [count("TransformerDecoderBlock", each, (4, 512), (5, 512)) for each in (first, options)]
    decoder = decoders[0] + 5 * decoders[1]
    assert 32128 * 512 + encoder + 512 + decoder + 512 == 60_506_624


@pytest.mark.parametrize(
    ("name", "params", "numbers"),
    [
        ("MultiQueryAttention", {"heads": 4}, 2 * (16 * 16 + 16) + 2 * (16 * 4 + 4)),
        ("GroupedQueryAttention", {"heads": 4, "bias": False}, 2 * 16 * 16 + 2 * 16 * 8),
        ("SelfAttention", {"head_width": 6, "bias": False}, 4 * 16 * 24),
        ("AlibiAttention", {}, 4 * (16 * 16 + 16)),
        ("RelativeAttention", {}, 4 * (16 * 16 + 16) + 32 * 4),
        ("RelativeAttention", {"kind": "table", "reach": 3}, 4 * (16 * 16 + 16) + 7 * 4),
        ("LinearAttention", {}, 4 * (16 * 16 + 16)),
        ("FeedForward", {"hidden": 32}, 2 * 16 * 32 + 32 + 16),
        ("SwiGLU", {"hidden": 32}, 3 * 16 * 32),
    ],
)
def test_parameter_counts_match_the_formulas(name: str, params: dict[str, Any], numbers: int) -> None:
    assert count(name, params, (8, 16)) == numbers


def shape_errors(name: str, params: dict[str, Any], **shapes: tuple[int, ...]) -> list[str]:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"layer_1": (name, params), "output_1": ("Output", {})}
    edges = [("layer_1", "output_1")]
    for port, shape in shapes.items():
        nodes[f"input_{port}"] = ("Input", {"kind": "vector" if len(shape) == 1 else "sequence", "shape": list(shape)})
        edges.append((f"input_{port}", f"layer_1.{port}"))
    return [issue.message for issue in analyze(project(nodes, edges)).errors if issue.code == "shape"]


@pytest.mark.parametrize(
    ("name", "params", "shapes", "words"),
    [
        ("SelfAttention", {"heads": 5}, {"in": (8, 16)}, "5 heads cannot divide a width of 16"),
        ("GroupedQueryAttention", {"heads": 4, "kv_heads": 3}, {"in": (8, 16)}, "cannot share 3 key and value heads"),
        ("RotaryAttention", {"heads": 4}, {"in": (8, 12)}, "even width"),
        ("RotaryPosition", {}, {"in": (8, 3)}, "make it even"),
        ("SelfAttention", {"masked": True}, {"in": (8, 16), "mask": (7,)}, "one number per step"),
        ("CrossAttention", {"masked": True}, {"in": (8, 16), "memory": (5, 4), "mask": (8,)}, "one number per step"),
        ("DotProductAttention", {}, {"q": (8, 16), "k": (8, 12), "v": (8, 12)}, "same width"),
        ("DotProductAttention", {}, {"q": (8, 16), "k": (8, 16), "v": (7, 12)}, "same number of steps"),
        ("DotProductAttention", {"causal": True}, {"q": (8, 16), "k": (5, 16), "v": (5, 12)}, "turn causal off"),
        ("DotProductAttention", {"heads": 3}, {"q": (8, 16), "k": (5, 16), "v": (5, 12)}, "3 heads"),
        ("RelativeAttention", {"buckets": 32, "reach": 4}, {"in": (8, 16)}, "change buckets"),
    ],
)
def test_invalid_shapes_are_refused(
    name: str, params: dict[str, Any], shapes: dict[str, tuple[int, ...]], words: str
) -> None:
    [message] = shape_errors(name, params, **shapes)
    assert words in message


def test_source_of_a_block_defines_all_its_classes() -> None:
    document = project(
        {
            "input_1": ("Input", {"kind": "sequence", "shape": [4, 8]}),
            "layer_1": ("TransformerBlock", {**LLAMA, "heads": 2}),
            "output_1": ("Output", {}),
        },
        [("input_1", "layer_1"), ("layer_1", "output_1")],
    )
    text = source(document)
    assert text.index("class RotaryPosition") < text.index("class SelfAttention") < text.index("class TransformerBlock")
    assert module(text)(torch.randn(2, 4, 8)).shape == (2, 4, 8)


def explain_attention(*nodes: tuple[str, dict[str, Any]], edges: list[tuple[str, str]]) -> Any:
    """The attention explanation of an untrained text network; its nodes are named after their types."""
    run = trained("transformer")
    kind, params = sample("intents")
    ends = [("Embedding", {"vocabulary": params["vocabulary"], "dim": 8}), ("Mean", {}), ("Output", {})]
    ends.append(("Linear", {"units": len(run.data.schema.target.classes)}))
    named = {"input": (kind, params), **{name.lower(): (name, options) for name, options in (*ends, *nodes)}}
    network_project = project(named, [("input", "embedding"), *edges, ("mean", "linear"), ("linear", "output")])
    return explain_model(network_project, module(network_project).eval(), run.data, "attention", 3).attention


@pytest.mark.parametrize(
    ("name", "params", "heads"),
    [
        ("SelfAttention", {"heads": 2, "kv_heads": 1, "position": "rotary", "window": 2}, 2),
        ("AlibiAttention", {"heads": 4, "causal": True}, 4),
        ("LinearAttention", {"heads": 2}, 2),
        ("TransformerBlock", {"heads": 2, "hidden": 8, "norm": "rms", "feed_forward": "swiglu"}, 2),
    ],
)
def test_attention_explainer_supports_every_attention_layer(name: str, params: dict[str, Any], heads: int) -> None:
    maps = explain_attention((name, params), edges=[("embedding", name.lower()), (name.lower(), "mean")])
    [layer] = maps.layers
    assert len(layer.weights) == heads
    assert layer.causal == params.get("causal", False)
    assert maps.rollout is not None
    assert maps.correlation is not None


def test_attention_explainer_respects_padding_masks() -> None:
    edges = [("embedding", "selfattention.in"), ("input", "paddingmask"), ("paddingmask", "selfattention.mask")]
    nodes = [("PaddingMask", {}), ("SelfAttention", {"heads": 2, "masked": True})]
    maps = explain_attention(*nodes, edges=[*edges, ("selfattention", "mean")])
    padding = [not token for token in maps.tokens]
    assert any(padding)
    assert (maps.layers[0].weights[:, :, padding] == 0).all()


def test_cross_attention_is_explained_without_rollout() -> None:
    """For sequences of equal and different lengths, with a label for every query and key step."""
    same = [("embedding", "crossattention.in"), ("embedding", "crossattention.memory"), ("crossattention", "mean")]
    maps = explain_attention(("CrossAttention", {"heads": 2}), edges=same)
    assert maps.rollout is None
    assert "from one sequence to another" in maps.reason
    other = [same[0], ("embedding", "permute"), ("permute", "crossattention.memory"), same[2]]
    maps = explain_attention(("Permute", {}), ("CrossAttention", {"heads": 2}), edges=other)
    [layer] = maps.layers
    assert layer.weights.shape == (2, len(layer.query_labels), len(layer.key_labels))
    assert layer.key_labels == tuple("01234567")  # its steps are the embedding features, not words
    assert maps.rollout is None
