"""`netloom formula`: convert a network to lines of code, and back."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from netloom.cli.command import Command, Context, Failure
from netloom.core.errors import UsageError


class Formula(Command):
    """Prints a network as lines of code, or parses such lines into a network of the document."""

    name = "formula"
    summary = "convert a network to lines of code, or lines of code to a network"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", metavar="FILE", help="project document, as written by the app or `netloom templates`"
        )
        parser.add_argument("--network", metavar="NAME", help="network of the document (default: the main network)")
        parser.add_argument(
            "--write",
            metavar="TEXTFILE",
            help="parse TEXTFILE, and write its network into FILE as the one of --network",
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.compile.formula import FormulaError, first_error, network_of, text_of
        from netloom.document import EditError, apply, read, write

        project = read(arguments.file)
        name = arguments.network or project.main
        other_networks = {
            network_name: network
            for network_name, network in project.networks.items()
            if network_name not in (name, project.main)
        }
        try:
            if not arguments.write:
                if name not in project.networks:
                    raise UsageError(f"There is no network {name[:60]!r}; choose one of {', '.join(project.networks)}.")
                text = text_of(project.networks[name], other_networks)
                context.answer({"network": name, "formula": text}, text.rstrip("\n"))
                return 0
            parsed = network_of(_text(arguments.write), other_networks)
            kind = "replace_network" if name in project.networks else "create_network"
            edit = {"kind": kind, "name": name, "content": parsed.model_dump(mode="json")}
            write(arguments.file, apply(project, edit))
        except (FormulaError, EditError) as error:
            raise Failure(str(error)) from None
        problem = first_error(parsed, other_networks)
        note = f" On an example of its inputs: {problem}" if problem else ""
        value = {"network": name, "file": arguments.file, "problem": problem}
        context.answer(value, f"Wrote the network {name} into {arguments.file}.{note}")
        return 0


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path} cannot be read: {reason}.") from None
