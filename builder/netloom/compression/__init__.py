"""Compression: smaller or faster variants of a trained network, measured beside the original.

A `Method` makes a variant as an ONNX file (`methods/`, one file each). `measure` runs the original and all variants in
turns on this machine, and says which is worth using.
"""

from netloom.compression.measure import measure
from netloom.compression.method import CompressionError, Method, Variant, registry
from netloom.compression.report import Measured, Report

__all__ = ["CompressionError", "Measured", "Method", "Report", "Variant", "measure", "registry"]
