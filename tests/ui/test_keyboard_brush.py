"""The strokes that a browser sends for the keyboard."""

from __future__ import annotations

import pytest

from netloom.ui.components.keyboard_brush import MAX_REMEMBERED, Board, BrushStrokes

BOARD = Board("board", height=5, width=7, cell=2)


def test_strokes_are_taken_once_and_in_order() -> None:
    assert (BOARD.rows, BOARD.columns) == (3, 4)
    received = BrushStrokes()
    first, second = ["a", [[0, 1], [0, 1], [2, 3]], 1], ["b", [[1, 1]], 0]
    assert received.take([first], BOARD, 2) == [([(0, 1), (2, 3)], 1)]
    assert received.take([first, second], BOARD, 2) == [([(1, 1)], 0)]
    assert received.take([first, second], BOARD, 2) == []
    received.take([[str(number), [[0, 0]], 0] for number in range(MAX_REMEMBERED)], BOARD, 2)
    assert len(received.received) == MAX_REMEMBERED


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "a",
        [["a", [[3, 0]], 0]],
        [["a", [[0, 4]], 0]],
        [["a", [[-1, 0]], 0]],
        [["a", [["0", 0], [0.0, 0], None, [0]], 0]],
        [["a", [[0, 0]], 2]],
        [["a", [[0, 0]], -1]],
        [["a", [[0, 0]], "0"]],
        [["a" * 41, [[0, 0]], 0]],
        [["a", 5, 0]],
    ],
)
def test_strokes_that_no_brush_makes_are_left_out(sent: object) -> None:
    assert BrushStrokes().take(sent, BOARD, 2) == []
