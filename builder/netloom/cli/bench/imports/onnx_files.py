"""The cases of the `onnx` package that PyTorch wrote, with the outputs that PyTorch recorded.

https://github.com/onnx/onnx/tree/main/onnx/backend/test/data
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.bench.imports.case import ImportCase, ImportSuite, Reference

if TYPE_CHECKING:
    import torch

    from netloom.compile.importers import ImportedModel

_FOLDERS = ("pytorch-converted", "pytorch-operator")


def onnx_cases() -> list[ImportCase]:
    """Return the cases of the installed package."""
    package = find_spec("onnx")
    if package is None or package.origin is None:
        return []
    data = Path(package.origin).parent / "backend" / "test" / "data"
    folders = [folder for name in _FOLDERS for folder in sorted((data / name).iterdir()) if folder.is_dir()]
    return [ImportCase(folder.name.removeprefix("test_"), partial(_load, folder)) for folder in folders]


def _load(folder: Path) -> tuple[ImportedModel, Reference]:
    from netloom.compile.importers import read_model

    inputs, outputs = (_tensors(folder / "test_data_set_0", kind) for kind in ("input", "output"))
    return read_model(folder / "model.onnx", folder.name), Reference(inputs, outputs)


def _tensors(folder: Path, kind: str) -> tuple[torch.Tensor, ...]:
    import onnx
    import torch
    from onnx import numpy_helper

    files = sorted(folder.glob(f"{kind}_*.pb"), key=lambda file: int(file.stem.rpartition("_")[2]))
    arrays = [numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes())) for file in files]
    return tuple(torch.from_numpy(array.copy()) for array in arrays)


ONNX = ImportSuite("onnx", "PyTorch's cases in the onnx package", "onnx", 0.9, onnx_cases)
