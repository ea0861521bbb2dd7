"""`netloom data`: list, add, show, set and check datasets."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, add_action
from netloom.cli.commands.data_add import add_arguments, add_data
from netloom.cli.commands.data_report import add_report_arguments, report_data
from netloom.cli.commands.data_set import add_set_arguments, set_data
from netloom.cli.filters import check_filter, known_task
from netloom.cli.text import number, short, table
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.data import DatasetInfo, Prepared, Quality

CLASSES_SHOWN = 20
COLUMN = ("column", "type", "missing", "distinct", "minimum", "mean", "maximum")


class Data(Command):
    """Lists, adds, shows, sets and checks datasets."""

    name = "data"
    summary = "list, add, show, set and check datasets"

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="list|add|show|set|report", required=True)
        listed = add_action(actions, "list", "list built-in and added datasets")
        listed.add_argument("--search", metavar="TEXT", default="", help="words in title, well-known name or columns")
        listed.add_argument("--kind", metavar="KIND", default="", help="kind of data, such as image, table or text")
        listed.add_argument("--task", metavar="TASK", default="", help="task, such as classification")
        listed.add_argument(
            "--size", choices=("small", "medium", "large"), default="", help="below 1,000, below 10,000, or more rows"
        )
        add_arguments(add_action(actions, "add", "add a file, several files that belong together, a folder or a zip"))
        show = add_action(actions, "show", "show a dataset's fields, target, classes and columns")
        show.add_argument("name", metavar="NAME", help="built-in name, or id or name of an added dataset")
        summary = "set columns, roles, preprocessing and the split of a dataset for new projects"
        add_set_arguments(add_action(actions, "set", summary))
        add_report_arguments(add_action(actions, "report", "check the quality of a dataset"))

    def run(self, arguments: Namespace, context: Context) -> int:
        actions = {"list": _list, "add": add_data, "show": _show, "set": _set, "report": report_data}
        return actions[arguments.action](arguments, context)


def _list(arguments: Namespace, context: Context) -> int:
    from netloom.data import datasets
    from netloom.data.dataset_search import DatasetSearch

    every = datasets(context.home)
    check_filter("--kind", arguments.kind, [info.kind for info in every], "dataset")
    task = known_task(arguments.task, [info.task for info in every], "dataset")
    search = DatasetSearch(arguments.search, arguments.kind, task, arguments.size)
    infos = [info for info in every if search.accepts(info)]
    header = ("name", "kind", "task", "rows", "title", "summary")
    rows = [(item.name, item.kind, item.task, item.rows or "", short(item.label, 40), item.summary) for item in infos]
    context.answer([asdict(item) for item in infos], table(header, rows))
    return 0


def _show(arguments: Namespace, context: Context) -> int:
    from netloom.data.dataset_lookup import find_dataset

    return _report(find_dataset(context.home, arguments.name), context)


def _set(arguments: Namespace, context: Context) -> int:
    return _report(set_data(arguments, context), context)


def _report(info: DatasetInfo, context: Context) -> int:
    """Show a dataset with its settings for new projects."""
    from netloom.data import prepare, statistics
    from netloom.data.preparation.project_defaults import default_choice, default_data
    from netloom.data.quality.dataset_card import summary
    from netloom.data.quality.reach_back import reach_back_note
    from netloom.templates.starting import starters

    choice = default_choice(info.name, context.home)
    data = prepare(choice, context.home)
    quality = statistics(data, choice)
    value = {
        **asdict(info),
        "summary": summary(info, data, choice),
        "rows": quality.rows,
        "inputs": [asdict(field) for field in data.schema.inputs],
        "target": asdict(data.schema.target),
        "splits": quality.splits,
        "reach_back": reach_back_note(data),
        "class_counts": quality.classes,
        "column_facts": quality.columns,
        "remarks": quality.remarks,
        "fingerprint": data.fingerprint,
        "settings": default_data(info.name, context.home),
        "templates": [template.name for template in starters(choice, data.schema)],
    }
    context.answer(value, "\n".join(_lines(value, data, quality)))
    return 0


def _lines(value: Mapping[str, Any], data: Prepared, quality: Quality) -> list[str]:
    """Return the lines of a report from its values and from the data."""
    target = data.schema.target
    lines = [f"{plain(value['title'])} ({value['name']}): {plain(value['summary'])}"]
    for field in data.schema.inputs:
        size = f", {field.vocabulary:,} tokens" if field.vocabulary else ""
        shape = ", ".join(("N", *map(str, field.shape)))
        lines.append(f"input   {plain(field.name)}: {field.kind} ({shape}){size}")
    lines.append(f"target  {plain(target.name)}: {target.kind.replace('_', ' ')}")
    splits = ", ".join(f"{count:,} {name}" for name, count in quality.splits.items())
    lines.append(f"rows    {quality.rows:,}: {splits}")
    if value["reach_back"]:
        lines.append(f"context {value['reach_back']}")
    if quality.classes:
        counts = [f"{short(name, 30)} {count:,}" for name, count in list(quality.classes.items())[:CLASSES_SHOWN]]
        omitted = len(quality.classes) - len(counts)
        lines.append(f"classes {', '.join(counts)}{f', and {omitted} more' if omitted else ''}")
    if value["templates"]:
        lines.append(f"models  {', '.join(value['templates'])} (netloom fit NAME --data …)")
    if quality.columns:
        rows = [[_cell(column.get(name, "")) for name in COLUMN] for column in quality.columns]
        lines += ["", table(COLUMN, rows, right=COLUMN[2:])]
    return [*lines, *(f"! {plain(remark)}" for remark in quality.remarks)]


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, (int, float)) else str(value)
