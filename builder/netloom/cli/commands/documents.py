"""`netloom templates`, `check`, `summary` and `code`: commands that need a document, but no run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import FAILED, Command, Context
from netloom.cli.files import add_force_argument, new_file
from netloom.cli.filters import check_filter, known_task
from netloom.cli.text import issue_line, number, table
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.plain_json import JsonObject
from netloom.core.text import plain, size

if TYPE_CHECKING:
    from netloom.templates import Architecture, Template
    from netloom.validation import Analysis
    from netloom.validation import Context as Network


class Templates(Command):
    """Lists the templates and the published architectures that match a search, or writes one to a file."""

    name = "templates"
    summary = "list or search the templates and the published architectures, or write one to a file"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--search", metavar="TEXT", default="", help="words in title, summary, topic, task or names of the data"
        )
        parser.add_argument("--topic", metavar="TOPIC", default="", help="kind of input, such as image, text or table")
        parser.add_argument("--task", metavar="TASK", default="", help="task, such as classification")
        parser.add_argument(
            "--size", choices=("small", "medium", "large"), default="", help="up to 10, up to 20, or more layers"
        )
        parser.add_argument(
            "--write",
            nargs=2,
            metavar=("NAME", "FILE"),
            help="write the template NAME as a document to the new file FILE",
        )
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.core.field_errors import nearest_name
        from netloom.document import write
        from netloom.templates import architectures, templates

        if arguments.write:
            refuse_unused(self, arguments, ["search", "topic", "task", "size"], beside="--write")
        else:
            refuse_unused(self, arguments, ["force"], without="--write")
        documents: dict[str, Template | Architecture] = {**templates(), **architectures()}
        if not arguments.write:
            _list_templates(list(documents.values()), arguments, context)
            return 0
        name, path = arguments.write[0], Path(arguments.write[1])
        if name not in documents:
            nearest = nearest_name(name, documents)
            hint = f"did you mean {nearest!r}?" if nearest else f"choose one of {', '.join(documents)}."
            raise UsageError(f"There is no template {name[:60]!r}; {hint}")
        write(new_file(path, force=arguments.force), documents[name].project)
        context.answer({"template": name, "file": str(path)}, f"Wrote {path}.")
        return 0


def _list_templates(every: list[Template | Architecture], arguments: Namespace, context: Context) -> None:
    """List the templates and architectures that match a search."""
    from netloom.templates.template_search import TemplateSearch, task_name

    topics = {item.topic.casefold(): item.topic for item in every}
    topic = topics.get(arguments.topic.casefold(), arguments.topic)
    check_filter("--topic", topic, topics.values(), "template")
    task = known_task(arguments.task, map(task_name, every), "template")
    search = TemplateSearch(arguments.search, task, arguments.size, topic)
    rows = [
        {
            "name": item.name,
            "title": item.title,
            "summary": item.summary,
            "topic": item.topic,
            "task": task_name(item) or None,
            "layers": len(item.project.main_network.nodes),
        }
        for item in every
        if search.accepts(item)
    ]
    header = ("name", "topic", "task", "layers", "title")
    text = table(header, [[row[name] or "" for name in header] for row in rows], right=("layers",))
    context.answer(rows, text if rows else "No template matches the search.")


class Check(Command):
    """Lists the issues of a document, one per line, and applies their fixes."""

    name = "check"
    summary = "validate a document, list its problems, and fix them"

    def add_arguments(self, parser: ArgumentParser) -> None:
        _file(parser)
        parser.add_argument(
            "--fix", action="store_true", help="apply the fixes of errors and warnings, and save the document"
        )
        parser.add_argument("--to", metavar="FILE", help="with --fix: save the document as a new file")
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        if not arguments.fix:
            refuse_unused(self, arguments, ["to"], without="--fix")
        if not arguments.to:
            refuse_unused(self, arguments, ["force"], without="--to")
        path = Path(arguments.file)
        if arguments.fix:
            path = _fix(path, new_file(arguments.to, force=arguments.force) if arguments.to else path, context)
        analysis, issues = analyzed(path, context)
        errors = sum(issue["severity"] == "error" for issue in issues)
        lines = [*map(issue_line, issues), "No errors." if not errors else f"{errors} error{'s'[: errors > 1]}."]
        value = {"ok": not errors, "issues": issues, "totals": vars(analysis.totals)}
        context.answer(value, "\n".join(lines))
        return FAILED if errors else 0


def _fix(path: Path, to: Path, context: Context) -> Path:
    """Apply the fixes of errors and warnings, save the document, and return its path.

    Raises:
        DocumentError: the file is not a document.
    """
    from netloom.data import DataError, schema
    from netloom.document import read, write
    from netloom.validation.applied_fixes import with_fixes

    project = read(path)
    try:
        fields = schema(project.data, context.home)
    except DataError:
        fields = None  # the check reports it
    fixed = with_fixes(project, fields, lambda issue: issue.severity in ("error", "warning"))
    for issue in fixed.fixed:
        context.note(f"Fixed: {plain(issue.message)} {issue.fix.title if issue.fix else ''}.")
    if fixed.project != project or to != path:
        write(to, fixed.project)
    return to


class Summary(Command):
    """Shows the layers with their output shapes, parameters and FLOPs."""

    name = "summary"
    summary = "show a document's layers, shapes, parameters and totals"

    def add_arguments(self, parser: ArgumentParser) -> None:
        _file(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        analysis, issues = analyzed(Path(arguments.file), context)
        errors = [issue for issue in issues if issue["severity"] == "error"]
        main = analysis.context
        subnetworks = {name: network for name, network in analysis.networks.items() if network is not main}
        rows = _rows(main)
        totals = analysis.totals
        lines = [_table(rows), ""]
        for network in subnetworks.values():
            values = ", ".join(f"{name} = {number(value)}" for name, value in network.values.items())
            lines += [f"{network.name}{f' with {values}' if values else ''}:", _table(_rows(network)), ""]
        lines += [
            f"{totals.layers} layers, {totals.parameters:,} parameters ({totals.trainable:,} trainable), "
            f"{totals.flops:,} FLOPs per example, about {size(totals.memory_bytes)} of training memory",
        ]
        value = {
            "name": main.project.name,
            "nodes": rows,
            "networks": {name: _rows(network) for name, network in subnetworks.items()},
            "totals": vars(totals),
            "issues": issues,
        }
        context.answer(value, "\n".join(lines))
        for issue in errors:
            context.note(issue_line(issue))
        return FAILED if errors else 0


class Code(Command):
    """Prints the Python source of a network."""

    name = "code"
    summary = "print a document's network as PyTorch source"

    def add_arguments(self, parser: ArgumentParser) -> None:
        _file(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.compile import source
        from netloom.data import schema
        from netloom.document import read
        from netloom.validation.applied_fixes import with_auto_sizes

        project = read(arguments.file)
        text = source(with_auto_sizes(project, schema(project.data, context.home)))
        context.answer({"source": text}, text.rstrip("\n"))
        return 0


def analyzed(path: Path, context: Context) -> tuple[Analysis, list[JsonObject]]:
    """Return the analysis of a document and all its issues. Data that cannot be read is an issue, too.

    Raises:
        DocumentError: the file is not a document.
    """
    from netloom.document import read
    from netloom.validation.project_check import check_project

    analysis, issues = check_project(read(path), context.home)
    return analysis, [issue.as_json() for issue in issues]


def _file(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="project document, as written by the app or `netloom templates`")


def _table(rows: list[dict[str, Any]]) -> str:
    head = ("node", "layer", "output", "parameters", "FLOPs")
    cells = [(row["node"], row["type"], _shapes(row), *_sizes(row)) for row in rows]
    return table(head, cells, right=("parameters", "FLOPs"))


def _rows(network: Network) -> list[dict[str, Any]]:
    nodes = network.network.nodes
    # Nodes on or after a cycle have no place in the order, so they come last.
    order = [*network.order, *(key for key in nodes if key not in set(network.order))]
    rows = []
    for key in order:
        facts = network.nodes.get(key)
        rows.append(
            {
                "node": key,
                "type": _type(network, key),
                "title": nodes[key].title,
                "outputs": {port: str(spec) for port, spec in facts.outputs.items()} if facts else {},
                "parameters": facts.parameters if facts else None,
                "flops": facts.flops if facts else None,
            }
        )
    return rows


def _type(network: Network, key: str) -> str:
    """Return the layer of a node; for a subnetwork also its name and its number of repeats."""
    from netloom.layers.subnetwork import Subnetwork

    layer = network.layers.get(key)
    return layer.brief() if isinstance(layer, Subnetwork) else plain(network.network.nodes[key].type)


def _shapes(row: dict[str, Any]) -> str:
    """Return the output shapes of a node; an Output node has none, as it passes nothing on."""
    unknown = "?" if row["parameters"] is None or row["type"] != "Output" else ""
    return "  ".join(row["outputs"].values()) or unknown


def _sizes(row: dict[str, Any]) -> list[str]:
    return ["?" if row[name] is None else f"{row[name]:,}" for name in ("parameters", "flops")]
