"""The canvas as a Streamlit component. This wrapper registers and mounts it; the canvas itself is in frontend/."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

PACKAGE, NAME = "builder", "canvas"


def canvas(*, data: dict[str, Any], key: str, on_sync: Callable[[], None], on_look: Callable[[], None]) -> Any:
    """Show the canvas with `data` (see builder.ui.canvas.payload).

    What people do arrives in `st.session_state[key]`: `sync` holds edits for `Editor.sync`, `selection` the ids of the
    selected nodes and edges, `network` the network that people want to see. All are states, not triggers, so that none
    is lost; `on_sync` runs when edits came, `on_look` when one of the others changed.
    """
    callbacks = {"on_sync_change": on_sync, "on_selection_change": on_look, "on_network_change": on_look}
    return _component()(key=key, data=data, height="content", **callbacks)


@cache
def _component() -> Any:
    # Registered when first shown: with files of its own, a component cannot be registered before Streamlit runs.
    _register_files()
    return st.components.v2.component(f"{PACKAGE}.{NAME}", js="index-*.js", isolate_styles=True)


def _register_files() -> None:
    """Tell Streamlit where the files are where the package is not installed, as with a bare `streamlit run app.py`."""
    from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(f"{PACKAGE}.{NAME}") is None:
        component = ComponentConfig(NAME, "ui/canvas/build")
        manifest = ComponentManifest(name=PACKAGE, version="0", components=[component])
        manager.register_from_manifest(manifest, Path(__file__).parents[2])
