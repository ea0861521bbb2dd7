"""A desktop notice when a run ends: the browser's own, asked for by a click and never before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import streamlit as st

from builder import train
from builder.store import Run
from builder.train.compare import test

AT_MOST = 30
_HTML = '<button type="button" hidden></button>'
_CSS = """
button { font: inherit; font-size: 0.875rem; color: var(--st-text-color); background: none; cursor: pointer;
  border: 1px solid var(--st-border-color, #8884); border-radius: var(--st-button-radius, 0.5rem);
  min-height: 2.5rem; padding: 0.25rem 0.75rem }
button:hover { color: var(--st-primary-color); border-color: var(--st-primary-color) }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px }
"""
# What was active is remembered by the window, so that a run that ends while another page is looked at is told there.
_JS = """
const KEY = "netloom-notice";
export default function ({ parentElement, data }) {
  const button = parentElement.querySelector("button");
  if (!("Notification" in window)) return;
  const on = () => Notification.permission === "granted" && localStorage.getItem(KEY) === "on";
  const draw = () => {
    button.hidden = false;
    button.disabled = Notification.permission === "denied";
    button.setAttribute("aria-pressed", String(on()));
    button.textContent = Notification.permission === "denied" ? "This browser blocks notices"
      : on() ? "\\u2713 You are told when a run ends" : "Tell me when a run ends";
  };
  button.onclick = async () => {
    if (on()) localStorage.setItem(KEY, "off");
    else if ((await Notification.requestPermission()) === "granted") localStorage.setItem(KEY, "on");
    draw();
  };
  const active = (window.netloomActive ??= new Map());
  for (const run of data.runs) {
    if (run.active) active.set(run.id, true);
    else if (active.delete(run.id) && on()) new Notification(run.title, { body: run.words, tag: run.id });
  }
  draw();
}
"""


def notice(runs: Sequence[Run], words: dict[str, str], key: str) -> None:
    """The button, and the notice of each of these runs that was active when it was last shown and is not any more."""
    rows: list[dict[str, Any]] = [
        {
            "id": run.id,
            "title": run.title[:80],
            "active": run.state in train.ACTIVE,
            "words": _words(run, words),
        }
        for run in runs[:AT_MOST]
    ]
    _component()(key=key, data={"runs": rows}, width="content")


def _words(run: Run, words: dict[str, str]) -> str:
    """How it ended: why, or how well."""
    measures = (f"{name.replace('_', ' ')} {value:.4g}" for name, value in test(run)[:2])
    return f"{words.get(run.state, run.state)}. {run.reason or ' · '.join(measures)}".strip()[:160]


@cache
def _component() -> Any:
    return st.components.v2.component("netloom_notice", html=_HTML, css=_CSS, js=_JS)
