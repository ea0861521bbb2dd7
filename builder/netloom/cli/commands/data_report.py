"""`netloom data report`: the quality of a dataset as text, JSON, HTML or a dataset card."""

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
COLORS = {"error": "#dc2626", "warning": "#d97706", "hint": "#2563eb"}


def add_report_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `netloom data report`."""
    parser.add_argument("name", metavar="NAME", help="built-in name, or id or name of an added dataset")
    parser.add_argument("--html", action="store_true", help="print the report as an HTML page")
    parser.add_argument("--card", action="store_true", help="print the dataset card as Markdown (with --json: as JSON)")
    parser.add_argument(
        "--fix",
        metavar="FINDING",
        action="append",
        default=[],
        help="apply the fix of a finding, such as gives_away, to new projects with this data; repeatable",
    )
    parser.add_argument("--take-back", action="store_true", help="remove all fixes from new projects")
    parser.add_argument("--quick", action="store_true", help="skip the slowest checks")


def report_data(arguments: Namespace, context: Context) -> int:
    """Check the quality of a dataset, and apply or remove fixes."""
    from netloom.data import prepare
    from netloom.data.dataset_lookup import find_dataset
    from netloom.data.preparation.project_defaults import default_choice, take_back
    from netloom.data.quality import report as build_report
    from netloom.data.quality.dataset_card import card, findings, markdown

    info = find_dataset(context.home, arguments.name)
    if arguments.take_back:
        take_back(info.name, context.home)
    choice = default_choice(info.name, context.home)
    data = prepare(choice, context.home)
    report = build_report(data, choice, context.home, heavy=not arguments.quick)
    if arguments.fix:
        for code in arguments.fix:
            _apply_fixes(info, code, report, context)
        choice = default_choice(info.name, context.home)
        data = prepare(choice, context.home)
        report = build_report(data, choice, context.home, heavy=not arguments.quick)
    if arguments.card:
        dataset_card = card(info, data, choice, findings(report))
        context.answer(dataset_card, markdown(dataset_card))
        return 0
    context.answer(
        {"name": info.name, **report.as_json()}, _page(info, report) if arguments.html else _text(info, report)
    )
    return 0


def _apply_fixes(info: DatasetInfo, code: str, report: Report, context: Context) -> None:
    """Make the fixes of all findings with this code the default of new projects.

    Raises:
        UsageError: there is no such finding, or it has no fix.
    """
    from netloom.core.errors import UsageError
    from netloom.data.preparation.project_defaults import default_data, settle

    fixes = [finding.fix for finding in report.findings if finding.code == code and finding.fix is not None]
    if not fixes:
        fixable = ", ".join(dict.fromkeys(finding.code for finding in report.findings if finding.fix is not None))
        raise UsageError(f"There is no finding {code[:60]!r} with a fix; available: {fixable or 'none'}.")
    for fix in fixes:
        edit = fix.edit
        # Each fix has the options for its own column alone, so it is merged with those that are set already.
        if "options" in edit.get("data", {}):
            options_before = default_data(info.name, context.home).get("options", {})
            options = {**options_before, **edit["data"]["options"]}
            columns = {**options_before.get("columns", {}), **edit["data"]["options"].get("columns", {})}
            edit = {
                **edit,
                "data": {**edit["data"], "options": {**options, **({"columns": columns} if columns else {})}},
            }
        settle(info.name, edit, context.home)
        context.note(f"New projects with {plain(info.title)!r} apply this fix: {plain(fix.title)}.")


def _text(info: DatasetInfo, report: Report) -> str:
    lines = [f"{plain(info.title)}: {_extent(report)}"]
    for finding in report.findings:
        lines += [
            "",
            f"{SIGNS[finding.severity]} {finding.severity}: {plain(finding.message)}",
            f"   {plain(finding.advice)}",
        ]
        if finding.rows or finding.pairs:
            lines.append(f"   rows {_rows(finding)}")
        if finding.fix:
            lines.append(f"   fix: {plain(finding.fix.title)} (--fix {finding.code})")
    return "\n".join(lines if report.findings else [*lines, "", "No problems found."])


def _extent(report: Report) -> str:
    sample = f"a sample of {report.rows_checked:,} of " if report.rows_checked < report.rows else ""
    return f"{sample}{report.rows:,} rows, {len(report.checked)} checks, {report.elapsed_s:.1f} s"


def _rows(finding: Finding, limit: int = 10) -> str:
    """Return the rows of a finding, or its pairs of equal rows as `3=17`."""
    row_names = [f"{first}={second}" for first, second in finding.pairs] or [str(row) for row in finding.rows]
    text = ", ".join(row_names[:limit])
    return f"{text}, …" if max(finding.count, len(row_names)) > limit else text


def _page(info: DatasetInfo, report: Report) -> str:
    """Return the report as an HTML page; all text of the data is escaped."""
    sections = []
    for finding in report.findings:
        rows = f"<p><small>Rows {escape(_rows(finding))}</small></p>" if finding.rows or finding.pairs else ""
        method = f"<p><small>{escape(finding.method)}</small></p>" if finding.method else ""
        fix = f"<p>Fix: {escape(finding.fix.title)}</p>" if finding.fix else ""
        color = COLORS[finding.severity]
        sections.append(
            f'<section style="border-left:4px solid {color}"><h2>{escape(plain(finding.message))}</h2>'
            f"<p>{escape(plain(finding.advice))}</p>{fix}{rows}{method}</section>"
        )
    body = "".join(sections) or "<p>No problems found.</p>"
    checks = "".join(f"<li>{escape(title)}</li>" for title in report.checked)
    title = escape(plain(info.title))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>'
        "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
        ":root{color-scheme:light dark}"
        "section{padding:.2rem 1rem;margin:1rem 0}h2{font-size:1.05rem;margin:.4rem 0}p{margin:.4rem 0}"
        f"</style></head><body><h1>{title}</h1><p>{escape(_extent(report))}</p>{body}"
        f"<h2>Checks</h2><ul>{checks}</ul></body></html>"
    )
