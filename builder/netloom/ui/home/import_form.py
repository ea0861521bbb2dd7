"""The import of a model or a project from a file, as a new project with its weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.compile.importers import UnreadableModelError
from netloom.core.text import escape
from netloom.document import DocumentError
from netloom.jobs import JobError
from netloom.jobs.requests.imports import ImportModel, SavedImport, WeightsOnly
from netloom.store import Store, StoreError
from netloom.ui.components.errors import guard, show_error
from netloom.ui.home.state import HomeState, Key, UploadedWeights
from netloom.ui.shell.jobs import computed

# The weights of an ONNX file in a file of their own
ONNX_WEIGHTS = ("data", "onnx_data")
KINDS = ("onnx", *ONNX_WEIGHTS, "pt2", "keras", "json", "safetensors", "pt", "pth")
MAX_UPLOAD_MIB = 500
FORMATS = (
    "**ONNX** (`.onnx`, with its `.onnx.data` if it has one), **PyTorch** from `torch.export` (`.pt2`), **Keras** "
    "(`.keras`, or its JSON), a **Netloom** project (`.json`), or a **Hugging Face** folder: its `config.json` with "
    "its `.safetensors` (BERT, DistilBERT, GPT-2, ViT). Files are never executed. Weights without a network, a state "
    "dict (`.pt`, `.pth`, `.safetensors`), are assigned to one of your projects or to a template; pickled modules are "
    "refused."
)


def import_button(store: Store, open_project: Callable[[str], None]) -> None:
    """Draw the button that opens the import dialog; `open_project` opens the result."""
    if st.button("Import a model", icon=":material/upload_file:", width="stretch"):
        HomeState.current().imported = HomeState.current().weights = None
        st.dialog("Import a model", width="medium")(ask)(store, open_project)


@guard()
def ask(store: Store, open_project: Callable[[str], None]) -> None:
    """Draw the dialog: the file uploader, then, in the same places, the choice of a network, and the result."""
    head, body, foot, below = st.empty(), st.empty(), st.empty(), st.empty()
    state = HomeState.current()
    if state.imported is None and state.weights is None:
        head.markdown(FORMATS)
        files = body.file_uploader(
            "Model file", type=KINDS, max_upload_size=MAX_UPLOAD_MIB, key=Key.IMPORT_FILE, accept_multiple_files=True
        )
        if not foot.button("Import", type="primary", disabled=not files) or not files:
            return
        try:
            _import({file.name: file.getvalue() for file in files}, "", below)
        except (UnreadableModelError, DocumentError, StoreError, OSError, JobError) as error:
            show_error(error, below)
            return
    if state.weights is not None:
        network = _network(state.weights, head, body)
        if not foot.button("Create project", type="primary", key=Key.IMPORT_CREATE):
            return
        try:
            _import(state.weights.files, network, below)
        except (UnreadableModelError, StoreError, OSError, JobError) as error:
            show_error(error, below)
            return
    imported = state.imported
    if imported is None:
        return
    head.success(_sentence(imported), icon=":material/check_circle:")
    body.markdown("\n".join(f"- {escape(remark)}" for remark in imported.remarks))
    if foot.button("Open project", type="primary", icon=":material/schema:", width="stretch", key=Key.IMPORT_OPEN):
        state.imported = None
        open_project(imported.project_id)


def _network(weights: UploadedWeights, head: DeltaGenerator, body: DeltaGenerator) -> str:
    """Draw the choice of the network of a state dict, and return its name."""
    head.markdown(escape(weights.question))
    name: str = body.selectbox(
        "Network",
        list(weights.networks),
        format_func=weights.networks.__getitem__,
        key=Key.IMPORT_NETWORK,
        help="The new project is a copy of this network with the weights of the file.",
    )
    return name


def _import(files: Mapping[str, bytes], network: str, container: DeltaGenerator) -> None:
    """Let a worker import a file, or the files of a Hugging Face folder. The state has the result, or the weights that
    wait for the choice of their `network`. `container` has the progress bar.

    Raises:
        DocumentError: a JSON file is neither a project nor a Keras model.
        UnreadableModelError: the model cannot be imported, or no network fits the weights.
        StoreError: the project cannot be saved.
        JobError: the import was canceled, or its worker failed.
    """
    state = HomeState.current()
    with tempfile.TemporaryDirectory(prefix="netloom-") as directory:
        path, name = _written(files, Path(directory))
        result = computed(ImportModel(str(path), name, network), "Reading layers and weights …", container)
    if isinstance(result, WeightsOnly):
        state.weights = UploadedWeights(files, result.question, result.networks)
    else:
        state.imported, state.weights = result, None


def _written(files: Mapping[str, bytes], directory: Path) -> tuple[Path, str]:
    """Write uploaded files. Returns the path to import, and the name of the model, "" for a folder.

    The browser chooses the names of files; only their last part counts, so that no file is written elsewhere.

    Raises:
        UnreadableModelError: these are only the weights of an ONNX file.
    """
    if all(filename.lower().endswith(ONNX_WEIGHTS) for filename in files):
        raise UnreadableModelError("This file has the weights of an ONNX file; choose both files together.")
    if len(files) == 1:
        ((filename, content),) = files.items()
        kind = Path(filename).suffix.lower()
        path = directory / f"model{kind if kind.removeprefix('.') in KINDS else ''}"
        path.write_bytes(content)
        return path, (Path(filename).stem.strip() or "Imported")[:200]
    folder = directory / "Imported"
    folder.mkdir()
    for filename, content in files.items():
        (folder / Path(filename).name).write_bytes(content)
    match [path for path in folder.iterdir() if path.suffix.lower() == ".onnx"]:
        case [network]:
            return network, (network.stem.strip() or "Imported")[:200]  # with weights in another file
    return folder, ""


def _sentence(imported: SavedImport) -> str:
    if imported.is_document:
        return f"{escape(imported.name)} is now one of your projects."
    layers = f"{imported.layers:,} layers"
    if not imported.weights:
        return f"The network has {layers}. The file has no weights, so training starts from random initialization."
    return (
        f"The network has {layers}, and its {imported.weights:,} weights are saved with the project. "
        "Select data to evaluate, explain or train it further."
    )
