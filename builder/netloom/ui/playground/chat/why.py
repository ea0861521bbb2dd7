"""Explanation of the prediction for a message: the words that it relies on, and the attention of the network."""

from __future__ import annotations

from typing import Any

import streamlit as st

from netloom.chat import intent_target
from netloom.chat.understanding import Understanding, message_row
from netloom.core.text import escape
from netloom.explain import AttentionMaps, ExplainError, Explanation, Method
from netloom.explain.plots.attention import attention_lines, hidden_lines_note
from netloom.explain.plots.explanation_plots import PlotOptions, explanation_plots
from netloom.jobs.requests.explanations import Attribution
from netloom.jobs.requests.inspection import Inspect
from netloom.ui.components.errors import show_error
from netloom.ui.explain.headline import headline
from netloom.ui.explain.views.attention import ROUTING
from netloom.ui.explain.views.attention_components import called, drawing, sides
from netloom.ui.explain.views.attention_sentence import attention_sentence
from netloom.ui.explain.views.attribution import badges
from netloom.ui.explain.views.attribution_plots import attributions
from netloom.ui.playground.chat.state import Key
from netloom.ui.playground.input_actions import open_explain
from netloom.ui.playground.one_input import ERRORS, Tried
from netloom.ui.shell.jobs import computed, computed_all

MEAN = "Mean of all heads"


def why(tried: Tried, understanding: Understanding) -> None:
    """Draw the explanation of a message: attribution by the first available method, and attention."""
    row = message_row(tried.trained, understanding.message)
    with st.container(border=True):
        try:
            methods = computed(Inspect(tried.weights)).methods
            _attribution(tried, methods, row)
            st.markdown("**Attention**")
            _attention(tried, methods, row)
        except (*ERRORS, ExplainError, ValueError) as error:
            show_error(error)
            return
        if st.button(
            "Open in Explain", icon=":material/visibility:", key=Key.EXPLAIN, help="All methods for this message."
        ):
            open_explain(tried.live, tried.run_id, 0, row)


def _attribution(tried: Tried, methods: tuple[Method, ...], row: dict[str, Any]) -> None:
    name = next((method.name for method in methods if method.available and not method.explains_layer), None)
    if name is None:
        st.caption("No method can explain this network.")
        return
    explanation = computed(_request(tried, name, row))
    with attributions(explanation, st.container()):
        if text := headline(explanation):
            st.markdown(f"**{text}**")
    badges(explanation.verdict)


def _attention(tried: Tried, methods: tuple[Method, ...], row: dict[str, Any]) -> None:
    """Draw which words the network attends to, or why there is no attention."""
    obstacles = {method.name: "" if method.available else method.reason for method in methods}
    if reason := obstacles["attention"]:
        st.caption(f"{escape(reason[:1].upper())}{escape(reason[1:])}")
        return
    # Weighted by the gradient where that is possible, since attention alone does not show what the answer relies on.
    names = ["attention", *([] if obstacles["attention_relevance"] else ["attention_relevance"])]
    explanations: list[Explanation] = computed_all(_request(tried, name, row) for name in names)
    words, maps = explanations[-1], explanations[0].attention
    for panel in explanation_plots(words, PlotOptions(sign="for", words_only=True)):
        if panel.html:
            st.html(panel.html)
    st.markdown(f"**{attention_sentence(words, None)}**")
    badges(words.verdict)
    if maps is not None:
        _heads(tried, maps)


def _heads(tried: Tried, maps: AttentionMaps) -> None:
    """Draw the attention of one head, or the mean over the heads of a layer, as lines between words."""
    left, right = st.columns(2)
    layers = list(range(len(maps.layers)))
    layer_index = int(
        left.selectbox(
            "Layer", layers, format_func=lambda index: called(index, maps.layers[index]), key=Key.LAYER.of(tried.run_id)
        )
    )
    layer = maps.layers[layer_index]
    heads = [MEAN, *(f"Head {number}" for number in range(1, len(layer.weights) + 1))]
    head = heads.index(str(right.selectbox("Head", heads, key=Key.HEAD.of(tried.run_id, layer_index))))
    weights = layer.weights[head - 1] if head else layer.weights.mean(axis=0)
    query_labels, key_labels = sides(maps, layer)
    drawing(attention_lines(weights, query_labels, key_labels), Key.LINES.of(tried.run_id, layer_index, head))
    st.caption(
        f"{ROUTING}. Lines from each word to those that it attends to. Hover over a word to see only its lines. "
        f"{hidden_lines_note(weights, query_labels, key_labels)}"
    )


def _request(tried: Tried, method: str, row: dict[str, Any]) -> Attribution:
    schema = tried.trained.data.schema
    target = intent_target(schema).name if schema.target.parts else None  # else what is predicted
    return Attribution(tried.weights, method, row, target)
