"""Dialogues that are saved with the run, played against a run as tests, and corrected messages to download."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from netloom.chat import Script, ScriptResult, dumps, dumps_scripts, has_intents, intent_target, read_scripts, script_of
from netloom.chat.understanding import message_row
from netloom.core.errors import UsageError
from netloom.core.text import escape, file_stem
from netloom.jobs import RunWeights
from netloom.jobs.requests.chat import PlayDialogues
from netloom.store import Run
from netloom.ui.components.errors import show_error
from netloom.ui.components.page_state import value_of
from netloom.ui.playground.chat.state import ChatState, Draft, Key
from netloom.ui.playground.one_input import ERRORS, Tried
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.run_picker import run_labels, written_at

MAX_FILE_MIB = 5
MAX_SHOWN = 500


def dialogue_tests(tried: Tried, draft: Draft, runs: Sequence[Run]) -> None:
    """Draw the saved dialogues, their replay, and the corrected messages."""
    _keep_dialogue(tried)
    _play(tried, draft, runs)
    if has_intents(tried.trained.data.schema):
        _collected(tried)


def _keep_dialogue(tried: Tried) -> None:
    """Draw the button that saves the dialogue on the left, and the saved ones."""
    st.markdown("**Save the dialogue as a test**")
    content = tried.live.store.artifacts(tried.run_id).chat.tests()
    scripts: list[Script] = []
    try:
        scripts = _scripts(content)
    except UsageError as error:
        show_error(error)
    key = Key.TEST_NAME.of(tried.run_id, len(scripts))
    conversation = ChatState.current().conversation(tried.weights)
    can_save = bool(conversation.exchanges or conversation.waiting) and bool(scripts or not content)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Name", f"dialogue {len(scripts) + 1}", max_chars=60, key=key)
        st.button(
            "Save dialogue",
            icon=":material/bookmark_add:",
            key=Key.KEEP,
            disabled=not can_save,
            on_click=partial(_keep, tried, key),
            help="The test expects the same intents, responses and slots again; for a corrected message, its "
            "correct intent.",
        )
    if not content:
        st.caption("No saved dialogue yet. Talk to the bot, and save the dialogue.")
        return
    st.caption(f"{len(scripts)} saved with the run. Play on the command line: `netloom chat RUN --test FILE`.")
    with st.container(horizontal=True):
        st.download_button(
            "Download tests",
            content,
            f"{file_stem(tried.live.project.name)}-dialogues.csv",
            "text/csv",
            icon=":material/download:",
            key=Key.DOWNLOAD.of("tests"),
            on_click="ignore",
        )
        st.button(
            "Delete all", icon=":material/delete:", type="tertiary", key=Key.CLEAR, on_click=partial(_clear, tried)
        )


def _scripts(content: bytes) -> list[Script]:
    """Return the saved dialogues.

    Raises:
        UsageError: the file is damaged.
    """
    return read_scripts(content, "The file of saved dialogues") if content else []


def _keep(tried: Tried, key: str) -> None:
    """Add the dialogue to the saved ones, under a name that none of them has."""
    scripts = _scripts(tried.live.store.artifacts(tried.run_id).chat.tests())  # another tab may have saved one
    conversation = ChatState.current().conversation(tried.weights)
    used_names, wished = {script.name for script in scripts}, str(value_of(key, "")).strip() or "dialogue"
    name = next(text for text in (wished, *(f"{wished} {n}" for n in range(2, 10_000))) if text not in used_names)
    played_turns = [exchange.turn for exchange in conversation.exchanges]
    text = dumps_scripts([*scripts, script_of(name, played_turns, conversation.corrections)])
    tried.live.store.artifacts(tried.run_id).chat.save_tests(text)


def _clear(tried: Tried) -> None:
    tried.live.store.artifacts(tried.run_id).chat.save_tests("")


def _play(tried: Tried, draft: Draft, runs: Sequence[Run]) -> None:
    """Draw the replay of saved or uploaded dialogues against this run or another one of the project."""
    st.markdown("**Play dialogues as a test**")
    labels, ids = run_labels(runs), [run.id for run in runs]
    file = st.file_uploader(
        "Dialogues (default: the saved ones)",
        type=["csv", "json", "yaml", "yml"],
        key=Key.FILE.of(tried.run_id),
        max_upload_size=MAX_FILE_MIB,
        help="CSV, JSON or YAML with the columns dialogue, message and intent, and optionally response, event and "
        "slots.",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = str(
            st.selectbox(
                "Against the run",
                ids,
                index=ids.index(tried.run_id),
                format_func=labels.__getitem__,
                key=Key.RUN.of(tried.run_id),
                help="The policy of this page answers, so that the differences are those of the network.",
            )
        )
        content = file.getvalue() if file is not None else tried.live.store.artifacts(tried.run_id).chat.tests()
        is_clicked = st.button("Play", icon=":material/play_arrow:", key=Key.PLAY, disabled=not content)
    results = ChatState.current().results
    if is_clicked:
        store, weights = tried.live.store, tried.weights
        if chosen != tried.run_id:
            weights = RunWeights(chosen, store.artifacts(chosen).default_weights(), written_at(tried.live, chosen))
        name = file.name if file is not None else "The saved dialogues"
        try:
            text = content.decode("utf-8-sig")
            played = computed(PlayDialogues(weights, text, name, dumps(draft.used)), "Playing the dialogues …")
            results[tried.run_id] = (labels[chosen], played)
        except UnicodeDecodeError:
            results.pop(tried.run_id, None)
            show_error(f"{name[:80]} is not UTF-8; save it as UTF-8.")
        except (*ERRORS, UsageError, ValueError) as error:
            results.pop(tried.run_id, None)
            show_error(error)
    if tried.run_id in results:
        _results(*results[tried.run_id])


def _results(label: str, results: Sequence[ScriptResult]) -> None:
    passed = sum(result.passed for result in results)
    icon = ":material/check_circle:" if passed == len(results) else ":material/warning:"
    st.markdown(f"{icon} **{passed} of {len(results)} dialogues passed** with {escape(label)}")
    rows = [_row(result.name, number, turn) for result in results for number, turn in enumerate(result.turns, 1)]
    rows.sort(key=lambda row: not row["Difference"])
    st.dataframe(rows[:MAX_SHOWN], hide_index=True, width="stretch")
    if len(rows) > MAX_SHOWN:
        st.caption(f"The first {MAX_SHOWN} of {len(rows):,} turns are shown, those with a difference first.")


def _row(name: str, number: int, result: tuple[Any, tuple[str, ...]]) -> dict[str, Any]:
    turn, failures = result
    return {
        "Dialogue": name,
        "Turn": number,
        "Message": turn.message,
        "Difference": "; ".join(failures),
        "Intent": turn.intent,
        "Response": turn.response,
    }


def _collected(tried: Tried) -> None:
    """Draw the download of the corrected messages."""
    st.markdown("**Corrected messages**")
    collected = ChatState.current().collected.get(tried.run_id, {})
    if not collected:
        st.caption("None yet. Select **Correct** below a message to choose its intent.")
        return
    st.dataframe(
        [{"Message": message, "Correct intent": intent} for message, intent in collected.items()],
        hide_index=True,
        width="stretch",
    )
    st.download_button(
        "Download labeled CSV",
        labeled_csv(tried, collected),
        f"{file_stem(tried.live.project.name)}-corrected.csv",
        "text/csv",
        icon=":material/download:",
        key=Key.DOWNLOAD.of("collected"),
        on_click="ignore",
        help="The columns of the data, so that the rows can be added to it.",
    )


def labeled_csv(tried: Tried, collected: dict[str, str]) -> str:
    """Return corrected messages as CSV with the columns of the data."""
    text, target = io.StringIO(), intent_target(tried.trained.data.schema).name
    columns = [*message_row(tried.trained, ""), target]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(collected.items())
    return text.getvalue()
