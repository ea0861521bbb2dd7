"""The names of nodes and weights of a program, from the modules to which its operators belong."""

from __future__ import annotations

from netloom.compile.importers.torch_export.program import Operator
from netloom.core.text import plain

# The modules of PyTorch with several operators
_COMPOSITE = frozenset(
    "Sequential ModuleList MultiheadAttention TransformerEncoderLayer TransformerDecoderLayer TransformerEncoder "
    "TransformerDecoder Transformer".split()
)


def location(item: Operator) -> str:
    """An operator and its module, for messages."""
    path = item.stack[-1].path if item.stack else ""
    return plain(f"{item.name} in {path}" if path else item.name)[:80]


def node_name(item: Operator) -> str:
    """The name of a node: the path of its module, followed by the operator if the module has several."""
    if not item.stack:
        return item.type.strip("_")
    module = item.stack[-1]
    leaf = module.kind.startswith("torch.nn.") and module.name not in _COMPOSITE
    return module.path if leaf else f"{module.path}.{item.type.strip('_')}"


def weight_name_of(weight_name: str, item: Operator) -> str:
    """The name of weights in the module that uses them, which differs from the stored name if they are tied."""
    if item.stack:
        path = item.stack[-1].path
        if item.stack[-1].kind.startswith("torch.nn.") and not weight_name.startswith(f"{path}."):
            return f"{path}.{weight_name.rpartition('.')[2]}"
    return weight_name
