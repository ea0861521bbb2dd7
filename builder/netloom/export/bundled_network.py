"""The network in a bundle: its source and weights, or an ONNX file such as a variant of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netloom.export.archive import python, weights
from netloom.export.format import Trained, registry

ONNX_FILE = "model.onnx"


@dataclass(frozen=True)
class BundledNetwork:
    """How a bundle contains a network.

    Args:
        files: Returns the files of the network by their paths.
        descriptions: What these files are, for the README.
        main_file: The file that defines the network.
        packages: The packages that load it and predict.
    """

    files: Callable[[Trained], dict[str, bytes]]
    descriptions: Mapping[str, str]
    main_file: str
    packages: tuple[str, ...]


def bundled_network(trained: Trained) -> BundledNetwork:
    """Return how a bundle contains the network of a run, or the ONNX file in its place."""
    from netloom.runs.prediction.external_network import ExternalNetwork  # imports PyTorch

    return ONNX if isinstance(trained.model, ExternalNetwork) else PYTORCH


def _pytorch_files(trained: Trained) -> dict[str, bytes]:
    return {
        "model.py": trained.source.encode(),
        "network.py": _loader("pytorch_network.py"),
        "weights.safetensors": weights(trained.model),
    }


def _onnx_files(trained: Trained) -> dict[str, bytes]:
    return {ONNX_FILE: registry()["onnx"].content(trained), "network.py": _loader("onnx_network.py")}


def _loader(name: str) -> bytes:
    return python("netloom.export.bundled", name).encode()


PYTORCH = BundledNetwork(
    _pytorch_files,
    {
        "`model.py`": "the network as PyTorch source, exactly as it was trained",
        "`weights.safetensors`": "its trained weights",
        "`network.py`": "loads both",
    },
    "model.py",
    ("torch", "safetensors", "numpy"),
)
ONNX = BundledNetwork(
    _onnx_files,
    {f"`{ONNX_FILE}`": "the network, which ONNX Runtime computes", "`network.py`": "loads it"},
    ONNX_FILE,
    ("torch", "onnxruntime", "numpy"),
)
