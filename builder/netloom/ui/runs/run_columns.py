"""The columns of the table of runs: which are shown, conditions on them, and groups by their values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from netloom.runs.history.comparison import measure_of
from netloom.runs.history.run_table import ColumnFilter, RunTable, as_cell, first_columns, grouped
from netloom.runs.history.setting_titles import setting_value
from netloom.ui.components.metric_texts import formatter
from netloom.ui.components.page_state import value_of
from netloom.ui.components.words import unique_labels
from netloom.ui.runs.comparison import called
from netloom.ui.runs.state import Key, RunsState

# The options of a condition on text.
MAX_CHOICES = 100


def column_titles(table: RunTable) -> dict[str, str]:
    """Return a unique title for each column."""
    return unique_labels({column: called(column) for column in table.columns})


def columns_bar(table: RunTable) -> None:
    """Draw the choice of columns, the conditions on them, and the groups; they are kept in the state of the page."""
    titles = column_titles(table)
    state = RunsState.current()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.popover("Columns", icon=":material/view_column:", disabled=not titles):
            shown = shown_columns(table)
            chosen = st.multiselect(
                "Hyperparameters and metrics",
                list(titles),
                shown,
                format_func=titles.__getitem__,
                key=Key.COLUMNS.of(hash(tuple(titles))),
                help="All settings that differ between the listed runs, and all metrics. A click on the title of a "
                "column sorts by it.",
            )
            if chosen != shown:
                # Columns that the listed runs do not have are kept for other filters.
                state.columns = (*chosen, *(name for name in state.columns or () if name not in titles))
        count = sum(item.column in titles for item in state.conditions)
        with st.popover(f"Conditions ({count})" if count else "Conditions", icon=":material/filter_alt:"):
            _conditions(table, titles)
        groups = ["", *titles]
        index = groups.index(state.group_by) if state.group_by in groups else 0
        state.group_by = st.selectbox(
            "Group by",
            groups,
            index,
            format_func=lambda name: titles.get(name, "No groups"),
            key=Key.GROUP_BY.of(hash(tuple(titles))),
            width=260,
        )


def shown_columns(table: RunTable) -> list[str]:
    """Return the columns that the user chose; without a choice, the first ones, with the metrics before the settings,
    as a narrow screen shows few columns."""
    state = RunsState.current()
    if state.columns is None:
        return sorted(first_columns(table), key=lambda name: name not in table.metrics)
    return [name for name in state.columns if name in table.values]


def _conditions(table: RunTable, titles: dict[str, str]) -> None:
    """Draw the conditions that runs must fulfill."""
    state = RunsState.current()
    before = {item.column: item for item in state.conditions}
    key = Key.CONDITIONS.of(hash(tuple(titles)))
    chosen = st.multiselect(
        "Conditions on columns",
        list(titles),
        [name for name in before if name in titles],
        format_func=titles.__getitem__,
        key=key,
    )
    conditions = [_condition(table, name, titles[name], before.get(name, ColumnFilter(name))) for name in chosen]
    hidden = [item for item in state.conditions if item.column not in titles]
    state.conditions = (*conditions, *hidden)


def _condition(table: RunTable, name: str, title: str, before: ColumnFilter) -> ColumnFilter:
    if table.is_number(name):
        left, right = st.columns(2)
        low = left.number_input(
            f"{title} from", value=before.low, step=None, format="%g", placeholder="any", key=Key.FROM.of(name)
        )
        high = right.number_input(
            f"{title} to", value=before.high, step=None, format="%g", placeholder="any", key=Key.TO.of(name)
        )
        return ColumnFilter(name, low, high)
    key = Key.ONE_OF.of(name)
    options = dict.fromkeys([*map(as_cell, table.values[name]), *value_of(key, before.choices)])
    selected = [choice for choice in before.choices if choice in options]
    shown = unique_labels({option: setting_value(name, option) for option in options})
    choices = st.multiselect(
        title, list(options)[:MAX_CHOICES], selected, format_func=shown.__getitem__, placeholder="All", key=key
    )
    return ColumnFilter(name, choices=tuple(choices))


def groups_table(table: RunTable, column: str) -> None:
    """Draw the mean and the standard deviation of each metric by the values of a column."""
    titles = column_titles(table)
    metrics = [name for name in shown_columns(table) if name in table.metrics]
    rows = [
        {
            titles[column]: setting_value(column, group.value),
            "Runs": group.runs,
            **{titles[name]: _spread(name, *group.metrics[name]) if name in group.metrics else "" for name in metrics},
        }
        for group in grouped(table, column)
    ]
    st.dataframe(rows, hide_index=True, height=min(38 + 35 * len(rows), 260), key=Key.GROUPS.of(column))
    st.caption("Mean ± standard deviation of the runs of each group.")


def _spread(name: str, mean: float, deviation: float) -> str:
    written = formatter(measure_of(name))
    return written(mean) if math.isnan(deviation) else f"{written(mean)} ± {written(deviation)}"


def value_columns(table: RunTable, columns: Sequence[str]) -> dict[str, list[float | str | None]]:
    """Return the values of columns by their title: numbers as numbers, other values as text."""
    titles = column_titles(table)
    return {titles[name]: _column_values(table, name) for name in columns}


def _column_values(table: RunTable, name: str) -> list[float | str | None]:
    values = table.values[name]
    if table.is_number(name):
        return [None if value is None else float(value) for value in values]
    return [setting_value(name, cell) for cell in map(as_cell, values)]
