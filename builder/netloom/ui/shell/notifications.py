"""Desktop notifications when a run or a sweep ends, on every page; permission is requested only after a click.

Every page ends with an invisible component. The tab stores the active runs, also across a reload; the server is polled
only while runs are active and notifications are on.
"""

from __future__ import annotations

from functools import cache
from textwrap import shorten
from typing import Any

import streamlit as st

from netloom.store import Run, Store, StoreError, Sweep
from netloom.ui.components.errors import guard
from netloom.ui.components.metric_texts import measured
from netloom.ui.shell.state import Key, Notice, Notices, TabState

# The number of recent runs that a new tab checks.
AT_MOST = 30
_CSS = """
button { font: inherit; font-size: 0.875rem; color: var(--st-text-color); background: none; cursor: pointer;
  border: 1px solid var(--st-border-color, #8884); border-radius: var(--st-button-radius, 0.5rem);
  min-height: 2.5rem; padding: 0.25rem 0.75rem }
button:disabled { opacity: 0.6; cursor: default }
button:hover:enabled { color: var(--st-primary-color); border-color: var(--st-primary-color) }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px }
"""
_PERMISSION = """
const KEY = "netloom-notice";
const on = () => "Notification" in window && Notification.permission === "granted"
  && localStorage.getItem(KEY) === "on";
"""
_BUTTON = (
    _PERMISSION
    + """
export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  if (!("Notification" in window)) return;
  const draw = () => {
    button.hidden = false;
    button.disabled = Notification.permission === "denied";
    button.setAttribute("aria-pressed", String(on()));
    button.textContent = Notification.permission === "denied" ? "Notifications are blocked"
      : on() ? "\\u2713 Notifying when finished" : "Notify me when finished";
  };
  button.onclick = async () => {
    if (on()) localStorage.setItem(KEY, "off");
    else if ((await Notification.requestPermission()) === "granted") localStorage.setItem(KEY, "on");
    draw();
  };
  draw();
}
"""
)
_WATCH = (
    _PERMISSION
    + """
const ACTIVE = "netloom-going", POLL_MS = 4000;
export default function ({ parentElement, data, setTriggerValue }) {
  const active = new Set(JSON.parse(sessionStorage.getItem(ACTIVE) ?? "[]"));
  for (const { id, title, words } of data.ended) {
    if (!active.has(id) || data.active.includes(id) || !on()) continue;
    const notice = new Notification(title, { body: words, tag: id, renotify: true });
    notice.onclick = () => { window.focus(); notice.close(); };
  }
  sessionStorage.setItem(ACTIVE, JSON.stringify(data.active));
  clearInterval(parentElement.netloomPoll);
  if (!data.active.length) return;
  const poll = setInterval(() => on() && setTriggerValue("poll", true), POLL_MS);
  parentElement.netloomPoll = poll;
  return () => clearInterval(poll);
}
"""
)


def button(key: str) -> None:
    """Draw the button that turns notifications on or off; the browser stores the choice."""
    _component("button", '<button type="button" hidden></button>', _BUTTON)(key=key, width="content")


@st.fragment
@guard()
def watch(store: Store) -> None:
    """Draw the invisible part of every page that sends notifications."""
    tab = TabState.current()
    notices = tab.notices
    # Only the end of a sweep is a notification, not that of each trial.
    active = [run.id for run in store.active_runs() if run.sweep_id is None]
    active += [sweep.id for sweep in store.sweeps(state="running")]
    if notices is None or notices["active"] != active:
        notices = {"active": active, "ended": _ended(store, notices, active)}
        tab.notices = notices
    _component("watch", "<i></i>", _WATCH)(key=Key.NOTICE_WATCH, data=notices, on_poll_change=lambda: None)


def _ended(store: Store, notices: Notices | None, active: list[str]) -> list[Notice]:
    """Return the notices of ended runs, newest last. Earlier ones stay for a while, as a browser can miss a rerun."""
    if notices is None:
        newest: list[Run | Sweep] = [run for run in store.runs(limit=AT_MOST) if run.sweep_id is None]
        newest += store.sweeps()[:AT_MOST]
        return [_notice(entry) for entry in newest if entry.id not in active]
    gone = [
        subject
        for entry in notices["active"]
        if entry not in active and (subject := _run_or_sweep(store, entry)) is not None
    ]
    new = [_notice(entry) for entry in gone]
    again = {entry["id"] for entry in new}
    earlier = [entry for entry in notices["ended"] if entry["id"] not in again]
    return [*earlier, *new][-AT_MOST:]


def _run_or_sweep(store: Store, key: str) -> Run | Sweep | None:
    for look in (store.run, store.sweep):
        try:
            return look(key)
        except StoreError:  # it is not of this kind, or was deleted
            continue
    return None


def _notice(row: Run | Sweep) -> Notice:
    """Return the notice of a run or sweep: its state, and its reason or test metrics."""
    run, words = row if isinstance(row, Run) else None, row.state.capitalize()
    well = " · ".join(" ".join(measured(*item, run)) for item in (list(run.summary.test.items())[:2] if run else ()))
    title = f"{'Sweep: ' * isinstance(row, Sweep)}{row.title[:80]}"
    return {"id": row.id, "title": title, "words": shorten(f"{words}. {row.reason or well}", 200, placeholder=" …")}


@cache
def _component(name: str, html: str, script: str) -> Any:
    return st.components.v2.component(f"netloom_notice_{name}", html=html, css=_CSS, js=script)
