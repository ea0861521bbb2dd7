"""The chat of the Try it page in Chromium: messages that are sent in quick succession are all answered."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from netloom.chat.understanding import MAX_LETTERS
from netloom.cli.bench.server import Server
from tests.browser.playground import open_untrained

pytestmark = pytest.mark.browser

MESSAGES = ["alarm", "weather", "zzz"]
# All within one task of the browser, so that the server gets them before its script can go on.
SEND = """(field, texts) => {
  const { set } = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value");
  for (const text of texts) {
    set.call(field, text);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", code: "Enter", keyCode: 13, bubbles: true }));
  }
}"""


def open_chat(page: Page, server: Server, name: str) -> None:
    """Open the chat with a run of a template that was not trained."""
    open_untrained(page, server, name)
    page.get_by_role("radio", name="Chat").click()


def test_messages_in_quick_succession_are_all_answered_in_order(page: Page, server: Server) -> None:
    open_chat(page, server, "commands_joint")
    field = page.get_by_placeholder("Write a message")
    expect(field).to_be_visible()
    field.evaluate(SEND, MESSAGES)  # while a worker still loads the network
    expect(field).to_have_value("")
    expect(page.get_by_test_id("stChatMessage")).to_have_count(2 * len(MESSAGES))
    sent = page.get_by_test_id("stChatMessage").filter(has=page.get_by_role("button", name="Why"))
    for index, text in enumerate(MESSAGES):
        expect(sent.nth(index)).to_contain_text(text)
        expect(sent.nth(index).locator("p").first).to_have_css("unicode-bidi", "plaintext")  # for Arabic
    page.wait_for_timeout(500)
    expect(page.get_by_test_id("stChatMessage")).to_have_count(2 * len(MESSAGES))


def test_a_message_that_is_too_long_stays_in_the_field_with_an_error(page: Page, server: Server) -> None:
    open_chat(page, server, "commands_joint")
    field = page.get_by_placeholder("Write a message")
    text = "\N{ALARM CLOCK}" * (MAX_LETTERS + 1)  # 2 units of a text in JavaScript, and one character in Python
    field.fill(text)  # in one event, as by pasting
    expect(field).to_have_value(text)
    field.press("Enter")
    error = page.get_by_text("The message has 4,001 characters, but at most 4,000 are read. Shorten it.")
    expect(error).to_be_visible()
    expect(field).to_have_value(text)
    expect(page.get_by_test_id("stChatMessage")).to_have_count(0)
    field.press("Backspace")
    expect(error).to_be_hidden()
    expect(field).to_have_value(text[:-1])
    field.press("Enter")
    expect(page.get_by_test_id("stChatMessage")).to_have_count(2)
    expect(field).to_have_value("")
