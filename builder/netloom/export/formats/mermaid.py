"""A drawing of the network as Mermaid text, which GitHub, GitLab and many wikis render."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.core.text import plain
from netloom.export.format import Format, Trained
from netloom.export.graph_layout import Diagram, diagrams

if TYPE_CHECKING:
    from netloom.document import Project

LIMIT = 80
# Characters that, like letters and digits, have no meaning in Mermaid and Markdown within quotes
HARMLESS = " ,()×…"
# Mermaid still interprets decoded text ($$math$$, fa:fa-icon, \\n, <br>); an invisible word joiner prevents that.
JOINED, JOINER = "$:<\\", "#8288;"


class Mermaid(Format):
    """A flowchart. https://mermaid.js.org/syntax/flowchart.html"""

    name = "mermaid"
    title = "Mermaid"
    summary = "The graph with titles and shapes as text, to paste into Markdown on GitHub, GitLab or a wiki"
    suffix = ".mmd"
    media_type = "text/vnd.mermaid"

    def content(self, trained: Trained) -> bytes:
        return flowchart(trained.project).encode()


def flowchart(project: Project) -> str:
    """Return the main network as a Mermaid flowchart, with the networks that it contains; they may have errors."""
    parts = diagrams(project)
    # Some ids, such as "end", are keywords of Mermaid, so nodes are numbered.
    ids = {(diagram.name, key): f"n{index}" for index, (diagram, key) in enumerate(_keys(parts), 1)}
    lines = ["flowchart TD"]
    for number, diagram in enumerate(parts, 1):
        if len(parts) > 1:
            lines.append(f'    subgraph s{number}["{_safe(project.name if number == 1 else diagram.name)}"]')
        for key, box in diagram.boxes.items():
            brief = f"<br/>{_safe(box.brief)}" if box.brief else ""
            lines.append(f'    {ids[diagram.name, key]}["{_safe(box.title)}{brief}"]')
        for arrow in diagram.arrows:
            shape = f'|"{_safe(arrow.shape)}"| ' if arrow.shape else ""
            lines.append(f"    {ids[diagram.name, arrow.source]} --> {shape}{ids[diagram.name, arrow.target]}")
        if len(parts) > 1:
            lines.append("    end")
    colors: dict[str, list[str]] = {}
    for diagram, key in _keys(parts):
        colors.setdefault(diagram.boxes[key].color, []).append(ids[diagram.name, key])
    for number, (color, members) in enumerate(colors.items(), 1):
        lines.append(f"    classDef c{number} fill:#f8fafc,stroke:{color},color:#0f172a")
        lines.append(f"    class {','.join(members)} c{number}")
    return "\n".join(lines) + "\n"


def _keys(parts: list[Diagram]) -> list[tuple[Diagram, str]]:
    return [(diagram, key) for diagram in parts for key in diagram.boxes]


def _safe(text: str) -> str:
    """Escape user text within quotes: all but letters, digits and harmless characters become numeric entities."""
    text = plain(text)
    text = text if len(text) <= LIMIT else text[: LIMIT - 1] + "…"
    return "".join(
        letter if letter.isalnum() or letter in HARMLESS else f"#{ord(letter)};{JOINER if letter in JOINED else ''}"
        for letter in text
    )
