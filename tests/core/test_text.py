"""Numbers as text."""

from __future__ import annotations

import pytest

from netloom.core.text import size


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (1_020 * 1_024, "1020 KiB"), (2**30, "1 GiB")],
)
def test_sizes_have_three_digits_and_no_exponent(value: int, text: str) -> None:
    assert size(value) == text
