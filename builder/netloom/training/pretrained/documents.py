"""Documents built from a config.json."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from netloom.compile.importers import UnreadableModelError
from netloom.core.text import plain
from netloom.document import Edge, Network, Node, Project
from netloom.training.pretrained.folder import Folder

# The activations of config.json and those of layers. `gelu_new` is GPT-2's name of the approximation by tanh.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
BLOCK = "encoder_layer"
Chain = list[tuple[str, str, dict[str, Any]]]


def document(folder: Folder, name: str) -> Project:
    """Return a project with the network of the folder.

    Raises:
        UnreadableModelError: the configuration is incomplete, or no layer of Netloom supports it.
    """
    builders = {"bert": _bert, "distilbert": _distilbert, "gpt2": _gpt2, "vit": _vit}
    kind = str(folder.config.get("model_type", ""))
    if kind == "resnet":
        raise UnreadableModelError(
            "To use a ResNet, start from the published architecture ResNet-18 or ResNet-50 and load its weights: "
            "netloom train PROJECT --from FOLDER."
        )
    if kind not in builders:
        raise UnreadableModelError(
            f"config.json names {plain(kind)[:60]!r} as the kind of network; BERT, DistilBERT, GPT-2 and ViT can be "
            "imported; the weights of ResNet can initialize an existing network."
        )
    main, block = builders[kind](_Config(folder.config), folder)
    return Project(name=plain(name)[:200] or "Imported", networks={"main": main, BLOCK: block})


class _Config:
    """Validated access to the settings of a config.json."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def count(self, name: str, default: int | None = None) -> int:
        """Return an integer setting, or its default if it is missing or null.

        Raises:
            UnreadableModelError: it is not an integer from 1 to 1,000,000.
        """
        value = self._values.get(name, default)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
            raise UnreadableModelError(f"config.json needs an integer from 1 to 1,000,000 for {name}.")
        return value

    def number(self, name: str, default: float) -> float:
        """Return a setting above 0 and at most 1, or its default.

        Raises:
            UnreadableModelError: it is not such a number.
        """
        value = self._values.get(name, default)
        if not isinstance(value, int | float) or not 0 < value <= 1:
            raise UnreadableModelError(f"config.json needs a number from 0 to 1 for {name}.")
        return float(value)

    def activation(self, name: str) -> str:
        """Return the name of an activation in layers.

        Raises:
            UnreadableModelError: the activation is not supported.
        """
        value = str(self._values.get(name, "gelu"))
        if value not in ACTIVATIONS:
            raise UnreadableModelError(
                f"config.json has the activation {plain(value)[:40]!r}; supported are {', '.join(ACTIVATIONS)}."
            )
        return ACTIVATIONS[value]

    def refuse(self, name: str, usual: Any) -> None:
        """Check that a setting has its usual value, because others change the network in an unsupported way.

        Raises:
            UnreadableModelError: it has another value.
        """
        if self._values.get(name, usual) != usual:
            raise UnreadableModelError(
                f"config.json sets {name} to {str(self._values[name])[:40]!r}; only {usual!r} is supported."
            )


def _bert(config: _Config, folder: Folder) -> tuple[Network, Network]:
    config.refuse("position_embedding_type", "absolute")
    config.refuse("is_decoder", False)
    dim, steps = config.count("hidden_size"), config.count("max_position_embeddings")
    words, kinds = config.count("vocab_size"), config.count("type_vocab_size", 2)
    epsilon = config.number("layer_norm_eps", 1e-12)
    nodes: Chain = [
        ("input_1", "Input", {"field": "text", "kind": "tokens", "shape": [steps], "vocabulary": words}),
        ("words", "Embedding", {"vocabulary": words, "dim": dim}),
        ("place", "PositionalEmbedding", {}),
        ("add_1", "Add", {}),
        ("norm_1", "LayerNorm", {"epsilon": epsilon}),
        *_blocks(config.count("num_hidden_layers")),
        ("first", "Select", {"axis": 1, "index": 0}),  # the [CLS] token
    ]
    if any(name.endswith("pooler.dense.weight") for name in folder.shapes):
        nodes += [("pooler", "Linear", {"units": dim}), ("tanh_1", "Tanh", {})]
    beside: Chain = [
        ("input_2", "Input", {"field": "segment", "kind": "tokens", "shape": [steps], "vocabulary": kinds}),
        ("segments", "Embedding", {"vocabulary": kinds, "dim": dim}),
    ]
    main = _network(nodes, beside, "add_1")
    hidden, heads = config.count("intermediate_size"), config.count("num_attention_heads")
    return main, _block(steps, dim, heads, hidden, config.activation("hidden_act"), epsilon, norm_first=False)


def _distilbert(config: _Config, folder: Folder) -> tuple[Network, Network]:
    dim, steps, words = config.count("dim"), config.count("max_position_embeddings"), config.count("vocab_size")
    nodes: Chain = [
        ("input_1", "Input", {"field": "text", "kind": "tokens", "shape": [steps], "vocabulary": words}),
        ("words", "Embedding", {"vocabulary": words, "dim": dim}),
        ("place", "PositionalEmbedding", {}),
        ("norm_1", "LayerNorm", {"epsilon": 1e-12}),
        *_blocks(config.count("n_layers")),
        ("first", "Select", {"axis": 1, "index": 0}),
    ]
    block = _block(
        steps,
        dim,
        config.count("n_heads"),
        config.count("hidden_dim"),
        config.activation("activation"),
        1e-12,
        norm_first=False,
    )
    return _network(nodes), block


def _gpt2(config: _Config, folder: Folder) -> tuple[Network, Network]:
    config.refuse("scale_attn_weights", True)
    config.refuse("scale_attn_by_inverse_layer_idx", False)
    config.refuse("add_cross_attention", False)
    dim, steps, words = config.count("n_embd"), config.count("n_positions", 1_024), config.count("vocab_size")
    epsilon = config.number("layer_norm_epsilon", 1e-5)
    nodes: Chain = [
        ("input_1", "Input", {"field": "text", "kind": "tokens", "shape": [steps], "vocabulary": words}),
        ("embedding_1", "Embedding", {"vocabulary": words, "dim": dim}),
        ("place", "PositionalEmbedding", {}),
        *_blocks(config.count("n_layer")),
        ("norm", "LayerNorm", {"epsilon": epsilon}),
        ("head", "Linear", {"units": words, "bias": False}),
    ]
    # GPT-2 ties its output layer to the token embedding; files leave tied weights out.
    has_head = "lm_head.weight" in folder.shapes
    main = _network(nodes, shares={} if has_head else {"head": "embedding_1"})
    hidden, activation = config.count("n_inner", 4 * dim), config.activation("activation_function")
    return main, _block(steps, dim, config.count("n_head"), hidden, activation, epsilon, causal=True)


def _vit(config: _Config, folder: Folder) -> tuple[Network, Network]:
    config.refuse("qkv_bias", True)
    dim, side, patch = config.count("hidden_size"), config.count("image_size"), config.count("patch_size")
    channels, epsilon = config.count("num_channels", 3), config.number("layer_norm_eps", 1e-12)
    nodes: Chain = [
        ("input_1", "Input", {"field": "image", "kind": "image", "shape": [channels, side, side]}),
        ("patches", "PatchEmbedding", {"dim": dim, "patch": patch, "class_token": True}),
        ("place", "PositionalEmbedding", {}),
        *_blocks(config.count("num_hidden_layers")),
        ("norm", "LayerNorm", {"epsilon": epsilon}),
        ("first", "Select", {"axis": 1, "index": 0}),
    ]
    if "classifier.weight" in folder.shapes:
        nodes.append(("head", "Linear", {"units": folder.shapes["classifier.weight"][0]}))
    steps = (side // patch) ** 2 + 1  # and the class token
    hidden, heads = config.count("intermediate_size"), config.count("num_attention_heads")
    return _network(nodes), _block(steps, dim, heads, hidden, config.activation("hidden_act"), epsilon)


def _blocks(count: int) -> Chain:
    return [("blocks", "Subnetwork", {"network": BLOCK, "repeat": count})]


def _block(steps: int, dim: int, heads: int, hidden: int, activation: str, epsilon: float, **options: bool) -> Network:
    inner = {"heads": heads, "hidden": hidden, "feed_forward": activation, "epsilon": epsilon, **options}
    return _network(
        [("input_1", "Input", {"kind": "sequence", "shape": [steps, dim]}), ("block", "TransformerBlock", inner)]
    )


def _network(
    nodes: Chain, beside: Chain | None = None, joined: str = "", shares: dict[str, str] | None = None
) -> Network:
    """Return a network of nodes in a chain that ends with an Output; the chain `beside` ends in the second port of
    `joined`."""
    nodes = [*nodes, ("output_1", "Output", {})]
    nodes_by_key, edges = {}, []
    for column, part in enumerate((nodes, beside or [])):
        for row, (key, kind, params) in enumerate(part):
            at = (260.0 * column, 110.0 * row)
            nodes_by_key[key] = Node(id=key, type=kind, params=params, at=at, shares=(shares or {}).get(key))
        for (before, _, _), (key, _, _) in pairwise(part):
            edges.append(Edge(source=before, target=f"{key}.a" if key == joined else key))
    if beside:
        edges.append(Edge(source=beside[-1][0], target=f"{joined}.b"))
    return Network(nodes=nodes_by_key, edges=tuple(edges))
