"""The document, to be opened in Netloom again."""

from __future__ import annotations

from netloom.document import dumps
from netloom.export.format import Format, Trained


class ProjectDocument(Format):
    """The project as the run froze it, without weights."""

    name = "project"
    title = "Netloom project"
    summary = "The document as JSON, without weights, to be opened in Netloom again or kept under version control"
    suffix = ".json"
    media_type = "application/json"

    def content(self, trained: Trained) -> bytes:
        return dumps(trained.project).encode()
