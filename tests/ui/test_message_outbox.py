"""Messages from the browser are data: each is taken once, and anything else is ignored."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.ui.components.message_outbox import MOST_REMEMBERED, Inbox


def test_each_message_is_taken_once_in_order() -> None:
    inbox = Inbox()
    assert inbox.take([["1", " hello "], ["2", "again"]]) == ["hello", "again"]
    assert inbox.take([["1", "hello"], ["2", "again"], ["3", "again"]]) == ["again"]
    assert inbox.take([["3", "again"]]) == []


@pytest.mark.parametrize("sent", [None, "x", 7, {}, [[]], [["1"]], [["1", 2]], [[1, "x"]], [["1", " "]], [None]])
def test_values_that_are_not_messages_are_ignored(sent: Any) -> None:
    assert Inbox().take(sent) == []


def test_only_the_last_messages_are_remembered() -> None:
    inbox = Inbox()
    for number in range(2 * MOST_REMEMBERED):
        inbox.take([[str(number), "x"]])
    assert len(inbox.received) == MOST_REMEMBERED
