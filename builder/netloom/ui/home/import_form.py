"""The import of a model or a project from a file, as a new project with its weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.compile.importers import ImportedModel, UnreadableModelError
from netloom.core.text import escape
from netloom.data import with_dataset_id
from netloom.document import DocumentError
from netloom.sandbox import read_models, read_tensors
from netloom.store import Store, StoreError
from netloom.templates.fitting import FittingNetwork, fitting_networks, question, with_weights
from netloom.ui.home.state import HomeState, ImportResult, Key, WeightsWithoutNetwork
from netloom.ui.shell.errors import guard, show_error

KINDS = ("onnx", "pt2", "keras", "json", "safetensors", "pt", "pth")
MAX_UPLOAD_MIB = 500
FORMATS = (
    "**ONNX** (`.onnx`), **PyTorch** from `torch.export` (`.pt2`), **Keras** (`.keras`, or its JSON), "
    "a **Netloom** project (`.json`), or a **Hugging Face** folder: its `config.json` with its `.safetensors` "
    "(BERT, DistilBERT, GPT-2, ViT). Files are never executed. Weights without a network, a state dict (`.pt`, `.pth`, "
    "`.safetensors`), are assigned to one of your projects or to a template; pickled modules are refused."
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
            with below, st.spinner("Reading layers and weights …"):
                uploaded = {file.name: file.getvalue() for file in files}
                state.weights = weights_alone(store, uploaded)
                if state.weights is None:
                    state.imported = bring_all(store, uploaded)
        except (UnreadableModelError, DocumentError, StoreError, OSError) as error:
            show_error(error, below)
            return
    if state.weights is not None:
        network = _network(state.weights, head, body)
        if not foot.button("Create project", type="primary", key=Key.IMPORT_CREATE):
            return
        state.imported = _saved(store, with_weights(network, state.weights.tensors, state.weights.name), False)
        state.weights = None
    imported = state.imported
    if imported is None:
        return
    head.success(imported.sentence, icon=":material/check_circle:")
    body.markdown("\n".join(f"- {escape(remark)}" for remark in imported.remarks))
    if foot.button("Open project", type="primary", icon=":material/schema:", width="stretch", key=Key.IMPORT_OPEN):
        state.imported = None
        open_project(imported.project_id)


def _network(weights: WeightsWithoutNetwork, head: DeltaGenerator, body: DeltaGenerator) -> FittingNetwork:
    """Draw the choice of the network of a state dict."""
    head.markdown(escape(question(weights.tensors, weights.networks)))
    index = body.selectbox(
        "Network",
        range(len(weights.networks)),
        format_func=lambda number: weights.networks[number].described,
        key=Key.IMPORT_NETWORK,
        help="The new project is a copy of this network with the weights of the file.",
    )
    return weights.networks[index]


def weights_alone(store: Store, files: Mapping[str, bytes]) -> WeightsWithoutNetwork | None:
    """The tensors of a file of weights without a network, and the networks that they fit; None for another file.

    Raises:
        UnreadableModelError: the file is damaged, or contains something else; or no network fits.
    """
    from netloom.training.state_dicts import is_state_dict

    if len(files) != 1:
        return None
    ((filename, content),) = files.items()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"weights{Path(filename).suffix.lower()}"
        path.write_bytes(content)
        if not is_state_dict(path):
            return None
        tensors = read_tensors(path)
    networks = fitting_networks(store, tensors)
    if not networks:
        raise UnreadableModelError(question(tensors, networks))
    return WeightsWithoutNetwork((Path(filename).stem.strip() or "Imported")[:200], tensors, networks)


def bring_all(store: Store, files: Mapping[str, bytes]) -> ImportResult:
    """Create a project from a file, or from the files of a Hugging Face folder.

    Raises:
        DocumentError, UnreadableModelError, StoreError: as in `bring`.
    """
    if len(files) == 1:
        ((name, content),) = files.items()
        if not name.endswith(".safetensors"):
            return bring(store, name, content)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "Imported"
        folder.mkdir()
        for name, content in files.items():
            # The browser chooses the names; only their last part counts, so that no file is written elsewhere.
            (folder / Path(name).name).write_bytes(content)
        return _saved(store, *read_models(folder))


def bring(store: Store, filename: str, content: bytes) -> ImportResult:
    """Create a project from the content of a file.

    Raises:
        DocumentError: a JSON file is neither a project nor a Keras model.
        UnreadableModelError: the model cannot be imported.
        StoreError: the project cannot be saved.
    """
    kind = Path(filename).suffix.lower()
    name = (Path(filename).stem.strip() or "Imported")[:200]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{kind if kind.removeprefix('.') in KINDS else ''}"
        path.write_bytes(content)
        return _saved(store, *read_models(path, name))


def _saved(store: Store, imported: ImportedModel, is_document: bool) -> ImportResult:
    """Save an imported model as a project of this store."""
    from netloom.training import save_import

    if is_document:
        project = with_dataset_id(imported.project, store.home)
        return ImportResult(store.create_project(project), f"{escape(project.name)} is now one of your projects.")
    return ImportResult(save_import(store, imported), _sentence(imported), imported.remarks)


def _sentence(imported: ImportedModel) -> str:
    layers = f"{len(imported.project.main_network.nodes):,} layers"
    if not imported.weights:
        return f"The network has {layers}. The file has no weights, so training starts from random initialization."
    numbers = sum(tensor.numel() for tensor in imported.weights.values())
    return (
        f"The network has {layers}, and its {numbers:,} weights are saved with the project. "
        "Select data to evaluate, explain or train it further."
    )
