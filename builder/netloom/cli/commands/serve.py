"""`netloom serve`: a server for the models of runs, and its API keys."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, Failure, OneOf, real, whole
from netloom.cli.text import table
from netloom.cli.unused_options import option_names, refuse_unused
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.monitoring import LogSettings
    from netloom.serving.deployment import Deployment
    from netloom.serving.server_settings import ServerSettings
    from netloom.serving.server_state import ServerState

KEYS = "keys"


@dataclass(frozen=True)
class _NumberOption:
    """An option that is a number."""

    flag: str
    type: Callable[[str], float]
    default: float
    metavar: str
    help: str

    def add_to(self, parser: ArgumentParser) -> None:
        """Declare the option."""
        text = f"{self.help} (default: {self.default:g})"
        parser.add_argument(self.flag, type=self.type, default=self.default, metavar=self.metavar, help=text)


_NUMBERS = (
    _NumberOption("--max-batch", whole(1, 4_096), 64, "N", "largest number of rows in a batch"),
    _NumberOption(
        "--max-wait",
        real,
        0.0,
        "MS",
        "milliseconds that the first row of a batch waits for others while the model is idle",
    ),
    _NumberOption("--queue", whole(1, 10_000_000), 2_048, "ROWS", "largest number of rows in the queue"),
    _NumberOption("--cache-mb", whole(0, 1_000_000), 64, "MIB", "memory for cached answers; 0: no cache"),
    _NumberOption("--rate", real, 0.0, "N", "requests per second of each key; 0: no limit"),
    _NumberOption("--burst", whole(1, 1_000_000), 20, "N", "requests at once with --rate"),
    _NumberOption("--max-body-mb", whole(1, 4_096), 16, "MIB", "largest request"),
    _NumberOption("--timeout", real, 60.0, "S", "time limit of a prediction in seconds"),
    _NumberOption("--chats", whole(1, 1_000_000), 5_000, "N", "largest number of open dialogues"),
    _NumberOption("--chat-expiry", real, 1_800.0, "S", "seconds without a message after which a dialogue ends"),
    _NumberOption("--threads", whole(1, 1_024), 1, "N", "number of threads of PyTorch"),
    _NumberOption("--log-days", whole(1, 3_650), 30, "DAYS", "age at which lines of the request log are deleted"),
    _NumberOption("--log-mb", whole(1, 1_000_000), 256, "MIB", "size of the request log of a model"),
)


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
        _add_model_arguments(parser)
        parser.add_argument("--require-key", action="store_true", help="require an API key at 127.0.0.1, too")
        for option in _NUMBERS:
            option.add_to(parser)
        _add_log_arguments(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        if arguments.run[0] == KEYS:
            refuse_unused(self, arguments, option_names(arguments, "run"), beside=f"netloom serve {KEYS}")
            return _manage_keys(arguments.run[1:], context)
        if not arguments.rate:
            refuse_unused(self, arguments, ["burst"], without="--rate")
        if not arguments.log_requests:
            refuse_unused(self, arguments, ["redact", "log_days", "log_mb"], without="--log-requests")
        if arguments.model:
            refuse_unused(self, arguments, ["exact", "backend"], beside="--model, which ONNX Runtime runs")
        return _serve(arguments, context)


def _add_model_arguments(parser: ArgumentParser) -> None:
    """Declare which runs answer, and how."""
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
    parser.add_argument(
        "--backend",
        type=OneOf(_backends),
        metavar="BACKEND",
        help="what computes the outputs: pytorch as in the app, onnxruntime, or auto, which measures both at the "
        "start and takes the faster one if the outputs agree (default: pytorch)",
    )
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="ONNX file of the first run, such as a variant of netloom optimize, that ONNX Runtime runs instead of "
        "the weights of the run",
    )
    parser.add_argument(
        "--exact",
        action="store_true",
        help="compute each row by itself, so that answers equal those of the app bit for bit under load, too",
    )


def _add_log_arguments(parser: ArgumentParser) -> None:
    """Declare what is logged."""
    parser.add_argument(
        "--log-requests",
        type=real,
        default=0.0,
        metavar="SHARE",
        help="log the rows and answers of this share of the requests, from 0 to 1, for netloom monitor; "
        "0: none (default: 0)",
    )
    parser.add_argument(
        "--redact",
        action="append",
        default=[],
        metavar="FIELD[=hash]",
        help="field that the request log leaves out, or has as a keyed hash; repeatable",
    )
    parser.add_argument(
        "--log", metavar="FILE", help="access log (default: serving/access-PORT.jsonl in the data folder)"
    )


def _backends() -> list[str]:
    from netloom.serving.models.backend import BACKENDS

    return list(BACKENDS)


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
    from netloom.serving.server_settings import STOPPED

    settings, log_settings = _settings(arguments), _log_settings(arguments)
    torch.set_num_threads(arguments.threads)
    listener = bind(settings.host, settings.port, needs_key=settings.needs_key, keys=KeyRing(context.home))
    with listener:
        server = _load(arguments, settings, context)
        if log_settings is not None:
            _open_request_logs(server, log_settings)
        port = int(listener.getsockname()[1])
        default_log = context.home / "serving" / f"access-{port}.jsonl"
        access_log = AccessLog(Path(arguments.log).absolute() if arguments.log else default_log)
        run(server, listener, access_log, lambda: _announce(server, port, access_log, context))
        access_log.close()
        for request_log in server.request_logs.values():
            request_log.close()
    context.note(STOPPED)
    return 0


def _settings(arguments: Namespace) -> ServerSettings:
    from netloom.serving.server_settings import DEFAULT_BACKEND, LOOPBACK, MIB, BatchSettings, Limits, ServerSettings

    for name in ("max_wait", "rate", "timeout", "chat_expiry"):
        value = getattr(arguments, name)
        if not 0 <= value < 1e6:
            raise UsageError(f"--{name.replace('_', '-')} must be a number from 0 to 1,000,000; received {value:g}.")
    for name in ("timeout", "chat_expiry"):
        if not getattr(arguments, name):
            raise UsageError(f"--{name.replace('_', '-')} must be a number above 0; received 0.")
    if len(arguments.name) > len(arguments.run):
        raise UsageError(f"Runs: {len(arguments.run)}, names: {len(arguments.name)}; set --name once for each run.")
    batches = BatchSettings(arguments.max_batch, arguments.max_wait / 1000, arguments.queue, arguments.exact)
    limits = Limits(
        body_bytes=arguments.max_body_mb * MIB,
        answer_s=arguments.timeout,
        rate=arguments.rate,
        burst=arguments.burst,
        chats=arguments.chats,
        chat_s=arguments.chat_expiry,
    )
    needs_key = arguments.require_key or arguments.host not in LOOPBACK
    return ServerSettings(
        arguments.host,
        arguments.port,
        batches,
        limits,
        arguments.cache_mb * MIB,
        needs_key=needs_key,
        backend=arguments.backend or DEFAULT_BACKEND,
    )


def _load(arguments: Namespace, settings: ServerSettings, context: Context) -> ServerState:
    """Load all models.

    Raises:
        Failure: a run has no weights.
        UsageError: there is no such run, or two models have the same name.
    """
    from importlib.metadata import version

    from netloom.monitoring.log_files import is_model_name
    from netloom.serving.deployment import Deployment
    from netloom.serving.errors import RequestError
    from netloom.serving.routes.models import check_replaceable
    from netloom.serving.server_state import ServerState, load_model

    server = ServerState(settings, context.home, version("netloom"))

    def load(run: str, name: str, file: Path | None = None) -> Any:
        try:
            return load_model(context.home, settings, name, run, file)
        except FileNotFoundError:
            raise Failure(f"The run {run!r} has no weights yet.") from None

    for index, run in enumerate(arguments.run):
        name = arguments.name[index] if index < len(arguments.name) else ""
        model = load(run, name, Path(arguments.model).absolute() if arguments.model and not index else None)
        model.name = name or _model_name(model.trained.project.name, server.deployments)
        if model.name in server.deployments or not is_model_name(model.name):
            raise UsageError(
                f"{model.name[:60]!r} cannot be the name of a model: a name consists of letters, digits, hyphens, "
                "underscores and dots, and each model has another one; set it with --name."
            )
        server.deployments[model.name] = Deployment(model, settings.batches, server.metrics)
    first = server.default
    try:
        if arguments.canary:
            run, percent = _canary(arguments.canary)
            model = load(run, first.name)
            check_replaceable(first.current.model, model)
            first.set_canary(model, percent / 100)
        if arguments.shadow:
            model = load(arguments.shadow, first.name)
            check_replaceable(first.current.model, model)
            first.set_shadow(model)
    except RequestError as error:
        raise UsageError(error.message) from None
    return server


def _log_settings(arguments: Namespace) -> LogSettings | None:
    """Return the settings of the request logs; None if they are off.

    Raises:
        UsageError: an option is invalid.
    """
    from netloom.monitoring.redaction import parse_redaction
    from netloom.monitoring.request_log import MIB, LogSettings

    redaction, share = parse_redaction(arguments.redact), arguments.log_requests
    if not 0 <= share <= 1:
        raise UsageError(f"--log-requests must be a share from 0 to 1; received {share:g}.")
    return LogSettings(share, arguments.log_days, arguments.log_mb * MIB, redaction) if share else None


def _open_request_logs(server: ServerState, settings: LogSettings) -> None:
    """Open the request log of each model.

    Raises:
        UsageError: no model has a field that is redacted, or another server logs the requests to one of them.
    """
    from netloom.monitoring.request_log import RequestLog

    models = [deployment.current.model for deployment in server.deployments.values()]
    settings.redaction.check({name for model in models for name in model.row_keys})
    for model in models:
        widened = replace(settings, redaction=settings.redaction.widened(model.spellings))
        server.request_logs[model.name] = RequestLog(server.home, model.name, widened)


def _canary(text: str) -> tuple[str, float]:
    """Return the run and the percentage of `--canary`."""
    run, _, percent = text.rpartition("=")
    try:
        value = float(percent)
    except ValueError:
        value = -1.0
    if not run or not 0 <= value <= 100:
        raise UsageError(f"--canary takes a run and a percentage, such as --canary 1a2b=10; received {text[:40]!r}.")
    return run, value


def _model_name(title: str, deployments: dict[str, Deployment]) -> str:
    """Return the name of a project as that of a model: its letters and digits, with a number if it is taken."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in title.lower()).split()
    name = "-".join(words)[:60] or "model"
    return next(
        text for text in (name, *(f"{name}-{number}" for number in range(2, 10_000))) if text not in deployments
    )


def _announce(server: ServerState, port: int, access_log: Any, context: Context) -> None:
    """Say where the server is, and how to ask it."""
    from netloom.serving.docs_page import curl_line
    from netloom.serving.routes.models import describe

    host = server.settings.host
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    curl = curl_line(server.default.current.model, address, needs_key=server.settings.needs_key)
    models = [describe(deployment) for deployment in server.deployments.values()]
    names = ", ".join(f"{item['name']} ({item['current']['version']})" for item in models)
    value = {
        "address": address,
        "models": models,
        "log": str(access_log.path),
        "request_logs": sorted(server.request_logs),
        "curl": curl,
    }
    current = [deployment.current.model for deployment in server.deployments.values()]
    notes = [f"{model.name}: {model.backend.note}" for model in current if model.backend.note]
    lines = [f"Serving {names} at {address}", *notes, f"Documentation: {address}/docs"]
    context.answer(value, "\n".join([*lines, f"Log: {shlex.quote(str(access_log.path))}", curl]))
