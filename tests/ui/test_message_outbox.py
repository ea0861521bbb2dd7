"""Messages from the browser are data: each is taken once, and anything else is ignored."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.ui.components.message_outbox import MAX_ID, MAX_REMEMBERED, Inbox

MOST = 10  # letters of a message


def test_each_message_is_taken_once_in_order() -> None:
    inbox = Inbox()
    assert inbox.take([["1", " hello "], ["2", "again"]], MOST) == ["hello", "again"]
    assert inbox.take([["1", "hello"], ["2", "again"], ["3", "again"]], MOST) == ["again"]
    assert inbox.take([["3", "again"]], MOST) == []


@pytest.mark.parametrize("sent", [None, "x", 7, {}, [[]], [["1"]], [["1", 2]], [[1, "x"]], [["1", " "]], [None]])
def test_values_that_are_not_messages_are_ignored(sent: Any) -> None:
    assert Inbox().take(sent, MOST) == []


def test_only_the_last_messages_are_remembered() -> None:
    inbox = Inbox()
    for number in range(2 * MAX_REMEMBERED):
        inbox.take([[str(number), "x"]], MOST)
    assert len(inbox.received) == MAX_REMEMBERED


def test_messages_from_the_browser_have_limits() -> None:
    inbox = Inbox()
    assert inbox.take([["1", "x" * (MOST + 1)], ["2" * (MAX_ID + 1), "x"], ["3", f" {'x' * MOST} "]], MOST) == [
        "x" * MOST
    ]
    assert inbox.received == ["3"]


def test_a_long_list_is_not_taken_again() -> None:
    inbox, sent = Inbox(), [[str(number), "x"] for number in range(MAX_REMEMBERED + 5)]
    assert len(inbox.take(sent, MOST)) == MAX_REMEMBERED
    assert inbox.take(sent, MOST) == []
