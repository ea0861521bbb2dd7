"""A model card as one self-contained HTML page, without scripts and external references."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from netloom.export.model_card.card import ModelCard, Table
from netloom.export.model_card.markdown import NOT_STATED, PARTS

STYLE = """
:root{color-scheme:light dark;--text:light-dark(#1c1c28,#e8e8ef);--faint:light-dark(#5b5b6b,#a5a6b5);
--line:light-dark(#e3e3ea,#2d2e3a);--caution:light-dark(#8a4b00,#f0b46a)}
body{font:16px/1.55 system-ui,sans-serif;max-width:860px;margin:2rem auto;padding:0 1rem;color:var(--text);
background:light-dark(#fff,#12131a);overflow-wrap:anywhere}
h1{font-size:1.8rem;margin:0}h2{font-size:1.25rem;margin:2.2rem 0 .5rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.4rem 0 .3rem}p{margin:.4rem 0}.faint{color:var(--faint)}
.caution{border-left:4px solid var(--caution);padding:.4rem .9rem;margin:.6rem 0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem}
th,td{text-align:left;padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--line)}
th,td{white-space:nowrap}td{font-variant-numeric:tabular-nums}
dl{display:grid;grid-template-columns:minmax(9rem,auto) 1fr;gap:.25rem 1.2rem}dt{color:var(--faint)}dd{margin:0}
@media(max-width:560px){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
.drawing{background:#fff;border:1px solid var(--line);border-radius:.6rem;padding:.6rem}
.drawing svg{display:block;max-width:100%;max-height:640px;width:auto;height:auto;margin:auto}
"""


def html(card: ModelCard) -> str:
    """Return the page as text. All texts from people and data are escaped."""
    parts = [f"<h1>{escape(card.name)}</h1>", f"<p>{escape(card.summary)}</p>"]
    if card.statement.license:
        parts.append(f'<p class="faint">License: {escape(card.statement.license)}</p>')
    for title, name in PARTS:
        parts += [f"<h2>{title}</h2>", _paragraphs(getattr(card.statement, name))]
    parts.append(f"<h2>Results on the {escape(card.split)} rows</h2>")
    parts += [f'<p class="caution"><b>Caution:</b> {escape(caveat)}</p>' for caveat in card.caveats]
    if card.scores:
        header = ("Metric", "Value", "95% CI", card.reference or "Trivial predictor")
        rows = tuple((score.title, score.text, score.interval, score.reference) for score in card.scores)
        parts.append(_table(Table("", header, rows, card.unit)))
    parts += [f'<p class="faint">{escape(sentence)}</p>' for sentence in card.missing]
    for table in card.tables:
        parts += [f"<h3>{escape(table.title)}</h3>", _table(table)]
    for section in card.evidence:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        parts.append(_facts(section.facts) if section.facts else f'<p class="faint">{escape(section.missing)}</p>')
    parts += ["<h2>Data</h2>", f"<p>{escape(card.dataset)}</p>", _facts(card.data)]
    if card.findings:
        parts += ["<h3>Quality</h3>", _items(card.findings)]
    parts += ["<h2>Architecture</h2>", _facts(card.architecture), f'<div class="drawing wide">{card.drawing}</div>']
    if card.layers.rows:
        parts += [f"<h3>{escape(card.layers.title)}</h3>", _table(card.layers)]
    parts += ["<h2>Training</h2>", _facts(card.training)]
    if card.warnings:
        parts += ["<h3>Warnings during training</h3>", _items(card.warnings)]
    parts += ["<h2>Environment</h2>", _facts(card.environment)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Model card: {escape(card.name)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _paragraphs(text: str) -> str:
    if not text.strip():
        return f'<p class="faint">{NOT_STATED}</p>'
    return "".join(f"<p>{escape(part)}</p>" for part in text.splitlines() if part.strip())


def _items(texts: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(term)}</dt><dd>{escape(text)}</dd>' for term, text in facts)}</dl>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    note = f'<p class="faint">{escape(table.note)}</p>' if table.note else ""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}'
