"""What the shell around all pages keeps for a tab: its project and run, notices, and parameters of the address."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict

import streamlit as st

from netloom.editing.live import Live
from netloom.ui.components.page_state import PageState, WidgetKey


class Notice(TypedDict):
    """A run or a sweep that has ended, as the browser shows it."""

    id: str
    title: str
    words: str


class Notices(TypedDict):
    """What the browser is told: the ids of what goes on, and what has ended, the latest last."""

    going: list[str]
    ended: list[Notice]


@dataclass
class TabState(PageState):
    """Which project and run a tab shows. `held` keeps the project open as long as the tab lives."""

    project: str = ""
    run: str | None = None
    held: Live | None = field(default=None, repr=False)
    notices: Notices | None = None
    # What rebuilding the list of runs came to, until it was said.
    rebuilt: str = ""


@dataclass
class JobState(PageState):
    """The job that was cancelled last in this tab, by its key, until the page has said so."""

    cancelled: str = ""


class Key(WidgetKey):
    """The keys of the shell's widgets."""

    CANCEL_JOB = "cancel job"
    RESTART_JOB = "restart job"

    NOTICE_WATCH = "notice watch"
    REBUILD = "rebuild runs"
    RESTORE = "restore"


class Query(StrEnum):
    """The parameters of the pages' addresses."""

    PROJECT = "project"
    RUN = "run"
    NETWORK = "network"
    DOCUMENT = "open"

    def get(self) -> str | None:
        """What the address says, if anything."""
        return st.query_params.get(self.value)

    def set(self, value: str | None) -> None:
        """Have the address say this, or nothing of it."""
        if value is not None:
            st.query_params[self.value] = value
        elif self.value in st.query_params:
            del st.query_params[self.value]
