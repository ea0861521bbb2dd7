"""Data: built-in datasets, uploads, splits, preprocessing. Torch and pandas are imported when first needed."""

from builder.data.prepare import bigram_entropy, datasets, prepare, remove, schema, with_dataset_id
from builder.data.prepared import Prepared
from builder.data.quality import Quality, statistics
from builder.data.registry import builtin
from builder.data.schema import DataError, DatasetInfo, Example, FieldSpec, Schema, TargetSpec
from builder.data.uploads import add_file

__all__ = [
    "DataError",
    "DatasetInfo",
    "Example",
    "FieldSpec",
    "Prepared",
    "Quality",
    "Schema",
    "TargetSpec",
    "add_file",
    "bigram_entropy",
    "builtin",
    "datasets",
    "prepare",
    "remove",
    "schema",
    "statistics",
    "with_dataset_id",
]
