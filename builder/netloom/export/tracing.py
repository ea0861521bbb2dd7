"""Record a network as a torch.export program, for the formats without Python source."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netloom.compile import input_nodes, output_nodes
from netloom.core.torch_internals import ONNX_LOGGER, RECORDING_LOGGERS, correct_lstm_states
from netloom.export.format import ExportError, Trained
from netloom.export.verification import cause, sample

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

    from netloom.document import Project

# Different from the batch sizes of the verification, so that none of them is the recorded one; and not 1, because
# torch.export treats an axis of length 1 as fixed
EXAMPLES = 3
# Warnings of libraries about themselves, on which a user cannot act
REMARKS = (
    (FutureWarning, r".*isinstance\(treespec, LeafSpec\).* is deprecated"),  # torch 2.13 about its ONNX exporter
    (UserWarning, r"# The axis name: batch will not be used"),  # torch where several inputs share the batch axis
    (UserWarning, r"No complete tensor found in the group"),  # torch about buffers that are views of one tensor
    (UserWarning, r"The given buffer is not writable"),  # torch 2.11 about the weights that torch.export.load reads
    (UserWarning, r"The tensor attributes? .*_flat_weights"),  # torch about views that its own nn.LSTM and nn.GRU keep
)
# They report that torchvision is not installed, what the optimizer leaves unchanged, and details of raised errors.
LOGGERS = (
    ONNX_LOGGER,
    *RECORDING_LOGGERS,
    "onnxscript",
    "onnx_ir",
)
_lock = threading.Lock()


def record(trained: Trained, model: nn.Module | None = None, *, any_length: bool = False) -> ExportedProgram:
    """Record the operations and the weights of a network, for batches of any size.

    `model` computes the same as the network. With `any_length`, the second axis of an input of sequences may have any
    length, if the network allows it.

    Raises:
        ExportError: torch.export cannot export this network.
    """
    import torch

    # Zeros, because the program stores its example inputs, and the file must not contain rows of the data
    inputs = tuple(torch.zeros_like(value) for value in sample(trained, EXAMPLES))
    batch, steps = torch.export.Dim.DYNAMIC, torch.export.Dim.AUTO
    shapes = tuple({0: batch} | ({1: steps} if any_length and value.dim() in (2, 3) else {}) for value in inputs)
    correct_lstm_states()
    try:
        with torch.no_grad():
            program = torch.export.export(model or trained.model, inputs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # the exporter raises whatever its parts raise
        raise ExportError(f"torch.export cannot export this network: {cause(error)}.") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # contains paths of this machine
    return program


def names(project: Project) -> tuple[list[str], list[str]]:
    """Return the names of the inputs and outputs in a file: the field of each Input, and the name of each Output.

    The id of the node replaces a name that is empty, starts with a digit, or is in use.
    """
    nodes = project.main_network.nodes
    used_names: set[str] = set()

    def name(key: str, parameter: str, default: str) -> str:
        requested = re.sub(r"\W+", "_", str(nodes[key].params.get(parameter, default)), flags=re.ASCII).strip("_")
        # An id of a node is excluded, because it may be the fallback of that node.
        result = (
            requested if requested and not requested[0].isdigit() and requested not in {*used_names, *nodes} else key
        )
        used_names.add(result)
        return result

    inputs = [name(key, "field", "") for key in input_nodes(project)]
    return inputs, [name(key, "name", "output") for key in output_nodes(project)]


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress known warnings and log messages of the exporters.

    Only one thread exports at a time, because the log levels apply to the whole process. So do the warning filters, but
    these stay: `warnings.catch_warnings` would remove the filters that another thread adds in the meantime (see
    `explain.core.library_warnings`).
    """
    for category, message in REMARKS:
        warnings.filterwarnings("ignore", message, category)
    with _lock:
        levels = {name: logging.getLogger(name).level for name in LOGGERS}
        try:
            for name in LOGGERS:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
