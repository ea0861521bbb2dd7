"""The state of the shell per tab: project, run and notices, and the parameters of the address."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict

import streamlit as st

from netloom.editing.live import Live
from netloom.ui.components.page_state import PageState, WidgetKey


class Notice(TypedDict):
    """The notification of a run or a sweep that has ended."""

    id: str
    title: str
    words: str


class Notices(TypedDict):
    """The data for the browser: the ids of active runs and sweeps, and notices of ended ones, newest last."""

    active: list[str]
    ended: list[Notice]


@dataclass
class TabState(PageState):
    """The project and the run of a tab. `live` keeps the project open as long as the tab exists."""

    project: str = ""
    run: str | None = None
    live: Live | None = field(default=None, repr=False)
    # The method of the variant that replaces the weights of a run, by the id of the run.
    variants: dict[str, str] = field(default_factory=dict)
    notices: Notices | None = None
    # The result of rebuilding the list of runs, until it is shown.
    rebuilt: str = ""


@dataclass
class JobState(PageState):
    """The key of the last canceled job in this tab, until the page has shown it."""

    cancelled: str = ""


@dataclass
class TourState(PageState):
    """The tour: the project that it trains, and whether its card was dismissed or opened again by the user."""

    project: str = ""
    card: bool | None = None


class Key(WidgetKey):
    """The keys of the shell's widgets."""

    CANCEL_JOB = "cancel job"
    CHARTS_AHEAD = "charts ahead"
    NETWORK = "network of run"
    NOTICE_WATCH = "notice watch"
    PAGE_MENU = "page menu"
    REBUILD = "rebuild runs"
    RESTART_JOB = "restart job"
    RESTORE = "restore"
    RUN_CONTROLS = "run-controls"
    RUN_HEADER = "run-header"
    RUN_LINK = "run link"
    TOUR = "tour"
    TOUR_CHOICE = "tour choice"
    TOUR_END = "tour end"
    TOUR_NEXT = "tour next"
    TOUR_START = "tour start"
    WEIGHTS = "weights"


class Query(StrEnum):
    """The parameters of the pages' addresses."""

    PROJECT = "project"
    RUN = "run"
    NETWORK = "network"
    DOCUMENT = "open"
    ROW = "row"
    VIEW = "view"

    def get(self) -> str | None:
        """Return the value in the address, if there is one."""
        return st.query_params.get(self.value)

    def set(self, value: str | None) -> None:
        """Set the value in the address; None removes it."""
        if value is not None:
            st.query_params[self.value] = value
        elif self.value in st.query_params:
            del st.query_params[self.value]
