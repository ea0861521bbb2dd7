"""`netloom promote`: load a new run on a server if it is not worse than the current one."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, Failure
from netloom.cli.selection import find_run, load_trained_run
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.monitoring.promotion import Gate

# The exit code if the new run is worse; 1 and 2 are failures of the command
REFUSED = 3
RELOAD_S = 120.0


class Promote(Command):
    """Compares two runs, and reloads a server with the new one."""

    name = "promote"
    summary = "let a run replace another one on a server if it is not worse"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="new run: its id, its first characters, or last")
        parser.add_argument("--over", metavar="RUN", required=True, help="run that the server uses now")
        parser.add_argument(
            "--server",
            metavar="URL",
            help="address of the model server, such as http://127.0.0.1:8800; without it, the runs are only compared. "
            "The API key that a server needs is that of the variable NETLOOM_SERVER_KEY",
        )
        parser.add_argument(
            "--model", metavar="NAME", help="name of the model on the server (default: its first model)"
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.monitoring.http_client import is_http_address
        from netloom.monitoring.promotion import compare_for_promotion
        from netloom.store import open_store

        if not arguments.server:
            refuse_unused(self, arguments, ["model"], without="--server")
        if arguments.server and not is_http_address(arguments.server):
            raise UsageError("--server takes an address that begins with http:// or https:// and names a host.")
        store = open_store(context.home)
        new, old = find_run(store, arguments.run), find_run(store, arguments.over)
        if new.id == old.id:
            raise UsageError("RUN and --over name the same run; give the new run and the current one.")
        if arguments.server:
            _checked_model(arguments.server, arguments.model, old.id)
        examples = [(example.row, example.label) for example in store.collected(old.project_id).all()]
        gate = compare_for_promotion(load_trained_run(store, new.id), load_trained_run(store, old.id), examples)
        version = ""
        if arguments.server and gate.passes:
            path = _checked_model(arguments.server, arguments.model, old.id)  # the comparison can take minutes
            version = _reload(arguments.server, path, new.id)
        context.answer({**gate.as_json(), "version": version}, _text(gate, version))
        return 0 if gate.passes else REFUSED


def _headers() -> dict[str, str]:
    from netloom.core.settings import settings

    return {"Authorization": f"Bearer {settings.server_key}"} if settings.server_key else {}


def _checked_model(server: str, name: str | None, run_id: str) -> str:
    """Return the path of a model on a server that uses a run.

    Raises:
        Failure: the server cannot be reached, lacks the model, or another run answers.
    """
    from netloom.monitoring.http_client import ask

    answer = ask(f"{server.rstrip('/')}/models", headers=_headers())
    if answer.problem:
        raise Failure(f"The server did not list its models: {plain(answer.problem)}.")
    models: list[dict[str, Any]] = answer.value if isinstance(answer.value, list) else []
    try:
        names = [str(model["name"]) for model in models]
        served_model = (
            models[0]
            if models and name is None
            else next((candidate for candidate in models if candidate["name"] == name), None)
        )
        if served_model is None:
            raise Failure(f"The server has no model {name!r}; it has {', '.join(names) or 'none'}.")
        current = str(served_model["current"]["run"])
    except (KeyError, TypeError):
        raise Failure("The address does not answer as a Netloom model server.") from None
    if current != run_id:
        raise Failure(
            f"On the server, the run {current[:8]} answers as {served_model['name']!r}, not {run_id[:8]}; compare "
            "with it."
        )
    return f"models/{served_model['name']}"


def _reload(server: str, path: str, run_id: str) -> str:
    """Let a run answer on a server. Returns its version.

    Raises:
        Failure: the server refused it.
    """
    from netloom.monitoring.http_client import ask

    url = f"{server.rstrip('/')}/{path}/reload"
    answer = ask(url, {"run": run_id}, headers=_headers(), timeout_s=RELOAD_S)
    if answer.problem:
        raise Failure(f"The server did not load the run: {plain(answer.problem)}.")
    return str(answer.value["current"]["version"])


def _text(gate: Gate, version: str) -> str:
    lines = [plain(gate.sentence), f"Held-out rows: {gate.held_out.words}"]
    if gate.left_out:
        lines.append(f"{gate.left_out:,} test rows are left out, because the new run was trained on them.")
    if gate.mistakes is not None:
        lines.append(f"Collected examples: {gate.mistakes.words}")
        if gate.trained_on:
            lines.append(f"The new run was trained on {gate.trained_on:,} of them.")
    lines.append(f"The server now uses {version}." if version else "")
    return "\n".join(filter(None, lines))
