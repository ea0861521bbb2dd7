"""The document, to be opened in Netloom again."""

from __future__ import annotations

from builder.export.base import Format, Trained
from builder.graph import dumps


class ProjectDocument(Format):
    """The project as the run froze it, without weights."""

    name = "project"
    title = "Netloom project"
    summary = "The document as JSON, without weights, to be opened in Netloom again or kept under version control"
    suffix = ".json"
    media_type = "application/json"

    def content(self, trained: Trained) -> bytes:
        return dumps(trained.project).encode()
