"""The upload form: files are inspected immediately, and only the questions of their kind of data are asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.core.progress import ProgressCallback
from netloom.core.text import escape
from netloom.core.text import plain as line
from netloom.data import DataError, DatasetInfo, schema
from netloom.data.downloads import FetchError, allowed, download, fetch_dataset, remote_source
from netloom.data.limits import MAX_FILE_BYTES
from netloom.data.preparation.project_defaults import default_choice
from netloom.data.tables.targets import CLASS, LABELS, NUMBER
from netloom.data.uploads import Reader
from netloom.data.uploads.naming import called
from netloom.data.uploads.upload_kind import Question, other_guesses
from netloom.sandbox import Description, FileInspection
from netloom.store import Store
from netloom.templates.starting import NETWORKS, start, starters
from netloom.ui.components.column_row import in_rows
from netloom.ui.components.errors import guard, show_error
from netloom.ui.components.page_state import values_below
from netloom.ui.data.state import DataState, Fetched, Key, UploadState
from netloom.ui.shell import session

if TYPE_CHECKING:
    import pandas as pd

MAX_UPLOAD_MIB = 200
HEIGHT, ROW = 252, 72  # in pixels, of the table of the first rows, and of a row of questions
DAY = "YYYY-MM-DD"
THUMBNAIL = "data:image/png;base64,"  # the beginning of the cells that hold the image itself
ACROSS = 3  # questions side by side
NOTED = 3  # remarks on a file that are shown before it is added
_TASKS = {CLASS: "Class", NUMBER: "Number", LABELS: "Multiple labels (a;b;c)"}
# Accepted kinds of files, with descriptions.
_KINDS = {
    ":material/table: Table": "CSV, Excel, JSON or Parquet: one row per example. Also time series and ratings.",
    ":material/folder_zip: Zipped folder": "Images, sounds or texts: one folder per class, or a table of labels.",
    ":material/data_array: Arrays and more": "NPZ, NPY, MAT, MNIST and .ts files, tagged words, graphs as JSON.",
}


def upload_form(store: Store) -> None:
    """Draw the button that opens the form."""
    if st.button("Upload data", icon=":material/upload_file:", width="stretch", type="primary"):
        UploadState.current().begin()
        _form(store)


@st.dialog("Upload data", width="large")
@guard()
def _form(store: Store) -> None:
    dropped = st.file_uploader(
        "Drop files here or browse",
        accept_multiple_files=True,
        key=Key.UPLOADED.of(UploadState.current().opened),
        max_upload_size=MAX_UPLOAD_MIB,
        help="The type is detected from the content, not from the name. Drop files that belong together, such as "
        "images and labels, at the same time.",
    )
    files: Sequence[Any] = dropped or from_the_web()
    if not files:
        for column, (title, text) in zip(st.columns(len(_KINDS)), _KINDS.items(), strict=True):
            with column.container(border=True, height="stretch"):
                st.markdown(f"**{title}**")
                st.caption(text)
        st.caption("Files are never executed. Their content is read, converted and stored on this server.")
        return
    key = " ".join(file.file_id for file in files)
    try:
        with st.spinner("Detecting the file type …"):
            inspection = _inspected(key, files)
            readers = inspection.kinds()
        reader = _reader(key, readers) if readers else inspection.reader()
        described = inspection.described(reader, _answers(key, inspection, reader))
        st.markdown(f":material/school: **{escape(described.learned)}**")
        guesses = other_guesses(described.questions, described.answers)
        for sentence in guesses:
            st.caption(escape(sentence))
        notes = described.notes[:NOTED]
        for note in notes:
            st.warning(escape(note), icon=":material/warning:")
        _preview(
            described.preview(),
            max(ROW, HEIGHT - ROW * ((len(described.questions) - 1) // ACROSS + len(notes) + len(guesses))),
        )
    except DataError as error:
        show_error(error, icon=":material/report:")
        return
    _add(store, key, inspection, reader, described)


def from_the_web() -> list[Fetched]:
    """Return the files at a typed address, if the server's settings allow it; they are fetched once."""
    if not allowed(server=True):
        return []
    state = UploadState.current()
    key = Key.ADDRESS.of(state.opened)
    typed = st.text_input("Or fetch from a URL", placeholder="https://… or hf:owner/name", key=key).strip()
    if not typed:
        return []
    if state.address != typed:
        bar = st.progress(0.0, "Fetching …")
        try:
            fetched = fetch_files(typed, lambda share, activity: _tell(bar, share, activity))
        except DataError as error:
            show_error(error, icon=":material/report:")
            return []
        finally:
            bar.empty()
        state.address, state.fetched = typed, fetched
    return state.fetched


def _tell(bar: DeltaGenerator, share: float, activity: str) -> None:
    bar.progress(share, line(activity))


def fetch_files(typed: str, progress: ProgressCallback) -> list[Fetched]:
    remote = remote_source(typed)
    if remote is None:
        raise FetchError(f"{typed[:60]!r} is not a URL or a dataset. Write https://… or hf:owner/name.")
    with TemporaryDirectory(prefix="netloom-") as directory:
        if remote.kind == "hub":
            dataset = fetch_dataset(remote.name, Path(directory), progress, server=True)
        else:
            dataset = download(remote.name, Path(directory), progress, server=True, max_bytes=MAX_FILE_BYTES)
        paths = sorted(path for path in dataset.rglob("*") if path.is_file()) if dataset.is_dir() else [dataset]
        if sum(path.stat().st_size for path in paths) > MAX_FILE_BYTES:
            raise FetchError(
                f"The files are larger than {MAX_FILE_BYTES / 2**20:,.0f} MiB. Add them with netloom data add."
            )
        base = dataset.parent
        return [Fetched(path.relative_to(base).as_posix(), f"{typed} {path.name}", path.read_bytes()) for path in paths]


def _inspected(key: str, files: Sequence[Any]) -> FileInspection:
    """Return the inspection of the dropped files, cached by their ids."""
    state = UploadState.current()
    if state.inspection is None or state.files != key:
        if state.inspection is not None:
            state.inspection.close()
        contents: dict[str, bytes] = {}
        for number, file in enumerate(files):
            # Files from different folders can have the same name.
            contents[file.name if file.name not in contents else f"{number} {file.name}"] = file.getvalue()
        state.files, state.inspection = key, FileInspection(contents, called(list(contents)))
    return state.inspection


def _reader(key: str, readers: list[Reader]) -> Reader:
    """Draw the choice among the kinds of data that fit, and return it."""
    reader = readers[0]
    if len(readers) > 1:
        reader = st.selectbox(
            "Read it as", readers, format_func=lambda candidate: candidate.title, key=Key.KIND.of(key)
        )
    else:
        st.markdown(f"Read as **{reader.title.lower()}**")
    st.caption(reader.about)
    return reader


def _answers(key: str, inspection: FileInspection, reader: Reader) -> dict[str, Any]:
    """Draw the questions of this kind of data, and return the answers."""
    # The answers of the last rerun: they decide which questions there are, before any of these is drawn.
    values = values_below(Key.ASK.of(key, reader.name, ""))
    answers: dict[str, Any] = {}
    questions = inspection.questions(reader, {name: value for name, value in values.items() if value is not None})
    for column, question in in_rows(questions, ACROSS):
        with column:
            answer = ask(question, key=Key.ASK.of(key, reader.name, question.name))
        if (answer is not None or question.optional) and answer != []:
            answers[question.name] = answer
    return answers


def ask(question: Question, **binding: Any) -> Any:
    """Draw the widget of a question with its default, and return the answer; `binding` are its key and callback."""
    label, text, default = question.label, question.help or None, question.default
    if question.takes_several:
        chosen = list(default) if isinstance(default, (list, tuple)) else [default]
        return st.multiselect(label, question.choices, chosen, help=text, **binding)
    if question.kind in ("choice", "switch"):
        choices: list[Any] = list(question.choices) if question.kind == "choice" else [True, False]
        if question.optional:
            choices = [None, *choices]
        index = choices.index(default) if default in choices else 0
        return st.selectbox(
            label, choices, index, format_func=lambda choice: _choice(choice, question), help=text, **binding
        )
    low, high = question.low, question.high
    widget: dict[str, Any] = {"placeholder": question.empty, "help": text, **binding}
    if question.kind == "whole":
        whole = default if isinstance(default, int) else None
        return st.number_input(label, int(low), int(high), whole, step=1, **widget)
    number = float(default) if isinstance(default, (int, float)) else None
    return st.number_input(label, float(low), float(high), number, step=0.1, **widget)


def _choice(value: Any, question: Question) -> str:
    if value is None:
        return f"({question.empty})"
    if question.name == "task" and value in _TASKS:
        return _TASKS[value]
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else line(str(value))


def images_in(rows: pd.DataFrame) -> list[str]:
    """Return the columns of a preview whose cells are thumbnails or empty.

    Every cell counts, because the browser would fetch the address that another cell of such a column holds.
    """
    return [
        str(name)
        for name, cells in rows.items()
        if cells.astype(str).str.startswith(THUMBNAIL).any() and cells.astype(str).str.match(f"^$|{THUMBNAIL}").all()
    ]


def _preview(rows: pd.DataFrame, height: int) -> None:
    image_columns = images_in(rows)
    cells: dict[str, Any] = {name: st.column_config.ImageColumn(name) for name in image_columns}
    # A table can have a column of this name, too; that of sounds holds curves.
    if "loudness" in rows.columns and rows["loudness"].map(lambda cell: isinstance(cell, list)).all():
        cells["loudness"] = st.column_config.LineChartColumn("loudness", y_min=0, y_max=1)
    for name in rows.select_dtypes(["datetime", "datetimetz"]).columns:
        daily = (rows[name].dropna() == rows[name].dropna().dt.normalize()).all()
        cells[name] = st.column_config.DatetimeColumn(name, format=DAY if daily else f"{DAY} HH:mm:ss", timezone="UTC")
    # Low enough that the button below is visible on a small screen.
    st.dataframe(
        rows,
        hide_index=True,
        column_config=cells,
        row_height=48 if image_columns else None,
        height=height,
        placeholder="",
    )


def _add(store: Store, key: str, inspection: FileInspection, reader: Reader, described: Description) -> None:
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    name = left.text_input("Name", placeholder=line(inspection.filename), max_chars=200, key=Key.NAME.of(key))
    if not right.button("Add data", type="primary", width="stretch", icon=":material/add:"):
        return
    bar = st.progress(0.0, "Checking the files …")
    try:
        info = inspection.add(
            store.home,
            name=name.strip(),
            kind=reader.name,
            options=_defaults(described),
            progress=lambda share, activity: _show(bar, share, activity),
        )
    except DataError as error:
        bar.empty()
        show_error(error, icon=":material/report:")
        return
    inspection.close()
    UploadState.current().forget()
    DataState.current().dataset = info.name
    st.rerun()


def _defaults(described: Description) -> dict[str, Any]:
    """Return the answers, including None for optional questions."""
    answers = described.answers
    questions = described.questions
    return {
        question.name: answers.get(question.name)
        for question in questions
        if question.optional or answers.get(question.name) is not None
    }


def _show(bar: Any, share: float, activity: str) -> None:
    bar.progress(min(1.0, share), escape(line(activity)[:100]))


def beginning(info: DatasetInfo) -> str:
    """Return the first half of a sentence on how to use this data in a project."""
    return "Use this data in a project" if info.builtin else "Create a model for this data, or use it in a project"


def start_network(store: Store, info: DatasetInfo, *, used: bool = False) -> None:
    """Draw the choice of templates that fit this data; the chosen one opens as a new project."""
    choice = default_choice(info.name, store.home)
    try:
        data_schema = schema(choice, store.home)
    except DataError:
        return  # the page shows the error
    fitting_templates = starters(choice, data_schema) if data_schema else []
    if not fitting_templates:
        return
    widget: dict[str, Any] = {"type": "secondary" if used else "primary", "width": "content"}
    with st.popover("Create model", icon=":material/rocket_launch:", **widget):
        st.caption(
            f"Creates a project with {escape(info.title)} and a model that is ready to train. You "
            "can change everything."
        )
        for template in fitting_templates:
            title, text = NETWORKS[template.name]
            if st.button(title, help=text, width="stretch", key=Key.START.of(template.name)):
                with st.spinner("Adapting the model to this data …"):
                    project = start(template, choice, info.title, store.home)
                if project is None:
                    show_error("This template does not fit the data. Choose another one.")
                    continue
                session.choose(store.create_project(project))
                st.switch_page("pages/design.py")
