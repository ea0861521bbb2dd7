"""Chat inputs whose messages all arrive, also if several are sent while a script of the page is busy."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from netloom.ui.components.errors import show_error
from netloom.ui.components.state import Part

MAX_REMEMBERED = 200
MAX_ID = 40  # letters of the id of a message


@dataclass
class Inbox:
    """The ids of the messages that were received, the newest last."""

    received: list[str] = field(default_factory=list)

    def take(self, sent: object, max_chars: int) -> list[str]:
        """Return the texts of messages, pairs of an id and a text from the browser, that were not received before.

        Longer texts than `max_chars`, which the component does not send, are left out, and so are messages beyond those
        whose ids are remembered.
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

    A message of more than `max_chars` characters stays in the chat input, with an error above. The chat input itself
    gets no limit, because it ignores a longer text that is pasted.
    """
    outbox = _component()(
        key=Part.OUTBOX.within(key),
        data={"container": key.replace(" ", "-"), "confirmed": list(inbox.received), "max_chars": max_chars},
    )
    texts, too_long = inbox.take(outbox.get("messages"), max_chars), _length(outbox.get("too_long"))
    notice = st.empty()  # above the chat input, which grows with the message
    typed = (st.chat_input(placeholder, key=key) or "").strip()  # before the component listens, and without one
    if len(typed) > max_chars:
        typed, too_long = "", len(typed)
    if too_long:
        show_error(f"The message has {too_long:,} characters, but at most {max_chars:,} are read. Shorten it.", notice)
    return [*texts, typed] if typed else texts


def _length(value: object) -> int:
    """Return a length from the browser; 0 for anything else."""
    return value if isinstance(value, int) else 0


@cache
def _component() -> Any:
    script = files("netloom.ui.components").joinpath("message_outbox.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_message_outbox", html="<i></i>", js=script)
