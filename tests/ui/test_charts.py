"""Charts of an evaluation."""

from __future__ import annotations

from netloom.ui.components.charts import confusion_chart, residual_charts


def test_mistakes_can_be_read_in_both_themes() -> None:
    """What lies on a dark violet is white; all else takes the letters of the theme, and zeros stand back."""
    written = confusion_chart([[9, 1], [0, 4]], ["cat", "7"]).layout.annotations
    cells = {(one.y, one.x): (one.text, one.font.color, one.opacity) for one in written}
    assert cells == {
        ("cat", "cat"): ("9", "white", 1),
        ("cat", "7"): ("1", None, 1),
        ("7", "cat"): ("0", None, 0.4),
        ("7", "7"): ("4", "white", 1),
    }
    many = [str(number) for number in range(16)]
    assert not confusion_chart([[1] * 16] * 16, many).layout.annotations


def test_residuals_lie_above_the_line_where_too_little_is_predicted() -> None:
    fitted, residuals = residual_charts([1.0, 4.0], [2.0, 1.5])
    assert [list(fitted.data[1][axis]) for axis in "xy"] == [[1.0, 4.0], [2.0, 1.5]]
    assert [list(residuals.data[1][axis]) for axis in "xy"] == [[2.0, 1.5], [-1.0, 2.5]]
    assert [list(residuals.data[0][axis]) for axis in "xy"] == [[1.0, 4.0], [0, 0]]
