"""Weights in a file beside the ONNX file, as `torch.onnx.export` writes them by default."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from netloom.compile.importers.imported_model import UnreadableModelError
from netloom.core.text import plain


def read_external_data(model: onnx.ModelProto, folder: Path) -> None:
    """Read the tensors of a model that are in other files of its folder, into the model.

    The library refuses links, and files outside of the folder.

    Raises:
        UnreadableModelError: such a file is missing or too short, or is not in the folder.
    """
    external = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
    try:
        load_external_data_for_model(model, str(folder))
    except MemoryError:
        raise
    except Exception:  # the library is partly C++ and raises exceptions of several classes
        location = ExternalDataInfo(external[0]).location if external else ""
        raise UnreadableModelError(
            f"The weights of this network are in another file, {plain(location)[:100]!r}, which is missing or damaged; "
            "import both files together, from one folder, or export the network as a single file (external_data=False)."
        ) from None
