"""The editor of the answers to each intent: responses, slots, follow-ups and hand-over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.chat import Policy, PolicyError, dumps, entity_kinds, has_intents, run_policy, save_policy, starting_policy
from netloom.chat.policy import Generation, IntentPolicy, Slot, default_answer
from netloom.core.text import escape, file_stem
from netloom.ui.components.errors import show_error
from netloom.ui.playground.chat.generated import first_generation, generation_editor, generation_toggle
from netloom.ui.playground.chat.state import Draft, Key
from netloom.ui.playground.chat.widgets import lines_of, show_problems, started
from netloom.ui.playground.one_input import Tried

RESPONSES_HELP = (
    "One response per line; they take turns. {date} is replaced by the text of the slot date. Responses with a slot "
    "that is not filled are left out."
)
CONFLICT = (
    "The policy of this run was saved in another tab or by a command, after this page had read it. Nothing is saved "
    "yet: save again to replace that policy, or reset to continue with it."
)
MAX_SLOTS = 12


def answers(tried: Tried, draft: Draft) -> None:
    """Draw the editor of the answers to an intent."""
    with_policy_buttons(tried, draft, _editor)


def with_policy_buttons(tried: Tried, draft: Draft, editor: Callable[[Tried, Draft], None]) -> None:
    """Draw an editor, and above it the buttons that save the policy, which depend on what it changes."""
    head = st.container()
    editor(tried, draft)
    with head:
        _policy_buttons(tried, draft)


def _editor(tried: Tried, draft: Draft) -> None:
    greeting = st.text_input(
        "Greeting", max_chars=2_000, key=started(_key(tried, draft, Key.GREETING), draft.edited.greeting)
    )
    draft.update(draft.edited.model_copy(update={"greeting": greeting.strip()}))
    intents = list(draft.edited.intents)
    if not intents:
        st.info("All intents are out of scope; remove some of them from the list in Fallback.")
        return
    if has_intents(tried.trained.data.schema):
        name = str(st.selectbox("Intent", intents, key=Key.INTENT.of(tried.run_id)))
    else:
        name = intents[0]
        st.caption("This run does not predict intents: this is the answer to each message.")
    _intent_editor(tried, draft, name, draft.edited.intents[name])


def _policy_buttons(tried: Tried, draft: Draft) -> None:
    """Draw what can be done with the policy, and whether it is saved."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Save policy",
            icon=":material/save:",
            type="primary",
            key=Key.SAVE,
            disabled=not draft.can_be_saved,
            on_click=partial(_save, tried, draft),
            help="Saves the policy with the run. The command netloom chat and the model server use it, too.",
        )
        st.button(
            "Undo",
            icon=":material/undo:",
            key=Key.UNDO,
            disabled=not draft.history,
            on_click=draft.undo,
            help="Returns to the policy before the last change.",
        )
        st.button(
            "Reset",
            icon=":material/restart_alt:",
            key=Key.RESET,
            on_click=partial(_reset, tried, draft),
            help="Returns to the saved policy; if nothing was changed, to the default answers.",
        )
        st.download_button(
            "Download",
            dumps(draft.edited),
            f"{file_stem(tried.live.project.name)}-policy.json",
            "application/json",
            icon=":material/download:",
            key=Key.DOWNLOAD.of("policy"),
            on_click="ignore",
        )
    if draft.notice:
        show_error(draft.notice)
    if draft.problems:
        intents = dict.fromkeys(problem.intent or "Fallback" for problem in draft.problems)
        listed = escape(", ".join(list(intents)[:8]))
        st.caption(f":material/error: Problems in: {listed}. The bot uses the last policy without problems.")
    elif draft.is_changed:
        st.caption("Changed: the bot on this page uses it already.")
    elif draft.stamp:
        st.caption("Saved with the run.")
    elif has_intents(tried.trained.data.schema):
        st.caption("The default answers, which name the intent.")
    else:
        st.caption("The default answer.")


def _save(tried: Tried, draft: Draft) -> None:
    """Save the policy, unless it was saved elsewhere since it was read; saving again replaces that one."""
    store, run_id, schema = tried.live.store, tried.run_id, tried.trained.data.schema
    artifacts, draft.notice = store.artifacts(run_id), ""
    try:
        if artifacts.chat.policy_stamp() != draft.stamp:
            draft.stamp, draft.notice = artifacts.chat.policy_stamp(), CONFLICT
            draft.saved = run_policy(store, run_id, schema)
            return
        save_policy(store, run_id, draft.edited, schema)
    except (PolicyError, OSError) as error:
        draft.notice = str(error)
        return
    draft.saved, draft.stamp, draft.damage = draft.edited, artifacts.chat.policy_stamp(), ""


def _reset(tried: Tried, draft: Draft) -> None:
    draft.notice = ""
    draft.replace(draft.saved if draft.edited != draft.saved else starting_policy(tried.trained.data.schema))


def _key(tried: Tried, draft: Draft, key: Key, *parts: object) -> str:
    return key.of(tried.run_id, draft.revision, *parts)


def _intent_editor(tried: Tried, draft: Draft, name: str, intent: IntentPolicy) -> None:
    """Draw the widgets of an intent, and take over their values."""
    responses, generate = _responses(tried, draft, name, intent)
    containers = {"responses": st.container()}
    slots, containers["slots"] = _slots(tried, draft, name, intent)
    follow_ups = intent.follow_ups
    if has_intents(tried.trained.data.schema):
        follow_ups, containers["follow_ups"] = _follow_ups(tried, draft, name, intent)
    hand_over = st.toggle(
        "Hand over to a person after the response",
        key=started(_key(tried, draft, Key.HAND_OVER, name), intent.hand_over),
    )
    values = {"responses": responses, "generate": generate, "slots": slots, "follow_ups": follow_ups}
    changed = intent.model_copy(update={**values, "hand_over": hand_over})
    policy = draft.edited
    intents = {**policy.intents, name: changed}
    draft.update(policy.model_copy(update={"intents": intents}))
    for part, container in containers.items():
        with container:
            show_problems(draft.of(name, part))
    show_problems(draft.of(name, ""))


def _responses(
    tried: Tried, draft: Draft, name: str, intent: IntentPolicy
) -> tuple[tuple[str, ...], Generation | None]:
    """Draw the responses of an intent, or the run that generates them, and return both."""
    if generation_toggle(tried, draft, name, "Generate the response with a run", intent.generate):
        return (), generation_editor(tried, draft, name, intent.generate or first_generation(tried))
    before = intent.responses
    if intent.generate is not None:  # it was generated until now
        saved = draft.saved.intents.get(name)
        before = (saved.responses if saved else ()) or default_answer(name).responses
    responses = st.text_area(
        "Responses",
        height=110,
        help=RESPONSES_HELP,
        key=started(_key(tried, draft, Key.RESPONSES, name), "\n".join(before)),
    )
    return lines_of(responses), None


def _slots(tried: Tried, draft: Draft, name: str, intent: IntentPolicy) -> tuple[tuple[Slot, ...], DeltaGenerator]:
    """Draw the slots, and return them with the place of their problems."""
    st.markdown("**Slots**")
    if not intent.slots:
        st.caption("None. A slot is a value that the bot needs; {date} in a response is replaced by the slot date.")
    kinds = entity_kinds(tried.trained.data.schema)
    slots = tuple(_slot(tried, draft, (name, index), slot, kinds) for index, slot in enumerate(intent.slots))
    problems = st.container()
    st.button(
        "Add slot",
        icon=":material/add:",
        key=_key(tried, draft, Key.ADD, "slot", name),
        disabled=len(intent.slots) >= MAX_SLOTS,
        on_click=partial(_add_slot, tried, draft, name),
    )
    return slots, problems


def _slot(tried: Tried, draft: Draft, slot_key: tuple[str, int], slot: Slot, kinds: tuple[str, ...]) -> Slot:
    """Draw a slot, and return it."""
    intent, number = slot_key
    with st.container(border=True):
        first, second = st.columns([1, 2])
        name = first.text_input(
            "Slot", max_chars=64, key=started(_key(tried, draft, Key.SLOT, *slot_key, "name"), slot.name)
        )
        question = second.text_input(
            "Question", max_chars=2_000, key=started(_key(tried, draft, Key.SLOT, *slot_key, "question"), slot.question)
        )
        known = [*kinds, *(kind for kind in slot.entities if kind not in kinds)]
        entities: list[str] = []
        if known:
            entities = st.multiselect(
                "Filled by entities",
                known,
                key=started(_key(tried, draft, Key.SLOT, *slot_key, "entities"), list(slot.entities)),
                placeholder="The whole answer",
                help="Without entities, the whole answer to the question fills the slot.",
            )
        with st.container(horizontal=True, vertical_alignment="center"):
            required = st.toggle(
                "Ask for it",
                key=started(_key(tried, draft, Key.SLOT, *slot_key, "required"), slot.required),
                help="The bot asks the question if the slot is empty. Otherwise it is used only if it is known.",
            )
            st.button(
                "Remove",
                icon=":material/delete:",
                type="tertiary",
                key=_key(tried, draft, Key.REMOVE, "slot", *slot_key),
                on_click=partial(_remove_slot, tried, draft, intent, number),
            )
    values = {"name": name.strip(), "question": question.strip(), "entities": tuple(entities)}
    return slot.model_copy(update={**values, "required": required})


def _add_slot(tried: Tried, draft: Draft, name: str) -> None:
    intent = draft.edited.intents[name]
    used_names = {slot.name for slot in intent.slots}
    new = next(text for text in ("slot", *(f"slot {number}" for number in range(2, 99))) if text not in used_names)
    _change(tried, draft, name, intent.model_copy(update={"slots": (*intent.slots, Slot(name=new))}))


def _remove_slot(tried: Tried, draft: Draft, name: str, index: int) -> None:
    intent = draft.edited.intents[name]
    slots = (*intent.slots[:index], *intent.slots[index + 1 :])
    _change(tried, draft, name, intent.model_copy(update={"slots": slots}))


def _follow_ups(tried: Tried, draft: Draft, name: str, intent: IntentPolicy) -> tuple[dict[str, str], DeltaGenerator]:
    """Draw what other intents mean after this one, and return it with the place of its problems."""
    st.markdown("**Follow-ups**", help="What another intent means directly after this one, such as yes: confirm_order.")
    follow_ups, intents = {}, list(draft.edited.intents)
    for number, (after, meant) in enumerate(intent.follow_ups.items()):
        free = [other for other in intents if other == after or other not in intent.follow_ups]  # one for each intent
        with st.container(horizontal=True, vertical_alignment="bottom"):
            chosen = [
                st.selectbox(
                    label,
                    list(dict.fromkeys([*choices, value])),
                    key=started(_key(tried, draft, Key.FOLLOW_UP, name, number, label), value),
                )
                for label, value, choices in (("After this, the intent", after, free), ("means", meant, intents))
            ]
            st.button(
                "Remove follow-up",
                icon=":material/delete:",
                type="tertiary",
                key=_key(tried, draft, Key.REMOVE, "follow up", name, number),
                on_click=partial(_remove_follow_up, tried, draft, name, after),
            )
        follow_ups[str(chosen[0])] = str(chosen[1])
    problems = st.container()
    st.button(
        "Add follow-up",
        icon=":material/add:",
        key=_key(tried, draft, Key.ADD, "follow up", name),
        disabled=len(intent.follow_ups) >= len(intents),
        on_click=partial(_add_follow_up, tried, draft, name),
    )
    return follow_ups, problems


def _add_follow_up(tried: Tried, draft: Draft, name: str) -> None:
    intent = draft.edited.intents[name]
    after = next(intent_name for intent_name in draft.edited.intents if intent_name not in intent.follow_ups)
    _change(tried, draft, name, intent.model_copy(update={"follow_ups": {**intent.follow_ups, after: name}}))


def _remove_follow_up(tried: Tried, draft: Draft, name: str, after: str) -> None:
    intent = draft.edited.intents[name]
    follow_ups = {intent_name: meant for intent_name, meant in intent.follow_ups.items() if intent_name != after}
    _change(tried, draft, name, intent.model_copy(update={"follow_ups": follow_ups}))


def _change(tried: Tried, draft: Draft, name: str, intent: IntentPolicy) -> None:
    policy: Policy = draft.edited
    draft.replace(policy.model_copy(update={"intents": {**policy.intents, name: intent}}))
