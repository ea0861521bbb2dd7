"""The settings beside the table of columns: details of a column, and the preprocessing of images, series and texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from netloom.core.text import escape
from netloom.data import DatasetInfo, Prepared
from netloom.data.preparation.default_preprocessing import IMPORTED
from netloom.data.quality.overview import Column
from netloom.data.raw.images import Images
from netloom.data.raw.series import Series
from netloom.data.raw.texts import Texts
from netloom.data.settings.column_settings import COLUMNS, FIELDS
from netloom.document import Edit
from netloom.editing.live import Live
from netloom.modalities.columns.number import SCALES
from netloom.modalities.columns.registry import column_kind
from netloom.modalities.columns.text import text_details
from netloom.modalities.widgets import Field
from netloom.ui.components.forms import bound, refused
from netloom.ui.components.widgets import draw
from netloom.ui.data.column_table import label_of
from netloom.ui.data.spectrogram import read_as
from netloom.ui.data.state import Key
from netloom.ui.data.target_picker import reading_edit

_NORMALIZATIONS = {
    "Whole dataset": "dataset", "Per channel": "channel", "Scale to 0–1": "unit", "None": "none",
}  # fmt: skip


def column_details(live: Live, columns: list[Column]) -> None:
    """Draw the settings that are not in the table, such as parts of dates and vocabularies."""
    details = {
        column.name: fields
        for column in columns
        if column.role == "input" and (fields := column_kind(column.kind).details(column.choice.settings))
    }
    if not details:
        return
    with st.expander("Column details"):
        name = st.selectbox("Column", list(details), key=Key.COLUMN.of(live.id))
        _setting_widgets(live, name, details[name], lambda change: _set(live, COLUMNS, name, change))


def _set(live: Live, group: str, name: str, change: Mapping[str, Any]) -> Edit:
    """Return the edit that changes settings of one column or field; `group` is the option with the settings of all."""
    options: Any = live.project.data.options.get(group, {})
    settings = {key: value for key, value in {**options.get(name, {}), **change}.items() if value is not None}
    return reading_edit(live, {"options": {**live.project.data.options, group: {**options, name: settings}}})


def _setting_widgets(live: Live, name: str, fields: Sequence[Field], edit: Callable[[dict[str, Any]], Edit]) -> None:
    """Draw the settings of a column or field side by side."""
    for container, field in zip(st.columns(len(fields), vertical_alignment="bottom"), fields, strict=True):

        def change(chosen: Any, field: Field = field) -> Edit:
            return edit({field.setting: field.setting_of(chosen)})

        binding = bound(live, f"{name}/{field.setting}", field.widget.value, change, renews=True)
        draw(field.widget, field.label, container, help=field.help or None, **binding)
        refused(binding)


def field_settings(live: Live, data: Prepared, info: DatasetInfo) -> None:
    """Draw the preprocessing of fields without columns: images, series, texts."""
    for part in data.raw.parts:
        accepted_settings = part.accepted_settings
        if not accepted_settings or (isinstance(part, Texts) and part.column):
            continue
        st.markdown(f"### Field {escape(part.name)}")
        settings = part.settings

        def edit(change: dict[str, Any], name: str = part.name) -> Edit:
            return _set(live, FIELDS, name, change)

        if isinstance(part, Texts):
            _setting_widgets(live, part.name, text_details(settings), edit)
            continue
        setting = part.modality.scale_setting
        labels = _NORMALIZATIONS if isinstance(part, Images) else {
            label: value for label, value in SCALES.items() if value in ("standard", "minmax", "none")
        }  # fmt: skip
        if isinstance(
            settings.get(setting), Mapping
        ):  # of an imported network, see data.preparation.default_preprocessing
            labels = {IMPORTED: settings[setting], **labels}
        names = list(labels)
        current = label_of(labels, settings.get(setting)) or names[0]

        def chosen(value: str, s: str = setting, k: Mapping[str, str] = labels, edit: Any = edit) -> Edit:
            field_edit: Edit = edit({s: k[value]})
            return field_edit

        binding = bound(live, f"{part.name}/{setting}", current, chosen, renews=True)
        first, second, third = st.columns([2, 1, 1], vertical_alignment="bottom")
        if isinstance(part, Series) and part.rate:
            read_as(live, part, data.field(part.name), edit, first)
            first = second
        first.selectbox(
            "Normalization" if isinstance(part, Images) else "Scaling", names, names.index(current), **binding
        )
        refused(binding)
        if isinstance(part, Images) and not part.target_type.is_per_pixel and part.masks is None:
            # Uploads are stored larger than they are read, so the size is an option of the import.
            read = (lambda change: reading_edit(live, {"options": {**live.project.data.options, **change}})) if (
                not info.builtin
            ) else edit  # fmt: skip
            _picture(live, part, read, second, third)


def _picture(live: Live, part: Images, edit: Any, first: Any, second: Any) -> None:
    """Draw the size and color settings of images."""
    channels, _, side = part.pixels.shape[1:]
    is_grayscale = part.settings.get("grayscale") or live.project.data.options.get("grayscale")
    binding = bound(live, f"{part.name}/size", side, lambda value: edit({"size": value}), renews=True)
    first.number_input("Image size (pixels)", 4, 512, side, **binding)
    switch = bound(live, f"{part.name}/grayscale", channels == 1, lambda on: edit({"grayscale": on}), renews=True)
    second.toggle("Grayscale", channels == 1, disabled=channels == 1 and not is_grayscale, **switch)
    for widget in (binding, switch):
        refused(widget)
