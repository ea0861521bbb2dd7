"""The schema on the Data page: kind, role and preprocessing of columns, preprocessing of fields, and the split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, get_args

import streamlit as st

from netloom.core.plain_json import JsonObject
from netloom.core.text import escape
from netloom.data import DataError, DatasetInfo, Prepared
from netloom.data.preparation.column_settings import COLUMNS, FIELDS, Role
from netloom.data.preparation.default_preprocessing import IMPORTED
from netloom.data.preparation.label_merging import aliases_of
from netloom.data.preparation.project_defaults import default_choice
from netloom.data.quality.column_changes import with_changed_columns
from netloom.data.quality.overview import Column, columns
from netloom.data.raw.images import Images
from netloom.data.raw.series import Series
from netloom.data.raw.texts import Texts
from netloom.data.splits.unread_settings import unread_settings
from netloom.document import DataChoice, Edit
from netloom.editing.live import Live
from netloom.modalities.columns.column_kind import ColumnKind
from netloom.modalities.columns.number import SCALES
from netloom.modalities.columns.registry import column_kind, column_kinds
from netloom.modalities.columns.text import text_details
from netloom.modalities.fields.series import scale_of
from netloom.modalities.widgets import Field
from netloom.store import Store
from netloom.ui.components.forms import bound, refused
from netloom.ui.components.page_state import value_of
from netloom.ui.components.state import FormState, Refusal
from netloom.ui.components.widgets import draw
from netloom.ui.data.import_options import import_options
from netloom.ui.data.spectrogram import read_as
from netloom.ui.data.state import DataState, Key
from netloom.ui.data.target_picker import reading_edit, target_picker
from netloom.ui.data.upload_form import beginning
from netloom.ui.shell.background import in_background
from netloom.ui.shell.errors import show_error

_ROLES = get_args(Role)
_FILLED = {"Median": "median", "Mean": "mean", "Most frequent": "most_frequent", "Constant": "constant"}
_NORMALIZATIONS = {
    "Whole dataset": "dataset", "Per channel": "channel", "Scale to 0–1": "unit", "None": "none",
}  # fmt: skip
_SPLITS = {
    "auto": "Automatic", "random": "Random", "stratified": "Stratified", "group": "By group",
    "time": "By time", "given": "Predefined",
}  # fmt: skip
_COUNTED_FROM = {"training": "Rows without test rows", "rows": "All rows"}
_SHARES = {"training": "Share of the rows that are not test rows.", "rows": "Share of all rows."}
_SHOWN = 8  # merged labels


def schema_editor(store: Store, live: Live | None, info: DatasetInfo, data: Prepared | None) -> None:
    """Draw the columns of the data, and an editor of them if the project uses it."""
    used = live if live and live.project.data.dataset == info.name else None
    choice = used.project.data if used else default_choice(info.name, store.home)
    try:
        table_columns = in_background(partial(columns, choice, store.home), "Reading the columns …")
    except DataError as error:
        show_error(error)
        if used and COLUMNS in choice.options and st.button("Reset column settings"):
            used.apply(reading_edit(used, {"options": _without(choice.options, COLUMNS)}))
            st.rerun()
        return
    if table_columns:
        _table(used, table_columns)
    _alias_notes(choice)
    if used is None:
        if data is not None and not table_columns:
            st.dataframe(_read_as(data), hide_index=True, width="stretch")
        subject = "kinds, roles and preprocessing" if table_columns else "preprocessing"
        st.caption(f"{beginning(info)} to change {subject} and the split here.")
        return
    if table_columns:
        if not info.builtin:
            target_picker(used, table_columns)
        _details(used, table_columns)
    import_options(used)
    if data is not None:
        _fields(used, data, info)
    _split(used, data)


def _alias_notes(choice: DataChoice) -> None:
    """Draw the merged labels."""
    settings: Any = choice.options.get(COLUMNS)
    for name, aliases in aliases_of(settings if isinstance(settings, dict) else {}).items():
        names = ", ".join(f"{escape(header)} as {escape(alias)}" for header, alias in list(aliases.items())[:_SHOWN])
        more = f", and {len(aliases) - _SHOWN:,} more" if len(aliases) > _SHOWN else ""
        st.caption(f"Merged labels in {escape(name)}: {names}{more}.")


def _read_as(data: Prepared) -> list[dict[str, Any]]:
    """Return the inputs and the target of data without columns, for a table."""
    target = data.schema.target
    fields = [(field.name, "input", field.kind, field.shape) for field in data.schema.inputs]
    return [
        {"Field": name, "Role": role, "Kind": kind.replace("_", " "), "Shape": " × ".join(map(str, shape)) or "1"}
        for name, role, kind, shape in [*fields, (target.name, "target", target.kind, target.shape)]
    ]


def _table(live: Live | None, columns: list[Column]) -> None:
    """Draw a table of all columns, or with a project an editor of them."""
    scale = scale_of(live.project.data.prepare if live else "standardize")
    rows = [table_row(column, scale) for column in columns]
    if live is None:
        st.dataframe(rows, hide_index=True, width="stretch", height=_height(columns), placeholder="")
        return
    # A new key after each edit, as the data editor keeps its changes and would apply them again
    key = Key.COLUMNS.of(live.id, live.generation, DataState.current().column_tables)

    def commit() -> None:
        edited: dict[Any, dict[str, Any]] = (value_of(key) or {}).get("edited_rows", {})
        changes = {columns[int(row_index)].name: change for row_index, change in edited.items() if change}
        if changes:
            _apply(live, changed_options(live, columns, changes))

    choice, text = st.column_config.SelectboxColumn, st.column_config.TextColumn
    kinds = list(column_kinds().values())
    st.data_editor(
        rows,
        key=key,
        on_change=commit,
        hide_index=True,
        width="stretch",
        height=_height(columns),
        num_rows="fixed",
        placeholder="",
        disabled=["Column", "Missing", "Distinct", "Values"],
        column_config={
            "Column": text(pinned=True, width=120),
            "Kind": choice(options=list(column_kinds()), required=True, width="small", help="Type of the values"),
            "Role": choice(
                options=list(_ROLES),
                required=True,
                width="small",
                help="Input: a feature. Target: to predict. Group: rows with the same value stay in one split. "
                "Weight: sample weight in the loss; metrics are unweighted. "
                "Time: orders the rows. Split: train, validation or test.",
            ),
            "Missing": st.column_config.NumberColumn(width="small", help="Rows without a value"),
            "Values": text(help="Range, or the most frequent values"),
            "Preprocessing": choice(
                options=list(dict.fromkeys(label for kind in kinds for label in kind.preprocessing.labels)),
                help="Scaling of numbers, encoding of categories and texts",
            ),
            "Imputation": choice(options=_imputations(kinds), help="Replacement for missing values"),
            "Missing indicator": st.column_config.CheckboxColumn(
                width=150, help="Adds a 0/1 feature that marks missing values"
            ),
        },
    )
    refused({"key": Key.COLUMNS})
    for column in columns:
        if column.remark:
            st.caption(escape(column.remark))


def _imputations(kinds: Sequence[ColumnKind]) -> list[str]:
    """Return the labels of all treatments of missing values."""
    return list(dict.fromkeys([*_FILLED, *(kind.missing_label for kind in kinds if kind.missing_label)]))


def _height(columns: list[Column]) -> int:
    """Return the height in pixels of a table of up to twenty columns."""
    return 35 * (min(len(columns), 20) + 1) + 3


def table_row(column: Column, scale: str) -> JsonObject:
    """Return a column as a row of the table. `scale` is the project's default scaling of numbers."""
    choice, kind, learned = column.choice, column_kind(column.kind), column.role == "input"
    setting = kind.preprocessing.setting
    prepared = (choice.get(setting) if setting else None) or kind.preprocessing.default or scale
    return {
        "Column": column.name,
        "Kind": column.kind,
        "Role": column.role,
        "Missing": column.missing,
        "Values": f"{column.low} to {column.high}" if column.low else ", ".join(column.values),
        "Preprocessing": _name(kind.preprocessing.labels, prepared) if learned else None,
        "Imputation": (_name(_FILLED, choice.get("impute")) or kind.missing_label) if learned else None,
        "Missing indicator": bool(choice.get("indicator")),
        "Distinct": column.distinct,
    }


def _setting(kind: ColumnKind, label: str) -> tuple[str | None, str]:
    """Return the setting and the value of a label, for this kind or else for the first one that has it."""
    kinds = (kind, *column_kinds().values())
    preprocessing = next(candidate.preprocessing for candidate in kinds if label in candidate.preprocessing.labels)
    return preprocessing.setting, preprocessing.labels[label]


def _name(labels: Mapping[str, str], value: str | None) -> str | None:
    return next((label for label, settings in labels.items() if settings == value), None)


def changed_options(live: Live, columns: list[Column], changes: Mapping[str, Mapping[str, Any]]) -> JsonObject:
    """Return the options of the data with the changes of the table."""
    schema = live.schema()
    settings = {
        name: _settings(change, next(column for column in columns if column.name == name))
        for name, change in changes.items()
    }
    return with_changed_columns(
        live.project.data.options,
        columns,
        settings,
        predicts_numbers=schema is not None and schema.target.type.is_number,
    )


def _settings(change: Mapping[str, Any], column: Column) -> dict[str, Any]:
    """Return the changes of one row of the table as changes of settings."""
    kind = change.get("Kind", column.choice.kind or column.kind)
    settings: dict[str, Any] = {"kind": kind} if "Kind" in change else {}
    if "Role" in change:
        settings["role"] = change["Role"]
    if change.get("Preprocessing"):
        setting, value = _setting(column_kind(kind), change["Preprocessing"])
        settings |= {setting: value} if setting else {}
    if "Imputation" in change:
        settings["impute"] = _FILLED.get(change["Imputation"])
    if "Missing indicator" in change:
        settings["indicator"] = True if change["Missing indicator"] else None
    return settings


def _details(live: Live, columns: list[Column]) -> None:
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
        _widgets(live, name, details[name], lambda change: _set(live, name, change))


def _widgets(live: Live, name: str, fields: Sequence[Field], edit: Callable[[dict[str, Any]], Edit]) -> None:
    """Draw the settings of a column or field side by side."""
    for container, field in zip(st.columns(len(fields), vertical_alignment="bottom"), fields, strict=True):

        def change(chosen: Any, field: Field = field) -> Edit:
            return edit({field.setting: field.setting_of(chosen)})

        binding = bound(live, f"{name}/{field.setting}", field.widget.value, change, renews=True)
        draw(field.widget, field.label, container, help=field.help or None, **binding)
        refused(binding)


def _fields(live: Live, data: Prepared, info: DatasetInfo) -> None:
    """Draw the preprocessing of fields without columns: images, series, texts."""
    for part in data.raw.parts:
        accepted_settings = part.accepted_settings
        if not accepted_settings or (isinstance(part, Texts) and part.column):
            continue
        st.markdown(f"##### Field {escape(part.name)}")
        settings = part.settings

        def edit(change: dict[str, Any], name: str = part.name) -> Edit:
            fields: Any = live.project.data.options.get(FIELDS, {})
            settings = {key: value for key, value in {**fields.get(name, {}), **change}.items() if value is not None}
            options = {**live.project.data.options, FIELDS: {**fields, name: settings}}
            return reading_edit(live, {"options": options})

        if isinstance(part, Texts):
            _widgets(live, part.name, text_details(settings), edit)
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
        current = _name(labels, settings.get(setting)) or names[0]

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
    is_grayscale = part.settings.get("grey") or live.project.data.options.get("grey")
    binding = bound(live, f"{part.name}/size", side, lambda value: edit({"size": value}), renews=True)
    first.number_input("Image size (pixels)", 4, 512, side, **binding)
    grayscale = bound(live, f"{part.name}/grey", channels == 1, lambda value: edit({"grey": value}), renews=True)
    second.toggle("Grayscale", channels == 1, disabled=channels == 1 and not is_grayscale, **grayscale)
    for widget in (binding, grayscale):
        refused(widget)


def _split(live: Live, data: Prepared | None) -> None:
    """Draw the settings of the split into training, validation and test."""
    choice = live.project.data

    def widget_of(name: str, current: Any, change: Any) -> dict[str, Any]:
        return bound(live, f"split {name}", current, lambda value: reading_edit(live, change(value)), renews=True)

    st.markdown("##### Split")
    first, second, third, fourth = st.columns([1.4, 1, 1, 1])
    names, option_widgets = list(_SPLITS), []
    how = widget_of("split", choice.split, lambda value: {"split": value})
    first.selectbox("Split method", names, names.index(choice.split), format_func=_SPLITS.__getitem__, **how)
    unread = {} if data is None else unread_settings(data.raw, choice)

    def effect_of(name: str, help: str = "") -> dict[str, Any]:
        """The arguments of a widget that is disabled if its setting has no effect."""
        reason = unread.get(name)
        return {"disabled": reason is not None, "help": f"No effect: {reason}." if reason else help}

    share = widget_of("validation", choice.validation, lambda value: {"validation": value})
    second.number_input(
        "Validation",
        0.0,
        0.5,
        choice.validation,
        step=0.05,
        **effect_of("validation", f"{_SHARES[choice.validation_of]} 0: train on these rows, too"),
        **share,
    )
    if choice.folds is None:
        test = widget_of("test", choice.test, lambda value: {"test": value})
        third.number_input("Test", 0.01, 0.5, choice.test, step=0.05, **effect_of("test"), **test)
        option_widgets.append(test)
    else:
        fold = widget_of("fold", choice.fold + 1, lambda value: {"fold": value - 1})
        third.number_input("Test fold", 1, choice.folds, choice.fold + 1, **fold)
        option_widgets.append(fold)
    folds = widget_of("folds", choice.folds or 1, lambda value: {"folds": value if value > 1 else None, "fold": 0})
    fourth.number_input(
        "Folds", 1, 100, choice.folds or 1, help="Number of cross-validation folds; 1: a single split", **folds
    )
    for widget in (how, share, *option_widgets, folds):
        refused(widget)
    first, second, third, _ = st.columns([1, 1.4, 1, 1])
    seed = widget_of("seed", choice.seed, lambda value: {"seed": value})
    first.number_input("Seed", 0, 2**31 - 1, choice.seed, **seed)
    parts = list(_COUNTED_FROM)
    counted = widget_of("validation_of", choice.validation_of, lambda value: {"validation_of": value})
    second.selectbox(
        "Validation share of",
        parts,
        parts.index(choice.validation_of),
        format_func=_COUNTED_FROM.__getitem__,
        **effect_of("validation_of"),
        **counted,
    )
    if data is not None and "gap" not in unread:
        gap = widget_of("gap", choice.gap, lambda value: {"gap": value})
        third.number_input("Gap in rows", 0, 1_000_000, choice.gap, **gap)
        refused(gap)
    refused(seed)
    refused(counted)
    if data is not None:
        counts = {name: f"{len(rows):,}" for name, rows in data.rows.items()}
        st.caption(
            f"{counts['train']} training rows, {counts['validation']} validation rows, {counts['test']} test rows."
        )
        if data.monitored_split != "validation":
            st.caption("Without validation rows, the metrics on training rows select the best weights.")


def _set(live: Live, name: str, change: Mapping[str, Any]) -> Edit:
    """Return the edit that changes settings of one column."""
    options: Any = live.project.data.options.get(COLUMNS, {})
    settings = {key: value for key, value in {**options.get(name, {}), **change}.items() if value is not None}
    return reading_edit(live, {"options": {**live.project.data.options, COLUMNS: {**options, name: settings}}})


def _apply(live: Live, options: dict[str, Any]) -> None:
    """Apply the changes of the table, or store the error; the table is redrawn in both cases."""
    form = FormState.current()
    form.refusal = None
    try:
        live.apply(reading_edit(live, {"options": options}))
    except ValueError as error:
        form.refusal = Refusal(Key.COLUMNS, escape(str(error)))
    DataState.current().column_tables += 1


def _without(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}
