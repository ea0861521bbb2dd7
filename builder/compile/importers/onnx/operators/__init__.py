"""Which layers each operator of ONNX becomes: one entry of the table each, by families."""

from builder.compile.importers.onnx.operators import (
    activation,
    arithmetic,
    convolution,
    indexing,
    normalization,
    product,
    recurrent,
    reduction,
    resizing,
    shape,
)
from builder.compile.importers.onnx.operators.base import KINDS, OPERATORS, Call, elementwise

# Each family enters its operators in the table when it is imported.
FAMILIES = (
    *(activation, arithmetic, convolution, indexing, normalization),
    *(product, recurrent, reduction, resizing, shape),
)
__all__ = ["FAMILIES", "KINDS", "OPERATORS", "Call", "elementwise"]
