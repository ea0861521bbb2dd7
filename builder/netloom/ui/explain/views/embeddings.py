"""The Embeddings view: rows in the plane by the activations of a layer, and the nearest rows of a clicked one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import cut, escape
from netloom.explain.dataset.embedding_map import SPLITS, EmbeddingMap, Split
from netloom.explain.dataset.neighborhood import PROJECTIONS, Projection
from netloom.explain.plots import embedding_plots
from netloom.jobs.requests.explanations import Embeddings
from netloom.ui.components.charts.charts import described
from netloom.ui.components.figure_export import PICTURE, chart, exports
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.components.state import Part
from netloom.ui.explain.example_picker import explain_input
from netloom.ui.explain.state import ExplainState, Key
from netloom.ui.explain.views.attribution import indented
from netloom.ui.explain.views.global_attribution import NAMES
from netloom.ui.explain.views.influence import CARD, show_row
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.ui.explain.view import ViewContext

COLORED_BY = ("Label", "Prediction")
CARDS = 5


def obstacle(context: ViewContext) -> str:
    """Return the reason why the activations of the network cannot be mapped; "" if they can."""
    return context.unavailable("embeddings")


def embeddings_view(context: ViewContext) -> None:
    """Draw the view."""
    path, projection, split = context.setting(Key.EMBEDDINGS, lambda: _choices(context))
    embeddings = computed(Embeddings(context.weights, path, projection, split), "Computing activations …")
    texts = embeddings.labels
    if embeddings.is_wrong is not None:
        colored_by = context.setting(
            Key.EMBEDDINGS_COLOR,
            lambda: st.segmented_control(
                "Color", COLORED_BY, default=COLORED_BY[0], required=True, key=Key.EMBEDDINGS_COLOR
            ),
        )
        texts = embeddings.predictions if colored_by == "Prediction" else embeddings.labels
    key = Key.EMBEDDINGS_MAP.of(embeddings.path, projection, split)
    data = context.trained.data.fingerprint
    marked = ExplainState.current().marked_rows.get(data)
    if marked not in embeddings.rows:
        marked = None
    if not context.side:
        with context.places.controls:
            _choose_row(embeddings, data, marked)
    figure = embedding_plots.plane(embeddings, texts, marked)
    st.plotly_chart(
        figure,
        width="stretch",
        key=key,
        config=PICTURE,
        on_select=partial(_mark, key, data),
        selection_mode="points",
        alt=described(figure, f"{len(embeddings.rows)} rows by their activations of {embeddings.title}"),
    )
    exports(f"embeddings {embeddings.path}", key=Part.BUTTONS.within(key), figure=key, table=embeddings.table())
    wrong = " A cross is a wrong prediction." if embeddings.is_wrong is not None and embeddings.is_wrong.any() else ""
    if marked is None:
        st.caption(f"Click a point, or choose a row, to see its nearest rows.{wrong}")
    else:
        st.caption(f"Rings: the nearest rows in the layer, not in the picture.{wrong}")
        _cards(context, embeddings, marked)
    st.markdown(escape(embeddings.separation_sentence))
    if embeddings.separation_sentence:
        st.markdown("**Separation of labels by layer**")
        table = [
            {"layer": layer.path, "features": layer.features, "score": layer.score} for layer in embeddings.separation
        ]
        chart(embedding_plots.by_layer(embeddings), key=Key.EMBEDDINGS_LAYERS, name="separation by layer", table=table)
        st.caption("Dashed line: without the layer. Labels that mix in one layer can separate in a later one.")
    st.caption(escape(embeddings.sentence))


def _choices(context: ViewContext) -> tuple[str, Projection, Split]:
    """Draw the choice of layer, projection and rows, and return them."""
    titles = {"": "Last layer before the output"} | {node.path: indented(node) for node in context.nodes}
    path = st.selectbox("Layer", list(titles), format_func=titles.__getitem__, key=Key.EMBEDDINGS_LAYER)
    projection = st.segmented_control(
        "Projection",
        list(PROJECTIONS),
        format_func=PROJECTIONS.__getitem__,
        default="pca",
        required=True,
        key=Key.EMBEDDINGS_PROJECTION,
        help="PCA shows the directions in which the rows differ most. t-SNE shows which rows are near each other; "
        "distances between its groups do not mean anything.",
    )
    split = st.selectbox("Rows", SPLITS, format_func=NAMES.__getitem__, key=Key.EMBEDDINGS_ROWS)
    return path, projection, split


def _choose_row(embeddings: EmbeddingMap, data: str, marked: int | None) -> None:
    """Draw the choice of the marked row, for people without a pointer."""
    labels = dict(zip(embeddings.rows.tolist(), embeddings.labels, strict=True))
    key = Key.EMBEDDINGS_ROW.of(data)
    set_value(key, marked)
    st.selectbox(
        "Row",
        list(labels),
        index=None,
        format_func=lambda row: f"{row} · {cut(labels[row], 60)}",
        placeholder="None",
        key=key,
        on_change=partial(_choose, key, data),
        help="The row whose nearest rows are shown. A click on its point chooses it, too.",
    )


def _choose(key: str, data: str) -> None:
    """Mark the chosen row; a cleared choice marks none."""
    state, row = ExplainState.current(), value_of(key)
    state.marked_rows.pop(data, None)
    if row is not None:
        state.marked_rows[data] = int(row)


def _mark(key: str, data: str) -> None:
    """Mark the row of the data that was clicked in the map of this key. A map that is drawn anew reports an empty
    selection."""
    for point in value_of(key)["selection"]["points"]:
        ExplainState.current().marked_rows[data] = int(point["customdata"][0])


def _explain(run_id: str, row: int) -> None:
    explain_input(run_id, row, None)
    ExplainState.current().view = "input"


def _cards(context: ViewContext, embeddings: EmbeddingMap, marked: int) -> None:
    """Draw the clicked row, and its nearest rows in the layer."""
    index_of = {int(row): index for index, row in enumerate(embeddings.rows)}
    nearest = [int(row) for row in embeddings.neighbors[index_of[marked]][:CARDS]]
    with st.container(horizontal=True):  # as many per line as fit
        for row in (marked, *nearest):
            with st.container(border=True, gap="small", width=CARD):
                show_row(context.trained.data.example(row))
                index = index_of[row]
                predicted = (
                    f" · predicted **{escape(embeddings.predictions[index][:40])}**" if embeddings.predictions else ""
                )
                st.caption(f"Row {row} · label **{escape(embeddings.labels[index][:40])}**{predicted}")
                if row == marked and not context.side:  # the other views are about the run of the first side
                    run_id = context.trained.run.id
                    st.button(
                        "Explain",
                        icon=":material/visibility:",
                        type="tertiary",
                        key=Key.EXPLAIN_ROW.of("embeddings", run_id),
                        on_click=_explain,
                        args=(run_id, row),
                    )
