"""The choice of a step of an episode, whose observation is explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import escape
from netloom.training.episodes import environment_of
from netloom.training.objectives.evaluation import PlayedEpisodes
from netloom.ui.components.episode_titles import episode_titles
from netloom.ui.explain.state import Key

if TYPE_CHECKING:
    from netloom.data import Prepared


def chosen_step(data: Prepared, played: PlayedEpisodes, run_id: str) -> dict[str, Any]:
    """Draw the choice of a step of an episode, and return its observation as a raw row of the data."""
    episodes, environment = played["shown"], environment_of(data)
    titles = episode_titles(played)
    index = st.selectbox("Episode", range(len(episodes)), format_func=titles.__getitem__, key=Key.EPISODE.of(run_id))
    observations, actions = episodes[index]["seen"], episodes[index]["actions"]
    step = (
        st.slider("Step", 1, len(observations), 1, key=Key.EPISODE_STEP.of(run_id, index))
        if len(observations) > 1
        else 1
    )
    row = environment.observed_row(np.asarray(observations[step - 1]))
    with st.container(border=True):
        cells = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()}
        st.dataframe([{"column": name, "value": value} for name, value in cells.items()], hide_index=True)
        st.caption(f"Observation at step {step}. Chosen action: **{escape(played['actions'][actions[step - 1]])}**")
    return row
