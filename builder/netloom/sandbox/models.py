"""Reads models and documents from outside in a confined process.

The document returns as JSON, which is validated again here, and the weights as safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from netloom.compile import source
from netloom.compile.importers import ImportedModel, UnreadableModelError
from netloom.core.errors import UsageError
from netloom.core.plain_json import JsonObject
from netloom.data.downloads import FetchError
from netloom.document import DocumentError, Preparation, Project, dumps, loads
from netloom.sandbox.process import GB, MODELS, EndedError, Process, RefusedError
from netloom.store import Store
from netloom.store import weights as kept_weights
from netloom.training.weights.initialization import WEIGHTS, StartError

if TYPE_CHECKING:
    import torch

NEITHER = "This is neither a Keras model nor a Netloom project, which is a JSON object with name and networks."
_REFUSALS = {
    "DocumentError": DocumentError,
    "FetchError": FetchError,
    "UsageError": UsageError,
    "StartError": StartError,
}
# Added to the size of the files, for torch and the libraries of importers.
_TORCH_BYTES = GB // 4
_MAX_ONNX_BYTES = 2 * GB


def read_models(path: Path, name: str = "", prepare: Preparation | None = None) -> tuple[ImportedModel, bool]:
    """Return the network of a file or of a Hugging Face folder, and whether it was a Netloom document.

    `prepare` is the preprocessing of its inputs; None: that of the file, if it has any.

    Raises:
        DocumentError, UnreadableModelError: the file cannot be read; the message says what is wrong and where.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with TemporaryDirectory(prefix="netloom-") as folder:
        weights = Path(folder) / "weights.safetensors"
        request = {"do": "model", "path": str(path.absolute()), "name": name, "weights": str(weights)}
        request |= {"prepare": prepare} if prepare else {}
        try:
            answer = _request(request, path)
            tensors = load_file(weights) if weights.exists() else {}
            # `load_file` maps the file, which is deleted with its folder, so each tensor is copied to memory.
            weights_by_name = {key: tensor.clone() for key, tensor in tensors.items()}
        except RefusedError as error:
            raise _REFUSALS.get(error.kind, UnreadableModelError)(str(error)) from None
        except SafetensorError:
            raise UnreadableModelError("The weights of this model cannot be stored.") from None
    fields_: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in answer["others"].items()
    }
    return ImportedModel(loads(answer["project"].encode()), weights_by_name, **fields_), bool(answer["document"])


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a state dict, a file of weights without a network.

    Raises:
        UnreadableModelError: the file is damaged, or contains something else.
    """
    from safetensors.torch import load_file

    with TemporaryDirectory(prefix="netloom-") as folder:
        weights = Path(folder) / "weights.safetensors"
        try:
            names = _request({"do": "tensors", "path": str(path.absolute()), "weights": str(weights)}, path)
        except RefusedError as error:
            raise UnreadableModelError(str(error)) from None
        tensors = load_file(weights)
        # In the order of the file, which safetensors does not keep
        return {str(name): tensors[name].clone() for name in names}


def write_tensors(path: Path, weights: Path) -> list[str]:
    """Write the tensors of a state dict to a file. Returns their names. Called in the confined process."""
    from safetensors.torch import save_file

    from netloom.training.weights.checkpoints import separate
    from netloom.training.weights.state_dicts import read_state_dict

    tensors = read_state_dict(path)
    save_file(separate(tensors), weights)
    return list(tensors)


def keep_folder(store: Store, project: Project, path: Path) -> tuple[str, tuple[str, ...]]:
    """Save the weights of a Hugging Face folder that match the network of a project in the data folder. Returns the
    initialization for the document, and remarks on unused tensors.

    Raises:
        UnreadableModelError: the architecture is not supported, a file is damaged, or it takes too much memory or time.
        StartError: no tensor matches the network.
        CompileError: the network has errors.
        StoreError: the weights cannot be saved.
    """
    with TemporaryDirectory(prefix="netloom-") as folder:
        weights_path = Path(folder) / "weights.safetensors"
        request = {"do": "take", "path": str(path.absolute()), "project": dumps(project), "weights": str(weights_path)}
        try:
            answer = _request(request, path)
        except RefusedError as error:
            if error.kind == "CompileError":
                source(project)  # raises the same error with its issues, which a message does not carry
            raise _REFUSALS.get(error.kind, UnreadableModelError)(str(error)) from None
        if not weights_path.is_file() or weights_path.stat().st_size > kept_weights.MAX_BYTES:
            raise UnreadableModelError("The weights of this folder cannot be stored.")
        digest = kept_weights.keep(store.home, weights_path.read_bytes())
    return f"{WEIGHTS}{digest}", tuple(str(remark) for remark in answer["remarks"])


def _request(request: Mapping[str, Any], path: Path) -> Any:
    """Return the answer of a new confined process to a request about a file or a folder.

    Raises:
        RefusedError: the process refuses the request; the message is the reason.
        UnreadableModelError: it took too much memory or time, or crashed.
    """
    try:
        process = Process(_TORCH_BYTES + _size(path), MODELS)
        try:
            return process.ask(request)
        finally:
            process.close()
    except EndedError as error:
        raise UnreadableModelError(f"The model cannot be read: {error}.") from None


def _size(path: Path) -> int:
    """Return the bytes of a file or of the files of a folder; for ONNX, also those of weights in files beside it."""

    def size_of(files: Iterable[Path]) -> int:
        return sum(file.stat().st_size for file in files if file.is_file())

    if path.is_dir():
        return size_of(path.rglob("*"))
    others = min(size_of(path.parent.iterdir()), _MAX_ONNX_BYTES) if path.suffix.lower() == ".onnx" else 0
    return path.stat().st_size + others


def take_into(project: str, path: Path, weights: Path) -> JsonObject:
    """Write the weights of a folder that match the network of a document to a file. Called in the confined process."""
    from safetensors.torch import save_file

    from netloom.training import pretrained
    from netloom.training.weights.checkpoints import separate

    loaded = pretrained.load_tensors(loads(project.encode()), pretrained.open_folder(path))
    save_file(separate(loaded.weights), weights)
    return {"remarks": list(loaded.remarks)}


def read_into(path: Path, name: str, weights: Path, prepare: Preparation | None = None) -> JsonObject:
    """Return the document of a model as text, and write its weights, if any, to a file. Called in the confined
    process."""
    document = _document(path) if path.suffix.lower() == ".json" else None
    imported = _model(path, name, prepare) if document is None else ImportedModel(document)
    if document is not None and prepare:
        data = document.data.model_copy(update={"prepare": prepare})
        imported = ImportedModel(document.model_copy(update={"data": data}))
    if imported.weights:
        from safetensors.torch import save_file

        from netloom.training.weights.checkpoints import separate

        save_file(separate(imported.weights), weights)
    extra_fields = {
        field.name: getattr(imported, field.name)
        for field in fields(imported)
        if field.name not in ("project", "weights")
    }
    return {
        "project": dumps(imported.project),
        "others": json.loads(json.dumps(extra_fields)),  # fails here, and not in the channel, if one is not plain JSON
        "document": document is not None,
    }


def _model(path: Path, name: str, prepare: Preparation | None) -> ImportedModel:
    from netloom.compile.importers import read_model
    from netloom.training import pretrained

    if path.is_dir():
        return pretrained.read_folder(path, name, prepare)
    return read_model(path, name, prepare=prepare)


def _document(path: Path) -> Project | None:
    """Return the Netloom project in a JSON file; None if it contains a Keras model.

    Raises:
        DocumentError: it contains neither.
    """
    from netloom.compile.importers.keras import looks_like_keras

    content = path.read_bytes()
    try:
        return loads(content)
    except DocumentError:
        if looks_like_keras(path):
            return None
        if _is_foreign(content):
            raise DocumentError(NEITHER) from None
        raise


def _is_foreign(content: bytes) -> bool:
    """Return whether this is JSON of another kind, for which messages about missing fields would be misleading."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return not isinstance(value, dict) or "networks" not in value
