"""The choice of the initial weights of a run, and of the layers that they match."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from netloom import training
from netloom.compile import CompileError, source
from netloom.compile.importers import UnreadableModelError
from netloom.core.text import escape
from netloom.editing.live import Live
from netloom.sandbox import keep_folder
from netloom.store import NotFoundError, Run, Store, StoreError, weights
from netloom.training.weights import checkpoints
from netloom.training.weights.initialization import RUN, WEIGHTS
from netloom.ui.components.errors import show_error
from netloom.ui.components.forms import bound
from netloom.ui.components.words import at, unique_labels
from netloom.ui.home.import_form import MAX_UPLOAD_MIB
from netloom.ui.shell.background import in_background
from netloom.validation import Analysis

SHOWN_RUNS = 20
FOLDER = (
    "Upload the `config.json` and the `.safetensors` files of a BERT, DistilBERT, GPT-2, ViT or ResNet. Layers "
    "with matching names and shapes take the weights."
)
HELP = (
    "Random initialization draws new weights with the seed. The others continue from weights that were trained before"
)


def start_from(live: Live) -> None:
    """Draw the choice of the initial weights: random, imported, or those of an earlier run."""
    chosen = live.project.training.initial_weights
    names = options(live.store, live.id, chosen)
    st.selectbox(
        "Start from",
        list(names),
        list(names).index(chosen),
        format_func=names.__getitem__,
        help=HELP,
        **bound(
            live,
            "training/initial_weights",
            chosen,
            lambda value: {"kind": "project", "training": {"initial_weights": value}},
        ),
    )
    with st.popover("Hugging Face files", icon=":material/download:", width="stretch"):
        _from_files(live)


def _from_files(live: Live) -> None:
    """Draw the import of weights from the files of a Hugging Face folder."""
    st.caption(FOLDER)
    files = st.file_uploader(
        "Model files", type=["json", "safetensors"], accept_multiple_files=True, max_upload_size=MAX_UPLOAD_MIB
    )
    if not st.button("Load matching weights", disabled=not files, type="primary"):
        return
    try:
        with TemporaryDirectory(prefix="netloom-") as directory, st.spinner("Reading the weights …"):
            for file in files:
                # The browser chooses the names; only their last part counts, so that no file is written elsewhere.
                (Path(directory) / Path(file.name).name).write_bytes(file.getvalue())
            start, remarks = keep_folder(live.store, live.project, Path(directory))
    except (UnreadableModelError, training.StartError, CompileError, StoreError) as error:
        show_error(error)
        return
    live.apply({"kind": "project", "training": {"initial_weights": start}})
    for remark in remarks:
        st.toast(escape(remark))
    st.rerun()


def options(store: Store, project_id: str, chosen: str) -> dict[str, str]:
    """Return the labels of the initializations; those of runs without weights say so."""
    names = {"": "Random initialization"}
    for start in dict.fromkeys(
        [*training.imported_weights(store, project_id), *([chosen] if chosen.startswith(WEIGHTS) else [])]
    ):
        names[start] = f"Imported weights ({_tensors(store, start)})"
    for run in store.runs(project_id, limit=SHOWN_RUNS):
        names[f"{RUN}{run.id}"] = _run(store, run)
    if chosen not in names:
        names[chosen] = "An earlier run"
    return unique_labels(names)


def fits(live: Live, analysis: Analysis) -> bool:
    """Draw which layers match the chosen weights, and return whether a run can start from them."""
    project = live.project
    if not project.training.initial_weights or analysis.errors:
        return True
    try:
        text = source(project, analysis)
        weight_match = in_background(partial(training.check_start, live.store, project, text), "Reading the weights …")
    except (CompileError, training.StartError, StoreError) as error:
        show_error(error)
        return False
    if weight_match is not None:
        (st.caption if weight_match.complete else st.warning)(escape(weight_match.sentence()))
    return True


def _tensors(store: Store, start: str) -> str:
    try:
        count = len(weights.shapes(weights.path(store.home, start.removeprefix(WEIGHTS))))
    except NotFoundError:
        return "not on this machine"
    except StoreError:
        return "damaged"
    return f"{count:,} tensor{'s' if count > 1 else ''}"


def _run(store: Store, run: Run) -> str:
    try:
        checkpoints.weights_file(store.artifacts(run.id))
    except (FileNotFoundError, training.CheckpointError):
        return f"{run.title[:40]} · {at(run.created_at)} (no weights yet)"
    return f"{run.title[:40]} · {at(run.created_at)}"
