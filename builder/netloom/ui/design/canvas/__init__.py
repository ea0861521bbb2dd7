"""The canvas as a Streamlit component. This wrapper registers and mounts it; the canvas itself is in frontend/."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic_core import to_json

from netloom.ui.components.component_loader import component
from netloom.ui.design.canvas.messages import CanvasData


def canvas(*, data: CanvasData, key: str, on_sync: Callable[[], None], on_look: Callable[[], None]) -> Any:
    """Draw the canvas with `data` (see netloom.ui.design.canvas_payload).

    Its state is in the session under `key`, see `netloom.ui.design.state`. `sync` has edits for `Editor.sync`,
    `selection` the ids of the selected nodes and edges, sent again when other parts of the page change, and `network`
    the network that users want to see. All are states, not triggers, so that none is lost. `on_sync` runs after edits,
    `on_look` after other changes.
    """
    callbacks = {"on_sync_change": on_sync, "on_selection_change": on_look, "on_network_change": on_look}
    # As bytes: Streamlit would search a dict for tables, and serialize it twice, sorted, to detect changes.
    return _component()(key=key, data=_encoded(data), height="content", **callbacks)


def _encoded(data: CanvasData) -> bytes:
    try:
        return to_json(data)  # a third of the time of the module json
    except ValueError:  # half of a character (a lone surrogate) in a message, which JSON can escape
        return json.dumps(data).encode()


@cache
def _component() -> Any:
    # Registered when first shown: with files of its own, a component cannot be registered before Streamlit runs.
    return component("canvas", "ui/design/canvas/build", "index-*.js", isolate_styles=True)
