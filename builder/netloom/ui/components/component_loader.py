"""Components whose files a browser fetches once, told to Streamlit where the package is not installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import streamlit as st

PACKAGE = "netloom"
# A file's address is found beside Streamlit's own script, as the page may be served below any path. Streamlit would
# put a script element on the page with each answer of Python and wait until it has loaded; here it waits for nothing.
_LOADER = """
const beside = document.querySelector('script[src*="/static/js/"]');
const address = new URL("../../_stcore/bidi-components/" + %s, beside ? beside.src : document.baseURI);
let render;
export default async (component) => (render ??= (await import(address.href)).default)(component);
"""


def component(name: str, folder: str, file: str, **options: Any) -> Any:
    """A component of files in `folder`, which is within the package; `file` is the first one, as a pattern."""
    from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
    from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

    root = Path(__file__).parents[2]
    manager, key = get_bidi_component_manager(), f"{PACKAGE}.{name}"
    if manager.get_component_asset_root(key) is None:
        manifest = ComponentManifest(name=PACKAGE, version="0", components=[ComponentConfig(name, folder)])
        manager.register_from_manifest(manifest, root)
    (found,) = (root / folder).glob(file)
    return st.components.v2.component(key, js=_LOADER % json.dumps(f"{key}/{found.name}"), **options)
