"""`netloom schema`: the JSON Schema of documents."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from netloom.cli.command import Command, Context, as_json
from netloom.cli.files import add_force_argument, new_file


class Schema(Command):
    """Prints the JSON Schema of documents, or writes it to a file."""

    name = "schema"
    summary = "print the JSON Schema of documents, for editors and other programs"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", metavar="FILE", help="write the schema to a new file instead of printing it")
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.validation.document_schema import document_schema

        schema = document_schema()
        if arguments.to is None:
            context.answer(schema, as_json(schema))
            return 0
        path = new_file(Path(arguments.to), force=arguments.force)
        path.write_text(as_json(schema) + "\n", encoding="utf-8")
        context.answer({"file": str(path)}, f"Wrote {path}.")
        return 0
