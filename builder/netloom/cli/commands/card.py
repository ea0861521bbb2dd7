"""`netloom card`: the model card of a run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict, fields, replace
from pathlib import Path

from netloom.cli.command import Command, Context
from netloom.cli.files import add_force_argument, new_file
from netloom.cli.selection import add_run_argument, load_trained_run
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError

# What each part says, by its name in the statement
PARTS = {
    "intended_use": "what the model is for, and who should use it",
    "out_of_scope": "what it must not be used for",
    "limitations": "known weaknesses and risks",
    "license": "identifier of the license, such as apache-2.0",
    "authors": "who made it, and how to reach them",
}


class Card(Command):
    """Writes the model card of a run, and stores the parts that only a person knows."""

    name = "card"
    summary = "write the model card of a run"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        for name, help in PARTS.items():
            parser.add_argument(
                f"--{name.replace('_', '-')}", metavar="TEXT", help=f"{help}; stored with the run (default: as stored)"
            )
        parser.add_argument(
            "--to", metavar="FILE", help="file that ends in .md or .html (default: print the card as Markdown)"
        )
        add_force_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.export.model_card import Statement, collect, html, markdown
        from netloom.store import open_store

        if arguments.to is None:
            refuse_unused(self, arguments, ["force"], without="--to")
        formats = {".md": markdown, ".html": html}
        ending = Path(arguments.to or ".md").suffix.lower()
        if arguments.to is not None and ending not in formats:
            raise UsageError(f"--to {arguments.to[:80]!r}: the file must end in {' or '.join(formats)}.")
        path = None if arguments.to is None else new_file(arguments.to, force=arguments.force)
        store = open_store(context.home)
        trained = load_trained_run(store, arguments.run)
        card = collect(store, trained)
        changes = {part.name: text for part in fields(Statement) if (text := getattr(arguments, part.name)) is not None}
        if changes and trained.run is not None:
            card = replace(card, statement=Statement.from_json(card.statement.as_json() | changes))
            store.artifacts(trained.run.id).save_card_statement(card.statement.as_json())
        text = formats[ending](card) if path else markdown(card)
        if path is not None:
            path.write_text(text, encoding="utf-8")
            text = f"Wrote {path}."
        context.answer(asdict(card), text)
        return 0
