"""Remarks of an import: those of one kind are counted."""

from __future__ import annotations

from netloom.compile.importers.remarks import Remarks


def test_remarks_of_one_kind_are_counted_and_name_the_first_parts() -> None:
    remarks = Remarks()
    remarks.add("Pixels are scaled.")
    for number in range(12):
        remarks.add("it is left out.", f"dropout_{number}")
    remarks.add("its state starts at zero.", "lstm")
    remarks.add("Pixels are scaled.")
    assert list(remarks) == [
        "Pixels are scaled.",
        "12 × it is left out (dropout_0, dropout_1 and 10 more).",
        "lstm: its state starts at zero.",
    ]


def test_three_parts_are_all_named() -> None:
    remarks = Remarks()
    for name in ("a", "b", "c", "b"):
        remarks.add("it is left out.", name)
    assert list(remarks) == ["3 × it is left out (a, b, c)."]
