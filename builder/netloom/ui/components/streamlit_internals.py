"""The private interfaces of Streamlit that the user interface uses, with reasons; no other module uses any.

Streamlit may change them without notice. So its version has an upper bound in pyproject.toml, and
tests/ui/test_streamlit_internals.py fails for those that have changed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.runtime import exists, get_instance
from streamlit.runtime.scriptrunner import StopException, get_script_run_ctx

if TYPE_CHECKING:
    from streamlit.runtime.fragment import FragmentStorage
    from streamlit.runtime.uploaded_file_manager import UploadedFile

__all__ = [
    "COMPONENT_FILES",
    "ERROR_LOGGER",
    "LATE_REFRESH",
    "METRICS",
    "SESSION_LOGGER",
    "STATIC_FILES",
    "THEME_READER",
    "UPLOAD",
    "StopException",
    "UploadedFile",
    "drop_late_refresh_notes",
    "main_script",
    "plotly_file",
    "register_component",
    "release_uploads",
    "rerun_fragments",
    "reuse_theme",
    "session_id",
    "uploaded_bytes",
]

# Paths of the server, for which Streamlit has no public names.
COMPONENT_FILES = "_stcore/bidi-components/"
METRICS = "/_stcore/metrics"
STATIC_FILES = "/static/"
UPLOAD = re.compile(r".*/_stcore/upload_file/(?P<session>[^/]+)/[^/]+")
# The logger of errors in widget callbacks, which pages cannot catch.
ERROR_LOGGER = "streamlit.error_util"
# The function that fills a message with a section of the theme.
THEME_READER = "_populate_theme_msg"
# A note of this logger when a browser asks for the refresh of a fragment while its user opens another page. Nothing is
# wrong then: the request came before the browser knew that the fragment is gone.
SESSION_LOGGER = "streamlit.runtime.app_session"
LATE_REFRESH = "The fragment with id %s does not exist anymore"


def register_component(package: str, name: str, root: Path, folder: str) -> None:
    """Serve the files of a component in `folder` below `root`, once; the public way requires an installed package."""
    from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(f"{package}.{name}") is None:
        manifest = ComponentManifest(name=package, version="0", components=[ComponentConfig(name, folder)])
        manager.register_from_manifest(manifest, root)


def reuse_theme() -> None:
    """Let Streamlit read the theme from its settings once instead of six times per rerun, where each time looks through
    all settings: a sixth of the time of a rerun that draws the canvas. The settings do not change while a server runs.
    """
    from streamlit.proto.NewSession_pb2 import CustomThemeConfig
    from streamlit.runtime import app_session

    read: Callable[..., None] | None = getattr(app_session, THEME_READER, None)
    if read is not None and not isinstance(read, _ReadTheme):
        setattr(app_session, THEME_READER, _ReadTheme(read, CustomThemeConfig))


class _ReadTheme:
    """Fills the message of a section of the theme, which is read from the settings when it is first needed."""

    def __init__(self, read: Callable[..., None], make: Callable[[], Any]) -> None:
        self._read, self._make = read, make
        update_wrapper(self, read)
        self._sections: dict[str, Any] = {}

    def __call__(self, msg: Any, section: str = "theme") -> None:
        if section not in self._sections:
            theme = self._make()
            self._read(theme, section)
            self._sections[section] = theme
        # An empty message would count as a setting of its own.
        if self._sections[section].ByteSize():
            msg.MergeFrom(self._sections[section])


def session_id() -> str:
    """Return the id of the current browser tab; "" outside of a page."""
    context = get_script_run_ctx()
    return context.session_id if context else ""


def main_script() -> Path | None:
    """Return the main script: app.py, or the file of a page if that is requested first; None outside of a page."""
    context = get_script_run_ctx()
    return Path(context.main_script_path) if context else None


@cache
def plotly_file() -> str:
    """Return the name of Streamlit's script with Plotly, in the folder of its other scripts; "" if there is none."""
    scripts = (Path(st.__file__).parent / "static" / "static" / "js").glob("PlotlyChart.*.js")
    return next((path.name for path in scripts), "")


def rerun_fragments(keys: Iterable[str]) -> list[str] | None:
    """Return those of these fragments, by key, that the present rerun draws; None if it draws the whole page.

    One rerun can draw several fragments, because requests that arrive during a rerun are combined.
    """
    context = get_script_run_ctx()
    if not context or not context.fragment_ids_this_run:
        return None
    drawn = set(context.fragment_ids_this_run)
    return [key for key in keys if not drawn.isdisjoint(_fragment_ids(context.fragment_storage, key))]


def _fragment_ids(storage: FragmentStorage, key: str) -> list[str]:
    with suppress(StreamlitAPIException):  # it has not been drawn yet
        return storage.resolve_target(key)
    return []


def uploaded_bytes() -> Mapping[str, int]:
    """Return the bytes of uploaded files by session, which no public function distinguishes."""
    if not exists():
        return {}
    storage = get_instance().uploaded_file_mgr.file_storage  # type: ignore[attr-defined]
    return {session: sum(len(file.data) for file in list(files.values())) for session, files in list(storage.items())}


@cache
def drop_late_refresh_notes() -> None:
    """Keep `LATE_REFRESH` out of the log of the server. Warnings and all other notes stay."""

    def is_wanted(record: logging.LogRecord) -> bool:
        return record.levelno != logging.INFO or not str(record.msg).startswith(LATE_REFRESH)

    logging.getLogger(SESSION_LOGGER).addFilter(is_wanted)


def release_uploads() -> None:
    """Remove the files of closed sessions."""
    if exists():
        runtime = get_instance()
        for session in uploaded_bytes():
            if not runtime.is_active_session(session):
                runtime.uploaded_file_mgr.remove_session_files(session)
