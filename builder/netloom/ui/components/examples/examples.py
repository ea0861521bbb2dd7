"""Rows of data as a person sees them."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import cut, escape, number
from netloom.data import Example, Prepared, TargetSpec
from netloom.ui.components.charts.charts import series_chart
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.examples.example_panels import painted, tagged
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.examples.object_boxes import show_example_objects
from netloom.ui.components.state import Key

if TYPE_CHECKING:
    import plotly.graph_objects as go


ROW_WIDTH = 260  # of an image in pixels


def show_example(example: Example, *, small: bool = False, side: str = "") -> None:
    """Draw a row of data. `side` tells apart the places where a page draws the same row."""
    if example.mask is not None:
        image_column, mask_column = st.columns(2)
        image_column.image(enlarged(example.image), width="stretch", alt="Image of the row")
        mask_column.image(enlarged(painted(example.mask)), width="stretch", alt="Classes of its pixels")
    elif example.boxes is not None:
        show_example_objects(example, "Image of the row", width=None if small else ROW_WIDTH)
    elif len(example.images) > 1:
        for column, (name, image) in zip(st.columns(len(example.images)), example.images.items(), strict=True):
            column.image(enlarged(image), width="stretch", alt=f"Input {name}")
    elif example.image is not None:
        st.image(enlarged(example.image), width="stretch" if small else ROW_WIDTH, alt="Image of the row")
    elif example.tags:
        tagged(example.tokens, example.tags)
    elif example.text:
        st.markdown(escape(cut(example.text, 160) if small else example.text))
    elif example.series is not None:
        st.plotly_chart(
            _series_figure(example.series.tobytes(), example.series.dtype.str, example.series.shape, small),
            width="stretch",
            config={"displayModeBar": False},
            key=Key.EXAMPLE_SERIES.of(example.row, small, side),
            alt=f"Series of row {example.row}" if example.row >= 0 else "Series of the input",
        )
    if example.columns:
        items = list(example.columns.items())
        visible = items[:5] if small else items
        st.dataframe([{"column": name, "value": _cell(value)} for name, value in visible], hide_index=True)


@lru_cache(maxsize=64)
def _series_figure(content: bytes, dtype: str, shape: tuple[int, ...], small: bool) -> go.Figure:
    """Return the chart of a series, made once for equal series: a page of cards draws twenty at each click."""
    import numpy as np

    return series_chart(np.frombuffer(content, dtype).reshape(shape), small)


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else "" if value is None else str(value)


def preview(data: Prepared, rows: int = 8) -> None:
    """Draw a few rows of data, from different classes."""
    columns = column_row(4, Key.EXAMPLES, OnPhone.PAIRS)
    for index, row in enumerate(varied(data, rows)):
        with columns[index % 4], st.container(border=True):
            example = data.example(row)
            show_example(example, small=True)
            # Tags are shown at their words.
            label = "" if example.tags else f" · {label_text(data.schema.target, cut(example.target, 80))}"
            st.caption(f"Row {row}{label}")


def label_text(target: TargetSpec, label: str) -> str:
    """Return the label of a row as Markdown, with the name of the target; a label of several targets names each."""
    return f"**{escape(label)}**" if target.type.is_several else f"{escape(target.name)}: **{escape(label)}**"


def varied(data: Prepared, count: int) -> list[int]:
    """Return the numbers of the first rows, and of the first row of each class, because data is often sorted by class.

    Rows of one series or text overlap, so these are evenly spaced.
    """
    import numpy as np

    if data.raw.contiguous:
        return [int(row) for row in np.unique(np.linspace(0, len(data.raw) - 1, count).round())]
    firsts: list[int] = []
    if data.schema.target.type.is_class:
        firsts = sorted(np.unique(data.target_values, return_index=True)[1].tolist())[:count]
    remaining_rows = (row for row in range(min(2 * count, len(data.raw))) if row not in set(firsts))
    return sorted([*firsts, *itertools.islice(remaining_rows, count - len(firsts))])
