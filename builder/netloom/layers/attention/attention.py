"""Self-attention in its variants, and the base class of Transformer blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from netloom.layers.channels import Channels, TensorAxis, Width, axes
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Literals, Port, TensorSpec

# The convention of masks, for the help of their ports
MASK = "1 for real steps, 0 for padding, (N, S), or one value for each pair of steps, (N, T, S)"
Position = Literal["none", "rotary", "alibi", "buckets", "table"]
KeyValueHeads = Annotated[
    int | None,
    Field(
        ge=1,
        le=1_024,
        description="Number of key and value heads that the query heads share; empty: one for each query head",
    ),
]
HeadWidth = Annotated[
    int | None, Field(ge=1, le=65_536, description="Width of a head; empty: D divided by the number of heads")
]


def masks(length: int) -> TensorSpec:
    """The spec of a mask for this number of steps."""
    return TensorSpec((None, length))


def mask_port(masked: bool) -> tuple[Port, ...]:
    """The port for a mask, if the layer has one."""
    return (Port("mask", ("vector", "sequence"), MASK),) if masked else ()


def key_port(masked: bool) -> tuple[Port, ...]:
    """The port for a mask over keys, which is the same for all queries."""
    return (Port("mask", ("vector",), "1 for real steps, 0 for padding, (N, T)"),) if masked else ()


def check_mask(specs: Mapping[str, TensorSpec], query_port: str, key_port: str) -> None:
    """Refuse a mask that is neither (N, S) nor (N, T, S) for T queries and S keys at these ports.

    Raises:
        ValueError: The shape of the mask does not match.
    """
    mask, steps = specs.get("mask"), specs[key_port].size(1)
    pairs = (None, specs[query_port].size(1), steps)
    if mask is not None and mask.shape not in ((None, steps), pairs):
        raise ValueError(
            f"the mask {mask} does not fit; give one number per step, (N, {steps}), or {TensorSpec(pairs)}"
        )


def hidden_width(hidden: int, projections: tuple[str, ...], read: str, bias: bool) -> Width:
    """The hidden units of a feed-forward network, from the modules `projections` to the module `read`."""
    names = [f"{name}.{kind}" for name in projections for kind in (("weight", "bias") if bias else ("weight",))]
    return Width("hidden", hidden, axes(*names), reads=(TensorAxis(f"{read}.weight", 1),))


def head_width(
    dim: int,
    heads: int,
    width: int | None,
    shared: Literals = None,
    position: Literals = "none",
    bias: bool = True,
    part: str = "",
) -> tuple[Width, ...]:
    """The heads of an attention over `dim` features at the path `part`; empty if single heads cannot be removed.

    Some positions have a bias or a slope for each head, and `shared` keys belong to several heads.
    """
    if shared is not None or position not in ("none", "rotary"):
        return ()
    block = width or dim // heads
    names = [f"{part}{name}.{kind}" for name in "qkv" for kind in (("weight", "bias") if bias else ("weight",))]
    rows = tuple(TensorAxis(name, block=block) for name in names)
    reads = (TensorAxis(f"{part}out.weight", 1, block=block),)
    return (Width("heads", heads, rows, reads=reads, fixed={"head_width": block}),)


def changed_options(layer: Layer, **defaults: Literals) -> dict[str, Literals]:
    """The fields of a layer that differ from the defaults of its module; generated code omits the others."""
    return {name: getattr(layer, name) for name, value in defaults.items() if getattr(layer, name) != value}


class _Attention(Layer):
    heads: int = Field(4, ge=1, le=1_024, description="Number of attention heads; must divide the width D")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability of the attention weights in training")
    causal: bool = Field(
        False, description="Causal mask: each step attends only to itself and earlier steps, as in text generation"
    )
    head_width: HeadWidth = None

    @classmethod
    def examples(cls) -> list[Example]:
        few = {"heads": 3, "head_width": 2, "causal": True}
        return [Example(inputs={"in": SAMPLES["sequence"]}), Example(few, {"in": SAMPLES["sequence"]})]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def brief(self) -> str:
        return f"{self.heads} heads{', causal' if self.causal else ''}"


class MultiHeadAttention(_Attention):
    """(N, T, D) -> (N, T, D)."""

    group = "Attention"
    title = "Multi-head self-attention"
    summary = "Each step of a sequence attends to all steps of the sequence"
    keywords: ClassVar[tuple[str, ...]] = ("attention", "transformer", "self-attention", "heads")
    url = "https://arxiv.org/abs/1706.03762"
    attention_queries = "steps"
    is_common = True

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options = changed_options(self, dropout=0.0, causal=False, head_width=None)
        # The module of most documents stays as it is, and the other one has the same weights.
        module = "MultiHeadAttention" if self.head_width is None else "SelfAttention"
        return Call(module, (specs["in"].size(2), self.heads), options)

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        return Channels(widths=head_width(specs["in"].size(2), self.heads, self.head_width))


class TransformerEncoderBlock(_Attention):
    """(N, T, D) -> (N, T, D)."""

    group = "Attention"
    title = "Transformer encoder block"
    summary = "Self-attention and a feed-forward network, each with a residual connection and layer norm"
    keywords: ClassVar[tuple[str, ...]] = ("attention", "transformer", "encoder", "bert", "gpt", "heads")
    url = "https://arxiv.org/abs/1706.03762"
    is_common = True

    residual_weights: ClassVar[tuple[str, ...]] = ("attention.out.weight", "feed_forward.3.weight")

    hidden: int = Field(128, ge=1, le=1_000_000, description="Hidden size of the feed-forward network")
    norm_first: bool = Field(
        True, description="Normalize before each part (pre-norm, more stable training) or after it (post-norm)"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options = changed_options(self, dropout=0.0, causal=False, norm_first=True)
        sizes = (specs["in"].size(2), self.heads, self.hidden)
        if self.head_width is None:
            return Call("TransformerEncoderBlock", sizes, options)
        return Call("FewHeadsEncoderBlock", (*sizes, self.head_width), options)

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        hidden = hidden_width(self.hidden, ("feed_forward.0",), "feed_forward.3", bias=True)
        heads = head_width(specs["in"].size(2), self.heads, self.head_width, part="attention.")
        return Channels(widths=(hidden, *heads))


class _SelfAttention(MultiHeadAttention):
    own_initialization = ("place",)  # biases of positions
    is_common = False

    bias: bool = Field(True, description="Add a learned bias in the projections")
    masked: bool = Field(False, description="Add a second port for a padding mask")

    @classmethod
    def examples(cls) -> list[Example]:
        sequence = SAMPLES["sequence"]
        return [
            Example(inputs={"in": sequence}),
            Example({"causal": True, "masked": True, "bias": False}, {"in": sequence, "mask": masks(8)}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (*super().inputs(), *mask_port(self.masked))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        check_mask(specs, "in", "in")
        shared = changed_options(self, bias=True, dropout=0.0, causal=False, head_width=None)
        return Call("SelfAttention", (specs["in"].size(2), self.heads), {**self._module_options(), **shared})

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        dim, options = specs["in"].size(2), self._module_options()
        shared, position = options.get("kv_heads"), options.get("position", "none")
        return Channels(widths=head_width(dim, self.heads, self.head_width, shared, position, self.bias))

    def _module_options(self) -> dict[str, Literals]:
        raise NotImplementedError


class SelfAttention(_SelfAttention):
    """(N, T, D) -> (N, T, D), softmax(QKᵀ/√d + bias) V per head."""

    title = "Self-attention (all options)"
    summary = (
        "Self-attention with grouped keys, sliding windows and position encodings in any combination, as in Llama "
        "or Mistral"
    )
    keywords = ("attention", "transformer", "heads", "llama", "mistral", "gqa", "rope", "alibi", "t5", "window", "mask")
    url = "https://arxiv.org/abs/2302.13971"
    is_common = True

    kv_heads: KeyValueHeads = None
    window: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Attention window: each step attends to steps less than this distance away; empty: to all steps",
    )
    position: Position = Field(
        "none",
        description="Position encoding: none, rotary (RoPE), alibi (a bias per head that is linear in the distance), "
        "buckets (T5's relative bias), or table (a learned bias per distance)",
    )
    base: float = Field(10000.0, ge=1, le=1e9, description="For rotary: base of the frequencies (θ)")
    buckets: int = Field(32, ge=4, le=4_096, description="For buckets: number of buckets")
    reach: int = Field(
        128, ge=1, le=100_000, description="For buckets and table: maximum distance; greater distances share one bias"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        sequence = SAMPLES["sequence"]
        llama = {"kv_heads": 2, "position": "rotary", "causal": True, "bias": False, "window": 3}
        wide = {"head_width": 6, "position": "table", "reach": 3, "masked": True}
        return [
            Example(inputs={"in": sequence}),
            Example(llama, {"in": sequence}),
            Example(wide, {"in": sequence, "mask": masks(8)}),
        ]

    def brief(self) -> str:
        shared = f" on {self.kv_heads}" if self.kv_heads else ""
        parts = ["causal" if self.causal else "", "" if self.position == "none" else self.position]
        parts.append(f"{self.window} steps" if self.window else "")
        return ", ".join([f"{self.heads} heads{shared}", *(part for part in parts if part)])

    def _module_options(self) -> dict[str, Literals]:
        return changed_options(
            self, kv_heads=None, head_width=None, window=None, position="none", base=10000.0, buckets=32, reach=128
        )


class MultiQueryAttention(_SelfAttention):
    """(N, T, D) -> (N, T, D), one key and value head for all query heads."""

    title = "Multi-query attention"
    summary = "Self-attention in which all heads share one key and value head, which saves memory"
    keywords = ("mqa", "attention", "transformer", "heads", "shared", "palm", "falcon")
    url = "https://arxiv.org/abs/1911.02150"

    def _module_options(self) -> dict[str, Literals]:
        return {"kv_heads": 1}


class GroupedQueryAttention(_SelfAttention):
    """(N, T, D) -> (N, T, D), each group of query heads shares a key and value head."""

    title = "Grouped-query attention"
    summary = (
        "Self-attention in which groups of heads share a key and value head, between multi-head and multi-query "
        "attention"
    )
    keywords = ("gqa", "attention", "transformer", "heads", "shared", "llama", "mistral")
    url = "https://arxiv.org/abs/2305.13245"

    kv_heads: int = Field(2, ge=1, le=1_024, description="Number of key and value heads; must divide heads")

    def _module_options(self) -> dict[str, Literals]:
        return {"kv_heads": self.kv_heads}

    def brief(self) -> str:
        return f"{self.heads} heads on {self.kv_heads}{', causal' if self.causal else ''}"


class SlidingWindowAttention(_SelfAttention):
    """(N, T, D) -> (N, T, D), step i attends to step j where |i - j| < window."""

    title = "Sliding window attention"
    summary = "Self-attention in which each step attends only to nearby steps"
    keywords = ("local", "attention", "transformer", "window", "longformer", "mistral")
    url = "https://arxiv.org/abs/2004.05150"

    window: int = Field(4, ge=1, le=1_000_000, description="Each step attends to steps less than this distance away")

    def _module_options(self) -> dict[str, Literals]:
        return {"window": self.window}

    def brief(self) -> str:
        return f"{super().brief()}, {self.window} steps"


class RotaryAttention(_SelfAttention):
    """(N, T, D) -> (N, T, D), queries and keys rotated by angles proportional to their position."""

    title = "Rotary attention (RoPE)"
    summary = (
        "Self-attention with rotary position embedding: rotates queries and keys, so that scores depend on relative "
        "positions"
    )
    keywords = ("rope", "rotary", "position", "attention", "transformer", "llama", "roformer")
    url = "https://arxiv.org/abs/2104.09864"

    base: float = Field(10000.0, ge=1, le=1e9, description="Base of the frequencies (θ)")

    def _module_options(self) -> dict[str, Literals]:
        return {"position": "rotary", **changed_options(self, base=10000.0)}


class AlibiAttention(_SelfAttention):
    """(N, T, D) -> (N, T, D), softmax(QKᵀ/√d - slope·|i - j|) V."""

    title = "ALiBi attention"
    summary = "Self-attention with linear biases: lowers the scores of distant steps by a fixed slope per head"
    keywords = ("alibi", "linear bias", "position", "attention", "transformer", "bloom")
    url = "https://arxiv.org/abs/2108.12409"

    def _module_options(self) -> dict[str, Literals]:
        return {"position": "alibi"}


class RelativeAttention(_SelfAttention):
    """(N, T, D) -> (N, T, D), softmax(QKᵀ/√d + b(i - j)) V with a learned b per head."""

    title = "Relative position attention"
    summary = "Self-attention with a learned bias for each relative position, as in T5"
    keywords = ("relative", "position", "bias", "t5", "bucket", "shaw", "attention", "transformer")
    url = "https://arxiv.org/abs/1910.10683"

    kind: Literal["buckets", "table"] = Field(
        "buckets",
        description="buckets: long distances share a bias, as in T5; table: one bias per distance up to the maximum",
    )
    buckets: int = Field(32, ge=4, le=4_096, description="For buckets: number of buckets")
    reach: int = Field(128, ge=1, le=100_000, description="Maximum distance; greater distances share one bias")

    @classmethod
    def examples(cls) -> list[Example]:
        table = {"kind": "table", "reach": 3}
        return [*super().examples(), Example(table, {"in": SAMPLES["sequence"]})]

    def _module_options(self) -> dict[str, Literals]:
        return {"position": self.kind, **changed_options(self, buckets=32, reach=128)}


class LinearAttention(Layer):
    """(N, T, D) -> (N, T, D), φ(Q)(φ(K)ᵀV) divided by φ(Q)Σφ(K), φ = ELU + 1."""

    group = "Attention"
    title = "Linear attention"
    summary = "Self-attention without a softmax; its cost grows linearly with the length of the sequence"
    keywords = ("kernel", "fast", "attention", "transformer", "katharopoulos", "efficient", "long")
    url = "https://arxiv.org/abs/2006.16236"
    attention_queries = "steps"

    heads: int = Field(4, ge=1, le=1_024, description="Number of attention heads; must divide the width D")
    causal: bool = Field(
        False, description="Causal mask: each step attends only to itself and earlier steps, as in text generation"
    )
    bias: bool = Field(True, description="Add a learned bias in the projections")
    masked: bool = Field(False, description="Add a second port for a padding mask")

    @classmethod
    def examples(cls) -> list[Example]:
        sequence = SAMPLES["sequence"]
        return [
            Example(inputs={"in": sequence}),
            Example({"causal": True}, {"in": sequence}),
            Example({"masked": True}, {"in": sequence, "mask": masks(8)}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"), *key_port(self.masked))

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        check_mask(specs, "in", "in")
        options = changed_options(self, bias=True, causal=False)
        return Call("LinearAttention", (specs["in"].size(2), self.heads), options)

    def brief(self) -> str:
        return f"{self.heads} heads{', causal' if self.causal else ''}"
