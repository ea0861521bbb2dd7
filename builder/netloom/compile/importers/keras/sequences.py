"""Layers on sequences: embeddings, recurrent layers, attention, and wrappers of layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np

from netloom.compile.importers.imported_model import quoted
from netloom.compile.importers.keras.config import LayerConfig
from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall, is_tensor
from netloom.compile.importers.keras.operator_table import LAYERS, handles, outputs
from netloom.layers.recurrent.recurrent import Activation

RECURRENT = {"LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN"}
RECURRENT_ALIASES = {"swish": "silu"}
MERGE_MODES = {"sum": "Add", "mul": "Multiply", "ave": "Average"}


@handles("Embedding")
def _embedding(use: LayerCall) -> KerasTensor:
    value = use.value
    if value.spec.dtype != "int":
        value = use.add("Cast", {"to": "int"}, value)
    if use.layer.flag("mask_zero", False):
        use.remark("masks are not imported; steps with the token 0 are processed like the others.")
    if use.layer.config.get("quantization_config") or use.layer.config.get("lora_rank"):
        raise use.refuse("is quantized or has LoRA weights, which cannot be imported; save it without them")
    params = {"vocabulary": use.layer.integer("input_dim"), "dim": use.layer.integer("output_dim")}
    embedding = use.add("Embedding", params, value, main=True)
    arrays = use.arrays(count=1)
    if arrays:
        use.set_weights(embedding, weight=arrays[0])
    return embedding


@handles(*RECURRENT)
def _recurrent(use: LayerCall) -> list[KerasTensor]:
    layer = use.layer
    value, states = _inputs(use, directions=1)
    if layer.flag("go_backwards", False):
        value = use.add("Flip", {"axes": [1]}, value)
    params = _recurrent_params(use, layer, states)
    out, state, *finals = use.builder.add_node(RECURRENT[layer.kind], params, value, *states, key=layer.name)
    arrays = use.arrays("cell", count=2 + layer.flag("use_bias", True))
    if arrays:
        use.set_weights(out, **_gate_weights(use, layer, arrays, ""))
    result = out if layer.flag("return_sequences", False) else state
    return [result, *(finals or [state])] if layer.flag("return_state", False) else [result]


@handles("RNN")
def _cell(use: LayerCall) -> list[KerasTensor]:
    """A layer such as LSTM, which is written as RNN(LSTMCell(…))."""
    cell = _wrapped_layer(use, "cell")
    kind = cell.kind.removesuffix("Cell")
    if kind not in RECURRENT:
        raise use.refuse(f"repeats {quoted(cell.kind)}, but only LSTMCell, GRUCell and SimpleRNNCell are supported")
    config = {**use.layer.config, **cell.config, "name": use.layer.name}
    return outputs(_recurrent(replace(use, layer=replace(cell, kind=kind, config=config))))


@handles("Bidirectional")
def _bidirectional(use: LayerCall) -> list[KerasTensor]:
    inner = _wrapped_layer(use, "layer")
    back = _wrapped_layer(use, "backward_layer") if isinstance(use.layer.config.get("backward_layer"), dict) else inner
    if inner.kind not in RECURRENT or back.kind != inner.kind:
        raise use.refuse(f"wraps {quoted(inner.kind)}, but only LSTM, GRU and SimpleRNN can be bidirectional")
    compared = ("units", "activation", "recurrent_activation", "use_bias", "return_sequences", "reset_after")
    if any(inner.config.get(name) != back.config.get(name) for name in compared) or inner.flag("go_backwards", False):
        raise use.refuse("has different layers in its two directions, which no layer of Netloom supports")
    value, states = _inputs(use, directions=2)
    params = {**_recurrent_params(use, inner, states), "bidirectional": True}
    out, state, *finals = use.builder.add_node(RECURRENT[inner.kind], params, value, *states, key=use.layer.name)
    for part, suffix in (("forward_layer", ""), ("backward_layer", "_reverse")):
        arrays = use.arrays(part, "cell", count=2 + inner.flag("use_bias", True))
        if arrays:
            use.set_weights(out, **_gate_weights(use, inner, arrays, suffix))
    result = out if inner.flag("return_sequences", False) else state
    mode = use.layer.config.get("merge_mode", "concat")
    if mode not in ("concat", *MERGE_MODES):
        raise use.refuse("returns its two directions separately, but Netloom's layer concatenates them")
    merged = result if mode == "concat" else use.add(MERGE_MODES[mode], {}, *_directions(use, result))
    if not inner.flag("return_state", False):
        return [merged]
    # Keras lists all states of one direction before those of the other.
    by_state = [_directions(use, final) for final in (finals or [state])]
    return [merged, *(pair[0] for pair in by_state), *(pair[1] for pair in by_state)]


def _directions(use: LayerCall, value: KerasTensor) -> list[KerasTensor]:
    """The halves of the last axis, one for each direction."""
    return use.builder.add_node("Chunk", {"axis": -1, "count": 2}, value, key=f"{use.layer.name}_chunk")


def _inputs(use: LayerCall, directions: int) -> tuple[KerasTensor, list[KerasTensor]]:
    """The sequence, and the initial states of a layer, which Keras passes as further inputs or by name."""
    initial_state = use.kwargs.get("initial_state")
    named: list[KerasTensor] = (
        initial_state if isinstance(initial_state, list) else [] if initial_state is None else [initial_state]
    )
    sequence, *states = [*use.values, *named]
    other_tensors = [name for name, value in use.kwargs.items() if name != "initial_state" and is_tensor(value)]
    kind = (use.layer if directions == 1 else _wrapped_layer(use, "layer")).kind
    count = 2 if kind == "LSTM" else 1
    if other_tensors or not all(map(is_tensor, states)) or len(states) not in (0, count * directions):
        raise use.refuse(f"received {len(states)} initial states, but {count * directions} tensors are expected")
    pairs = [states[number::count] for number in range(count)] if states else []
    return use.builder.channels_last(sequence), [
        pair[0] if directions == 1 else use.add("Concat", {"axis": 1}, *pair) for pair in pairs
    ]


def _recurrent_params(use: LayerCall, layer: LayerConfig, states: list[KerasTensor]) -> dict[str, Any]:
    if layer.flag("time_major", False):
        raise use.refuse("reads sequences with the steps first (time_major), but Netloom's have the batch first")
    if layer.config.get("dropout") or layer.config.get("recurrent_dropout"):
        use.remark("dropout inside a recurrent layer is not imported; the predictions are the same.")
    if layer.flag("stateful", False):
        use.remark("the state is not kept between batches; it starts at zero.")
    params: dict[str, Any] = {"hidden_size": layer.integer("units")}
    params |= {} if layer.flag("use_bias", True) else {"bias": False}
    params |= _activations(use, layer)
    params |= {"initial_state": True} if states else {}
    # The last hidden state has a port of its own, but not the memory of an LSTM.
    params |= {"final_states": True} if layer.kind == "LSTM" and layer.flag("return_state", False) else {}
    return params


def _activations(use: LayerCall, layer: LayerConfig) -> dict[str, Any]:
    """The settings of activations that are not the defaults."""
    is_plain = layer.kind == "SimpleRNN"
    names = (
        {"activation": "nonlinearity"}
        if is_plain
        else {"activation": "activation", "recurrent_activation": "gate_activation"}
    )
    defaults, params = {"activation": "tanh", "recurrent_activation": "sigmoid"}, dict[str, Any]()
    for name, parameter in names.items():
        value = layer.config.get(name, defaults[name]) or "linear"
        if isinstance(value, str):
            value = RECURRENT_ALIASES.get(value, value)
        if value == "hard_sigmoid" and layer.is_keras_2:
            value = "hard_sigmoid_0.2"
        if value not in get_args(Activation):
            known = ", ".join(get_args(Activation))
            raise use.refuse(f"has the activation {quoted(value)}, but Netloom's recurrent layers have {known}")
        params |= {parameter: value} if value != defaults[name] else {}
    # Layers of Keras 2 without this setting reset the state before the product.
    if layer.kind == "GRU" and not layer.flag("reset_after", not layer.is_keras_2):
        params["reset_after"] = False
    return params


def _gate_weights(use: LayerCall, layer: LayerConfig, arrays: list[np.ndarray], suffix: str) -> dict[str, np.ndarray]:
    """The weights of one direction, with the gates in the order of PyTorch."""
    units = layer.integer("units")
    # LSTM: i, f, c, o in both libraries; GRU: z, r, h in Keras and r, z, n in PyTorch
    order = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2), "SimpleRNN": (0,)}[layer.kind]

    def reorder(array: np.ndarray) -> np.ndarray:
        if array.shape[-1] != units * len(order):
            raise use.refuse(f"has weights of the shape {array.shape}, which do not fit {units} units")
        return np.concatenate([array[..., units * gate : units * (gate + 1)] for gate in order], axis=-1)

    kernel, recurrent = reorder(arrays[0]), reorder(arrays[1])
    if len(arrays) == 2:
        return {f"weight_ih_l0{suffix}": kernel.T, f"weight_hh_l0{suffix}": recurrent.T}
    bias = reorder(arrays[2])
    # A GRU with reset_after has separate biases; otherwise, Keras has one where PyTorch adds two.
    input_bias, recurrent_bias = (bias[0], bias[1]) if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return {
        f"weight_ih_l0{suffix}": kernel.T,
        f"weight_hh_l0{suffix}": recurrent.T,
        f"bias_ih_l0{suffix}": input_bias,
        f"bias_hh_l0{suffix}": recurrent_bias,
    }


def _wrapped_layer(use: LayerCall, name: str) -> LayerConfig:
    """The layer inside a wrapper."""
    raw = use.layer.config.get(name)
    raw = raw if isinstance(raw, dict) else {}
    kind, config = raw.get("class_name"), raw.get("config")
    if not isinstance(kind, str) or not isinstance(config, dict):
        raise use.refuse("does not define the layer that it wraps")
    return replace(use.layer, kind=kind, config=config, module=str(raw.get("module") or ""))


# Layers that apply to each step separately, with or without the wrapper
_STEPWISE = (
    *("Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Dropout", "LayerNormalization", "Rescaling"),
    *("BatchNormalization", "Identity"),
)


@handles("TimeDistributed")
def _time_distributed(use: LayerCall) -> KerasTensor:
    inner = _wrapped_layer(use, "layer")
    weights = use.weights.group("layer") if use.weights is not None else None
    value = use.builder.channels_last(use.value)
    if inner.kind == "Flatten":
        return use.add("Reshape", {"shape": [value.shape[0], -1]}, value, main=True)
    axis = inner.config.get("axis", -1)
    if inner.kind not in _STEPWISE or axis not in (-1, [-1]):
        raise use.refuse(f"applies {quoted(inner.kind)} to each step; only layers such as Dense are supported")
    return outputs(LAYERS[inner.kind](replace(use, layer=inner, args=[value], weights=weights)))[0]


@handles("MultiHeadAttention")
def _attention(use: LayerCall) -> KerasTensor:
    layer = use.layer
    positional = [arg for arg in use.args if is_tensor(arg)]
    by_name = {name: value for name, value in use.kwargs.items() if is_tensor(value)}
    # In the order of Keras, where the value precedes the key
    names = ["query", "value", "key"]
    tensors = dict(zip(names, positional, strict=False)) | by_name
    if not {"query", "value"} <= set(tensors) or set(tensors) - set(names):
        raise use.refuse("has a mask, or tensors in an order that the import does not support")
    channels_last = {name: use.builder.channels_last(value) for name, value in tensors.items()}
    query, value = channels_last["query"], channels_last["value"]
    if channels_last.get("key", value).reference != value.reference:
        raise use.refuse("has keys that differ from its values, which no layer of Netloom supports")
    heads, width = layer.integer("num_heads"), layer.integer("key_dim")
    axes = layer.config.get("attention_axes")
    is_standard = (
        query.rank == value.rank == 3
        and layer.config.get("value_dim") in (None, width)
        and layer.config.get("output_shape") in (None, [query.shape[-1]], query.shape[-1])
        and axes in (None, 1, -2, [1], [-2])
        and not layer.config.get("use_gate")
        and layer.config.get("sliding_window") is None
    )
    if not is_standard:
        raise use.refuse("has widths, axes, gates or a window that Netloom's attention does not support")
    if use.kwargs.get("return_attention_scores"):
        raise use.refuse("returns its weights, which Netloom's attention does not expose")
    causal, bias = bool(use.kwargs.get("use_causal_mask")), layer.flag("use_bias", True)
    params: dict[str, Any] = {"heads": heads, "dropout": layer.number("dropout", 0.0), "bias": bias}
    if heads * width != query.shape[-1]:
        params["head_width"] = width
    if query.reference == value.reference:
        attention = use.add("SelfAttention", {**params, "causal": causal}, query, main=True)
    elif causal:
        raise use.refuse("is causal over another sequence, which no layer of Netloom supports")
    else:
        attention = use.add("CrossAttention", params, query, value, main=True)
    for path, name in (("query_dense", "q"), ("key_dense", "k"), ("value_dense", "v"), ("output_dense", "out")):
        arrays = use.arrays(path, count=1 + bias)
        if arrays:
            # Query, key and value: (D, heads, width); output: (heads, width, D)
            kernel = arrays[0]
            matrix = kernel.reshape(-1, kernel.shape[-1]) if name == "out" else kernel.reshape(kernel.shape[0], -1)
            named_arrays = {f"{name}.weight": matrix.T, **({f"{name}.bias": arrays[1].reshape(-1)} if bias else {})}
            use.set_weights(attention, **named_arrays)
    return attention


@handles("Attention")
def _dot_product(use: LayerCall) -> KerasTensor:
    if use.layer.flag("use_scale", False) or use.layer.config.get("score_mode", "dot") != "dot":
        raise use.refuse(
            "learns a scale or uses a score other than the dot product, which no layer of Netloom supports"
        )
    values = [use.builder.channels_last(value) for value in use.values]
    if (
        not 2 <= len(values) <= 3
        or any(value.rank != 3 for value in values)
        or any(map(is_tensor, use.kwargs.values()))
    ):
        raise use.refuse("needs a query, a value and optionally a key, each a sequence")
    if use.kwargs.get("use_causal_mask") or use.layer.flag("causal", False):
        raise use.refuse("is causal, which the import does not support")
    query, value, key = values[0], values[1], values[-1]
    # Without the factor 1 / √d of DotProductAttention, which this layer of Keras does not apply
    scores = use.add("MatMul", {"transpose_b": True}, query, key)
    attention_weights = use.add("Softmax", {}, scores)
    return use.add("MatMul", {}, attention_weights, value, main=True)
