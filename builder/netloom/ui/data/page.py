"""The Data page: datasets with their content, quality and preprocessing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import streamlit as st

from netloom.core.text import cut, escape
from netloom.data import DataError, DatasetInfo, Prepared, Quality, datasets, prepare, remove
from netloom.data.dataset_search import SIZE_TITLES, DatasetSearch
from netloom.data.preparation.project_defaults import default_choice
from netloom.data.quality.dataset_card import card, findings, markdown, summary
from netloom.data.quality.reach_back import reach_back_note
from netloom.document import DataChoice
from netloom.editing.live import Live
from netloom.jobs import JobError
from netloom.jobs.requests.data_quality import DatasetStatistics
from netloom.store import Store
from netloom.tasks import task, tasks
from netloom.ui.components.charts.charts import class_chart, described
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.errors import show_error
from netloom.ui.components.examples.examples import preview, varied
from netloom.ui.components.forms import data_edit
from netloom.ui.components.icon_popover import icon_popover
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.components.words import unique_labels
from netloom.ui.data.augmentation import augmentation
from netloom.ui.data.quality import cell_text, quality, reported
from netloom.ui.data.schema_editor import schema_editor
from netloom.ui.data.state import DataState, Key
from netloom.ui.data.upload_form import start_network, upload_form
from netloom.ui.shell.background import in_background
from netloom.ui.shell.jobs import computed

# The sections, with their labels and purposes.
LOOK, COLUMNS, QUALITY, AUGMENT, CARD = "Overview", "Columns", "Quality", "Augment", "Card"
SECTIONS = {
    LOOK: ":material/visibility: Overview",
    COLUMNS: ":material/view_column: Columns",
    QUALITY: ":material/fact_check: Quality",
    AUGMENT: ":material/auto_awesome: Augment",
    CARD: ":material/badge: Card",
}
PURPOSES = {
    LOOK: "Number of rows, class balance and examples.",
    COLUMNS: "Type and role of each column, its preprocessing, and the split.",
    QUALITY: "Problems of this data and how to fix them.",
    AUGMENT: "Random changes of the training rows against overfitting.",
    CARD: "Dataset card: this data on one page, to download.",
}
# On a narrow screen, the list is above the dataset: it scrolls, so that the dataset is in view, and fades at its end to
# show that there is more.
LIST = """<style>
@media (max-width: 640px) {
  .st-key-dataset-list { max-height: 14rem; overflow-y: auto; padding-bottom: 2rem;
    mask-image: linear-gradient(to top, transparent, black 2.5rem); }
  .st-key-dataset-use { justify-content: flex-start; }
}
</style>"""
ROWS, REMARKS = 60, 3  # shown in the overview
USED = "\N{NO-BREAK SPACE}:material/check_circle:"  # on the line of the last word


def page(store: Store, live: Live | None) -> None:
    """Draw the Data page."""
    # Uploads come first.
    infos = {info.name: info for info in sorted(datasets(store.home), key=lambda info: info.builtin)}
    left, right = st.columns([1, 2.9], gap="large")
    with left:
        upload_form(store)
        name = _chosen(infos, live.project.data.dataset if live else "")
    with right:
        _dataset(store, live, infos[name])


def _chosen(infos: Mapping[str, DatasetInfo], used: str) -> str:
    """Return the dataset that is selected in the list, or that another part of the app has requested since.

    A selected dataset that the filters exclude remains on the page.
    """
    state = DataState.current()
    chosen_name = used if state.dataset is None else state.dataset
    if chosen_name not in infos:
        chosen_name = next(iter(infos))
    search = _search(list(infos.values()))
    names = [name for name, info in infos.items() if search.accepts(info)]
    if not names:
        st.caption("No matches. Change the filters.")
        return chosen_name
    if value_of(Key.DATASETS) not in names or chosen_name != state.drawn:
        set_value(Key.DATASETS, chosen_name if chosen_name in names else None)
    labels = unique_labels({key: info.label for key, info in infos.items()})
    with st.container(key=Key.DATASET_LIST):
        name: str | None = st.radio(
            "Datasets",
            names,
            index=None,
            format_func=lambda key: escape(labels[key]) + (USED if key == used else ""),
            key=Key.DATASETS,
        )
    state.dataset = state.drawn = name or chosen_name
    return state.dataset


def _search(infos: Sequence[DatasetInfo]) -> DatasetSearch:
    """Draw the search field, and the filters by type, task and size in a popover."""
    st.html(LIST)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Search", placeholder="Name or column", key=Key.FILTER_TEXT)
        with st.popover("Filter", icon=":material/filter_list:"):
            kinds = list(dict.fromkeys(info.kind for info in infos if info.kind))
            names = {info.task: task(info.task).title for info in infos if info.task in tasks()}
            kind = _filter("Type", {kind: kind.capitalize() for kind in kinds}, Key.FILTER_KIND)
            objective = _filter("Task", names, Key.FILTER_TASK)
            size = _filter("Size", SIZE_TITLES, Key.FILTER_SIZE)
    return DatasetSearch(text, kind, objective, size)


def _filter(label: str, titles: Mapping[str, str], key: Key) -> str:
    return st.selectbox(label, ["", *titles], format_func=lambda name: titles.get(name, "All"), key=key)


def _dataset(store: Store, live: Live | None, info: DatasetInfo) -> None:
    used = live is not None and live.project.data.dataset == info.name
    choice = live.project.data if live and used else default_choice(info.name, store.home)
    title_column, use_column = st.columns([1, 1.7], vertical_alignment="top")
    with title_column:
        st.header(escape(info.title), anchor=False)
        summary_container = st.empty()
    with use_column.container(
        horizontal=True, horizontal_alignment="right", vertical_alignment="center", key=Key.DATASET_USE
    ):
        _use(store, live, info)
    try:
        data = in_background(partial(prepare, choice, store.home), "Reading the data …")
    except DataError as error:
        show_error(error, icon=":material/report:")
        data = None
    summary_container.caption(escape(summary(info, data, choice) if data else info.summary))
    section = st.segmented_control(
        "Section", list(SECTIONS), default=LOOK, format_func=SECTIONS.__getitem__, key=Key.SECTION,
        label_visibility="collapsed", wrap=True,
    ) or LOOK  # fmt: skip
    st.caption(PURPOSES[section])
    if section == COLUMNS:
        schema_editor(store, live, info, data)
    elif data is None:
        st.info("The data cannot be read yet. Correct its columns under Columns.")
    elif section == QUALITY:
        quality(store, live, info, choice, data)
    elif section == AUGMENT:
        augmentation(live, info, data)
    elif section == CARD:
        _card(store, info, choice, data)
    else:
        _look(data, choice)


def _look(data: Prepared, choice: DataChoice) -> None:
    try:
        dataset = computed(DatasetStatistics(data.fingerprint, choice.model_dump(mode="json")), "Counting …")
    except (DataError, JobError) as error:
        show_error(error)
        return
    _counts(dataset)
    if note := reach_back_note(data):
        st.caption(note)
    show_remarks(dataset.remarks[len(data.warnings) :], data.warnings)
    fields = " · ".join(f"Field `{field.name}`: {field.kind}, shape {field.shape}" for field in data.schema.inputs)
    st.caption(f"{fields} · predicts {escape(data.schema.target.name)}")
    if _in_a_table(data):
        st.dataframe(_table(data), hide_index=True, height=320)
    else:
        preview(data)
    if dataset.classes:
        figure = class_chart(dataset.classes, data.schema.target.type.counted)
        st.plotly_chart(figure, width="stretch", config={"displayModeBar": False}, alt=described(figure, "classes"))
    if dataset.columns:
        st.dataframe(dataset.columns, hide_index=True, placeholder="")


def show_remarks(messages: list[str], notes: list[str]) -> None:
    """Draw the first remarks: findings, which the Quality section shows with their fixes, and notes of the import."""
    remarks = [*messages, *notes]
    if not remarks:
        return
    bullet = "- " if len(remarks) > 1 else ""
    lines = [f"{bullet}{escape(remark)}" for remark in remarks[:REMARKS]]
    more = len(remarks) - REMARKS
    if messages:
        hint = f"{more} more. How to fix them: " if more > 0 else "How to fix this: "
        lines += ["", f"{hint}see **Quality**."]
    elif more > 0:
        lines += ["", f"{more} more are listed on the **Card**."]
    st.warning("\n".join(lines), icon=":material/warning:")


def _in_a_table(data: Prepared) -> bool:
    """Return whether rows are shown in a table: those with columns, and texts with one class or number."""
    example = data.example(0)
    plainly = data.schema.target.type.is_single_value and not example.tags
    return example.image is None and bool(example.columns or (example.text and plainly))


def _table(data: Prepared) -> list[dict[str, str]]:
    """Return a few rows for a table, the target first."""
    target = data.schema.target.name
    lines = []
    for row in varied(data, ROWS):
        example = data.example(row)
        cells = {name: cell_text(value) for name, value in example.columns.items()} or {"text": example.text[:400]}
        lines.append({f"{target} →" if target in cells else target: example.target[:80], **cells})
    return lines


def _counts(quality: Quality) -> None:
    columns = column_row(4, Key.COUNTS, OnPhone.PAIRS)
    columns[0].metric("Rows", f"{quality.rows:,}", border=True)
    for column, (name, rows) in zip(columns[1:], quality.splits.items(), strict=True):
        column.metric(name.capitalize(), f"{rows:,}", border=True)


def _card(store: Store, info: DatasetInfo, choice: DataChoice, data: Prepared) -> None:
    try:
        content = card(info, data, choice, findings(reported(choice, data)))
    except (DataError, JobError) as error:
        show_error(error)
        return
    text = markdown(content)
    name = "".join(letter if letter.isalnum() else "_" for letter in info.title)[:60] or "data"
    markdown_column, json_column, _ = st.columns([1, 1, 1.5])
    as_json = json.dumps(content, indent=1, ensure_ascii=False, default=str)
    markdown_column.download_button(
        "Markdown", text, f"{name}.md", "text/markdown", icon=":material/download:", width="stretch"
    )
    json_column.download_button(
        "JSON", as_json, f"{name}.json", "application/json", icon=":material/download:", width="stretch"
    )
    with st.container(border=True):
        st.markdown(text.replace("\n## ", "\n#### ").replace("# ", "### ", 1))


def _use(store: Store, live: Live | None, info: DatasetInfo) -> None:
    used = live is not None and live.project.data.dataset == info.name
    if live and used:
        # Beside an upload, there are more buttons.
        name = live.project.name if info.builtin else cut(live.project.name, 18)
        st.markdown(f":green-badge[:material/check: Used in {escape(name)}]")
    # For an upload, a new model is the primary action: the open project was made for other data.
    elif live and st.button(f"Use it in {escape(cut(live.project.name, 18))}", type=_weight(info.builtin)):
        live.apply(data_edit(live, info.name, {info.name: info}))
        st.switch_page("pages/design.py")
    if info.builtin:
        return
    start_network(store, info, used=used)
    with icon_popover("Delete data", ":material/delete:"):
        st.markdown(f"**Delete {escape(info.title)}?**")
        st.caption("Projects that use it can still be opened, but cannot be trained until you add the file again.")
        if st.button("Delete data", icon=":material/delete:", width="stretch"):
            from netloom import jobs
            from netloom.ui.explain.open_run import forget_open_runs

            remove(info.name, store.home)
            # Loaded runs hold its files open, whose disk space is freed when they are closed.
            forget_open_runs()
            jobs.pool().forget_loaded()
            DataState.current().dataset = None
            st.rerun()


def _weight(first: bool) -> Literal["primary", "secondary"]:
    return "primary" if first else "secondary"
