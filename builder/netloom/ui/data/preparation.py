"""The choice of the default preprocessing of inputs."""

from __future__ import annotations

from typing import Any

import streamlit as st

from netloom.data.preparation.default_preprocessing import IMPORTED, PREPARATIONS, preparation_sentence, quantities_of
from netloom.document import Edit
from netloom.editing.live import Live
from netloom.ui.components.forms import bound, refused


def preparation(live: Live) -> None:
    """Draw the choice for all numbers and pixels with its description; draws nothing if the data has none."""
    if not live.project.data.dataset or live.data_problem():
        return
    sentence = preparation_sentence(live.project.data.prepare, quantities_of(live.schema()))
    if not sentence:
        return
    current: Any = live.project.data.prepare
    labels: dict[Any, str] = {**PREPARATIONS}
    current_name = current if isinstance(current, str) else IMPORTED
    labels |= {} if isinstance(current, str) else {IMPORTED: IMPORTED}

    def change(value: str) -> Edit:
        return {"kind": "project", "data": {"prepare": value}}

    binding = bound(live, "training/prepare", current_name, change, renews=True)
    st.selectbox(
        "Input preprocessing",
        list(labels),
        list(labels).index(current_name),
        format_func=labels.__getitem__,
        help="Preprocessing of numbers and pixels. Change it if an imported network was trained with other "
        "preprocessing. Set single columns and fields on the Data page.",
        **binding,
    )
    refused(binding)
    st.caption(sentence)
