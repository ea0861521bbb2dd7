"""Streamlit components whose files a browser fetches once, also if the package is not installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import streamlit as st

from netloom.ui.components.streamlit_internals import COMPONENT_FILES, register_component

PACKAGE = "netloom"
# The address is relative to Streamlit's own script, because the app can be served below any path. Given the file,
# Streamlit would add a script element with each rerun and wait until it has loaded; this loader imports it once.
_LOADER = """
const beside = document.querySelector('script[src*="/static/js/"]');
const address = new URL(%s, beside ? beside.src : document.baseURI);
let render;
export default async (component) => (render ??= (await import(address.href)).default)(component);
"""


def component(name: str, folder: str, file: str, **options: Any) -> Any:
    """Return a component with files in `folder`, a path in the package; `file` is a glob pattern of its entry file."""
    root, key = Path(__file__).parents[2], f"{PACKAGE}.{name}"
    register_component(PACKAGE, name, root, folder)
    (path,) = (root / folder).glob(file)
    address = f"../../{COMPONENT_FILES}{key}/{path.name}"
    return st.components.v2.component(key, js=_LOADER % json.dumps(address), **options)
