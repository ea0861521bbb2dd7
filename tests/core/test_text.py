"""Numbers and names as text."""

from __future__ import annotations

import pytest

from netloom.core.text import distinct, size


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (1_020 * 1_024, "1020 KiB"), (2**30, "1 GiB")],
)
def test_sizes_have_three_digits_and_no_exponent(value: int, text: str) -> None:
    assert size(value) == text


def test_names_on_an_axis_stay_different() -> None:
    names = [
        "balance_not_updated_after_bank_transfer",
        "balance_not_updated_after_cheque",
        "a" * 20 + "1" + "z" * 20,
        "a" * 20 + "2" + "z" * 20,
        "card",
    ]
    short = distinct(names, 16)
    assert short == ["balance…transfer", "balance…r_cheque", "aaaaaaa…zzzzzzzz (3)", "aaaaaaa…zzzzzzzz (4)", "card"]
