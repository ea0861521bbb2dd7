"""The headline of the Attention view: the positions and the head that the prediction relies on."""

from __future__ import annotations

import numpy as np

from netloom.core.text import cut, escape
from netloom.data.sequence_pairs import MARKS
from netloom.explain import AttentionMaps, Explanation
from netloom.explain.attention.head_patterns import SPECIAL_PREFIX
from netloom.explain.core.explanation import Stream, Verdict
from netloom.explain.core.targets import quantity_of
from netloom.explain.plots.explanation_plots import has_text
from netloom.modalities.encoding.tokenization import START
from netloom.ui.explain.headline import START_TOKEN, listed, visible

MAX_NAMED = 3


def attention_sentence(words: Explanation, heads: Explanation | None) -> str:
    """Return the most relevant positions and head with the results of the checks, as Markdown."""
    grids = words.attention is not None and any(stream.grid for stream in words.attention.streams)
    kind = "tokens" if has_text(words) else "patches" if grids else "steps"
    poor = words.verdict.level == "poor"
    text = f"The prediction relies on {listed(_strongest(words)) or f'all {kind} equally'}"
    if poor:
        text = "The attended positions do not explain this prediction"
    ranked = ranked_heads(heads.attention) if heads is not None and heads.attention is not None else []
    if heads is None or not ranked:
        return f"{text}. {escape(words.verdict.title)}."
    (layer, head), effect = ranked[0]
    name = f"head {head + 1} of layer {layer + 1}"
    detail = f". Without the most important head, {name}," if poor else f", mostly through {name}. Without this head,"
    if effect <= 0:
        detail = f". The head with the largest effect, {name}, opposes it: without this head,"
    target = quantity_of(words.target).phrase(words.target, escape(cut(visible(words.target.name), 60)))
    return (
        f"{text}{detail} {target} {'falls' if effect > 0 else 'rises'} from {heads.score:.3g} to "
        f"{heads.score - effect:.3g}. {_checks(kind, words.verdict, heads.verdict)}"
    )


def _checks(kind: str, words: Verdict, heads: Verdict) -> str:
    """Return the results of the checks of the positions and of the heads."""
    if words.title == heads.title:
        return f"{kind.capitalize()} and heads: {_within(heads.title)}."
    return f"{kind.capitalize()}: {_within(words.title)}; heads: {_within(heads.title)}."


def _within(title: str) -> str:
    """Return the text of a badge for use within a sentence."""
    return escape(f"{title[:1].lower()}{title[1:]}")


def _strongest(words: Explanation) -> list[str]:
    """Return the display names of the positions with the largest relevance; [] if positions have no names."""
    maps = words.attention
    if maps is None or maps.rollout is None or not maps.output_rows:
        return []
    names = [name for stream in maps.streams for name in _names(words, stream, in_figure=len(maps.streams) == 1)]
    # (positions, positions) -> (positions,): the mean over those from which the output is read
    shares = maps.rollout[list(maps.output_rows)].mean(axis=0)
    order = [index for index in np.argsort(-shares) if names[index] and shares[index] > 0]
    best = [index for index in order[:MAX_NAMED] if shares[index] >= 0.5 * shares[order[0]]]
    return [escape(name) for name in dict.fromkeys(names[index] for index in best)]


def _names(words: Explanation, stream: Stream, *, in_figure: bool) -> list[str]:
    """Return the display names of the positions of a sequence; "" for positions without one."""
    axes, written = words.axes.get(stream.field), words.labels.get(stream.field, ())
    if not stream.field:
        return [""] * len(stream.tokens)
    if axes is not None:
        return [step if axes.rate else f"{axes.down} {step}" for step in stream.tokens]
    texts = written if len(written) == len(stream.tokens) else stream.tokens
    # A letter occurs many times in a text, so its position is added.
    letters = in_figure and all(len(token) <= 1 for token in texts)
    return [
        _name(token, f" (position {index + 1})" if letters else "", grid=bool(stream.grid))
        for index, token in enumerate(texts)
    ]


def _name(token: str, position: str, *, grid: bool) -> str:
    """Return the display name of a position; patches of images are given as row·column."""
    if token == MARKS[START]:
        return START_TOKEN
    if not token or token.startswith(SPECIAL_PREFIX):
        return ""
    row, dot, column = token.partition("·")
    return f"the patch in row {row}, column {column}" if grid and dot else f"“{visible(token)}”{position}"


def ranked_heads(maps: AttentionMaps) -> list[tuple[tuple[int, int], float]]:
    """Return all heads (layer, head) with the effects of their ablation, the largest first."""
    scores = [
        ((layer_index, head), float(effect))
        for layer_index, layer in enumerate(maps.layers)
        if layer.effects is not None
        for head, effect in enumerate(layer.effects)
    ]
    return sorted(scores, key=lambda entry: -abs(entry[1]))
