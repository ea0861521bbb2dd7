"""The sensitivity of each layer: how the loss changes if it alone is quantized or pruned, as a graph and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.compression.sensitivity import CHANGES, changes
from netloom.core.text import escape
from netloom.editing.live import Live
from netloom.explain.plots.flow import BOTH, FlowValues, analysis_at, graph_svg
from netloom.jobs import RunWeights
from netloom.jobs.requests.deployment import MeasureSensitivity
from netloom.ui.components.charts.painted_graph import painted_graph
from netloom.ui.deploy.state import DeployState, Key
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.compression.sensitivity import Sensitivity


def layers(live: Live, weights: RunWeights) -> None:
    """Draw the button that measures the layers of a run, and the last measurements."""
    st.markdown("### Sensitivity of the layers")
    state = DeployState.current()
    if weights not in state.measured_layers:
        start = st.empty()
        with start.container():
            is_clicked = st.button("Measure layers", icon=":material/layers:", key=Key.SENSITIVITY)
            st.caption(
                "Shows which layers can become smaller: the change of the loss if one layer is quantized or pruned."
            )
        if not is_clicked:
            return
        start.empty()
        state.measured_layers.add(weights)
    measured = computed(MeasureSensitivity(weights), "Measuring the layers …")
    kind = st.segmented_control(
        "Change",
        list(CHANGES),
        default="pruned",
        format_func=CHANGES.__getitem__,
        required=True,
        key=Key.SENSITIVITY_KIND,
        label_visibility="collapsed",
    )
    _graph(live, weights, measured, str(kind))
    st.dataframe(
        [
            {
                "Layer": layer.title,
                "Parameters": layer.parameters,
                **{CHANGES[name]: value for name, value in changes(layer).items()},
            }
            for layer in measured.layers
        ],
        hide_index=True,
        width="stretch",
        placeholder="",
        column_config={title: st.column_config.NumberColumn(format="%+.3g") for title in CHANGES.values()},
    )
    st.caption(
        f"Changes relative to a loss of {measured.loss:.4g} on {measured.rows:,} {escape(measured.split)} rows.",
        help="Layers whose channels are added have to lose the same ones, so pruning one of them prunes the others as "
        "well. A layer without a value has no channel that can be removed.",
    )


def _graph(live: Live, weights: RunWeights, measured: Sensitivity, kind: str) -> None:
    """Draw the main network; a subnetwork has the largest change of its layers."""
    project = live.store.artifacts(weights.run_id).project()
    values: dict[str, float | None] = {}
    for layer in measured.layers:
        known = [values.get(layer.nodes[0]), changes(layer)[kind]]
        values[layer.nodes[0]] = max((value for value in known if value is not None), default=None)
    most = max((abs(value) for value in values.values() if value is not None), default=0.0) or 1.0
    label = f"Change of the loss by layer, {CHANGES[kind]}"
    drawing = graph_svg(
        analysis_at(project, ""), FlowValues({}, values, 1), most, label, theme=BOTH, unknown="not measured"
    )
    painted_graph(drawing, label, key=Key.SENSITIVITY_GRAPH)
