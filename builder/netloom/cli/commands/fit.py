"""`netloom fit`: adapt a template or a document to a dataset."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, Failure
from netloom.cli.files import add_force_argument, new_file
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.data import DatasetInfo
    from netloom.document import DataChoice, Project
    from netloom.templates import Template


@dataclass(frozen=True)
class _Original:
    """What is adapted: a document, the choice of the new data, and the name of the result."""

    project: Project
    choice: DataChoice
    name: str


class Fit(Command):
    """Writes a template, a published architecture or a document with the Inputs, sizes and classes of a dataset."""

    name = "fit"
    summary = "adapt a template or a document to a dataset: inputs, image size, vocabulary, classes and objective"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "template",
            metavar="TEMPLATE",
            help="template or published architecture (`netloom templates` lists them), `mixed` for a branch per "
            "input, or a document",
        )
        parser.add_argument("--data", metavar="NAME", required=True, help="dataset to adapt to")
        parser.add_argument("--to", metavar="FILE", help="write the document to a new file (default: print it)")
        add_force_argument(parser)
        parser.add_argument(
            "--name", metavar="NAME", help="name of the project (default: that of the dataset or the document)"
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.data.dataset_lookup import find_dataset
        from netloom.document import dumps, to_json, write
        from netloom.templates.starting import fit

        if not arguments.to:
            refuse_unused(self, arguments, ["force"], without="--to")
        path = new_file(Path(arguments.to), force=arguments.force) if arguments.to else None
        original = _original(arguments.template, find_dataset(context.home, arguments.data), context)
        fitted = fit(original.project, original.choice, arguments.name or original.name, context.home)
        if fitted is None:
            raise Failure(f"{plain(original.name)[:60]!r} cannot be adapted to this data; choose another template.")
        for issue in fitted.fixed:
            context.note(f"Fixed: {plain(issue.message)} {issue.fix.title if issue.fix else ''}.")
        errors = [issue.as_json() for issue in fitted.remaining if issue.severity == "error"]
        if errors:
            raise Failure(
                f"{plain(original.name)[:60]!r} does not fit this data, so it was not written. Change these "
                "layers, or choose another template:",
                issues=errors,
            )
        if path is not None:
            write(path, fitted.project)
            context.answer({"file": str(path), "document": to_json(fitted.project)}, f"Wrote {path}.")
        else:
            context.answer(to_json(fitted.project), dumps(fitted.project).rstrip("\n"))
        return 0


def _original(name: str, info: DatasetInfo, context: Context) -> _Original:
    """Return the template or the document of this name, with the settings for the data.

    Raises:
        UsageError: there is neither a template nor a file of this name.
    """
    from netloom.core.field_errors import unknown_name
    from netloom.data.preparation.project_defaults import default_choice, with_defaults
    from netloom.document import read
    from netloom.templates import Architecture, architectures, templates
    from netloom.templates.mixed import MIXED
    from netloom.validation.project_check import with_dataset

    documents: dict[str, Template | Architecture] = {**templates(), **architectures()}
    if name in documents or name == MIXED:
        choice = default_choice(info.name, context.home)
        document = documents.get(name) or _mixed(choice, info, context)
        return _Original(document.project, choice, info.title)
    if not Path(name).is_file():
        raise UsageError(f"{unknown_name(name, documents, 'template', 'Netloom')} A document is named by its path.")
    project, remarks = with_dataset(read(name), info.name, context.home)
    for remark in remarks:
        context.note(plain(remark))
    return _Original(project, with_defaults(project.data, context.home), project.name)


def _mixed(choice: DataChoice, info: DatasetInfo, context: Context) -> Template:
    """Return the template with a branch for each input of the data.

    Raises:
        UsageError: the data needs another template.
    """
    from netloom.data import schema
    from netloom.templates.mixed import MIXED, mixed_template

    fields = schema(choice, context.home)
    template = mixed_template(fields) if fields else None
    if template is None:
        title = repr(plain(info.title)[:60])
        raise UsageError(
            f"The template {MIXED!r} is for data with several inputs, and a class, number or labels as target; "
            f"{title} is not. `netloom data show {title}` lists the templates that fit."
        )
    return template
