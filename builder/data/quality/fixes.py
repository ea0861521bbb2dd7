"""Mends of data, as edits of the document."""

from __future__ import annotations

from collections.abc import Sequence

from builder.data.quality.finding import Fix, named
from builder.data.quality.look import Look


def ignore(look: Look, names: Sequence[str]) -> Fix | None:
    """Leave columns out, where the data lets a document say so."""
    columns = [name for name in names if name in look.removable]
    if not columns or look.choice is None or len(columns) >= look.width:
        return None
    options = look.choice.options
    known = options.get("columns")
    said = dict(known) if isinstance(known, dict) else {}
    for name in columns:
        before = said.get(name)
        said[name] = {**(before if isinstance(before, dict) else {}), "role": "ignore"}
    edit = {"kind": "project", "data": {"options": {**options, "columns": said}}}
    return Fix(f"Leave out {named(columns, 2)}", edit)


def drop_repeats(look: Look) -> Fix | None:
    """Keep one of the rows that are alike."""
    if look.choice is None or look.choice.duplicates == "drop":
        return None
    return Fix("Keep one of each", {"kind": "project", "data": {"duplicates": "drop"}})


def weigh_classes() -> Fix:
    """Have rare classes count as much as frequent ones."""
    return Fix("Weigh the classes", {"kind": "project", "training": {"class_weights": "balanced"}})


def split_by(look: Look, how: str, title: str) -> Fix | None:
    """Part the rows another way."""
    if look.choice is None or look.choice.split == how:
        return None
    return Fix(title, {"kind": "project", "data": {"split": how}})
