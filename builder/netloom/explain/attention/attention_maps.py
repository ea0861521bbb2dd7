"""Attention maps of every head, and the rollout through all layers."""

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
    from netloom.explain.attention.token_streams import Streams
    from netloom.explain.core.context import Subject

AGREES = 0.5


class Attention(Explainer):
    """Exact weights of all heads. The attributions are the rollout's row for the explained step, or, where the network
    reads all steps, the mean of its rows."""

    name = "attention"
    title = "Attention maps"
    summary = "Which positions every head attends to, and the attention rollout through all layers"
    needs = ("attention",)
    url = "https://arxiv.org/abs/2005.00928"
    group = ATTENTION
    signed = False
    sums = False

    def run(self, subject: Subject) -> Result:
        looked = look(subject)
        rolled = None if looked.reason else rollout(looked.joined(layer.weights for layer in looked.layers))
        maps, attributions = looked.through(rolled)
        return Result(attributions, attention=maps, remarks=(_remark(maps, bool(attributions)),))


@dataclass(frozen=True)
class Looked:
    """What all attention layers of a network do to one example. `reason` says why they cannot be put together."""

    subject: Subject
    layers: list[AttentionLayer]
    known: Streams
    reason: str

    def joined(self, maps: Iterable[np.ndarray]) -> list[np.ndarray]:
        """Maps (heads, T, S), one per layer, as maps over all sequences side by side: (heads, ΣT, ΣT)."""
        starts, found = self.known.starts(), []
        for layer, weights in zip(self.layers, maps, strict=True):
            looks, sees = layer.streams
            whole = np.zeros((len(weights), starts[-1], starts[-1]))
            whole[:, starts[looks] : starts[looks + 1], starts[sees] : starts[sees + 1]] = weights
            found.append(whole)
        return found

    def through(self, total: np.ndarray | None) -> tuple[AttentionMaps, dict[str, np.ndarray]]:
        """The maps with what passes through all of them (ΣT, ΣT), and the share of each value of the fields."""
        from netloom.explain.attention.token_streams import spread, without

        streams, starts = without(self.subject, self.known), self.known.starts()
        attributions: dict[str, np.ndarray] = {}
        read, correlation = read_rows(self.subject, self), None
        if total is not None:
            steps = total[list(read)].mean(axis=0)
            for stream, start in zip(streams, starts, strict=False):
                if stream.field:
                    own = spread(self.subject, stream, steps[start : start + len(stream.tokens)])
                    attributions[stream.field] = attributions.get(stream.field, 0.0) + own
            effects = np.concatenate([stream.lost for stream in streams])
            real = np.isfinite(effects)
            correlation = spearman(steps[real], np.abs(effects[real])) if real.sum() > 1 else None
        tokens = streams[self.layers[0].streams[1]].tokens
        maps = AttentionMaps(
            tuple(self.layers),
            tokens,
            total,
            self.reason,
            correlation,
            tuple(streams),
            read if total is not None else (),
        )
        return maps, attributions


def look(subject: Subject) -> Looked:
    """The weights of every attention layer, in the order in which they act.

    Raises:
        ExplainError: there are none.
    """
    import torch

    from netloom.explain.attention.token_streams import streams
    from netloom.explain.core.attention_capture import captured

    with torch.no_grad(), captured(subject.model) as kept:
        subject.forward(subject.inputs)
    if not kept:
        raise ExplainError(
            "There are no attention maps to show: the attention of this network is not between positions."
        )
    known = streams(subject, kept)
    layers = []
    for path, weights in kept.items():
        looks, sees = known.sides[path]
        module = subject.model.get_submodule(path.partition(" ")[0])
        # Where all that is seen is one sequence, its steps label every layer.
        sides = (known.found[looks].tokens, known.found[sees].tokens) if len(known.found) > 1 else ((), ())
        own = weights[0].detach().double().numpy()
        causal = bool(getattr(module, "causal", False))
        layers.append(AttentionLayer(path, _title(subject, path, list(kept)), causal, own, *sides, (looks, sees)))
    return Looked(subject, layers, known, _unrolled(subject, layers, known))


def _title(subject: Subject, path: str, paths: list[str]) -> str:
    """How people know a layer: its node, which repetition of it, and which of the node's attention layers."""
    from netloom.explain.core.context import label

    nodes = subject.project.main_network.nodes
    key, _, inside = path.partition(" ")[0].partition(".")
    title = label(subject.project, key) if key in nodes else path
    if key in nodes and nodes[key].type == SUBNETWORK:
        place, _, rest = inside.partition(".")
        if place.isdecimal():
            title, inside, own = f"{title} · {int(place) + 1}", rest, f"{key}.{place}."
        else:
            own = f"{key}."
        several = sum(other.startswith(own) for other in paths) > 1
        return f"{title} · {inside.removesuffix('.attention')}" if several else title
    several = sum(other == key or other.startswith(f"{key}.") for other in paths) > 1
    return f"{title} · {inside.partition('.')[0]}" if several and inside else title


def _unrolled(subject: Subject, layers: list[AttentionLayer], known: Streams) -> str:
    """Why the layers cannot be multiplied into one map; empty where they can."""
    import networkx as nx

    from netloom.validation.graph_views import digraph

    if known.crossing:
        return "an attention layer attends from one sequence to another"
    named = {stream.field for stream in known.found} - {""}
    if len(known.found) > 1 and len(named) < len([one for one in known.found if one.tokens[0] != "the summary"]):
        return "the attention layers have sequences of different lengths"
    graph = digraph(subject.project.main_network)
    for first, second in pairwise(layers):
        nodes = [layer.name.partition(" ")[0].partition(".")[0] for layer in (first, second)]
        beside = not set(first.streams) & set(second.streams)  # an encoder's last and a decoder's first
        if nodes[0] != nodes[1] and not beside and not nx.has_path(graph, *nodes):
            return "the attention layers are parallel and not a chain"
    return ""


def read_rows(subject: Subject, looked: Looked) -> tuple[int, ...]:
    """The rows of all sequences side by side from which the answer is read: those steps whose weights, in the last
    layer, it has a gradient by; where there is none, the explained step, or else all that are not padding."""
    looks = looked.layers[-1].streams[0]
    start, stream = looked.known.starts()[looks], looked.known.found[looks]
    count = len(stream.tokens)
    moving = _moving(subject)
    if moving is not None and moving.any():
        return tuple((start + np.flatnonzero(moving)).tolist())
    position = subject.target.position
    if position is not None and quantity_of(subject.target).has_position and position < count:
        return (start + position,)
    real = np.arange(count)
    if stream.field and not stream.grid:
        own = subject.units(stream.field).reshape(count, -1)[:, 0] >= 0
        real = np.flatnonzero(own) if own.any() else real
    return tuple((start + real).tolist())


def _moving(subject: Subject) -> np.ndarray | None:
    """Which rows of the last layer's map the answer changes with, (T,); padding, which is not read, is left out."""
    from netloom.explain.core.gradients import obstacle

    if obstacle(subject.project, subject.model):
        return None
    from netloom.explain.attention.attention_gradients import slopes

    found = list(slopes(subject).values())[-1][1]
    return None if found is None else np.asarray(np.abs(found).max(axis=(0, 2)) > 0)


def _remark(maps: AttentionMaps, seen: bool) -> Remark:
    text = "Attention weights show how information is routed, not what the prediction relies on."
    if maps.rollout is None:
        return Remark("caution", f"{text} There is no rollout, because {maps.reason}.")
    if not seen:
        return Remark("caution", f"{text} Its positions are not those of an input, so they cannot be compared with it.")
    if maps.correlation is None:
        return Remark("caution", f"{text} There is no effect of removing positions to compare the rollout with.")
    agrees = f"with the effect of removing each position (Spearman {maps.correlation:+.2f})"
    if maps.correlation >= AGREES:
        return Remark("caution", f"{text} Here, the rollout agrees {agrees}.")
    if maps.correlation > 0:
        return Remark("caution", f"{text} The rollout agrees little {agrees}.")
    return Remark("poor", f"{text} The rollout does not agree {agrees}.")
