"""Data: built-in datasets, uploads, splits, preprocessing. Torch and pandas are imported when first needed."""

from netloom.core.errors import DataError
from netloom.data.preparation.prepare import bigram_entropy, datasets, prepare, remove, schema, with_dataset_id
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.quality import Quality, statistics
from netloom.data.schema import DatasetInfo, Example, Schema, TargetSpec
from netloom.data.uploads import add_file
from netloom.modalities.field_spec import FieldSpec

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
    "datasets",
    "prepare",
    "remove",
    "schema",
    "statistics",
    "with_dataset_id",
]
