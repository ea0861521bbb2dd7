"""Which layers each operator of ONNX becomes: one entry of the table each, by families."""

from netloom.compile.importers.onnx.operators import (
    activation,
    arithmetic,
    attention,
    convolution,
    indexing,
    normalization,
    product,
    recurrent,
    reduction,
    resizing,
    shape,
    spectrum,
)
from netloom.compile.importers.onnx.operators.operator import KINDS, OPERATORS, Call, elementwise

# Each family enters its operators in the table when it is imported.
FAMILIES = (
    *(activation, arithmetic, attention, convolution, indexing, normalization),
    *(product, recurrent, reduction, resizing, shape, spectrum),
)
__all__ = ["FAMILIES", "KINDS", "OPERATORS", "Call", "elementwise"]
