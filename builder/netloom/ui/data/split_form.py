"""The settings of the split into training, validation and test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from netloom.data import Prepared
from netloom.data.splits.registry import AUTO, split_methods
from netloom.data.splits.unread_settings import unread_settings
from netloom.editing.live import Live
from netloom.ui.components.forms import Binding, bound, refused
from netloom.ui.data.target_picker import reading_edit

_COUNTED_FROM = {"training": "Rows without test rows", "rows": "All rows"}
_SHARES = {"training": "Share of the rows that are not test rows.", "rows": "Share of all rows."}


def split_form(live: Live, data: Prepared | None) -> None:
    """Draw the settings of the split into training, validation and test."""
    st.markdown("### Split")
    unread = {} if data is None else unread_settings(data.raw, live.project.data)
    _method_and_shares(live, unread)
    _seed_and_gap(live, unread, has_gap=data is not None and "gap" not in unread)
    if data is not None:
        _row_counts(data)


def _method_and_shares(live: Live, unread: Mapping[str, str]) -> None:
    """Draw the method, and the size of each part."""
    choice = live.project.data
    first, second, third, fourth = st.columns([1.4, 1, 1, 1])
    titles = {AUTO: "Automatic", **{name: method.title for name, method in reversed(split_methods().items())}}
    names = list(titles)
    method = _bound(live, "split", choice.split, lambda value: {"split": value})
    first.selectbox("Split method", names, names.index(choice.split), format_func=titles.__getitem__, **method)
    share = _bound(live, "validation", choice.validation, lambda value: {"validation": value})
    help = f"{_SHARES[choice.validation_of]} 0: train on these rows, too"
    effect = _effect(unread, "validation", help)
    second.number_input("Validation", 0.0, 0.5, choice.validation, step=0.05, **effect, **share)
    if choice.folds is None:
        test = _bound(live, "test", choice.test, lambda value: {"test": value})
        third.number_input("Test", 0.01, 0.5, choice.test, step=0.05, **_effect(unread, "test"), **test)
    else:
        test = _bound(live, "fold", choice.fold + 1, lambda value: {"fold": value - 1})
        third.number_input("Test fold", 1, choice.folds, choice.fold + 1, **test)
    folds = _bound(live, "folds", choice.folds or 1, lambda value: {"folds": value if value > 1 else None, "fold": 0})
    fourth.number_input(
        "Folds", 1, 100, choice.folds or 1, help="Number of cross-validation folds; 1: a single split", **folds
    )
    for binding in (method, share, test, folds):
        refused(binding)


def _seed_and_gap(live: Live, unread: Mapping[str, str], *, has_gap: bool) -> None:
    """Draw the seed, the rows of which the validation rows are a share, and the gap of a split by time."""
    choice = live.project.data
    first, second, third, _ = st.columns([1, 1.4, 1, 1])
    seed = _bound(live, "seed", choice.seed, lambda value: {"seed": value})
    first.number_input("Seed", 0, 2**31 - 1, choice.seed, **seed)
    parts = list(_COUNTED_FROM)
    counted = _bound(live, "validation_of", choice.validation_of, lambda value: {"validation_of": value})
    second.selectbox(
        "Validation share of",
        parts,
        parts.index(choice.validation_of),
        format_func=_COUNTED_FROM.__getitem__,
        **_effect(unread, "validation_of"),
        **counted,
    )
    if has_gap:
        gap = _bound(live, "gap", choice.gap, lambda value: {"gap": value})
        third.number_input("Gap in rows", 0, 1_000_000, choice.gap, **gap)
        refused(gap)
    refused(seed)
    refused(counted)


def _row_counts(data: Prepared) -> None:
    counts = {name: f"{len(rows):,}" for name, rows in data.rows.items()}
    st.caption(f"{counts['train']} training rows, {counts['validation']} validation rows, {counts['test']} test rows.")
    if data.monitored_split != "validation":
        st.caption("Without validation rows, the metrics on training rows select the best weights.")


def _bound(live: Live, name: str, current: Any, change: Callable[[Any], dict[str, Any]]) -> Binding:
    """Return the arguments of a widget that changes a setting of the split."""
    return bound(live, f"split {name}", current, lambda value: reading_edit(live, change(value)), renews=True)


def _effect(unread: Mapping[str, str], name: str, help: str = "") -> dict[str, Any]:
    """Return the arguments of a widget that is disabled if its setting has no effect."""
    reason = unread.get(name)
    return {"disabled": reason is not None, "help": f"No effect: {reason}." if reason else help}
