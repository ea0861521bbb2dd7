"""The episodes of an agent: their returns, and an animation of some."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.training.objectives.evaluation import PlayedEpisodes
from netloom.ui.components.charts.charts import MARGIN, TRAIN, described
from netloom.ui.components.episode_titles import episode_titles
from netloom.ui.train.state import Key

if TYPE_CHECKING:
    import plotly.graph_objects as go


CHANCE = "#94a3b8"
# Why an episode ended: terminated by the environment, or truncated by the time limit.
ENDS = {
    "cart_pole": ("then the pole fell or the cart left its track", "then time was up: the pole never fell"),
    "acrobot": ("then the tip swung above the line", "then time was up"),
    "mountain_car": ("then the car reached the flag", "then time was up"),
    "frozen_lake": ("then it reached the gift or fell into a hole", "then time was up"),
}

HTML = """
<div class="player">
  <svg data-part="scene" viewBox="0 0 600 300" role="img" aria-label="The environment at this step"></svg>
  <div class="controls">
    <select data-part="episode" aria-label="Episode"></select>
    <button data-part="play" type="button">Play</button>
    <input data-part="step" type="range" min="0" max="0" value="0" aria-label="Step">
    <select data-part="speed" aria-label="Speed">
      <option value="0.25">¼ ×</option><option value="1" selected>1 ×</option>
      <option value="2">2 ×</option><option value="4">4 ×</option>
    </select>
  </div>
  <div data-part="status" class="status" aria-live="off"></div>
  <div data-part="bars" class="bars"></div>
</div>
"""

CSS = """
.player { font-family: var(--st-font); color: var(--st-text-color); font-size: 0.9rem; }
svg { width: 100%; max-height: 340px; background: var(--st-secondary-background-color); border-radius: 10px; }
.ground { stroke: var(--st-text-color); opacity: 0.45; stroke-width: 2; }
.goal { stroke: #10b981; stroke-width: 2; stroke-dasharray: 5 5; }
.flag { fill: #10b981; }
.body { fill: #6366f1; }
.limb { stroke: #f97316; stroke-width: 9; stroke-linecap: round; }
.second { stroke: #f59e0b; }
.joint { fill: var(--st-text-color); }
.ice { fill: #60a5fa; opacity: 0.35; }
.hole { fill: #0f172a; stroke: var(--st-border-color); }
.gift { fill: #10b981; opacity: 0.8; }
.controls { display: flex; flex-wrap: wrap; gap: 0.6rem; align-items: center; margin: 0.7rem 0 0.3rem; }
.controls input { flex: 1 1 7rem; min-width: 5rem; accent-color: var(--st-primary-color); }
button, select { font: inherit; color: inherit; background: var(--st-background-color); padding: 0.35rem 0.8rem;
  border: 1px solid var(--st-border-color); border-radius: 8px; cursor: pointer; }
option { color: var(--st-text-color); background: var(--st-background-color); }
button { min-width: 5rem; }
button:hover, select:hover, :focus-visible { border-color: var(--st-primary-color); outline: none; }
.status { opacity: 0.75; margin-bottom: 0.5rem; }
.row { display: grid; grid-template-columns: 7rem 1fr 4rem; gap: 0.6rem; align-items: center; padding: 2px 0;
  opacity: 0.7; }
.row.chosen { opacity: 1; font-weight: 600; }
.track { height: 10px; border-radius: 5px; background: var(--st-secondary-background-color); overflow: hidden; }
.bar { display: block; height: 100%; background: #94a3b8; }
.chosen .bar { background: #6366f1; }
"""


def episodes(played: PlayedEpisodes, run_id: str) -> None:
    """Draw the returns of all episodes beside those of random actions, and a player of some."""
    left, right = st.columns([1.5, 1], gap="medium")
    with left:
        st.markdown("### Episode playback")
        _player()(key=Key.EPISODES.of(run_id), data=player_data(played, run_id))
        quantity = "the return that the agent expects after it" if played["values"] else "its probability"
        st.caption(f"Each action with {quantity}. The chosen action is bold.")
    with right:
        chart = returns_chart(played["returns"], played["random_returns"])
        alt = described(chart, "returns of episodes")
        st.plotly_chart(chart, width="stretch", key=Key.RETURNS.of(run_id), config={"displayModeBar": False}, alt=alt)


def returns_chart(returns: list[float], random: list[float]) -> go.Figure:
    """Return a chart of the returns of the agent's episodes, and of random ones with the same start states."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, values, color in (("agent", returns, TRAIN), ("random", random, CHANCE)):
        x = list(range(1, len(values) + 1))
        figure.add_scatter(x=x, y=values, name=name, mode="markers", marker={"color": color, "size": 9})
    figure.update_layout(
        title={"text": "Return of each episode", "x": 0, "font": {"size": 15}},
        height=360,
        margin=MARGIN,
        xaxis_title="Episode",
        yaxis_title="Return",
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.24, "yanchor": "top"},
    )
    return figure


def player_data(played: PlayedEpisodes, run_id: str) -> dict[str, Any]:
    """Return the data of the player component."""
    ended, late = ENDS[played["drawing"]]
    episodes = [
        {**episode, "title": title, "end": ended if episode["ended"] else late}
        for title, episode in zip(episode_titles(played), played["shown"], strict=True)
    ]
    common = {"drawing": played["drawing"], "actions": played["actions"], "values": played["values"]}
    return {**common, "episodes": episodes, "run": run_id}


@cache
def _player() -> Any:
    # Registered when first shown, as a component cannot be registered before Streamlit runs.
    script = files("netloom.ui.train").joinpath("episodes.js").read_text(encoding="utf-8")
    return st.components.v2.component("episodes", html=HTML, css=CSS, js=script)
