"""Charts of an evaluation."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from netloom.ui.components.charts.charts import (
    MAX_NAMES,
    class_chart,
    confusion_chart,
    described,
    residual_charts,
    series_chart,
)


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


def test_classes_that_begin_alike_are_different_bars_and_cells() -> None:
    """Plotly draws equal categories at one position, and interprets HTML."""
    classes = ["balance_not_updated_after_bank_transfer", "balance_not_updated_after_cheque", "<b>bold</b>"]
    bars = class_chart(dict.fromkeys(classes, 1)).data[0]
    cells = confusion_chart([[1, 0, 0], [0, 1, 0], [0, 0, 1]], classes).data[0]
    for names in (bars.x, cells.x, cells.y):
        assert len(set(names)) == 3
        assert not any("<" in name for name in names)


def test_names_of_many_classes_leave_the_height_to_the_bars() -> None:
    names = [f"a class with a rather long name, number {number}" for number in range(MAX_NAMES + 1)]
    chart = class_chart(dict.fromkeys(names, 1))
    assert chart.layout.xaxis.showticklabels is False
    assert chart.data[0].customdata[3] == names[3], "hovering shows the whole name"
    assert class_chart(dict.fromkeys(names[1:], 1)).layout.xaxis.showticklabels is None


def test_charts_are_described_by_their_title_or_name_and_axes() -> None:
    untitled = go.Figure(layout={"xaxis": {"title": "Strength,<br>in pixels"}, "yaxis": {"title": "Accuracy"}})
    assert described(untitled, "robustness") == "Chart: robustness (Accuracy over Strength, in pixels)"
    titled = go.Figure(layout={"title": "Residuals"})
    assert described(titled, "residuals 1") == "Chart: Residuals"


def test_every_chart_has_a_name_for_screen_readers() -> None:
    calls = [
        (path, call)
        for path in (Path(__file__).parents[2] / "builder" / "netloom" / "ui").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "plotly_chart"
    ]
    assert len(calls) > 10
    unnamed = [f"{path}:{call.lineno}" for path, call in calls if "alt" not in {word.arg for word in call.keywords}]
    assert not unnamed


def test_residual_of_an_underprediction_is_positive() -> None:
    fitted, residuals = residual_charts([1.0, 4.0], [2.0, 1.5])
    assert [list(fitted.data[1][axis]) for axis in "xy"] == [[1.0, 4.0], [2.0, 1.5]]
    assert [list(residuals.data[1][axis]) for axis in "xy"] == [[2.0, 1.5], [-1.0, 2.5]]
    assert [list(residuals.data[0][axis]) for axis in "xy"] == [[1.0, 4.0], [0, 0]]


def test_channels_of_different_units_are_scaled_to_one_height() -> None:
    step = np.arange(5.0)
    chart = series_chart(np.stack([1000 * step, step, np.full(5, 7.0)], 1), small=True)
    assert [list(line.y) for line in chart.data] == [[0, 0.25, 0.5, 0.75, 1], [0, 0.25, 0.5, 0.75, 1], [0] * 5]
    assert chart.layout.yaxis.title.text == "scaled"
    alike = series_chart(np.stack([3 * step, step], 1), small=True)
    assert list(alike.data[0].y) == [0, 3, 6, 9, 12]
    assert alike.layout.yaxis.title.text is None


def test_the_chart_of_a_series_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of cards shows twenty series, and each click reruns it."""

    def script() -> None:
        import numpy as np

        from netloom.data import Example
        from netloom.ui.components.examples.examples import show_example

        for row in range(3):
            show_example(Example(row, "", series=np.full((4, 1), row + 0.125)), small=True)

    figures: list[go.Figure] = []
    make = go.Figure.__init__

    def count(figure: go.Figure, *values: object) -> None:
        figures.append(figure)
        make(figure, *values)

    monkeypatch.setattr(go.Figure, "__init__", count)
    app = AppTest.from_function(script).run()
    assert not app.exception
    assert len(figures) == 3
    app.run()
    assert not app.exception
    assert len(figures) == 3
