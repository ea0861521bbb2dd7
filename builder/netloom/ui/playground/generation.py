"""Texts that a run generates token by token."""

from __future__ import annotations

import html
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from netloom import jobs
from netloom.core.text import escape
from netloom.data import DataError
from netloom.jobs import JobCancelledError, JobError, RunWeights
from netloom.jobs.requests.predictions import Generate
from netloom.modalities.encoding.cells import RawRow, as_text
from netloom.runs.prediction.sampling import Sampling
from netloom.ui.components.errors import show_error
from netloom.ui.explain.open_run import OpenRun
from netloom.ui.playground.state import Key, TryItState, Written
from netloom.ui.shell.jobs import Pending, ask

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from netloom.runs.prediction.text_generation import GeneratedText

DEFAULT_LENGTH, LONGEST = 120, 1_000
SHOWN_PROMPT = 600
TEMPERATURE_HELP = (
    "The divisor of the logits. Below 1, likely tokens become more likely; 0 always takes the most likely one."
)
TOP_K_HELP = "Only this many of the most likely tokens can be chosen. 0 for all of them."
TOP_P_HELP = "Only the most likely tokens whose probabilities add up to this can be chosen. 1 for all of them."
SEED_HELP = "The same seed gives the same text. Change it for another one."


def generation(trained: OpenRun, weights: RunWeights, raw: RawRow) -> None:
    """Draw the settings, the button that generates a text from a raw row, and the text."""
    run_id, continues = trained.run.id, trained.data.schema.target.type.continues_text
    with st.container(border=True):
        st.markdown("**Continue the text**" if continues else "**Sample an answer**")
        sampling, length = _settings(trained, run_id)
        with st.container(horizontal=True):
            starts = st.button("Generate", icon=":material/play_arrow:", type="primary", key=Key.GENERATE.of(run_id))
            stop = st.empty()
        container = st.empty()
        prompt = _prompt(trained, raw) if continues else ""
        if starts:
            _generate(trained, Generate(weights, raw, sampling, length), prompt, container, stop)
        written = TryItState.current().written.get(run_id)
        if written is None:
            container.caption("The text appears here, token by token.")
        else:
            _show(written, container)


def _settings(trained: OpenRun, run_id: str) -> tuple[Sampling, int]:
    """Draw the settings of sampling, and return them with the maximum number of tokens."""
    continues = trained.data.schema.target.type.continues_text
    first, second = st.columns(2)
    temperature = first.slider(
        "Temperature", 0.0, 2.0, 0.8 if continues else 0.0, 0.05, key=Key.TEMPERATURE.of(run_id), help=TEMPERATURE_HELP
    )
    top_p = second.slider("Top-p", 0.05, 1.0, 1.0, 0.05, key=Key.TOP_P.of(run_id), help=TOP_P_HELP)
    longest = LONGEST if continues else trained.data.schema.target.shape[0]
    columns = st.columns(3)
    top_k = columns[0].number_input("Top-k", 0, 1_000, 0, key=Key.TOP_K.of(run_id), help=TOP_K_HELP)
    seed = columns[1].number_input("Seed", 0, 10**6, 0, key=Key.SEED.of(run_id), help=SEED_HELP)
    length = columns[2].number_input("Length", 1, longest, min(DEFAULT_LENGTH, longest), key=Key.LENGTH.of(run_id))
    return Sampling(float(temperature), int(top_k), float(top_p), int(seed)), int(length)


def _prompt(trained: OpenRun, raw: RawRow) -> str:
    field = trained.data.token_field(trained.fields[0])
    return f"{as_text(field.raw_value(raw))}{field.joint}"


def _generate(
    trained: OpenRun, request: Generate, prompt: str, container: DeltaGenerator, stop: DeltaGenerator
) -> None:
    """Show the text while it is generated. The last state remains if the user stops it."""
    run_id, written = trained.run.id, TryItState.current().written
    pending: Pending[GeneratedText] = ask(request, "Generating …")
    if not pending.job.ended:
        stop.button(
            "Stop", icon=":material/stop:", key=Key.STOP.of(run_id), on_click=partial(jobs.pool().cancel, pending.job)
        )
    written[run_id] = Written(prompt, "", False)
    for preview in pending.previews():
        written[run_id] = Written(prompt, preview.text, False)
        _show(written[run_id], container)
    stop.empty()
    try:
        written[run_id] = Written(prompt, pending.result().text, True)
    except JobCancelledError:
        return  # the text so far remains
    except (DataError, JobError, OSError) as error:
        del written[run_id]
        show_error(error)


def _show(written: Written, container: DeltaGenerator) -> None:
    """Draw a text with what it continues in gray."""
    if not written.prompt:
        container.markdown(f"{escape(written.text) or '(empty)'}{'' if written.ended else ' …'}")
        return
    before = written.prompt[-SHOWN_PROMPT:]
    container.html(
        '<div style="white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.6">'
        f'<span style="color:light-dark(#5f5f6b,#a3a4ae)">{html.escape(before)}</span>'
        f"<span>{html.escape(written.text)}</span>{'' if written.ended else '<span>▌</span>'}</div>"
    )
