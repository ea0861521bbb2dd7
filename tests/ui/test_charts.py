"""Charts of an evaluation."""

from __future__ import annotations

from netloom.ui.components.charts import confusion_chart, residual_charts


def test_confusion_matrix_text_is_readable_in_both_themes() -> None:
    """Text on dark violet is white; other text has the theme's color, and zeros are faded."""
    cell_labels = confusion_chart([[9, 1], [0, 4]], ["cat", "7"]).layout.annotations
    cells = {(label.y, label.x): (label.text, label.font.color, label.opacity) for label in cell_labels}
    assert cells == {
        ("cat", "cat"): ("9", "white", 1),
        ("cat", "7"): ("1", None, 1),
        ("7", "cat"): ("0", None, 0.4),
        ("7", "7"): ("4", "white", 1),
    }
    many = [str(number) for number in range(16)]
    assert not confusion_chart([[1] * 16] * 16, many).layout.annotations


def test_residual_of_an_underprediction_is_positive() -> None:
    fitted, residuals = residual_charts([1.0, 4.0], [2.0, 1.5])
    assert [list(fitted.data[1][axis]) for axis in "xy"] == [[1.0, 4.0], [2.0, 1.5]]
    assert [list(residuals.data[1][axis]) for axis in "xy"] == [[2.0, 1.5], [-1.0, 2.5]]
    assert [list(residuals.data[0][axis]) for axis in "xy"] == [[1.0, 4.0], [0, 0]]
