"""`netloom serve`: a server for the models of runs, and its API keys."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, Failure, real, whole
from netloom.cli.text import table
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.serving.deployment import Deployment
    from netloom.serving.server_settings import ServerSettings
    from netloom.serving.server_state import ServerState

KEYS = "keys"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MIB = 2**20


class Serve(Command):
    """Answers predictions over HTTP until it is stopped."""

    name = "serve"
    summary = "serve the models of runs over HTTP"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.usage = "netloom serve RUN… [options]\n       netloom serve keys list | keys add NAME | keys revoke NAME"
        parser.add_argument(
            "run",
            nargs="+",
            metavar="RUN",
            help="id of the run, its first characters, or last; several runs become several models. "
            "keys list, keys add NAME and keys revoke NAME manage the API keys instead",
        )
        parser.add_argument(
            "--host",
            default="127.0.0.1",
            help="address to listen at; one that others can reach, such as 0.0.0.0, needs an API key "
            "(default: 127.0.0.1)",
        )
        parser.add_argument(
            "--port", type=whole(0, 65_535), default=8800, help="port; 0 for any free one (default: 8800)"
        )
        parser.add_argument(
            "--name",
            action="append",
            default=[],
            metavar="NAME",
            help="name of a model, in the order of the runs; repeatable (default: the name of the project)",
        )
        parser.add_argument(
            "--canary", metavar="RUN=PERCENT", help="run that answers a share of the first model's requests"
        )
        parser.add_argument(
            "--shadow", metavar="RUN", help="run that also computes the first model's requests, to compare its answers"
        )
        self._add_batch_arguments(parser)
        self._add_limit_arguments(parser)

    def _add_batch_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--max-batch", type=whole(1, 4_096), default=64, metavar="N", help="most rows in a batch (default: 64)"
        )
        parser.add_argument(
            "--max-wait",
            type=real,
            default=0.0,
            metavar="MS",
            help="milliseconds that the first row of a batch waits for others while the model is idle (default: 0)",
        )
        parser.add_argument(
            "--queue",
            type=whole(1, 10_000_000),
            default=2_048,
            metavar="ROWS",
            help="rows that may wait (default: 2048)",
        )
        parser.add_argument(
            "--exact",
            action="store_true",
            help="compute each row by itself, so that answers equal those of the app bit for bit under load, too",
        )
        parser.add_argument(
            "--cache-mb",
            type=whole(0, 1_000_000),
            default=64,
            metavar="MIB",
            help="cache of answers; 0: none (default: 64)",
        )

    def _add_limit_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--require-key", action="store_true", help="need an API key at 127.0.0.1, too")
        parser.add_argument(
            "--rate",
            type=real,
            default=0.0,
            metavar="N",
            help="requests per second of each key; 0: no limit (default: 0)",
        )
        parser.add_argument(
            "--burst",
            type=whole(1, 1_000_000),
            default=20,
            metavar="N",
            help="requests at once with --rate (default: 20)",
        )
        parser.add_argument(
            "--max-body-mb", type=whole(1, 4_096), default=16, metavar="MIB", help="largest request (default: 16)"
        )
        parser.add_argument(
            "--timeout",
            type=real,
            default=60.0,
            metavar="S",
            help="seconds in which a prediction is answered (default: 60)",
        )
        parser.add_argument(
            "--threads", type=whole(1, 1_024), default=1, metavar="N", help="threads of a model (default: 1)"
        )
        parser.add_argument(
            "--log", metavar="FILE", help="access log (default: serving/access-PORT.jsonl in the data folder)"
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        if arguments.run[0] == KEYS:
            return _manage_keys(arguments.run[1:], context)
        return _serve(arguments, context)


def _manage_keys(words: list[str], context: Context) -> int:
    from netloom.serving.keys import KeyRing

    ring = KeyRing(context.home)
    match words:
        case ["list"]:
            keys = ring.entries()
            rows = [(key.name, f"{key.hint}…", key.created, key.revoked or "valid") for key in keys]
            value = [
                {"name": key.name, "hint": key.hint, "created": key.created, "revoked": key.revoked} for key in keys
            ]
            context.answer(
                value, table(("key", "begins with", "created", "revoked"), rows) if rows else "There are no keys."
            )
        case ["add", name]:
            token = ring.add(name)
            context.answer({"name": name, "key": token}, f"{token}\nThis is the only time that the key is shown.")
        case ["revoke", name]:
            key = ring.revoke(name)
            context.answer({"name": key.name, "revoked": key.revoked}, f"Revoked the key {name!r}.")
        case _:
            raise UsageError(
                "Use netloom serve keys list, netloom serve keys add NAME or netloom serve keys revoke NAME."
            )
    return 0


def _serve(arguments: Namespace, context: Context) -> int:
    import torch

    from netloom.serving.access_log import AccessLog
    from netloom.serving.keys import KeyRing
    from netloom.serving.server import bind, run

    settings = _settings(arguments)
    torch.set_num_threads(arguments.threads)
    listener = bind(settings.host, settings.port, needs_key=settings.needs_key, keys=KeyRing(context.home))
    with listener:
        server = _load(arguments, settings, context)
        port = int(listener.getsockname()[1])
        default_log = context.home / "serving" / f"access-{port}.jsonl"
        access_log = AccessLog(Path(arguments.log).absolute() if arguments.log else default_log)
        run(server, listener, access_log, lambda: _announce(server, port, access_log, context))
        access_log.close()
    context.note("The server has stopped.")
    return 0


def _settings(arguments: Namespace) -> ServerSettings:
    from netloom.serving.server_settings import BatchSettings, Limits, ServerSettings

    for name in ("max_wait", "rate", "timeout"):
        if not 0 <= getattr(arguments, name) < 1e6:
            raise UsageError(f"--{name.replace('_', '-')} is a number of 0 or more.")
    batches = BatchSettings(arguments.max_batch, arguments.max_wait / 1000, arguments.queue, arguments.exact)
    limits = Limits(
        body_bytes=arguments.max_body_mb * _MIB, answer_s=arguments.timeout, rate=arguments.rate, burst=arguments.burst
    )
    needs_key = arguments.require_key or arguments.host not in LOOPBACK
    return ServerSettings(
        arguments.host, arguments.port, batches, limits, arguments.cache_mb * _MIB, needs_key=needs_key
    )


def _load(arguments: Namespace, settings: ServerSettings, context: Context) -> ServerState:
    """Load all models.

    Raises:
        Failure: a run has no weights.
        UsageError: there is no such run, or two models have the same name.
    """
    from importlib.metadata import version

    from netloom.serving.deployment import Deployment
    from netloom.serving.errors import RequestError
    from netloom.serving.routes.models import check_replaceable
    from netloom.serving.server_state import ServerState, load_model

    server = ServerState(settings, context.home, version("netloom"))

    def load(run: str, name: str) -> Any:
        try:
            return load_model(context.home, settings, name, run)
        except FileNotFoundError:
            raise Failure(f"The run {run!r} has no weights yet.") from None

    for place, run in enumerate(arguments.run):
        name = arguments.name[place] if place < len(arguments.name) else ""
        model = load(run, name)
        model.name = name or _model_name(model.trained.project.name, server.deployments)
        if model.name in server.deployments or not _is_name(model.name):
            raise UsageError(
                f"{model.name[:60]!r} cannot be the name of a model: it has letters, digits, - and _, and each model "
                "another one; set it with --name."
            )
        server.deployments[model.name] = Deployment(model, settings.batches, server.metrics)
    first = server.default
    try:
        if arguments.canary:
            run, _, percent = arguments.canary.rpartition("=")
            share = _percent(percent) / 100
            model = load(run, first.name)
            check_replaceable(first.current.model, model)
            first.set_canary(model, share)
        if arguments.shadow:
            model = load(arguments.shadow, first.name)
            check_replaceable(first.current.model, model)
            first.set_shadow(model)
    except RequestError as error:
        raise UsageError(error.message) from None
    return server


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise UsageError(f"--canary takes a run and a percentage, such as --canary 1a2b=10; received {text[:40]!r}.")
    return value


def _is_name(text: str) -> bool:
    return bool(text) and all(letter.isascii() and (letter.isalnum() or letter in "-_.") for letter in text)


def _model_name(title: str, taken: dict[str, Deployment]) -> str:
    """Return the name of a project as that of a model: its letters and digits, with a number if it is taken."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in title.lower()).split()
    name = "-".join(words)[:60] or "model"
    return next(text for text in (name, *(f"{name}-{number}" for number in range(2, 10_000))) if text not in taken)


def _announce(server: ServerState, port: int, access_log: Any, context: Context) -> None:
    """Say where the server is, and how to ask it."""
    from netloom.serving.docs_page import curl_line
    from netloom.serving.routes.models import describe

    host = server.settings.host
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    curl = curl_line(server.default.current.model, address, needs_key=server.settings.needs_key)
    models = [describe(deployment) for deployment in server.deployments.values()]
    names = ", ".join(f"{item['name']} ({item['current']['version']})" for item in models)
    value = {"address": address, "models": models, "log": str(access_log.path), "curl": curl}
    text = (
        f"Serving {names} at {address}\nDocumentation: {address}/docs\nLog: {shlex.quote(str(access_log.path))}\n{curl}"
    )
    context.answer(value, text)
