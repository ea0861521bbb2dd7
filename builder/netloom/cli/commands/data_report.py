"""`netloom data report`: what is wrong with data, as text, JSON, or a page of its own."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from html import escape
from typing import TYPE_CHECKING

from netloom.cli.command import Context
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.data import DatasetInfo
    from netloom.data.quality import Finding, Report

SIGNS = {"error": "!!", "warning": "! ", "hint": "· "}
COLOURS = {"error": "#dc2626", "warning": "#d97706", "hint": "#2563eb"}


def report_arguments(parser: ArgumentParser) -> None:
    """What `netloom data report` takes."""
    parser.add_argument("name", metavar="NAME", help="built-in name, or id or name of an added dataset")
    parser.add_argument("--html", action="store_true", help="write a self-contained HTML page")
    parser.add_argument("--card", action="store_true", help="write the dataset card as Markdown (or --json)")
    parser.add_argument(
        "--fix",
        metavar="FINDING",
        action="append",
        default=[],
        help="apply the fix of a finding, such as gives_away, to new projects with this data; repeatable",
    )
    parser.add_argument("--take-back", action="store_true", help="no longer apply fixes to new projects")
    parser.add_argument("--quick", action="store_true", help="skip the slowest checks")


def report_data(asked: Namespace, context: Context) -> int:
    """Look for everything that is wrong with a dataset."""
    from netloom.data import prepare
    from netloom.data.dataset_lookup import find_dataset
    from netloom.data.preparation.project_defaults import default_choice, take_back
    from netloom.data.quality import report
    from netloom.data.quality.dataset_card import card, findings, markdown

    info = find_dataset(context.home, asked.name)
    if asked.take_back:
        take_back(info.name, context.home)
    choice = default_choice(info.name, context.home)
    data = prepare(choice, context.home)
    found = report(data, choice, context.home, heavy=not asked.quick)
    if asked.fix:
        for code in asked.fix:
            _settle(info, code, found, context)
        choice = default_choice(info.name, context.home)
        data = prepare(choice, context.home)
        found = report(data, choice, context.home, heavy=not asked.quick)
    if asked.card:
        made = card(info, data, choice, findings(found))
        context.answer(made, markdown(made))
        return 0
    context.answer({"name": info.name, **found.as_json()}, _page(info, found) if asked.html else _text(info, found))
    return 0


def _settle(info: DatasetInfo, code: str, found: Report, context: Context) -> None:
    """Have new projects take over the fixes of the findings of a code.

    Raises:
        UsageError: there is no such finding, or it has no fix.
    """
    from netloom.core.errors import UsageError
    from netloom.data.preparation.project_defaults import default_data, settle

    fixes = [one.fix for one in found.findings if one.code == code and one.fix is not None]
    if not fixes:
        known = ", ".join(dict.fromkeys(one.code for one in found.findings if one.fix is not None))
        raise UsageError(f"There is no finding {code[:60]!r} with a fix; available: {known or 'none'}.")
    for fix in fixes:
        edit = fix.edit
        # Of several columns each fix says what it would change alone; together they hold for all.
        if "options" in edit.get("data", {}):
            before = default_data(info.name, context.home).get("options", {})
            options = {**before, **edit["data"]["options"]}
            columns = {**before.get("columns", {}), **edit["data"]["options"].get("columns", {})}
            edit = {
                **edit,
                "data": {**edit["data"], "options": {**options, **({"columns": columns} if columns else {})}},
            }
        settle(info.name, edit, context.home)
        context.note(f"New projects with {plain(info.title)!r} take over: {plain(fix.title)}.")


def _text(info: DatasetInfo, found: Report) -> str:
    lines = [f"{plain(info.title)}: {_looked(found)}"]
    for one in found.findings:
        lines += ["", f"{SIGNS[one.severity]} {one.severity}: {plain(one.message)}", f"   {plain(one.advice)}"]
        if one.rows or one.pairs:
            lines.append(f"   rows {_rows(one)}")
        if one.fix:
            lines.append(f"   fix: {plain(one.fix.title)} (--fix {one.code})")
    return "\n".join(lines if found.findings else [*lines, "", "No problems found."])


def _looked(found: Report) -> str:
    sample = f"a sample of {found.looked_at:,} of " if found.looked_at < found.rows else ""
    return f"{sample}{found.rows:,} rows, {len(found.checked)} checks, {found.elapsed_s:.1f} s"


def _rows(one: Finding, most: int = 10) -> str:
    """Which rows to look at; pairs with an equals sign between them."""
    named = [f"{first}={second}" for first, second in one.pairs] or [str(row) for row in one.rows]
    shown = ", ".join(named[:most])
    return f"{shown}, …" if max(one.count, len(named)) > most else shown


def _page(info: DatasetInfo, found: Report) -> str:
    """The report as HTML, with nothing in it that is read as markup but our own."""
    parts = []
    for one in found.findings:
        rows = f"<p><small>Rows {escape(_rows(one))}</small></p>" if one.rows or one.pairs else ""
        method = f"<p><small>{escape(one.method)}</small></p>" if one.method else ""
        mend = f"<p>Fix: {escape(one.fix.title)}</p>" if one.fix else ""
        parts.append(
            f'<section style="border-left:4px solid {COLOURS[one.severity]}"><h2>{escape(plain(one.message))}</h2>'
            f"<p>{escape(plain(one.advice))}</p>{mend}{rows}{method}</section>"
        )
    body = "".join(parts) or "<p>No problems found.</p>"
    checked = "".join(f"<li>{escape(title)}</li>" for title in found.checked)
    title = escape(plain(info.title))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>'
        "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
        ":root{color-scheme:light dark}"
        "section{padding:.2rem 1rem;margin:1rem 0}h2{font-size:1.05rem;margin:.4rem 0}p{margin:.4rem 0}"
        f"</style></head><body><h1>{title}</h1><p>{escape(_looked(found))}</p>{body}"
        f"<h2>Checks</h2><ul>{checked}</ul></body></html>"
    )
