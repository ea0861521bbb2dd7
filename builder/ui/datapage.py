"""The data page: every dataset with a look at its rows."""

from __future__ import annotations

import streamlit as st

from builder.data import DataError, DatasetInfo, datasets, prepare, remove, statistics
from builder.graph import DataChoice
from builder.store import Store
from builder.ui.charts import class_chart
from builder.ui.forms import data_edit
from builder.ui.live import Live
from builder.ui.results import preview
from builder.ui.uploading import upload
from builder.ui.words import plain


def datapage(store: Store, live: Live | None) -> None:
    """Everything on the data page."""
    infos = {info.name: info for info in datasets(store.home)}
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        upload(store)
        used = live.project.data.dataset if live else ""
        names = list(infos)
        wanted = st.session_state.get("dataset", used)
        start = names.index(wanted) if wanted in infos else 0
        name = st.radio(
            "Datasets", names, index=start, format_func=lambda key: plain(infos[key].title), key=f"sets {start}"
        )
        st.session_state["dataset"] = name
    with right:
        _look(store, live, infos[name])


def _look(store: Store, live: Live | None, info: DatasetInfo) -> None:
    choice = live.project.data if live and live.project.data.dataset == info.name else DataChoice(dataset=info.name)
    st.subheader(plain(info.title))
    st.caption(plain(info.summary))
    try:
        data = prepare(choice, store.home)
    except DataError as error:
        st.error(str(error))
        data = None
    _use(store, live, info)
    if data is None:
        return
    quality = statistics(data)
    columns = st.columns(4)
    columns[0].metric("Rows", f"{quality.rows:,}", border=True)
    for column, (name, rows) in zip(columns[1:], quality.splits.items(), strict=True):
        column.metric(name.capitalize(), f"{rows:,}", border=True)
    for remark in quality.remarks:
        st.warning(plain(remark))
    fields = " · ".join(f"Field `{field.name}`: {field.kind}, shape {field.shape}" for field in data.schema.inputs)
    st.caption(f"{fields} · predicts {plain(data.schema.target.name)}")
    if quality.classes:
        st.plotly_chart(class_chart(quality.classes), width="stretch", config={"displayModeBar": False})
    preview(data)
    if quality.columns:
        st.dataframe(quality.columns, hide_index=True)


def _use(store: Store, live: Live | None, info: DatasetInfo) -> None:
    left, right = st.columns([1, 1])
    if live and live.project.data.dataset == info.name:
        left.success(f"Used by {plain(live.project.name)}")
    elif live and left.button(f"Use it in {plain(live.project.name)}", type="primary", width="stretch"):
        live.apply(data_edit(live, info.name, {info.name: info}))
        st.switch_page("pages/design.py")
    if not info.builtin and right.button("Delete this upload", icon=":material/delete:", width="stretch"):
        remove(info.name, store.home)
        st.session_state.pop("dataset", None)
        st.rerun()
