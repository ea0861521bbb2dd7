"""The chat of a run: the dialogue on the left, its policy and its tests on the right."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from netloom.chat import PolicyError, run_policy, starting_policy, unavailable_reason
from netloom.store import Run
from netloom.ui.components.tabs import tabs
from netloom.ui.playground.chat.answers import answers
from netloom.ui.playground.chat.dialogue import dialogue
from netloom.ui.playground.chat.dialogue_tests import dialogue_tests
from netloom.ui.playground.chat.fallback import fallback
from netloom.ui.playground.chat.state import ChatState, Draft, Key
from netloom.ui.playground.one_input import Tried
from netloom.ui.shell.errors import guard, show_error


def chat(tried: Tried, runs: Sequence[Run]) -> None:
    """Draw the chat, or why the run cannot chat."""
    reason = unavailable_reason(tried.trained)
    if reason:
        st.info(f"{reason} Choose another run, or another part of this page.")
        return
    _chat(tried, runs)


@st.fragment
@guard()
def _chat(tried: Tried, runs: Sequence[Run]) -> None:
    """Draw the chat. A fragment, so that a message does not draw the whole page."""
    draft = _draft(tried)
    if draft.damage:
        show_error(draft.damage, head="The saved policy is not used; save another one.")
    left, right = st.columns([1, 1], gap="large")
    with left:
        dialogue(tried, draft)
    with right:
        contents = {
            "Answers": partial(answers, tried, draft),
            "Fallback": partial(fallback, tried, draft),
            "Tests": partial(dialogue_tests, tried, draft, runs),
        }
        tabs(contents, Key.PANEL)


def _draft(tried: Tried) -> Draft:
    """Return the policy that is edited in this tab, which starts with the saved one."""
    drafts, artifacts = ChatState.current().drafts, tried.live.store.artifacts(tried.run_id)
    stamp, schema = artifacts.chat_policy_stamp(), tried.trained.data.schema
    draft = drafts.get(tried.run_id)
    if draft is None or (draft.stamp != stamp and not draft.is_changed):
        policy, damage = starting_policy(schema), ""
        try:
            policy = run_policy(artifacts, schema)
        except PolicyError as error:
            damage = str(error)
        revision = draft.revision + 1 if draft is not None else 0
        draft = drafts[tried.run_id] = Draft(stamp, policy, policy, policy, revision, damage=damage)
    return draft
