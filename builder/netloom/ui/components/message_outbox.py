"""Chat inputs whose messages all arrive, also if several are sent while a script of the page is busy."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from netloom.ui.components.state import Part

MAX_REMEMBERED = 200
MAX_ID = 40  # letters of the id of a message


@dataclass
class Inbox:
    """The ids of the messages that were received, the newest last."""

    received: list[str] = field(default_factory=list)

    def take(self, sent: object, max_chars: int) -> list[str]:
        """Return the texts of messages, pairs of an id and a text from the browser, that were not received before.

        Longer texts than `max_chars`, which the chat input does not allow, are left out, and so are messages beyond
        those whose ids are remembered.
        """
        texts = []
        for message in sent[:MAX_REMEMBERED] if isinstance(sent, list) else []:
            match message:
                case [str(number), str(text)] if len(number) <= MAX_ID and number not in self.received:
                    if 0 < len(text.strip()) <= max_chars:
                        self.received.append(number)
                        texts.append(text.strip())
        del self.received[:-MAX_REMEMBERED]
        return texts


def chat_messages(placeholder: str, inbox: Inbox, *, key: str, max_chars: int) -> list[str]:
    """Draw a chat input, and return the messages that were sent since the last script.

    Streamlit replaces a message that its script has not read yet by the next one. In a browser, the messages therefore
    do not arrive through the chat input, but as a list that has all messages that `inbox` has not received.
    """
    outbox = _component()(
        key=Part.OUTBOX.within(key),
        data={"container": key.replace(" ", "-"), "confirmed": list(inbox.received)},
    )
    texts = inbox.take(outbox.get("messages"), max_chars)
    typed = st.chat_input(placeholder, max_chars=max_chars, key=key)  # before the component listens, and without one
    return [*texts, typed.strip()] if typed and typed.strip() else texts


@cache
def _component() -> Any:
    script = files("netloom.ui.components").joinpath("message_outbox.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_message_outbox", html="<i></i>", js=script)
