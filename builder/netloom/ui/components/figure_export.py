"""Downloads of figures: PNG or SVG images and CSV numbers, created in the browser."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.ui.components.charts.charts import described
from netloom.ui.components.state import Part

if TYPE_CHECKING:
    import plotly.graph_objects as go

# For st.plotly_chart: the buttons below replace Plotly's mode bar.
PICTURE: dict[str, Any] = {"displayModeBar": False}
# Columns or rows, or the text of a CSV file that was written before.
Table = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | str

_HTML = '<div class="row" role="group" aria-label="Download figure"></div>'
_CSS = """
.row { display: flex; gap: 0.15rem; justify-content: flex-end; }
button { font: 500 0.75rem var(--st-font); letter-spacing: 0.03em; color: var(--st-text-color); background: none;
  opacity: 0.75; border: 0; border-radius: 0.4rem; min-height: 24px; padding: 0 0.5rem; cursor: pointer; }
button:hover { opacity: 1; background: var(--st-secondary-background-color); }
button:focus-visible { opacity: 1; outline: 2px solid var(--st-primary-color); }
"""


def chart(figure: go.Figure, *, key: str, name: str, table: Table | None = None) -> None:
    """Draw a Plotly figure with download buttons. `name` is the name of the files, and of the figure for screen
    readers."""
    st.plotly_chart(figure, width="stretch", key=key, config=PICTURE, alt=described(figure, name.replace("_", " ")))
    exports(name, key=Part.BUTTONS.within(key), figure=key, table=table)


def exports(name: str, *, key: str, figure: str = "", svg: str = "", table: Table | None = None) -> None:
    """Draw buttons that download the Plotly figure of the key `figure`, or the image `svg`, and the numbers `table`."""
    payload = {"name": _filename(name), "chart": str(figure), "svg": svg, "csv": written(table) if table else ""}
    _component()(key=key, data=payload)


def written(table: Table) -> str:
    """Return a table of columns or of rows as CSV; "" for an empty one."""
    if isinstance(table, str):
        return table
    if not table:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if isinstance(table, Mapping):
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    else:
        names = list(dict.fromkeys(name for row in table for name in row))
        writer.writerow(names)
        writer.writerows([row.get(name, "") for name in names] for row in table)
    return text.getvalue()


def _filename(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("_")[:80] or "netloom"


@cache
def _component() -> Any:
    # Registered when first shown, as a component cannot be registered before Streamlit runs.
    script = files("netloom.ui.components").joinpath("figure_export.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_taking", html=_HTML, css=_CSS, js=script)
