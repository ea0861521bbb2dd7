"""Bringing one's own data."""

from __future__ import annotations

import streamlit as st

from builder.data import DataError, add_file
from builder.store import Store

MAX_UPLOAD_MIB = 200


def upload(store: Store) -> None:
    """A form that takes a file and what is to be predicted."""
    with st.expander("Bring your own data", icon=":material/upload_file:"):
        file = st.file_uploader(
            "CSV, Parquet, or a zip of picture folders",
            type=["csv", "tsv", "txt", "parquet", "pq", "zip"],
            max_upload_size=MAX_UPLOAD_MIB,
            help="In a zip, the folder that a picture lies in is its class",
        )
        target = st.text_input("Column to predict", placeholder="the last column", help="For tables")
        if file and st.button("Add it", type="primary", width="stretch"):
            try:
                info = add_file(file.getvalue(), file.name, store.home, target=target.strip() or None)
            except DataError as error:
                st.error(str(error))
            else:
                st.session_state["dataset"] = info.name
                st.rerun()
