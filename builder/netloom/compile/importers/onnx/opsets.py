"""Conversion of files to the operators of newer opsets, and of functions to the operators that they consist of."""

from __future__ import annotations

import onnx
from onnx import inliner, version_converter

from netloom.compile.importers.imported_model import UnreadableModelError
from netloom.core.text import plain

# The two spellings of the domain of standard operators
DOMAINS = ("", "ai.onnx")
OLDEST, NEWEST = 7, 100


def with_supported_opset(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """The model with operators of opset 7 or later, and its opset.

    Raises:
        UnreadableModelError: The opset is unknown, or the library cannot convert the file.
    """
    opset = next((item.version for item in model.opset_import if item.domain in DOMAINS), 1)
    if OLDEST <= opset <= NEWEST:
        return model, opset
    reason = ""
    if 1 <= opset < OLDEST:
        try:
            return version_converter.convert_version(_with_weights_as_inputs(model), OLDEST), OLDEST
        except Exception as error:  # the converter is C++ and raises exceptions of several classes
            reason = f", and it cannot be converted ({plain(str(error))[:160]})"
    raise UnreadableModelError(f"This file is of ONNX opset {opset}{reason}; export it again with opset 7 or later.")


def _with_weights_as_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights among its inputs, as IR version 3 requires, which the converter expects."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    names = {item.name for item in copy.graph.input}
    for tensor in copy.graph.initializer:
        if tensor.name not in names:
            copy.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return copy


def with_functions_inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the operators of its own functions in their places.

    Raises:
        UnreadableModelError: The library cannot replace a function.
    """
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the library is C++ and raises exceptions of several classes
        raise UnreadableModelError(f"The functions of this file cannot be read ({plain(str(error))[:160]}).") from None
