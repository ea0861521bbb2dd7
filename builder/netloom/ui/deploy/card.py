"""The model card of a run: what only a person knows is asked for, everything else is collected."""

from __future__ import annotations

import streamlit as st

from netloom.core.text import file_stem
from netloom.editing.live import Live
from netloom.export import ExportError
from netloom.export.model_card import Statement
from netloom.jobs import RunWeights
from netloom.jobs.requests.deployment import CardTexts, WriteCard
from netloom.ui.components.errors import show_error
from netloom.ui.deploy.state import DeployState, Key
from netloom.ui.shell.jobs import computed

PARTS = {
    "intended_use": ("Intended use", "What is the model for, and who should use it?"),
    "out_of_scope": ("Out of scope", "What must it not be used for?"),
    "limitations": ("Limitations", "Known weaknesses and risks"),
    "authors": ("Authors", "Who made it, and how can they be reached?"),
}
LICENSES = ("", "apache-2.0", "mit", "bsd-3-clause", "gpl-3.0", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "other")


# The title of the card is below that of the page.
STYLE = """<style>
.st-key-deploy-card h1 { font-size: 1.5rem; }
.st-key-deploy-card h2 { font-size: 1.2rem; }
.st-key-deploy-card h3 { font-size: 1rem; }
.st-key-deploy-card code { overflow-wrap: anywhere; }
</style>"""


def card(live: Live, weights: RunWeights) -> None:
    """Draw the form of a model card, the card, and its downloads."""
    st.markdown(
        "**A model card** says what a model is for, how it was made and how well it works: data, architecture, "
        "training, metrics with confidence intervals by class and by slice, and warnings."
    )
    artifacts = live.store.artifacts(weights.run_id)
    statement = Statement.from_json(artifacts.card_statement())
    with st.form(Key.CARD_FORM.of(weights.run_id), border=True):
        texts = {
            name: st.text_area(
                title, getattr(statement, name), placeholder=hint, height=68,
                key=Key.CARD_PART.of(weights.run_id, name),  # without a limit, above which a pasted text is ignored
            )
            for name, (title, hint) in PARTS.items()
        }  # fmt: skip
        known = statement.license if statement.license in LICENSES else "other"
        license = st.selectbox(
            "License",
            LICENSES,
            LICENSES.index(known),
            format_func=lambda name: name or "Not stated",
            key=Key.CARD_PART.of(weights.run_id, "license"),
        )
        is_saved = st.form_submit_button("Write model card", type="primary", key=Key.CARD_SAVE.of(weights.run_id))
    state = DeployState.current()
    if is_saved:
        try:
            statement = Statement.from_json({**texts, "license": license})
        except ExportError as error:
            show_error(error)
            return
        artifacts.save_card_statement(statement.as_json())
        state.cards.add(weights)
    if weights not in state.cards:
        st.caption("The texts are optional and are stored with the run.")
        return
    written = computed(WriteCard(weights, statement), "Writing the model card …")
    _show(live, written)


def _show(live: Live, written: CardTexts) -> None:
    name = file_stem(live.project.name)
    with st.container(horizontal=True):
        for title, content, suffix, kind in (
            ("Download Markdown", written.markdown, "md", "text/markdown"),
            ("Download HTML", written.html, "html", "text/html"),
        ):
            st.download_button(
                title,
                content,
                f"{name}-model-card.{suffix}",
                kind,
                icon=":material/download:",
                key=Key.DOWNLOAD.of(suffix),
                on_click="ignore",
            )
    st.caption("The Markdown file has the metadata of the Hugging Face Hub.")
    st.html(STYLE)
    with st.container(border=True, key=Key.CARD_TEXT):
        # Without its front matter, which is for programs
        st.markdown(written.markdown.partition("\n---\n")[2])
