"""The Deploy page: the model server, promotion, smaller variants, drift and the model card of a run."""

from __future__ import annotations

from netloom.core.errors import DataError
from netloom.document import DocumentError
from netloom.editing.live import Live
from netloom.jobs import JobError, RunWeights
from netloom.store import StoreError
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.errors import show_error
from netloom.ui.deploy.card import card
from netloom.ui.deploy.drift import drift
from netloom.ui.deploy.optimize import optimize
from netloom.ui.deploy.promotion import promotion
from netloom.ui.deploy.server import server
from netloom.ui.deploy.state import Key
from netloom.ui.shell.run_picker import choose_checkpoint, choose_run, controls, page_head, written_at

PARTS = {
    "server": (":material/dns: Server", server),
    "promotion": (":material/upgrade: Promote", promotion),
    "optimize": (":material/speed: Optimize", optimize),
    "drift": (":material/monitor_heart: Drift", drift),
    "card": (":material/description: Model card", card),
}
ERRORS = (DataError, StoreError, OSError, CheckpointError, DocumentError, JobError, ValueError)


def page(live: Live) -> None:
    """Draw the Deploy page."""
    head = page_head(live, "deploy it", {name: title for name, (title, _) in PARTS.items()}, Key.MODE)
    if head is None:
        return
    runs, part = head
    try:
        with controls():
            run_id = choose_run(live, runs)
            weights = RunWeights(run_id, choose_checkpoint(live, run_id), written_at(live, run_id))
        PARTS[part][1](live, weights)
    except ERRORS as error:
        show_error(error)
