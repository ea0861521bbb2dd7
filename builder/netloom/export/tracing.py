"""Recording of a network as a torch.export program, for the formats without Python source."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netloom.compile import input_nodes, output_nodes
from netloom.core.torch_internals import ONNX_LOGGER, RECORDING_LOGGERS
from netloom.export.format import ExportError, Trained
from netloom.export.verification import cause, sample

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from netloom.document import Project

# Neither of the sizes that the file is checked with, nor 1, which PyTorch would take for a length that never changes.
EXAMPLES = 3
# Known remarks of libraries about themselves, on which nobody who exports can act.
REMARKS = (
    (FutureWarning, r".*isinstance\(treespec, LeafSpec\).* is deprecated"),  # torch 2.13 about its own onnx exporter
    (UserWarning, r"# The axis name: batch will not be used"),  # torch where several inputs share the batch axis
    (UserWarning, r"No complete tensor found in the group"),  # torch about buffers that are views of one tensor
    (UserWarning, r"The tensor attributes? .*_flat_weights"),  # torch about views that its own nn.LSTM and nn.GRU keep
)
# That torchvision is not installed, what the optimiser leaves as it is, and details of errors that are raised as well.
LOGGERS = (
    ONNX_LOGGER,
    *RECORDING_LOGGERS,
    "onnxscript",
    "onnx_ir",
)
_lock = threading.Lock()


def record(trained: Trained) -> ExportedProgram:
    """The network's operations and weights, for batches of any size.

    Raises:
        ExportError: torch.export cannot follow this network.
    """
    import torch

    # Zeros, as no row of the data is to stay in the file.
    inputs = tuple(torch.zeros_like(value) for value in sample(trained, EXAMPLES))
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs)
    try:
        with torch.no_grad():
            program = torch.export.export(trained.model, inputs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # the exporter raises whatever its parts raise
        raise ExportError(f"torch.export cannot record this network: {cause(error)}.") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names folders of this machine
    return program


def names(project: Project) -> tuple[list[str], list[str]]:
    """The names of the network's inputs and outputs in a file: the field, and the name of the Output.

    A node's id replaces a name that is empty or used already.
    """
    nodes = project.main_network.nodes
    used_names: set[str] = set()

    def name(key: str, parameter: str, default: str) -> str:
        requested = re.sub(r"\W+", "_", str(nodes[key].params.get(parameter, default)), flags=re.ASCII).strip("_")
        result = (
            requested if requested and not requested[0].isdigit() and requested not in {*used_names, *nodes} else key
        )
        used_names.add(result)
        return result

    inputs = [name(key, "field", "") for key in input_nodes(project)]
    return inputs, [name(key, "name", "output") for key in output_nodes(project)]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep known remarks of the exporters to themselves. One at a time, as filters hold for the whole process."""
    with _lock, warnings.catch_warnings():
        for category, message in REMARKS:
            warnings.filterwarnings("ignore", message, category)
        levels = {name: logging.getLogger(name).level for name in LOGGERS}
        try:
            for name in LOGGERS:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
