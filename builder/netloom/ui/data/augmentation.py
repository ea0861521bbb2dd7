"""Augmentation on the Data page: the declared augmentations beside a preview of the network's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from netloom.compile import input_fields
from netloom.core.text import escape
from netloom.data import DataError, DatasetInfo, Example, Prepared
from netloom.data.augmentation import Augmentation, augmentations, parsed, unsuitable_reason
from netloom.data.preparation.prepare import choice_key
from netloom.document import Augment, Edit
from netloom.editing.live import Live
from netloom.jobs import JobError
from netloom.jobs.requests.prepared_data import PreviewAugmentation
from netloom.layers import FormField, form
from netloom.ui.components.charts.charts import series_chart
from netloom.ui.components.errors import show_error
from netloom.ui.components.examples.example_panels import painted
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.examples.object_boxes import show_example_objects
from netloom.ui.components.forms import bound, refused
from netloom.ui.data.quality import cell_text
from netloom.ui.data.state import DataState, Key
from netloom.ui.data.upload_form import beginning
from netloom.ui.shell.jobs import computed

VERSIONS = 11
ACROSS = 4
# Recommended augmentations by the kind of the first field.
USUAL = {
    "image": ("crop", "rotate", "cutout"),
    "sequence": ("jitter", "scaling", "time_shift"),
    "tokens": ("token_dropout",),
    "vector": ("jitter", "mixup"),
}


def augmentation(live: Live | None, info: DatasetInfo, data: Prepared) -> None:
    """Draw the augmentations and their preview, for the project that uses this data."""
    if live is None or live.project.data.dataset != info.name:
        with st.container(border=True):
            st.markdown(":material/auto_awesome: **Augmentation: more variety from few examples**")
            st.caption(
                "Each epoch changes the training rows slightly at random: flipped, shifted, with noise. "
                f"{beginning(info)}, then add augmentations here."
            )
        return
    names = _fields(live, data)
    left, right = st.columns([1, 1.7], gap="large")
    with left:
        _declared(live, data, names)
    with right:
        _preview(live, data, names)


def augmentation_note(live: Live) -> None:
    """Draw a line about the augmentations, on the Train page."""
    registered, declared = augmentations(), live.project.training.augment
    if declared:
        titles = ", ".join(
            registered[augment.kind].title.lower() if augment.kind in registered else augment.kind
            for augment in declared
        )
        st.caption(f":material/auto_awesome: Augmentation: {escape(titles)}. Change it under Data, Augment.")


def _fields(live: Live, data: Prepared) -> list[str]:
    """Return the fields that the network reads; all of them if it does not read any of this data yet."""
    field_names = [field.name for field in data.schema.inputs]
    return [name for name in input_fields(live.project) if name in field_names] or field_names


def _declared(live: Live, data: Prepared, names: list[str]) -> None:
    declared = live.project.training.augment
    fitting = [kind for kind in augmentations() if not unsuitable_reason(Augment(kind=kind), data.schema, names)]
    if not fitting and not declared:
        st.info("No augmentation fits the inputs of this network.")
        return
    _add(live, fitting, [augment.kind for augment in declared], data.schema.inputs[0].kind)
    for index, augment in enumerate(declared):
        with st.container(border=True):
            _augmentation_form(live, data, names, index, augment)
    if declared:
        st.caption("Applied in this order to training rows only. Evaluation and prediction use the unchanged rows.")


def _add(live: Live, fitting: list[str], kinds: list[str], kind: str) -> None:
    registered = augmentations()
    choices = [name for name in fitting if name not in kinds]
    if choices:
        binding = bound(live, "augment/add", None, lambda name: _edit(live, [*_all(live), {"kind": name}]), renews=True)
        st.selectbox(
            "Add augmentation",
            choices,
            index=None,
            format_func=lambda name: f"{registered[name].title} — {registered[name].summary}",
            placeholder="Select an augmentation",
            **binding,
        )
    usual = [name for name in USUAL.get(kind, ()) if name in fitting]
    if not kinds and usual:
        titles = ", ".join(registered[name].title.lower() for name in usual)
        if st.button("Add recommended", icon=":material/auto_awesome:", help=f"Adds {titles}"):
            live.apply(_edit(live, [{"kind": name} for name in usual]))
            st.rerun()


def _augmentation_form(live: Live, data: Prepared, names: list[str], index: int, augment: Augment) -> None:
    title, remove = st.columns([5, 1], vertical_alignment="center")
    kind = augmentations().get(augment.kind)
    title.markdown(f"**{escape(kind.title if kind else augment.kind)}**")
    if remove.button("", icon=":material/close:", key=Key.AUGMENT_REMOVE.of(live.generation, index), help="Remove"):
        live.apply(_edit(live, [remaining for number, remaining in enumerate(_all(live)) if number != index]))
        st.rerun()
    try:
        problem = unsuitable_reason(augment, data.schema, names)
        settings = parsed(augment)
    except DataError as error:
        show_error(error)
        return
    if problem:
        show_error(problem)
    title.caption(escape(settings.summary))
    for field in form(type(settings)):
        _setting(live, index, augment, settings, field)


def _setting(live: Live, index: int, augment: Augment, settings: Augmentation, field: FormField) -> None:
    """Draw a parameter as a slider or a choice."""
    value = getattr(settings, field.name)
    binding = bound(
        live, f"augment/{index}/{augment.kind}/{field.name}", value, lambda new: _set(live, index, field.name, new)
    )
    text = f"{field.description}."
    if field.kind == "choice":
        st.selectbox(field.label, field.choices, field.choices.index(value), help=text, **binding)
    else:
        low, high = field.minimum or 0.0, field.maximum or 1.0
        if field.kind == "int":
            st.slider(field.label, int(low), int(high), int(value), help=text, **binding)
        else:
            step = 0.01 if high <= 2 else 0.1 if high <= 10 else 1.0
            # A slider includes its minimum.
            first = low + step if field.exclusive_minimum else low
            st.slider(field.label, float(min(first, value)), float(high), float(value), step, help=text, **binding)
    refused(binding)


def _set(live: Live, index: int, name: str, value: Any) -> Edit:
    """Return the edit that sets one parameter, after validation.

    Raises:
        DataError: the value is out of bounds.
    """
    every = _all(live)
    changed = {**every[index], "params": {**every[index]["params"], name: value}}
    parsed(Augment.model_validate(changed))
    return _edit(live, [*every[:index], changed, *every[index + 1 :]])


def _all(live: Live) -> list[dict[str, Any]]:
    return [augment.model_dump(mode="json") for augment in live.project.training.augment]


def _edit(live: Live, every: list[dict[str, Any]]) -> Edit:
    return {"kind": "project", "training": {"augment": every}}


def _preview(live: Live, data: Prepared, names: list[str]) -> None:
    train = data.rows["train"]
    declared = live.project.training.augment
    row_column, button_column = st.columns([3, 1], vertical_alignment="bottom")
    index = row_column.slider("Training example", 1, len(train), 1, key=Key.AUGMENT_ROW.of(data.fingerprint[:8])) - 1
    state = DataState.current()
    if declared and button_column.button("Next rows", icon=":material/casino:", width="stretch", help="Resample"):
        state.augmentation_seed += 1
    row = int(train[index])
    example = data.example(row)
    if not declared:
        st.caption("Training examples are not augmented. Add an augmentation to preview its effect.")
        with st.columns(ACROSS if example.image is not None else 1)[0]:
            _show(example, "", 0)
        return
    try:
        versions = computed(
            PreviewAugmentation(
                choice_key(live.project.data, live.store.home)[0],
                tuple(names),
                tuple(augment.model_dump_json() for augment in declared),
                row,
                VERSIONS,
                state.augmentation_seed,
            ),
            "Augmenting …",
        )
    except (DataError, JobError) as error:
        show_error(error)
        return
    previews = [(example, ""), *versions]
    if example.text:
        _texts(previews)
        return
    if example.image is None and not example.images and example.series is None:
        _tables(previews)
        return
    for start in range(0, len(previews), ACROSS):
        for offset, column in enumerate(st.columns(ACROSS)):
            if start + offset < len(previews):
                with column:
                    _show(*previews[start + offset], start + offset)
    st.caption(f"Row {row} ({escape(example.target[:60])}): the original, then {VERSIONS} augmented versions.")


def _show(example: Example, note: str, number: int) -> None:
    pictures = list(example.images.values()) if len(example.images) > 1 else [example.image]
    title = f"Version {number}" if number else "Original"
    if example.boxes is not None:
        show_example_objects(example, title)
    elif pictures[0] is not None:
        if example.mask is not None:
            pictures.append(painted(example.mask))
        for column, picture in zip(st.columns(len(pictures)), pictures, strict=True):
            column.image(enlarged(picture), width="stretch", alt=title)
    elif example.series is not None:
        chart = series_chart(example.series, small=True)
        st.plotly_chart(
            chart, width="stretch", config={"displayModeBar": False}, key=Key.AUGMENTED.of(number), alt=title
        )
    elif example.text:
        st.markdown(escape(example.text))
    elif example.columns:
        _tables([(example, note)])
    if note:
        st.caption(escape(note))


def _texts(examples: list[tuple[Example, str]]) -> None:
    lines = [
        {"": "original" if not index else f"version {index}", "text": example.text}
        for index, (example, _) in enumerate(examples)
    ]
    st.dataframe(lines, hide_index=True, height="content")


def _tables(examples: list[tuple[Example, str]]) -> None:
    """Draw a table with a row per column and a column per version."""
    names = list(examples[0][0].columns)[:30]
    lines: list[Mapping[str, str]] = []
    for name in names:
        line = {"column": name}
        for index, (example, _) in enumerate(examples[:6]):
            value = example.columns.get(name)
            line["original" if not index else str(index)] = cell_text(value)
        lines.append(line)
    st.dataframe(lines, hide_index=True)
