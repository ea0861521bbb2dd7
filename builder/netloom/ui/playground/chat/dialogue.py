"""The messages of a dialogue with what was understood, why, and corrections."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.chat import has_intents, intent_target, is_sentiment
from netloom.chat.dialogue import Event
from netloom.chat.understanding import MAX_LETTERS, Understanding, message_row
from netloom.core.errors import UsageError
from netloom.core.text import escape
from netloom.jobs.requests.chat import Understand
from netloom.monitoring.collecting import collect_input
from netloom.runs.prediction.text_generation import generates_text
from netloom.store import StoreError
from netloom.ui.components.errors import show_error
from netloom.ui.components.examples.example_panels import tagged
from netloom.ui.components.message_outbox import chat_messages
from netloom.ui.components.page_state import value_of
from netloom.ui.playground.chat.generated import written_response
from netloom.ui.playground.chat.state import ChatState, Conversation, Draft, Exchange, Key
from netloom.ui.playground.chat.why import why
from netloom.ui.playground.one_input import ERRORS, Tried
from netloom.ui.shell.jobs import computed, prefetch

if TYPE_CHECKING:
    from netloom.data.schema import Schema

HEIGHT = 560
WARM_UP = "Hello"
MAX_DRAWN = 40  # messages; earlier ones are counted
DID: dict[Event, str] = {
    "reply": "answers",
    "ask_slot": "asks for a value",
    "ask_which": "offers two intents",
    "confirm": "asks whether the intent is meant",
    "rephrase": "asks to rephrase",
    "out_of_scope": "refuses: out of scope",
    "hand_over": "hands over to a person",
}


def dialogue(tried: Tried, draft: Draft) -> DeltaGenerator:
    """Draw the dialogue and the field for the next message, and return the container of the messages."""
    conversation = ChatState.current().conversation(tried.weights)
    messages = st.container(height=HEIGHT, key=Key.DIALOGUE)
    inbox, key = ChatState.current().inbox, Key.MESSAGE.of(tried.run_id)
    if texts := chat_messages("Write a message", inbox, key=key, max_chars=MAX_LETTERS):
        conversation.waiting += texts
        conversation.opened = None
    is_new = not conversation.exchanges and not conversation.waiting
    if is_new:
        prefetch(Understand(tried.weights, (WARM_UP,)))  # a worker loads the network while the person types
    st.button(
        "Restart",
        icon=":material/restart_alt:",
        key=Key.RESTART,
        disabled=is_new,
        on_click=partial(_restart, tried),
        help="Ends this dialogue and forgets all slots. Saved dialogues and corrections stay.",
    )
    with messages:
        _messages(tried, draft, conversation)
    return messages


def answer_waiting(tried: Tried, draft: Draft) -> None:
    """Draw the messages that wait for an answer, and their answers."""
    conversation = ChatState.current().conversation(tried.weights)
    while conversation.waiting:
        _answer_next(tried, draft, conversation)


def _restart(tried: Tried) -> None:
    ChatState.current().conversations[tried.weights] = Conversation()


def _answer_next(tried: Tried, draft: Draft, conversation: Conversation) -> None:
    """Draw the next message that waits, and the answer to it."""
    text, container = conversation.waiting[0], st.empty()
    with container.container():
        with st.chat_message("user"):
            st.markdown(escape(text))
        try:
            [understanding] = computed(Understand(tried.weights, (text,)), "Loading the network …")
            exchange = conversation.respond(draft.used, understanding, partial(written_response, tried, conversation))
        except (*ERRORS, ValueError) as error:
            conversation.waiting.pop(0)
            show_error(error)
            return
    conversation.waiting.pop(0)
    with container.container():
        _exchange(tried, conversation, len(conversation.exchanges) - 1, exchange)


def _messages(tried: Tried, draft: Draft, conversation: Conversation) -> None:
    if draft.used.greeting:
        with st.chat_message("assistant"):
            st.markdown(escape(draft.used.greeting))
    if not conversation.exchanges and not conversation.waiting:
        st.caption(f"Write a message below. {_introduction(tried.trained.data.schema)}")
    first = max(0, len(conversation.exchanges) - MAX_DRAWN)
    if first:
        st.caption(f"{first} earlier messages are not shown.")
    for index, exchange in list(enumerate(conversation.exchanges))[first:]:
        _exchange(tried, conversation, index, exchange)


def _introduction(schema: Schema) -> str:
    """Return what the run reads from a message, as sentences."""
    if generates_text(schema):
        return "The run generates the response: the text that follows the message, or the answer to it."
    if not has_intents(schema):
        return (
            "The run recognizes entities, but it does not predict intents: the policy on this page has one answer to "
            "each message."
        )
    kind = "sentiment" if is_sentiment(schema) else "intent"
    return (
        f"The run reads its {kind}, and the policy on this page answers. Each message shows how confident the run is, "
        "and why."
    )


def _exchange(tried: Tried, conversation: Conversation, index: int, exchange: Exchange) -> None:
    understanding, turn, schema = exchange.understanding, exchange.turn, tried.trained.data.schema
    with st.chat_message("user"):
        _message(understanding)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(_understood(schema, understanding), width="content")
            for kind, label, icon, is_shown in (
                ("why", "Why", ":material/psychology_alt:", True),
                ("correct", "Correct", ":material/edit:", has_intents(schema)),
            ):
                key = (Key.WHY if kind == "why" else Key.CORRECT).of(index)
                toggle = partial(_toggle, conversation, (kind, index))
                if is_shown:
                    st.button(label, icon=icon, key=key, type="tertiary", on_click=toggle)
        if exchange.corrected:
            st.caption(f":material/check: {_correct_label(schema)}: **{escape(exchange.corrected)}**")
            if exchange.problem:
                show_error(exchange.problem)
        if conversation.opened == ("why", index):
            why(tried, understanding)
        elif conversation.opened == ("correct", index):
            _correction(tried, conversation, index)
    with st.chat_message("assistant"):
        st.markdown(escape(turn.response))
        slots = "".join(f" · {escape(name)}: {escape(value)}" for name, value in turn.slots.items())
        kind = "sentiment" if is_sentiment(schema) else "intent"
        intent = f" · {kind} **{escape(turn.intent)}**" if turn.intent else ""
        generated = " · generated by a run" if turn.generated else ""
        st.caption(f"The bot {DID[turn.event]}{generated}{intent}{slots}")


def _toggle(conversation: Conversation, opened: tuple[str, int]) -> None:
    conversation.opened = None if conversation.opened == opened else opened  # type: ignore[assignment]


def _message(understanding: Understanding) -> None:
    """Draw a message, with its entities if it has any; these are words as the run reads them."""
    if not understanding.entities:
        st.markdown(escape(understanding.message))
        return
    tags = ["O"] * len(understanding.words)
    for entity in understanding.entities:
        for word in range(entity.first, min(entity.last + 1, len(tags))):
            tags[word] = f"{'B' if word == entity.first else 'I'}-{entity.kind}"
    tagged(understanding.words, tags)


def _understood(schema: Schema, understanding: Understanding) -> str:
    """Return the intent or sentiment with its confidence, and other outputs, as Markdown."""
    kind = "Sentiment: " if is_sentiment(schema) else ""
    badges_text = [f":blue-badge[{kind}{escape(understanding.intent[:60])} {understanding.confidence:.0%}]"]
    if generates_text(schema):
        badges_text = []
    elif not understanding.ranking:
        count = len(understanding.entities)
        badges_text = [f":gray-badge[{count or 'no'} {'entity' if count == 1 else 'entities'}]"]
    for label in understanding.labels:
        share = f" {label.confidence:.0%}" if label.confidence is not None else ""
        badges_text.append(f":gray-badge[{escape(label.name[:40])}: {escape(label.value[:40])}{share}]")
    if understanding.is_unknown:
        badges_text.append(":orange-badge[no known word]")
    if understanding.abstains:
        badges_text.append(":orange-badge[abstains]")
    return " ".join(badges_text)


def _correction(tried: Tried, conversation: Conversation, index: int) -> None:
    """Draw the choice of the right intent of a message."""
    label = _correct_label(tried.trained.data.schema)
    intents = sorted(intent_target(tried.trained.data.schema).classes)
    corrected = conversation.exchanges[index].corrected
    key = Key.RIGHT.of(tried.run_id, index)
    st.selectbox(
        label,
        intents,
        index=intents.index(corrected) if corrected in intents else None,
        placeholder=f"Choose the {label.lower()}",
        key=key,
        on_change=partial(_correct, tried, conversation, index, key),
        help="The message becomes a labeled example: the Monitor page lists it, and Tests has all of them as CSV."
        if _is_label(tried)
        else "The message becomes a labeled row; download all of them in Tests.",
    )


def _correct_label(schema: Schema) -> str:
    return "Correct sentiment" if is_sentiment(schema) else "Correct intent"


def _is_label(tried: Tried) -> bool:
    """Return whether an intent is a whole label, and the run needs no others, such as tags."""
    schema = tried.trained.data.schema
    return intent_target(schema) is schema.target and tried.trained.objective.task.true_label(schema) is not None


def _correct(tried: Tried, conversation: Conversation, index: int, key: str) -> None:
    exchange, intent = conversation.exchanges[index], str(value_of(key))
    exchange.corrected, conversation.opened = intent, None
    ChatState.current().collected.setdefault(tried.run_id, {})[exchange.understanding.message] = intent
    if not _is_label(tried):
        return
    exchange.problem = ""
    try:
        if exchange.example:
            tried.live.store.collected(tried.live.id).relabel(exchange.example, intent)
            return
        row = message_row(tried.trained, exchange.understanding.message)
        example = collect_input(tried.live.store, tried.trained.run, row, intent, "Chat")
        exchange.example = example.id if example is not None else ""
    except (StoreError, OSError, UsageError) as error:
        exchange.problem = str(error)
