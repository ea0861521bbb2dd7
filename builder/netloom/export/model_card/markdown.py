"""A model card as Markdown, with the metadata that Hugging Face reads from the front matter (`model-index`).

https://huggingface.co/docs/hub/model-cards and https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

from netloom.core.text import break_addresses, plain
from netloom.export.model_card.card import ModelCard, Table

NOT_STATED = "Not stated."
# Letters that are markup within a line, and those that are at its beginning
_WITHIN, _AT_START = re.compile(r"[\\`*_\[\]<>|~$&]"), re.compile(r"^(\d*)([.)#+=-])")
PARTS = (
    ("Intended use", "intended_use"),
    ("Out of scope", "out_of_scope"),
    ("Limitations", "limitations"),
    ("Authors", "authors"),
)


def markdown(card: ModelCard) -> str:
    """Return the card as Markdown. Texts from people and data are escaped, so that they are not read as markup."""
    lines = [_front_matter(card), f"# {_text(card.name)}", "", _text(card.summary), ""]
    for title, name in PARTS:
        lines += [f"## {title}", "", *_paragraphs(getattr(card.statement, name) or NOT_STATED)]
    lines += [f"## Results on the {card.split} rows", ""]
    lines += [f"> **Caution:** {_text(caveat)}\n" for caveat in card.caveats]
    if card.scores:
        header = ("Metric", "Value", "95% CI", card.reference or "Trivial predictor")
        rows = tuple((score.title, score.text, score.interval, score.reference) for score in card.scores)
        lines += _table(Table("", header, rows, card.unit))
    lines += [f"{_text(sentence)}\n" for sentence in card.missing]
    for table in card.tables:
        lines += [f"### {_text(table.title)}", "", *_table(table)]
    for section in card.evidence:
        lines += [
            f"## {section.title}",
            "",
            *(_facts(section.facts) if section.facts else (_text(section.missing), "")),
        ]
    lines += ["## Data", "", _text(card.dataset), "", *_facts(card.data)]
    if card.findings:
        lines += ["### Quality", "", *(f"- {_text(finding)}" for finding in card.findings), ""]
    lines += ["## Architecture", "", *_facts(card.architecture)]
    if card.flowchart:
        lines += ["```mermaid", card.flowchart.rstrip(), "```", ""]
    if card.layers.rows:
        lines += [f"### {_text(card.layers.title)}", "", *_table(card.layers)]
    lines += ["## Training", "", *_facts(card.training)]
    if card.warnings:
        lines += ["### Warnings during training", "", *(f"- {_text(warning)}" for warning in card.warnings), ""]
    lines += ["## Environment", "", *_facts(card.environment)]
    return "\n".join(lines)


def _front_matter(card: ModelCard) -> str:
    """Return the metadata as YAML. JSON is valid YAML, so that no name of the data can add a key."""
    results = [
        {
            "task": {"type": card.task.replace("_", "-"), "name": card.task_title},
            "dataset": {"name": card.dataset or "unknown", "type": card.dataset_id or "unknown", "split": card.split},
            "metrics": [
                {"type": score.name, "value": score.value, "name": score.title}
                for score in card.scores
                if math.isfinite(score.value)
            ],
        }
    ]
    metadata = {
        "license": card.statement.license,
        "library_name": "pytorch",
        "tags": ["netloom", card.task.replace("_", "-")],
        "model-index": [{"name": card.name, "results": results}] if results[0]["metrics"] else [],
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in metadata.items() if value]
    return "\n".join(["---", *lines, "---", ""])


def _paragraphs(text: str) -> list[str]:
    return [line for part in text.splitlines() if part.strip() for line in (_AT_START.sub(r"\1\\\2", _text(part)), "")]


def _text(text: str) -> str:
    """Return a text on one line, in which nothing is markup or an address that becomes a link."""
    return _WITHIN.sub(r"\\\g<0>", break_addresses(plain(text)))


def _facts(facts: Sequence[tuple[str, str]]) -> list[str]:
    return [*(f"- **{_text(term)}**: {_text(text)}" for term, text in facts), ""]


def _table(table: Table) -> list[str]:
    lines = [_row(table.header), _row(["---"] * len(table.header))]
    lines += [_row([_text(cell) for cell in row]) for row in table.rows]
    return [*lines, "", *([_text(table.note), ""] if table.note else [])]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
