"""The Input and the Layers view: the attributions of a method, and the results of its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from netloom.core.text import escape, number
from netloom.explain import Explanation, InnerNode, Method
from netloom.explain.core.explainer import ATTENTION, method_facts
from netloom.explain.core.explanation import Level, Verdict
from netloom.ui.components.figure_export import chart
from netloom.ui.explain.baseline_picker import tell_unused
from netloom.ui.explain.headline import headline
from netloom.ui.explain.prediction import show_prediction
from netloom.ui.explain.state import ExplainState, Key, Part
from netloom.ui.explain.views.attribution_plots import attributions

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from streamlit.delta_generator import DeltaGenerator

    from netloom.ui.explain.view import ViewContext

COLORS: dict[Level, Literal["green", "orange", "red"]] = {"good": "green", "caution": "orange", "poor": "red"}
ICONS = {"good": ":material/verified:", "caution": ":material/info:", "poor": ":material/warning:"}
MEANT = (
    "Completeness error: how far the sum of the attributions is from the change of the score that they explain. Random "
    "baseline: the share of random feature orders that change the score later than removing the most important "
    "features first. Infidelity: how badly the attributions predict the effect of removing features, from 0 (exactly) "
    "to 1. Sampling error: the standard error of attributions that are estimated by sampling. Correlation: the rank "
    "correlation with another method. All of these measure how faithful the explanation is to the model, not whether "
    "the model is right."
)
CURVES = {
    "deletion": ("deletion", "213, 94, 0"),
    "insertion": ("insertion", "0, 114, 178"),
    "deletion_chance": ("deletion, random order", "213, 94, 0"),
    "insertion_chance": ("insertion, random order", "0, 114, 178"),
}


def attribution_view(context: ViewContext) -> None:
    """Draw the view: the picture when the method has run, the sentence and the checks when they are complete."""
    method = next(method for method in context.methods if method.name == context.method)
    with context.places.controls:
        options = layer_options(context, method)
        tell_unused(method, context.options)
    pending = context.explaining(method.name, **options)
    picture = st.container()
    first = pending.preview(picture)
    sentence = _picture(context, first, picture) if first is not None else None
    explanation = pending.result(sentence or picture)
    with sentence or _picture(context, explanation, picture):
        _sentence(context, explanation)
    with context.places.details:
        trust(explanation)
        _proofs(context, explanation, options)


def layers_obstacle(context: ViewContext) -> str:
    """Return the reason why no layer can be explained; "" if one can."""
    reasons = [method.reason for method in context.methods if method.explains_layer]
    is_available = any(method.available for method in context.methods if method.explains_layer)
    reason = next(iter(reasons), "")
    return "" if is_available else reason[:1].upper() + reason[1:]


def _picture(context: ViewContext, explanation: Explanation, container: DeltaGenerator) -> DeltaGenerator:
    """Draw the prediction and the attributions, and return the place of the sentence below the first plot."""
    show_prediction(context, explanation.prediction, explanation.example)
    with container:
        return attributions(explanation, context.places.controls)


def _sentence(context: ViewContext, explanation: Explanation) -> None:
    """Draw what the prediction relies on, the result of the checks, and a link to the attention heads."""
    text = headline(explanation)
    if text:
        st.markdown(f"**{text}**")
    if any(method.group == ATTENTION and method.available for method in context.methods):
        leads_to("attention", "Show attention heads", ":material/hub:")


def leads_to(view: str, label: str, icon: str) -> None:
    """Draw a button that opens another view of the page."""

    def open_it() -> None:
        ExplainState.current().view = view

    st.button(label, icon=icon, on_click=open_it, key=Key.LEADS_TO.of(view))


def layer_options(context: ViewContext, method: Method, key: str = Key.INPUT) -> dict[str, str]:
    """Draw the options of a layer method, and return them: the node, and the neuron if it has one."""
    if not method.explains_layer:
        return {}
    nodes = {node.path: node for node in context.nodes}
    titles = {"": "Automatic: last layer before the output", **{path: indented(node) for path, node in nodes.items()}}
    path = st.selectbox("Layer", list(titles), format_func=titles.__getitem__, key=Part.NODE.within(key, method.name))
    options = {"node": path} if path else {}
    if "neuron" not in method_facts()[method.name].settings:
        return options
    neuron = st.text_input(
        "Neuron",
        placeholder="Automatic: largest activation",
        key=Part.NEURON.within(key, method.name),
        help="Index in the layer's output, such as 3, or 3,0,1 for channel, row and column.",
    )
    return options | ({"neuron": neuron.strip()} if neuron.strip() else {})


def indented(node: InnerNode) -> str:
    """Return the label of a node; nodes in subnetworks are indented and have their path."""
    parts = node.path.split(".")
    return f"{' · ' * (len(parts) - 1)}{escape(node.title)}{f' ({node.path})' if len(parts) > 1 else ''}"


def badges(verdict: Verdict) -> None:
    """Draw the result of the checks, and problems of the model."""
    icon, color = ICONS[verdict.level], COLORS[verdict.level]
    st.badge(escape(verdict.checked), icon=icon, color=color, help=escape(verdict.sentence))
    if verdict.model:
        sentence = f"{verdict.model[:1].upper()}{verdict.model[1:]}"
        st.badge(escape(sentence), icon=":material/warning:", color=color)


def trust(explanation: Explanation) -> None:
    """Draw the verdict on an explanation with its metrics."""
    completeness, faithful, forgotten = (
        explanation.proofs.completeness,
        explanation.proofs.faithfulness,
        explanation.proofs.randomization,
    )
    sentences = []
    if completeness is not None and completeness.word and completeness.relative_error is not None:
        sentences.append(f"completeness error **{completeness.relative_error:.2%}**")
    if faithful is not None:
        sentences.append(f"better than **{1 - faithful.chance:.0%}** of random orders")
        if faithful.infidelity is not None:
            sentences.append(f"infidelity **{faithful.infidelity:.2f}**")
    sampling, cross_check = explanation.proofs.sampling, explanation.proofs.cross_check
    if sampling is not None and sampling.standard_error is not None:
        sentences.append(f"sampling error **{sampling.standard_error:.1%}**")
    if cross_check is not None:
        sentences.append(f"correlation with {cross_check.title} **{cross_check.spearman:+.2f}**")
    if forgotten is not None:
        sentences.append(f"correlation with shuffled weights **{forgotten.spearman:+.2f}**")
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badges(explanation.verdict)
            metrics = " · ".join(sentences)
            st.markdown(f"{metrics[:1].upper()}{metrics[1:]}", width="content", help=MEANT if sentences else None)
        st.caption(escape(explanation.verdict.sentence))


def _proofs(context: ViewContext, explanation: Explanation, options: dict[str, Any]) -> None:
    """Draw the evidence of the verdict, and the randomization test, which runs on request."""
    faithful = explanation.proofs.faithfulness
    with st.expander("Evidence", icon=":material/labs:"):
        columns = st.columns(4)
        completeness = explanation.proofs.completeness
        if completeness is not None:
            columns[0].metric(
                "Sum of attributions",
                number(completeness.sum, signed=True),
                completeness.word or None,
                delta_color="off",
                delta_arrow="off",
            )
            change = completeness.score - completeness.baseline_score
            columns[1].metric("Score − baseline score", number(change, signed=True))
            if completeness.steps and completeness.promised:
                columns[2].metric(
                    "Integration steps",
                    f"{completeness.steps}",
                    help="More steps are taken until the attributions add up to the change of the score.",
                )
        if faithful is not None:
            columns[3].metric(
                "Random orders as good",
                f"{faithful.chance:.0%}",
                help="Share of random feature orders that change the score at least as fast; lower is better.",
            )
            _randomize(context, explanation, options)
            st.caption(
                "Deletion removes features, the most important first; the score should fall early. Insertion adds them "
                "to the baseline; the score should rise early. Dotted lines: mean of random orders."
            )
            table = {"share of parts": list(faithful.fractions)}
            table |= {name: list(values) for name, values in faithful.curves.items()}
            chart(curves(explanation), key=Key.EVIDENCE_CURVES, name=f"faithfulness {explanation.method}", table=table)
        st.caption(
            f"Weights {escape(explanation.checkpoint or 'as trained')} "
            f"({explanation.weights[:12]}), seed {explanation.proofs.seed}, "
            f"{explanation.seconds:.1f} s."
        )


def _randomize(context: ViewContext, explanation: Explanation, options: dict[str, Any]) -> None:
    key = Key.RANDOMIZATION_TEST.of(
        explanation.method, explanation.weights[:12], explanation.example.row, explanation.target.index
    )
    if st.button(
        "Run randomization test",
        icon=":material/shuffle:",
        key=key,
        help="Computes the explanation again with shuffled weights. If it stays the same, it does not depend on what "
        "the network learned.",
    ):
        randomized = context.explanation(explanation.method, randomize=True, **options).proofs.randomization
        if randomized is not None:
            verdict = "depends" if randomized.passed else "hardly depends"
            st.info(
                f"The explanation {verdict} on the learned weights: its mean Spearman correlation with those of "
                f"{randomized.draws} networks with shuffled weights is {randomized.spearman:+.2f}."
            )


def curves(explanation: Explanation) -> go.Figure:
    """Return the deletion and insertion curves, by the order of the explanation and by random orders."""
    import plotly.graph_objects as go

    from netloom.ui.components.charts.charts import MARGIN

    traces = []
    faithful = explanation.proofs.faithfulness
    for name, values in (faithful.curves if faithful else {}).items():
        title, color = CURVES.get(name, (name.replace("_", " "), "130, 130, 140"))
        dashed = "chance" in name or "random" in name
        line = {"color": f"rgb({color})", "dash": "dot" if dashed else "solid", "width": 1.5 if dashed else 2.5}
        fractions = faithful.fractions if faithful else ()
        traces.append({"type": "scatter", "x": fractions, "y": values, "name": title, "line": line})
    layout = {
        "height": 300,
        "margin": MARGIN,
        "xaxis": {"title": "Share of features"},
        "yaxis": {"title": "Score"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }
    return go.Figure(traces, layout)
