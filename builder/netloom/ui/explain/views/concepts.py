"""The Concepts view: a concept defined by rows, the layers that encode it, and the targets that depend on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import escape
from netloom.explain import ExplainError
from netloom.explain.concepts.concept_definition import ConceptDefinition, parse_row_numbers
from netloom.explain.concepts.concepts import MIN_ROWS, URL, WORDS, Concepts, ConceptScore
from netloom.explain.core.targets import target_names
from netloom.explain.plots.colors import AGAINST, FOR
from netloom.explain.plots.figures import vertical_line
from netloom.jobs.requests.explanations import ConceptSearch
from netloom.modalities.fields.modality import Editor
from netloom.modalities.fields.registry import modality_of
from netloom.ui.components.charts.charts import MARGIN
from netloom.ui.components.errors import show_error
from netloom.ui.components.figure_export import chart
from netloom.ui.explain.state import ConceptTest, ExplainState, Key
from netloom.ui.explain.views.attribution import ICONS
from netloom.ui.explain.views.influence import CARD, show_row
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.data import Prepared
    from netloom.ui.explain.view import ViewContext

CLASS, COLUMN, WORD, ROWS = "Class", "Column", "Word", "Rows"
GRAY = "130, 130, 140"
SIGNS: dict[str, Any] = {
    "for": ("Increases the score", "orange", ":material/add_circle:"),
    "against": ("Decreases the score", "blue", ":material/do_not_disturb_on:"),
    "unused": ("Encoded, little effect", "gray", ":material/horizontal_rule:"),
    "absent": ("Not encoded", "gray", ":material/help:"),
}
SHOWN = 5
TESTING = "Testing the concept …"


def concepts_view(context: ViewContext) -> None:
    """Draw the view."""
    test = context.setting(Key.CONCEPT, lambda: _chosen_test(context))
    if test is None:
        st.info("Define a concept by rows that have it, and press Test concept.", icon=":material/search:")
    else:
        _results(context, computed(ConceptSearch(context.weights, test.concept, test.nodes, test.targets), TESTING))
    st.caption(
        f"[TCAV]({URL}) learns a direction in each layer that separates the rows with the concept from others, tests "
        "it on held-out rows, and compares its effect on the score with random concepts. It cannot separate a concept "
        "from whatever is correlated with it in the data."
    )


def _chosen_test(context: ViewContext) -> ConceptTest | None:
    """Draw the form, and return the last test of this run; None before the first one."""
    state, form = ExplainState.current(), _form(context)
    if st.button("Test concept", type="primary", icon=":material/search:", disabled=form is None, width="stretch"):
        state.concept_test = form
    test = state.concept_test
    return test if test is not None and test.run_id == context.trained.run.id else None


def obstacle(context: ViewContext) -> str:
    """Return the reason why the view does not apply; "" if it does."""
    return context.unavailable("concepts")


def _form(context: ViewContext) -> ConceptTest | None:
    """Draw the choice of the concept, layers and targets, and return them; None if the choice is incomplete."""
    with st.container(border=True):
        concept = _concept_input(context.trained.data)
        titles = {node.path: node.title for node in context.nodes}
        usual = list(context.inspection.concept_nodes)
        nodes = st.multiselect("Layers", list(titles), default=usual, format_func=titles.__getitem__)
        trained = context.trained
        usual_names = trained.data.schema.target.classes if trained.objective.task.per_class_scores else ()
        classes = list(target_names(trained.data, trained.project.training) or usual_names)
        targets = [""]  # the only output
        if classes:
            targets = st.multiselect("Targets", classes, default=classes[:1], max_selections=10)
    if concept is None or not nodes or (classes and not targets):
        return None
    return ConceptTest(context.trained.run.id, concept, tuple(nodes), tuple(targets))


def _concept_input(data: Prepared) -> ConceptDefinition | None:
    raw = data.row(0)
    columns = [name for name, value in raw.items() if isinstance(value, (int, float, str)) or value is None]
    text = any(modality_of(field).editor is Editor.TEXT for field in data.fields)
    named = bool(data.schema.target.classes) and data.schema.target.type.is_label_set
    kinds = [
        kind
        for kind, is_offered in ((WORD, text), (COLUMN, columns and not text), (CLASS, named), (ROWS, True))
        if is_offered
    ]
    kind = st.segmented_control("Define the concept by", kinds, default=kinds[0], required=True)
    if kind == WORD:
        word = st.text_input("Rows that contain the word", placeholder="Type a word, then press Enter").strip()
        return ConceptDefinition("word", text=word[:80]) if word else None
    if kind == CLASS:
        return ConceptDefinition("class", name=str(st.selectbox("Rows of class", list(data.schema.target.classes))))
    if kind == COLUMN:
        return _of_column(data, columns)
    text_of = st.text_input("Row numbers", placeholder="Such as 3, 8, 20-60", help=f"At least {MIN_ROWS} rows.")
    try:
        rows = parse_row_numbers(text_of)
    except ExplainError as error:
        show_error(error)
        return None
    return ConceptDefinition("rows", rows=rows) if rows else None


def _of_column(data: Prepared, columns: list[str]) -> ConceptDefinition | None:
    name = st.container()
    low, high = st.columns(2)
    column = str(name.selectbox("Column", columns))
    values = [data.row(row).get(column) for row in range(min(500, data.schema.rows))]
    numbers = [value for value in values if value is not None]
    if numbers and all(isinstance(value, (int, float)) for value in numbers):
        middle = sorted(float(value) for value in numbers)[len(numbers) // 2]
        least = low.number_input("Minimum", value=middle, format="%.6g", key=Key.CONCEPT_MINIMUM.of(column))
        most = high.number_input(
            "Maximum", value=None, format="%.6g", key=Key.CONCEPT_MAXIMUM.of(column), placeholder="No maximum"
        )
        return ConceptDefinition("column", name=column, low=least, high=most)
    offered = sorted({str(value) for value in numbers})[:200]
    text = low.selectbox("Value", offered, key=Key.CONCEPT_VALUE.of(column)) if offered else ""
    return ConceptDefinition("column", name=column, text=str(text)) if text else None


def _results(context: ViewContext, concepts: Concepts) -> None:
    st.markdown(f"### Concept: {escape(concepts.concept)}")
    if concepts.model:
        st.warning(escape(concepts.model), icon=ICONS["caution"])
    chart(_figure(concepts), key=Key.CONCEPT_CHART, name=f"concept {concepts.concept}", table=_table(concepts))
    for score in concepts.scores:
        title, color, icon = SIGNS[score.word]
        st.markdown(f":{color}-badge[{icon} {title}] {escape(score.sentence)}")
    st.caption(
        f"Dots: TCAV score, the share of rows whose target score increases along the concept. Gray bars: 95% of "
        f"random concepts. Hollow dots: not significant. Estimated from {concepts.repeats} directions between "
        f"{len(concepts.rows)} of {concepts.available_rows:,} rows with the concept and "
        f"{concepts.other_rows:,} rows without it, and as many "
        "random directions. In the last layers, the gradient is the same for all rows, so the score is 0 or 1; use the "
        "strength there: the change of the target from rows without to rows with the concept, in its standard "
        "deviations σ."
    )
    st.dataframe(
        [
            {"layer": item.title, "target": item.target, "score": item.score, "p": item.p_value,
             "accuracy": item.accuracy, "strength (σ)": item.strength, "verdict": WORDS[item.word]}
            for item in concepts.scores
        ],
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="%.3g") for name in ("score", "p", "strength (σ)")}
        | {"accuracy": st.column_config.NumberColumn(format="percent")},
    )  # fmt: skip
    st.markdown("**Example rows with the concept**")
    with st.container(horizontal=True):
        for row in concepts.rows[:SHOWN]:
            with st.container(border=True, width=CARD):
                show_row(context.trained.data.example(row))
                st.caption(f"Row {row}")


def _table(concepts: Concepts) -> list[dict[str, Any]]:
    names = ("node", "target", "score", "low", "high", "p", "accuracy", "random_accuracy", "strength", "word")
    return [{name: getattr(score, name) for name in names} for score in concepts.scores]


def _figure(concepts: Concepts) -> go.Figure:
    """Return a chart of the score of each layer and target over the interval of random concepts."""
    import plotly.graph_objects as go

    keys = list(range(len(concepts.scores)))
    several = len({score.target for score in concepts.scores}) > 1
    band = {"type": "scatter", "mode": "lines", "line": {"color": f"rgba({GRAY}, 0.25)", "width": 14}}
    traces = [
        {**band, "x": [score.low, score.high], "y": [key, key], "hoverinfo": "skip"}
        for key, score in zip(keys, concepts.scores, strict=True)
    ]
    colors = [f"rgb({FOR})" if score.score > 0.5 else f"rgb({AGAINST})" for score in concepts.scores]
    believed = [score.word in ("for", "against") for score in concepts.scores]
    traces.append(
        {
            "type": "scatter",
            "x": [score.score for score in concepts.scores],
            "y": keys,
            "mode": "markers",
            "marker": {
                "size": 13,
                "color": [c if sure else f"rgb({GRAY})" for c, sure in zip(colors, believed, strict=True)],
                "symbol": ["circle" if sure else "circle-open" for sure in believed],
                "line": {"width": 2},
            },
            "text": [_hover(score) for score in concepts.scores],
            "hovertemplate": "%{text}<extra></extra>",
        }
    )
    names = [f"{score.title}{f' · {score.target}' if several else ''}" for score in concepts.scores]
    layout = {
        "height": 110 + 34 * len(keys),
        "margin": MARGIN,
        "showlegend": False,
        "xaxis": {"title": "TCAV score", "range": [-0.04, 1.04], "tickformat": ".0%"},
        "yaxis": {"autorange": "reversed", "tickmode": "array", "tickvals": keys, "ticktext": names},
        "shapes": [vertical_line(0.5, {"color": f"rgba({GRAY}, 0.6)", "dash": "dot"})],
    }
    return go.Figure(traces, layout)


def _hover(score: ConceptScore) -> str:
    return f"{score.title}: {score.score:.0%}, p = {score.p_value:.2g}, accuracy {score.accuracy:.0%}"
