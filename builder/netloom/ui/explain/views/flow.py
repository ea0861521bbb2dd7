"""The Attribution flow view: a score followed through the graph, and the completeness at every cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import counted, escape, number
from netloom.explain.flow.attribution_flow import Flow
from netloom.explain.plots.flow import BOTH, analysis_at, flow_svg, flow_table, flow_values
from netloom.jobs.requests.explanations import AttributionFlow
from netloom.ui.components.charts.painted_graph import painted_graph
from netloom.ui.components.figure_export import exports
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.explain.state import Key, current_side, keys_of
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.ui.explain.view import ViewContext

LEVELS = {"good": st.success, "caution": st.warning, "poor": st.error}


def obstacle(context: ViewContext) -> str:
    """Return the reason why the flow is unavailable; "" if it is available."""
    return context.unavailable("flow")


def flow_view(context: ViewContext) -> None:
    """Draw the view.

    Raises:
        ExplainError, DataError, JobError: the flow cannot be computed.
    """
    baseline = context.options.get("baseline", "usual")
    flow = computed(AttributionFlow(context.weights, context.row, context.target, baseline))
    path = _where(flow)
    _graph(context, flow, path)
    LEVELS[flow.verdict.level](f"**{escape(flow.verdict.title)}.** {escape(flow.verdict.sentence)}")
    change = number(flow.score - flow.baseline_score, signed=True)
    st.caption(
        f"The score changes by {change}, from {number(flow.baseline_score)} for the baseline ({escape(flow.baseline)}) "
        f"to {number(flow.score)} for the example. Line width and color intensity show how much of this change passes "
        "through each connection and layer: orange increases the score, blue decreases it. Parallel paths can cancel "
        "each other."
    )
    if _single(flow):
        st.info(
            "Single path: every layer passes on the whole change. To see which units carry it, open the view Layers.",
            icon=":material/route:",
        )
    _downloads(context, flow, path)
    _cuts(flow, path)


def _single(flow: Flow) -> bool:
    """Return whether the whole graph is a chain without subnetworks."""
    edges = [edge for edge in flow.edges if not edge.path]
    ends = [edge.target.partition(".")[0] for edge in edges], [edge.source.partition(".")[0] for edge in edges]
    return len(_titles(flow)) == 1 and all(len(set(names)) == len(names) for names in ends)


def _where(flow: Flow) -> str:
    """Draw the choice of the network: the whole graph or a subnetwork; return its path."""
    titles = _titles(flow)
    if len(titles) == 1:
        return ""
    if value_of(Key.FLOW_NETWORK) not in titles:
        set_value(Key.FLOW_NETWORK, "")  # the network of another run
    return str(st.selectbox("Network", list(titles), format_func=titles.__getitem__, key=Key.FLOW_NETWORK))


def _titles(flow: Flow) -> dict[str, str]:
    """Return the titles of the networks that can be shown, by path."""
    titles = {"": "Whole network"}
    names = {(node.path, node.key): node.title for node in flow.nodes}
    for path in dict.fromkeys(node.path for node in flow.nodes if node.path):
        around, _, last = path.rpartition(".")
        # A path that ends in a number is one repetition of a subnetwork; without it, it is the mean of all.
        if not last.isdecimal():
            titles[path] = f"{names[around, last]} ({path})"
            continue
        title = names[around.rpartition(".")[0], around.rpartition(".")[2]]
        repeats = sum(other_path.rpartition(".")[0] == around for other_path in {node.path for node in flow.nodes})
        titles[around] = f"{title} ({around}): mean of {repeats} repetitions"
        titles[path] = f"{title} ({path}): repetition {int(last) + 1}"
    return titles


def _graph(context: ViewContext, flow: Flow, path: str) -> None:
    side = current_side()

    def opened() -> None:
        with keys_of(side):  # the callback runs outside of its side of a comparison
            open_clicked()

    def open_clicked() -> None:
        """Open the subnetwork that was clicked; the mean of its repetitions if there are several."""
        opened_node = str(value_of(Key.FLOW_GRAPH).get("opened") or "")
        # Within the mean of all repetitions, a subnetwork is opened in the first of them.
        first = f"{path}.0" if f"{path}.0" in {node.path for node in flow.nodes} else path
        for opened_path in (f"{path}.{opened_node}", f"{first}.{opened_node}"):
            if opened_node and opened_path.lstrip(".") in _titles(flow):
                set_value(Key.FLOW_NETWORK, opened_path.lstrip("."))
                return

    picture = flow_svg(context.trained.project, flow, path, BOTH)
    painted_graph(picture, "Attribution flow", key=Key.FLOW_GRAPH, on_opened=opened)
    caption = "Hover over a connection or a layer to see its values."
    if flow_values(flow, path).uses > 1:
        caption += " The values are means over all repetitions; choose one above to see only that one."
    if not path and flow.direct:
        caption += f" Outside the graph, {flow.direct:+.3g} comes directly from the input, as the error compares both."
    if analysis_at(context.trained.project, path).inner:
        caption += " A layer with a double border is a subnetwork; click it to open it."
    st.caption(caption)


def _cuts(flow: Flow, path: str) -> None:
    """Draw the sum at each cut of the graph beside its expected value."""
    titles = {(node.path, node.key): node.title for node in flow.nodes}
    cuts = [cut for cut in flow.cuts if cut.path == path]
    if not cuts:
        return
    rows = [
        {
            "Cut after": titles.get((cut.path, cut.after), "input"),
            "Connections": len(cut.edges),
            "Sum": cut.sum,
            "Expected": cut.expected,
            "Relative error": None if cut.relative_error is None else cut.relative_error * 100,
        }
        for cut in cuts
    ]
    off = max((cut.relative_error or 0.0 for cut in cuts), default=0.0)
    with st.expander(
        f"Completeness at every cut: {counted(len(cuts), 'cut')}, largest error {off:.2%}", icon=":material/labs:"
    ):
        st.caption(
            "A cut separates the layers up to one layer from all later ones. Everything that reaches the output "
            "crosses it, so the flows across each cut must sum to the whole change of the score."
        )
        st.dataframe(
            rows,
            hide_index=True,
            width="stretch",
            column_config={
                "Sum": st.column_config.NumberColumn(format="%+.5g"),
                "Expected": st.column_config.NumberColumn(format="%+.5g"),
                "Relative error": st.column_config.NumberColumn(format="%.3f%%"),
            },
        )


def _downloads(context: ViewContext, flow: Flow, path: str) -> None:
    name = f"flow {context.trained.run.title} {'own' if flow.row is None else flow.row}"
    exports(name, key=Key.FLOW_EXPORT, svg=flow_svg(context.trained.project, flow, path, BOTH), table=flow_table(flow))
