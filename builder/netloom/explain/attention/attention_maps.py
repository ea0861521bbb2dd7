"""Attention maps of every head, and the attention rollout through all layers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from netloom.document import SUBNETWORK
from netloom.explain.attention.rollout import rollout, spearman
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explainer import ATTENTION, Explainer, Result
from netloom.explain.core.explanation import AttentionLayer, AttentionMaps, Remark
from netloom.explain.core.targets import quantity_of

if TYPE_CHECKING:
    from netloom.explain.attention.token_streams import StreamIndex
    from netloom.explain.core.context import ExplanationContext

MIN_AGREEMENT = 0.5


class Attention(Explainer):
    """Exact attention weights of all heads, with the rollout as attribution.

    The attributions are the mean of the rows of the rollout from which the output is read (see `output_rows`). Abnar
    and Zuidema 2020 define the rollout for self-attention over one sequence; here, it covers all sequences,
    concatenated.
    """

    name = "attention"
    title = "Attention maps"
    summary = "Which positions every head attends to, and the attention rollout through all layers"
    requirements = ("attention",)
    url = "https://arxiv.org/abs/2005.00928"
    group = ATTENTION
    is_aggregable = False
    signed = False
    is_summable = False

    def run(self, context: ExplanationContext) -> Result:
        record = record_attention(context)
        rollout_map = None if record.reason else rollout(record.joined(layer.weights for layer in record.layers))
        maps, attributions = record.through(rollout_map)
        return Result(attributions, attention=maps, remarks=(_remark(maps, bool(attributions)),))


@dataclass(frozen=True)
class AttentionRecord:
    """The attention layers of a network for one example. `reason` says why they cannot be combined, or is empty."""

    context: ExplanationContext
    layers: list[AttentionLayer]
    stream_index: StreamIndex
    reason: str

    def joined(self, maps: Iterable[np.ndarray]) -> list[np.ndarray]:
        """Place one map (heads, T, S) per layer into maps over all concatenated sequences, (heads, ΣT, ΣT)."""
        starts, joined = self.stream_index.starts(), []
        for layer, weights in zip(self.layers, maps, strict=True):
            query, key = layer.streams
            joint = np.zeros((len(weights), starts[-1], starts[-1]))
            joint[:, starts[query] : starts[query + 1], starts[key] : starts[key + 1]] = weights
            joined.append(joint)
        return joined

    def through(self, total: np.ndarray | None) -> tuple[AttentionMaps, dict[str, np.ndarray]]:
        """Return the maps with their combination `total` (ΣT, ΣT), and the attributions of the input by field."""
        from netloom.explain.attention.token_streams import distribute_to_values, with_effects

        streams, starts = with_effects(self.context, self.stream_index), self.stream_index.starts()
        attributions: dict[str, np.ndarray] = {}
        rows, correlation = output_rows(self.context, self), None
        if total is not None:
            steps = total[list(rows)].mean(axis=0)
            # `starts` also has the total length at its end.
            for stream, start in zip(streams, starts, strict=False):
                if stream.field:
                    shares = distribute_to_values(self.context, stream, steps[start : start + len(stream.tokens)])
                    attributions[stream.field] = attributions.get(stream.field, 0.0) + shares
            effects = np.concatenate([stream.effect_array for stream in streams])
            is_known = np.isfinite(effects)
            correlation = spearman(steps[is_known], np.abs(effects[is_known])) if is_known.sum() > 1 else None
        tokens = streams[self.layers[0].streams[1]].tokens
        maps = AttentionMaps(
            tuple(self.layers),
            tokens,
            total,
            self.reason,
            correlation,
            tuple(streams),
            rows if total is not None else (),
        )
        return maps, attributions


def record_attention(context: ExplanationContext) -> AttentionRecord:
    """Record the weights of every attention layer in execution order.

    Raises:
        ExplainError: The network has no attention between positions.
    """
    import torch

    from netloom.explain.attention.token_streams import find_streams
    from netloom.explain.core.network.attention_capture import capture_attention

    with torch.no_grad(), capture_attention(context.model) as weights_by_path:
        context.forward(context.inputs)
    if not weights_by_path:
        raise ExplainError(
            "There are no attention maps to show: the attention of this network is not between positions."
        )
    streams = find_streams(context, weights_by_path)
    layers = []
    for path, weights in weights_by_path.items():
        query, key = streams.sides[path]
        module = context.model.get_submodule(path.partition(" ")[0])
        # With a single sequence, its tokens label every layer.
        sides = (streams.streams[query].tokens, streams.streams[key].tokens) if len(streams.streams) > 1 else ((), ())
        heads = weights[0].detach().double().numpy()
        causal = bool(getattr(module, "causal", False))
        layers.append(
            AttentionLayer(path, _title(context, path, list(weights_by_path)), causal, heads, *sides, (query, key))
        )
    return AttentionRecord(context, layers, streams, _rollout_obstacle(context, layers, streams))


def _title(context: ExplanationContext, path: str, paths: list[str]) -> str:
    """Return the name of a layer: its node, its repetition, and which of the node's attention layers it is."""
    from netloom.explain.core.context import node_label

    nodes = context.project.main_network.nodes
    key, _, inner_path = path.partition(" ")[0].partition(".")
    title = node_label(context.project, key) if key in nodes else path
    if key in nodes and nodes[key].type == SUBNETWORK:
        repeat, _, tail = inner_path.partition(".")
        if repeat.isdecimal():
            title, inner_path, prefix = f"{title} · {int(repeat) + 1}", tail, f"{key}.{repeat}."
        else:
            prefix = f"{key}."
        several = sum(other_path.startswith(prefix) for other_path in paths) > 1
        return f"{title} · {inner_path.removesuffix('.attention')}" if several else title
    several = sum(other_path == key or other_path.startswith(f"{key}.") for other_path in paths) > 1
    return f"{title} · {inner_path.partition('.')[0]}" if several and inner_path else title


def _rollout_obstacle(context: ExplanationContext, layers: list[AttentionLayer], streams: StreamIndex) -> str:
    """Return why the layers cannot be multiplied into one map, as a clause after "because"; empty if they can."""
    import networkx as nx

    from netloom.validation.graph_views import digraph

    if streams.crossing:
        return "an attention layer attends from one sequence to another"
    fields = {stream.field for stream in streams.streams} - {""}
    if len(streams.streams) > 1 and len(fields) < len(
        [stream for stream in streams.streams if stream.tokens[0] != "the summary"]
    ):
        return "the attention layers have sequences of different lengths"
    graph = digraph(context.project.main_network)
    for first, second in pairwise(layers):
        nodes = [layer.name.partition(" ")[0].partition(".")[0] for layer in (first, second)]
        is_unrelated = not set(first.streams) & set(
            second.streams
        )  # such as the last layer of an encoder and the first of a decoder
        if nodes[0] != nodes[1] and not is_unrelated and not nx.has_path(graph, *nodes):
            return "the attention layers are parallel and not a chain"
    return ""


def output_rows(context: ExplanationContext, record: AttentionRecord) -> tuple[int, ...]:
    """Return the rows of the concatenated sequences from which the output is read.

    These are the rows with a nonzero gradient in the last layer; without gradients, the explained position, or all rows
    that are not padding.
    """
    query = record.layers[-1].streams[0]
    start, stream = record.stream_index.starts()[query], record.stream_index.streams[query]
    count = len(stream.tokens)
    has_gradient = _rows_with_gradient(context)
    if has_gradient is not None and has_gradient.any():
        return tuple((start + np.flatnonzero(has_gradient)).tolist())
    position = context.target.position
    if position is not None and quantity_of(context.target).has_position and position < count:
        return (start + position,)
    rows = np.arange(count)
    if stream.field and not stream.grid:
        is_real = context.feature_mask(stream.field).reshape(count, -1)[:, 0] >= 0
        rows = np.flatnonzero(is_real) if is_real.any() else rows
    return tuple((start + rows).tolist())


def _rows_with_gradient(context: ExplanationContext) -> np.ndarray | None:
    """Return which rows of the last layer's map affect the score, as a mask (T,); None without gradients."""
    from netloom.explain.core.gradients import unavailable_reason

    if unavailable_reason(context.project, context.model):
        return None
    from netloom.explain.attention.attention_gradients import attention_and_gradients

    gradient = list(attention_and_gradients(context).values())[-1][1]
    # (heads, T, S) -> (T,)
    return None if gradient is None else np.asarray(np.abs(gradient).max(axis=(0, 2)) > 0)


def _remark(maps: AttentionMaps, is_input: bool) -> Remark:
    text = "Attention weights show how information is routed, not what the prediction relies on."
    if maps.rollout is None:
        return Remark("caution", f"{text} There is no rollout, because {maps.reason}.")
    if not is_input:
        return Remark("caution", f"{text} Its positions are not those of an input, so they cannot be compared with it.")
    if maps.correlation is None:
        return Remark("caution", f"{text} There is no effect of removing positions to compare the rollout with.")
    agrees = f"with the effect of removing each position (Spearman {maps.correlation:+.2f})"
    if maps.correlation >= MIN_AGREEMENT:
        return Remark("caution", f"{text} Here, the rollout agrees {agrees}.")
    if maps.correlation > 0:
        return Remark("caution", f"{text} The rollout agrees little {agrees}.")
    return Remark("poor", f"{text} The rollout does not agree {agrees}.")
