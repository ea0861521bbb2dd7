"""Tables of tensor names: one per family of networks, from the names in files to the layers of a document.

A layer is identified by its type and its index among the layers of that type, in the order of execution; so names of
nodes do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# The submodules of a Transformer block, named as in each of the two layer types that can represent it.
BLOCKS = {
    "TransformerEncoderBlock": {
        **{part: f"attention.{part}" for part in ("q", "k", "v", "out")},
        "norm1": "norm1",
        "norm2": "norm2",
        "up": "feed_forward.0",
        "down": "feed_forward.3",
    },
    "TransformerBlock": {
        **{part: f"attention.part.{part}" for part in ("q", "k", "v", "out")},
        "norm1": "attention.norm",
        "norm2": "feed_forward.norm",
        "up": "feed_forward.part.up",
        "down": "feed_forward.part.down",
    },
}


@dataclass(frozen=True)
class Source:
    """A tensor of a file: its name, whether it is `transposed`, and the `part`-th of `parts` along its first axis
    (after transposition). `rows`: a position table; a shorter network uses its first rows. `otherwise` is
    the tied tensor, if a file holds the two only once."""

    name: str
    transposed: bool = False
    part: int = 0
    parts: int = 1
    rows: bool = False
    otherwise: str = ""


@dataclass(frozen=True)
class Layer:
    """The layer at `index` among those of its type (from the end if negative), and the sources of its tensors."""

    type: str
    index: int
    tensors: dict[str, Source]


@dataclass(frozen=True)
class Family:
    """`prefixes` can precede each name, `layers` are single layers, and `block` returns the parts of the i-th block."""

    title: str
    prefixes: tuple[str, ...]
    layers: tuple[Layer, ...]
    block: dict[str, dict[str, Source]] = field(default_factory=dict)
    # Whether the network consists of residual blocks of convolutions instead of Transformer blocks
    residual: bool = False


def _both(name: str) -> dict[str, Source]:
    return {"weight": Source(f"{name}.weight"), "bias": Source(f"{name}.bias")}


def _single_source(name: str, *, rows: bool = False) -> dict[str, Source]:
    return {"weight": Source(name, rows=rows)}


def _turned(name: str, part: int = 0, parts: int = 1) -> dict[str, Source]:
    """A linear layer of GPT-2, whose weights are transposed (in, out)."""
    return {
        "weight": Source(f"{name}.weight", transposed=True, part=part, parts=parts),
        "bias": Source(f"{name}.bias", part=part, parts=parts),
    }


FAMILIES = {
    "bert": Family(
        "BERT",
        ("bert.",),
        (
            Layer("Embedding", 0, _single_source("embeddings.word_embeddings.weight")),
            Layer("PositionalEmbedding", 0, _single_source("embeddings.position_embeddings.weight", rows=True)),
            Layer("Embedding", 1, _single_source("embeddings.token_type_embeddings.weight")),
            Layer("LayerNorm", 0, _both("embeddings.LayerNorm")),
            Layer("Linear", 0, _both("pooler.dense")),
        ),
        {
            "q": _both("encoder.layer.{}.attention.self.query"),
            "k": _both("encoder.layer.{}.attention.self.key"),
            "v": _both("encoder.layer.{}.attention.self.value"),
            "out": _both("encoder.layer.{}.attention.output.dense"),
            "norm1": _both("encoder.layer.{}.attention.output.LayerNorm"),
            "up": _both("encoder.layer.{}.intermediate.dense"),
            "down": _both("encoder.layer.{}.output.dense"),
            "norm2": _both("encoder.layer.{}.output.LayerNorm"),
        },
    ),
    "distilbert": Family(
        "DistilBERT",
        ("distilbert.",),
        (
            Layer("Embedding", 0, _single_source("embeddings.word_embeddings.weight")),
            Layer("PositionalEmbedding", 0, _single_source("embeddings.position_embeddings.weight", rows=True)),
            Layer("LayerNorm", 0, _both("embeddings.LayerNorm")),
        ),
        {
            "q": _both("transformer.layer.{}.attention.q_lin"),
            "k": _both("transformer.layer.{}.attention.k_lin"),
            "v": _both("transformer.layer.{}.attention.v_lin"),
            "out": _both("transformer.layer.{}.attention.out_lin"),
            "norm1": _both("transformer.layer.{}.sa_layer_norm"),
            "up": _both("transformer.layer.{}.ffn.lin1"),
            "down": _both("transformer.layer.{}.ffn.lin2"),
            "norm2": _both("transformer.layer.{}.output_layer_norm"),
        },
    ),
    "gpt2": Family(
        "GPT-2",
        ("transformer.",),
        (
            Layer("Embedding", 0, _single_source("wte.weight")),
            Layer("PositionalEmbedding", 0, _single_source("wpe.weight", rows=True)),
            Layer("LayerNorm", -1, _both("ln_f")),
            Layer("Linear", -1, {"weight": Source("lm_head.weight", otherwise="wte.weight")}),
        ),
        {
            "q": _turned("h.{}.attn.c_attn", 0, 3),
            "k": _turned("h.{}.attn.c_attn", 1, 3),
            "v": _turned("h.{}.attn.c_attn", 2, 3),
            "out": _turned("h.{}.attn.c_proj"),
            "norm1": _both("h.{}.ln_1"),
            "up": _turned("h.{}.mlp.c_fc"),
            "down": _turned("h.{}.mlp.c_proj"),
            "norm2": _both("h.{}.ln_2"),
        },
    ),
    "vit": Family(
        "ViT",
        ("vit.",),
        (
            Layer(
                "PatchEmbedding",
                0,
                {
                    "class_token": Source("embeddings.cls_token"),
                    "project.weight": Source("embeddings.patch_embeddings.projection.weight"),
                    "project.bias": Source("embeddings.patch_embeddings.projection.bias"),
                },
            ),
            Layer("PositionalEmbedding", 0, _single_source("embeddings.position_embeddings")),
            Layer("LayerNorm", -1, _both("layernorm")),
            Layer("Linear", -1, _both("classifier")),
        ),
        {
            "q": _both("encoder.layer.{}.attention.attention.query"),
            "k": _both("encoder.layer.{}.attention.attention.key"),
            "v": _both("encoder.layer.{}.attention.attention.value"),
            "out": _both("encoder.layer.{}.attention.output.dense"),
            "norm1": _both("encoder.layer.{}.layernorm_before"),
            "up": _both("encoder.layer.{}.intermediate.dense"),
            "down": _both("encoder.layer.{}.output.dense"),
            "norm2": _both("encoder.layer.{}.layernorm_after"),
        },
    ),
    "resnet": Family("ResNet", ("resnet.",), (Layer("Linear", -1, _both("classifier.1")),), residual=True),
}
