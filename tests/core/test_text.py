"""Numbers and names as text."""

from __future__ import annotations

import pytest

from netloom.core.text import distinct, number, size
from netloom.tasks import metric


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


@pytest.mark.parametrize(
    ("value", "digits", "text", "signed"),
    [
        (45_231.4, 4, "45231", "+45231"),
        (2_651.2, 3, "2651", "+2651"),
        (-9_999.6, 4, "-10000", "-10000"),
        (0.000123456, 4, "0.0001235", "+0.0001235"),
        (2e15, 4, "2e+15", "+2e+15"),
    ],
)
def test_large_numbers_and_errors_of_large_numbers_have_no_exponent(
    value: float, digits: int, text: str, signed: str
) -> None:
    assert (number(value, digits), number(value, digits, signed=True)) == (text, signed)
    for name in ("rmse", "mae", "elbo"):
        described = metric(name)
        assert described.written(value, digits=digits) == text
        assert described.written(value, digits=digits, signed=True) == signed
    assert metric("accuracy").written(0.5, signed=True) == "+50.0%"
