"""The chat of a run: the dialogue on the left, its policy and its tests on the right."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from netloom.chat import PolicyError, policy_problems, run_policy, starting_policy, unavailable_reason
from netloom.store import Run
from netloom.ui.components.errors import guard, show_error
from netloom.ui.components.tabs import tabs
from netloom.ui.playground.chat.answers import answers
from netloom.ui.playground.chat.dialogue import answer_waiting, dialogue
from netloom.ui.playground.chat.dialogue_tests import dialogue_tests
from netloom.ui.playground.chat.fallback import fallback
from netloom.ui.playground.chat.state import ChatState, Draft, Key
from netloom.ui.playground.one_input import Tried


def chat(tried: Tried, runs: Sequence[Run]) -> None:
    """Draw the chat, or why the run cannot chat."""
    reason = unavailable_reason(tried.trained)
    if reason:
        st.info(f"{reason} Choose another run, or another part of this page.")
        return
    with guard():
        draft = _draft(tried)
        if draft.damage:
            show_error(draft.damage, head="The saved policy is not used; save another one.")
        left, right = st.columns([1, 1], gap="large")
        # The messages are not in a fragment: Streamlit lets a fragment end before it reads what was sent meanwhile. A
        # script of the whole page is ended by the next message, which is then shown at once.
        with left:
            messages = dialogue(tried, draft)
        with right:
            _panel(tried, draft, runs)
        with messages:  # last, as the first message waits until a worker has loaded the network
            answer_waiting(tried, draft)


@st.fragment
@guard()
def _panel(tried: Tried, draft: Draft, runs: Sequence[Run]) -> None:
    """Draw the policy and the tests. A fragment, so that an edit does not draw the whole page."""
    draft.refresh()
    contents = {
        "Answers": partial(answers, tried, draft),
        "Fallback": partial(fallback, tried, draft),
        "Tests": partial(dialogue_tests, tried, draft, runs),
    }
    tabs(contents, Key.PANEL)


def _draft(tried: Tried) -> Draft:
    """Return the policy that is edited in this tab, which starts with the saved one."""
    drafts, artifacts = ChatState.current().drafts, tried.live.store.artifacts(tried.run_id)
    stamp, schema = artifacts.chat.policy_stamp(), tried.trained.data.schema
    draft = drafts.get(tried.run_id)
    if draft is None or (draft.stamp != stamp and not draft.is_changed):
        policy, damage = starting_policy(schema), ""
        try:
            policy = run_policy(tried.live.store, tried.run_id, schema)
        except PolicyError as error:
            damage = str(error)
        revision = draft.revision + 1 if draft is not None else 0
        find_problems = partial(policy_problems, schema=schema, store=tried.live.store)
        draft = drafts[tried.run_id] = Draft(stamp, policy, policy, policy, find_problems, revision, damage=damage)
    return draft
