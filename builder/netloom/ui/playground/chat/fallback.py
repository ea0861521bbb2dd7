"""The editor of what the bot does without a clear intent, and thresholds from the validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.chat import Policy, entity_kinds, has_intents, intent_target, with_out_of_scope
from netloom.chat.policy import Fallback, Generation
from netloom.ui.components.page_state import value_of
from netloom.ui.playground.chat.answers import with_policy_buttons
from netloom.ui.playground.chat.generated import first_generation, generation_editor, generation_toggle
from netloom.ui.playground.chat.state import Draft, Key
from netloom.ui.playground.chat.thresholds import thresholds
from netloom.ui.playground.chat.widgets import lines_of, show_problems, started
from netloom.ui.playground.one_input import Tried

NUMBERS: Mapping[str, tuple[Key, str, str]] = {
    "confidence": (Key.CONFIDENCE, "Confidence", "Below this, an intent is not accepted."),
    "confirm_from": (
        Key.CONFIRM_FROM,
        "Confirm from",
        "From this confidence up to the other one, the bot asks whether the intent is meant; below it, the bot asks "
        "the user to rephrase.",
    ),
    "ambiguity": (
        Key.AMBIGUITY,
        "Ambiguity",
        "Two intents whose confidences differ by less than this are offered as a choice.",
    ),
}
TEXTS: Mapping[str, tuple[str, str]] = {
    "confirm": ("Question for the intent", "{intent} is replaced by its name."),
    "choose": ("Question for the choice", "{first} and {second} are replaced by the names of the two intents."),
    "rephrase": ("Not understood", "The answer to a message without a clear intent."),
    "outside": ("Out of scope", "The answer to an intent that is out of scope."),
    "handed_over": ("Handed over", "The answer when a person takes over."),
}
LISTS: Mapping[str, tuple[str, str]] = {
    "yes": ("Words for yes", ""),
    "no": ("Words for no", ""),
    "continuations": (
        "Continuations",
        "A message of such a text and values of the last intent, such as “and tomorrow?”, continues that intent.",
    ),
}


def fallback(tried: Tried, draft: Draft) -> None:
    """Draw the editor of the fallback, or why it is never used."""
    if not has_intents(tried.trained.data.schema):
        st.info("This run does not predict intents, so the fallback is never used.")
        return
    with_policy_buttons(tried, draft, _editor)


def _editor(tried: Tried, draft: Draft) -> None:
    """Draw the thresholds, the intents out of scope, and the texts, and take over their values."""
    _scope(tried, draft)
    start = draft.edited.fallback
    values: dict[str, object] = {}
    containers: dict[str, DeltaGenerator] = {}
    for column, (name, (key, label, help)) in zip(st.columns(3), NUMBERS.items(), strict=True):
        first = started(key.of(tried.run_id, draft.revision), getattr(start, name))
        values[name] = column.number_input(label, 0.0, 1.0, step=0.01, format="%.4g", key=first, help=help)
        containers[name] = column.container()
    values["max_failures"] = st.number_input(
        "Failures before a person takes over",
        1,
        10,
        key=started(Key.FAILURES.of(tried.run_id, draft.revision), start.max_failures),
        help="Maximum number of consecutive messages without a clear intent. After one more, a person takes over.",
    )
    thresholds(tried, draft)
    values["generate"] = _generation(tried, draft, start)
    with st.expander("Texts", icon=":material/chat:"):
        for name, (label, help) in TEXTS.items():
            first = started(Key.TEXT.of(tried.run_id, draft.revision, name), getattr(start, name))
            values[name] = st.text_input(label, max_chars=2_000, key=first, help=help).strip()
            containers[name] = st.container()
        for name, (label, about) in LISTS.items():
            first = started(Key.TEXT.of(tried.run_id, draft.revision, name), "\n".join(getattr(start, name)))
            values[name] = lines_of(st.text_area(label, height=90, key=first, help=f"One per line. {about}".strip()))
            containers[name] = st.container()
    draft.update(draft.edited.model_copy(update={"fallback": start.model_copy(update=values)}))
    for part, container in containers.items():
        with container:
            show_problems(draft.of("", part))


def _generation(tried: Tried, draft: Draft, start: Fallback) -> Generation | None:
    """Draw whether a run answers messages without a clear intent, and return its settings."""
    label = "Generate the answer to a message without a clear intent"
    if not generation_toggle(tried, draft, "", label, start.generate):
        return None
    return generation_editor(tried, draft, "", start.generate or first_generation(tried))


def _scope(tried: Tried, draft: Draft) -> None:
    """Draw the choice of the intents that are out of scope."""
    key = Key.OUTSIDE.of(tried.run_id, draft.revision)
    started(key, list(draft.edited.fallback.out_of_scope))
    st.multiselect(
        "Out of scope",
        sorted(intent_target(tried.trained.data.schema).classes),
        key=key,
        placeholder="No intent",
        on_change=partial(_change_scope, tried, draft, key),
        help="Intents that are recognized and refused, such as a class of the data for all other messages.",
    )
    show_problems(draft.of("", "out_of_scope"))


def _change_scope(tried: Tried, draft: Draft, key: str) -> None:
    schema = tried.trained.data.schema
    policy: Policy = with_out_of_scope(draft.edited, tuple(value_of(key, ())), entity_kinds(schema))
    draft.replace(policy)
