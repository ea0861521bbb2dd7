"""The types of plain JSON, for values whose shape only their reader or writer knows.

A value of a known shape has a type of its own; these are for documents, schemas, messages and files at the point where
they are read or written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | bool | None"
JsonObject: TypeAlias = "dict[str, Json]"
