"""Names that can be called in a formula: layers of the catalog, also by their names in PyTorch and Keras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from netloom.core.field_errors import comparable, nearest_name
from netloom.layers import form, registry

CalledLayer = tuple[str, Mapping[str, Any]]

# Names of layers in other libraries, unless they differ only in capitalization and underscores
SYNONYMS = {
    "attention": "SelfAttention",
    "bmm": "MatMul",
    "cat": "Concat",
    "clip": "Clamp",
    "concatenate": "Concat",
    "conv1": "Conv1d",
    "conv2": "Conv2d",
    "dense": "Linear",
    "div": "Divide",
    "dotproduct": "Dot",
    "fullyconnected": "Linear",
    "globalaveragepool": "GlobalAvgPool",
    "layernormalization": "LayerNorm",
    "matrixproduct": "MatMul",
    "maskedfill": "MaskFill",
    "mul": "Multiply",
    "parameter": "Learned",
    "pow": "Power",
    "selectseveral": "IndexSelect",
    "sub": "Subtract",
    "swapaxes": "Transpose",
    "swish": "SiLU",
    "view": "Reshape",
}
# Parameter names of PyTorch and Keras, with the possible names in the catalog
PARAMETERS = {
    "dim": ("axis", "axes"),
    "embedding_dim": ("dim",),
    "eps": ("epsilon",),
    "filters": ("units",),
    "groups": ("num_groups",),
    "keepdim": ("keep",),
    "negative_slope": ("slope",),
    "num_embeddings": ("vocabulary",),
    "num_groups": ("groups",),
    "num_heads": ("heads",),
    "num_layers": ("layers",),
    "out_channels": ("filters",),
    "out_features": ("units",),
    "p": ("rate",),
    "scale_factor": ("scale",),
    "units": ("filters", "hidden_size"),
    "upscale_factor": ("factor",),
}
# The fields of every node besides the parameters of its layer.
NODE_FIELDS = ("title", "note", "frozen", "shares", "initialization")
# The name to which a line assigns the initialization of the whole network.
INITIALIZATION = "initialization"


class FormulaError(ValueError):
    """Code that does not describe a network, or a network that cannot be written as code; the message is one sentence.
    For code, it begins with the line and column."""

    def __init__(self, message: str, line: int = 0, column: int = 1) -> None:
        self.line, self.column = line, column
        where = f"Line {line}, column {column}: " if line else ""
        super().__init__(f"{where}{message if where else message[:1].upper() + message[1:]}")


@cache
def callables() -> Mapping[str, CalledLayer]:
    """The layer of each plain name, with the parameters that the name implies: sin is Function with function="sin"."""
    calls: dict[str, CalledLayer] = {name: (kind, {}) for name, kind in SYNONYMS.items()}
    functions = next(field for field in form(registry()["Function"]) if field.name == "function")
    calls |= {name: ("Function", {"function": name}) for name in functions.choices}
    return calls | {comparable(name): (name, {}) for name in registry()}


def parameter_of(fields: Iterable[str], name: str) -> str:
    """The parameter among `fields` to which a name of another library refers, or the name itself."""
    known = set(fields)
    if name in known:
        return name
    return next((known_name for known_name in PARAMETERS.get(name, ()) if known_name in known), name)


def suggestion(name: str, known: Iterable[str]) -> str:
    """“ (did you mean …?)” with the nearest known name, or nothing."""
    match = nearest_name(name, known)
    return f" (did you mean {match}?)" if match is not None else ""
