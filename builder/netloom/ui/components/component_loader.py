"""Components whose files a browser fetches once, told to Streamlit where the package is not installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import streamlit as st

from netloom.ui.shell.streamlit_internals import COMPONENT_FILES, register_component

PACKAGE = "netloom"
# A file's address is found beside Streamlit's own script, as the page may be served below any path. Streamlit would
# put a script element on the page with each answer of Python and wait until it has loaded; here it waits for nothing.
_LOADER = """
const beside = document.querySelector('script[src*="/static/js/"]');
const address = new URL(%s, beside ? beside.src : document.baseURI);
let render;
export default async (component) => (render ??= (await import(address.href)).default)(component);
"""


def component(name: str, folder: str, file: str, **options: Any) -> Any:
    """A component of files in `folder`, which is within the package; `file` is the first one, as a pattern."""
    root, key = Path(__file__).parents[2], f"{PACKAGE}.{name}"
    register_component(PACKAGE, name, root, folder)
    (path,) = (root / folder).glob(file)
    address = f"../../{COMPONENT_FILES}{key}/{path.name}"
    return st.components.v2.component(key, js=_LOADER % json.dumps(address), **options)
