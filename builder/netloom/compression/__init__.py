"""Compression: smaller or faster variants of a trained network, measured beside the original.

A `Method` makes a variant as an ONNX file (`methods/`, one file each). The result of a `DocumentMethod` is a document
again, which can be trained as a run (`smaller_runs`). `measure` runs the original and all variants in
turns on this machine, and says which is worth using.
"""

from netloom.compression.measure import measure
from netloom.compression.method import CompressionError, DocumentMethod, Method, Variant, file_methods, registry
from netloom.compression.report import Measured, Report

__all__ = [
    "CompressionError",
    "DocumentMethod",
    "Measured",
    "Method",
    "Report",
    "Variant",
    "file_methods",
    "measure",
    "registry",
]
