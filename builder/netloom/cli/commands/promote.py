"""`netloom promote`: load a new run on a server if it is not worse than the current one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, whole
from netloom.cli.selection import find_run, load_trained_run
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.monitoring.promotion import Gate
    from netloom.serving.server_client import ServerClient

# The exit code if the new run is worse; 1 and 2 are failures of the command
REFUSED = 3


class Promote(Command):
    """Compares two runs, and reloads a server with the new one; rolls a server back."""

    name = "promote"
    summary = "let a run replace another one on a server if it is not worse"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", nargs="?", help="new run: its id, its first characters, or last")
        parser.add_argument("--over", metavar="RUN", help="run that the server uses now")
        parser.add_argument(
            "--server",
            metavar="URL",
            help="address of the model server, such as http://127.0.0.1:8800; without it, the runs are only compared. "
            "If the server needs an API key, it is read from the variable NETLOOM_SERVER_KEY",
        )
        parser.add_argument(
            "--model", metavar="NAME", help="name of the model on the server (default: its first model)"
        )
        parser.add_argument(
            "--canary",
            metavar="PERCENT",
            type=whole(1, 100),
            help="let the new run answer only this percentage of the requests, beside the current one",
        )
        parser.add_argument(
            "--rollback",
            action="store_true",
            help="return the server to the run before the last promotion; takes neither RUN nor --over",
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        if not arguments.server:
            refuse_unused(self, arguments, ["model", "canary", "rollback"], without="--server")
        if arguments.rollback:
            refuse_unused(self, arguments, ["over", "canary"], beside="--rollback")
            if arguments.run:
                raise UsageError("--rollback returns to the run before; leave out RUN.")
            return _rollback(arguments, context)
        return _promote(arguments, context)


def _rollback(arguments: Namespace, context: Context) -> int:
    client = _client(arguments, context)
    version = client.rollback(client.model(arguments.model).name).current.version
    context.answer({"version": version}, f"The server now uses {version}.")
    return 0


def _promote(arguments: Namespace, context: Context) -> int:
    from netloom.monitoring.promotion import compare_for_promotion
    from netloom.store import open_store

    if not arguments.run or not arguments.over:
        raise UsageError("Give the new run, and the current one as --over.")
    client = _client(arguments, context) if arguments.server else None
    store = open_store(context.home)
    new, old = find_run(store, arguments.run), find_run(store, arguments.over)
    if new.id == old.id:
        raise UsageError("RUN and --over name the same run; give the new run and the current one.")
    if client is not None and (note := client.check_current(arguments.model, old.id).current.comparison_note):
        context.note(note)
    examples = store.collected(old.project_id).labeled()
    gate = compare_for_promotion(load_trained_run(store, new.id), load_trained_run(store, old.id), examples)
    version = ""
    if client is not None and gate.passes:
        name = client.check_current(arguments.model, old.id).name  # the comparison can take minutes
        if arguments.canary:
            canary = client.set_canary(name, new.id, arguments.canary).canary
            version = canary.version if canary is not None else ""
        else:
            version = client.promote(name, new.id, old.id).current.version
    context.answer({**gate.as_json(), "version": version}, _text(gate, version, arguments.canary))
    return 0 if gate.passes else REFUSED


def _client(arguments: Namespace, context: Context) -> ServerClient:
    from netloom.monitoring.http_client import is_http_address
    from netloom.serving.server_client import ServerClient

    if not is_http_address(arguments.server):
        raise UsageError("--server takes an address that begins with http:// or https:// and names a host.")
    return ServerClient(arguments.server, context.home)


def _text(gate: Gate, version: str, canary: int | None) -> str:
    lines = [plain(gate.sentence), *(f"{compared.title}: {compared.words}" for compared in gate.comparisons)]
    lines += gate.notes
    if version:
        share = f" for {canary}% of the requests" if canary else ""
        lines.append(f"The server now uses {version}{share}.")
    return "\n".join(lines)
