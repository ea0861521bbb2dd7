"""Mends of data, as edits of the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.data.quality.finding import Fix, named
from netloom.data.quality.quality_view import Look


def ignore(look: Look, names: Sequence[str]) -> Fix | None:
    """Leave columns out, where the data lets a document say so."""
    columns = [name for name in names if name in look.removable]
    if not columns or len(columns) >= look.width:
        return None
    return _set(look, columns, {"role": "ignore"}, f"Leave out {named(columns, 2)}")


def mark_missing(look: Look, names: Sequence[str]) -> Fix | None:
    """Have a number of its own say of each of these columns whether its value was missing."""
    columns = [name for name in names if name in look.removable and name in look.numbers]
    columns = [name for name in columns if not look.said(name).get("indicator")]
    return _set(look, columns, {"indicator": True}, "Mark what is missing")


def scale_by_quantiles(look: Look, name: str) -> Fix | None:
    """Have only the order of a column's values count, so that none is far from the others."""
    columns = [name] if name in look.removable else []
    return _set(look, columns, {"scale": "quantile"}, "Scale by quantiles")


def read_as(look: Look, name: str, kind: str) -> Fix | None:
    """Read a column of texts as numbers or dates; the cells that are none are taken as missing."""
    return _set(look, [name], {"kind": kind}, f"Read as {kind}s")


def treat_as_same(look: Look, name: str, aliases: Mapping[str, str]) -> Fix | None:
    """Take labels as others that mean the same."""
    known = look.said(name).get("aliases")
    both = {**(known if isinstance(known, dict) else {}), **aliases}
    (first, other), more = next(iter(aliases.items())), len(aliases) - 1
    title = f"Treat {first[:30]!r} as {other[:30]!r}" + (f" and {more:,} more" if more else "")
    return _set(look, [name], {"aliases": both}, title)


def _set(look: Look, names: Sequence[str], settings: dict[str, Any], title: str) -> Fix | None:
    """Say the same of some columns, beside what a document says of them."""
    if not names or look.choice is None:
        return None
    options = look.choice.options
    known = options.get("columns")
    said = {**(known if isinstance(known, dict) else {}), **{name: {**look.said(name), **settings} for name in names}}
    return Fix(title, {"kind": "project", "data": {"options": {**options, "columns": said}}})


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
