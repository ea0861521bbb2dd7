"""The view of an answer on its input: a method, its picture, and how far it can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from netloom.explain import GROUPS, Explanation, InnerNode, Method
from netloom.explain.core.explainer import registry
from netloom.explain.core.explanation import Level, Verdict
from netloom.ui.components.figure_export import chart
from netloom.ui.components.words import plain
from netloom.ui.explain.attribution_plots import attributions
from netloom.ui.explain.baseline_picker import tell_unused
from netloom.ui.explain.headline import decided

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.ui.explain.views import Look

COLOURS: dict[Level, Literal["green", "orange", "red"]] = {"good": "green", "caution": "orange", "poor": "red"}
ICONS = {"good": ":material/verified:", "caution": ":material/info:", "poor": ":material/warning:"}
MEANT = (
    "Adds up: how far all parts together are off the change that they explain. Ahead of random orders: taking parts "
    "away, the strongest first, changes the answer sooner than this share of random orders. Infidelity: how badly the "
    "parts foretell what leaving some of them out does, from 0 (they foretell it) to 1. Sampling error: the standard "
    "error of parts that are estimated at random. Another method's name: the rank correlation of its parts with these. "
    "All of these say how faithful the explanation is to the model, and not whether the model is right."
)
CURVES = {
    "deletion": ("taken away", "213, 94, 0"),
    "insertion": ("put back", "0, 114, 178"),
    "deletion_chance": ("taken away by chance", "213, 94, 0"),
    "insertion_chance": ("put back by chance", "0, 114, 178"),
}


def attributing(look: Look) -> None:
    """The whole view. What it comes to stands first, and how it was found beneath. The picture is there as soon as the
    method has run, and how far it can be trusted once that is known."""
    said = st.container()
    method = choose_method(look)
    if method is None:
        return
    st.session_state["explained by"] = method.name
    options = layer_options(look, method)
    tell_unused(method, look.options)
    pending = look.explaining(method.name, **options)
    bar, trusted = st.container(), st.container()
    first = pending.preview(bar)
    if first is not None:
        attributions(first)
    found = pending.result(bar)
    with said:
        _said(look, found)
    with trusted:
        trust(found)
    if first is None:
        attributions(found)
    _proofs(look, found, options)


def _said(look: Look, found: Explanation) -> None:
    """The answer to "why" in a sentence, and the way on to the heads of attention where there are some."""
    sentence = decided(found)
    if sentence:
        st.markdown(f"#### {sentence}")
    if any(method.name == "attention" and method.available for method in look.methods):
        leads_to("attention", "Which heads of attention decided it", ":material/hub:")


def leads_to(view: str, label: str, icon: str) -> None:
    """A button that opens another view of the page."""

    def open_it() -> None:
        st.session_state["view"] = view

    st.button(label, icon=icon, on_click=open_it, key=f"leads to {view}")


def choose_method(look: Look) -> Method | None:
    """A method, chosen by its group; those that do not fit this network are grey, and say why when they are chosen."""
    groups = [group for group in GROUPS if any(method.group == group for method in look.methods)]
    current = next((method for method in look.methods if method.name == look.method), look.methods[0])
    hidden: Any = {"label_visibility": "collapsed", "required": True, "wrap": True}
    group = st.segmented_control("Kind of method", groups, default=current.group, key="input kind", **hidden)
    listed = {method.name: method for method in look.methods if method.group == group}
    fitting = [name for name, method in listed.items() if method.available]
    labels = {name: method.title if method.available else f":gray[{method.title}]" for name, method in listed.items()}
    key, drawn = f"input method {group}", [group, *labels.values()]
    if key not in st.session_state or st.session_state.get("methods drawn") != drawn:
        # Said to the browser, which may know another choice than the server where a kind was left a moment ago.
        st.session_state[key] = look.method if look.method in fitting else next(iter(fitting or listed))
        st.session_state["methods drawn"] = drawn
    name = st.pills("Method", list(listed), format_func=labels.__getitem__, key=key, **hidden)
    method = listed[str(name)]
    if not method.available:
        st.info(f"**{method.title}** is not run on this network: {plain(method.reason)}", icon=":material/block:")
        return None
    grey = " Grey ones do not fit this network; choose one to read why." if len(fitting) < len(listed) else ""
    st.caption(f"{method.summary.rstrip('.')} ([source]({method.url})).{grey}")
    return method


def layer_options(look: Look, method: Method, key: str = "input") -> dict[str, Any]:
    """What the method has to be told: the node that it looks at, and which neuron of it."""
    if not method.layered:
        return {}
    nodes = {node.path: node for node in look.nodes}
    titles = {"": "the last before the answer", **{path: _indented(node) for path, node in nodes.items()}}
    path = st.selectbox("Layer", list(titles), format_func=titles.__getitem__, key=f"{key} node {method.name}")
    found = {"node": path} if path else {}
    if "neuron" not in registry()[method.name].model_fields:
        return found
    neuron = st.text_input(
        "Neuron",
        placeholder="the one farthest from zero",
        key=f"{key} neuron {method.name}",
        help="Its place in the layer's output, such as 3, or 3,0,1 for channel, row and column.",
    )
    return found | ({"neuron": neuron.strip()} if neuron.strip() else {})


def _indented(node: InnerNode) -> str:
    """A node in a list; those within another network stand in by a step, with the way to them."""
    way = node.path.split(".")
    return f"{' · ' * (len(way) - 1)}{plain(node.title)}{f' ({node.path})' if len(way) > 1 else ''}"


def badges(verdict: Verdict) -> None:
    """What came of the checks, and beside it what is wrong with the model."""
    icon, colour = ICONS[verdict.level], COLOURS[verdict.level]
    st.badge(plain(verdict.checked), icon=icon, color=colour, help=plain(verdict.sentence))
    if verdict.model:
        begun = f"{verdict.model[:1].upper()}{verdict.model[1:]}"
        st.badge(plain(begun), icon=":material/warning:", color=colour)


def trust(found: Explanation) -> None:
    """How far it can be trusted: a word, the numbers behind it, and the sentences."""
    completeness, faithful, forgotten = found.proofs.completeness, found.proofs.faithfulness, found.proofs.randomised
    told = []
    if completeness is not None and completeness.word and completeness.relative_error is not None:
        told.append(f"adds up within **{completeness.relative_error:.2%}**")
    if faithful is not None:
        told.append(f"ahead of **{1 - faithful.chance:.0%}** of random orders")
        if faithful.infidelity is not None:
            told.append(f"infidelity **{faithful.infidelity:.2f}**")
    sampling, other = found.proofs.sampling, found.proofs.cross_check
    if sampling is not None and sampling.standard_error is not None:
        told.append(f"sampling error **{sampling.standard_error:.1%}**")
    if other is not None:
        told.append(f"{other.title} **{other.spearman:+.2f}**")
    if forgotten is not None:
        told.append(f"**{forgotten.spearman:+.2f}** like shuffled weights")
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            badges(found.verdict)
            st.markdown(" · ".join(told), width="content", help=MEANT if told else None)
        st.caption(plain(found.verdict.sentence))


def _proofs(look: Look, found: Explanation, options: dict[str, Any]) -> None:
    """The curves behind the verdict, and the check that is not run unasked."""
    faithful = found.proofs.faithfulness
    with st.expander("How that was measured", icon=":material/labs:"):
        columns = st.columns(4)
        completeness = found.proofs.completeness
        if completeness is not None:
            columns[0].metric(
                "Sum of the parts",
                f"{completeness.sum:+.4g}",
                completeness.word or None,
                delta_color="off",
                delta_arrow="off",
            )
            columns[1].metric("Answer − baseline", f"{completeness.answer - completeness.baseline_answer:+.4g}")
            if completeness.steps and completeness.promised:
                columns[2].metric(
                    "Steps", f"{completeness.steps}", help="The integral was refined until the parts add up"
                )
        if faithful is not None:
            label = "Orders that do as well"
            columns[3].metric(label, f"{faithful.chance:.0%}", help="Of random orders of the parts; fewer is better")
            _randomise(look, found, options)
            st.caption(
                "The answer while parts are taken away (it should fall early) or put onto the baseline (it should rise "
                "early), the most important first. Dotted: random orders."
            )
            table = {"share of parts": list(faithful.fractions)}
            table |= {name: list(values) for name, values in faithful.curves.items()}
            chart(curves(found), key="input curves", name=f"faithfulness {found.method}", table=table)
        st.caption(
            f"Weights {plain(found.checkpoint or 'as trained')} ({found.weights[:12]}), seed {found.proofs.seed}, "
            f"{found.seconds:.1f} s."
        )


def _randomise(look: Look, found: Explanation, options: dict[str, Any]) -> None:
    key = f"input randomise {found.method} {found.weights[:12]} {found.example.row} {found.target.index}"
    if st.button("Compare with shuffled weights", icon=":material/shuffle:", key=key):
        other = look.explanation(found.method, randomize=True, **options).proofs.randomised
        if other is not None:
            said = "It depends on what the network learned" if other.passed else "It hardly depends on what was learned"
            st.info(f"{said}: Spearman {other.spearman:+.2f} over {other.draws} networks with shuffled weights.")


def curves(found: Explanation) -> go.Figure:
    """The answer as parts go and come, in the explanation's order and by chance."""
    import plotly.graph_objects as go

    from netloom.ui.components.charts import MARGIN

    figure = go.Figure()
    faithful = found.proofs.faithfulness
    for name, values in (faithful.curves if faithful else {}).items():
        title, colour = CURVES.get(name, (name.replace("_", " "), "130, 130, 140"))
        dashed = "chance" in name or "random" in name
        line = {"color": f"rgb({colour})", "dash": "dot" if dashed else "solid", "width": 1.5 if dashed else 2.5}
        figure.add_scatter(x=faithful.fractions if faithful else (), y=values, name=title, line=line)
    figure.update_layout(height=300, margin=MARGIN, xaxis_title="Share of parts", yaxis_title="Explained number")
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})
    return figure
