"""What the user interface uses of Streamlit that is not its public interface, each with the reason; nothing else may.

A version of Streamlit may change any of it without notice. So its version has an upper bound in pyproject.toml, and
tests/ui/test_streamlit_internals.py says which of these is gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from streamlit.runtime import exists, get_instance
from streamlit.runtime.scriptrunner import StopException, get_script_run_ctx

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

__all__ = [
    "COMPONENT_FILES",
    "ERROR_LOGGER",
    "METRICS",
    "UPLOAD",
    "StopException",
    "UploadedFile",
    "is_fragment_run",
    "main_script",
    "register_component",
    "release_uploads",
    "session_id",
    "uploaded_bytes",
]

# Where the server answers: it offers no names for these addresses.
COMPONENT_FILES = "_stcore/bidi-components/"
METRICS = "/_stcore/metrics"
UPLOAD = re.compile(r".*/_stcore/upload_file/(?P<session>[^/]+)/[^/]+")
# The logger that is told what fails in a widget's callback, which no code of a page surrounds.
ERROR_LOGGER = "streamlit.error_util"


def register_component(package: str, name: str, root: Path, folder: str) -> None:
    """Serve the files of a component in `folder` below `root`, once; the public way asks for an installed package."""
    from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(f"{package}.{name}") is None:
        manifest = ComponentManifest(name=package, version="0", components=[ComponentConfig(name, folder)])
        manager.register_from_manifest(manifest, root)


def session_id() -> str:
    """The id of the browser tab that the page is drawn for; empty outside a page."""
    context = get_script_run_ctx()
    return context.session_id if context else ""


def main_script() -> Path | None:
    """The script that runs: app.py, or a page's file where that is asked for first; None outside a page."""
    context = get_script_run_ctx()
    return Path(context.main_script_path) if context else None


def is_fragment_run() -> bool:
    """Whether fragments alone are drawn, and not all of the page."""
    context = get_script_run_ctx()
    return bool(context and context.fragment_ids_this_run)


def uploaded_bytes() -> Mapping[str, int]:
    """How many bytes of uploaded files each session holds; no public function tells sessions apart."""
    if not exists():
        return {}
    storage = get_instance().uploaded_file_mgr.file_storage  # type: ignore[attr-defined]
    return {session: sum(len(file.data) for file in list(files.values())) for session, files in list(storage.items())}


def release_uploads() -> None:
    """Let go of the files of sessions whose browsers are gone."""
    if exists():
        runtime = get_instance()
        for session in uploaded_bytes():
            if not runtime.is_active_session(session):
                runtime.uploaded_file_mgr.remove_session_files(session)
