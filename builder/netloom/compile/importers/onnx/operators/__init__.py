"""The conversion of ONNX operators into layers, by families. https://onnx.ai/onnx/operators/"""

from netloom.compile.importers.onnx.operators import (
    activation,
    arithmetic,
    attention,
    convolution,
    einsum,
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

# Importing a family registers its operators.
FAMILIES = (
    *(activation, arithmetic, attention, convolution, einsum, indexing, normalization),
    *(product, recurrent, reduction, resizing, shape, spectrum),
)
__all__ = ["FAMILIES", "KINDS", "OPERATORS", "Call", "elementwise"]
