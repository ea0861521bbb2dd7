"""Charts of an evaluation."""

from __future__ import annotations

from builder.ui.charts import confusion_chart


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
