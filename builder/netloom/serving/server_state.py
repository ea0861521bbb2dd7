"""What all routes of a server share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from netloom.chat import Writers, run_policy, unavailable_reason
from netloom.compression.opened_variant import open_explainable_variant, with_valid_calibration
from netloom.data.tables.raw_rows import RowFile
from netloom.monitoring.request_log import RequestLog
from netloom.runs.prediction.trained_run import load_run
from netloom.runs.run_lookup import find_run
from netloom.serving.chat_sessions import ChatSessions
from netloom.serving.connections import Connections
from netloom.serving.deployment import Deployment, Served
from netloom.serving.errors import RequestError
from netloom.serving.http import Call
from netloom.serving.metrics import Metrics
from netloom.serving.models.answer_cache import AnswerCache
from netloom.serving.models.backend import backend
from netloom.serving.models.response_queue import ResponseQueue
from netloom.serving.models.served_model import Answer, Row, ServedModel
from netloom.serving.server_settings import ServerSettings
from netloom.store import open_store
from netloom.tasks.answers import MONITORED

# Requests with more rows are logged in a thread, so that other requests do not wait
_FEW_ROWS = 32


@dataclass
class ServerState:
    """The models of a server with its cache and measurements.

    Attributes:
        deployments: the models by name; the first one answers where a path names none.
        home: the data folder.
        version: that of Netloom.
        is_ready: whether new requests should come; false while the server stops.
        request_logs: the logs of rows and answers by the name of a model; empty unless they are turned on.
        lost_log_lines: the number of lines that the access log could not write, because the disk is full.
    """

    settings: ServerSettings
    home: Path
    version: str = ""
    deployments: dict[str, Deployment] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    is_ready: bool = False
    started: float = field(default_factory=time.monotonic)
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    request_logs: dict[str, RequestLog] = field(default_factory=dict)
    lost_log_lines: int = 0

    def __post_init__(self) -> None:
        self.connections = Connections(self.settings.limits)
        self.cache = AnswerCache(self.settings.cache_bytes)
        self.chats = ChatSessions(self.settings.limits.chats, self.settings.limits.chat_s)
        self.responses = ResponseQueue(self.settings.limits.responses, self.settings.limits.answer_s)

    @property
    def default(self) -> Deployment:
        """The first model."""
        return next(iter(self.deployments.values()))

    def deployment(self, call: Call) -> Deployment:
        """Return the model that a path names, or else the first one.

        Raises:
            RequestError: there is no such model.
        """
        name = call.params.get("name")
        if name is None:
            return self.default
        if name not in self.deployments:
            names = ", ".join(map(repr, self.deployments))
            raise RequestError(f"There is no model {name[:60]!r}; this server has {names}.", 404)
        return self.deployments[name]

    def choose(self, call: Call) -> tuple[Deployment, Served]:
        """Return the model of a request, and the version that answers it.

        Raises:
            RequestError: there is no such model or version.
        """
        deployment = self.deployment(call)
        served = deployment.choose(call.params.get("version", ""))
        call.version = served.model.title
        return deployment, served

    async def predict(self, call: Call, deployment: Deployment, served: Served, file: RowFile) -> list[Answer]:
        """Return the predictions for the rows of a request.

        Raises:
            RequestError: there are no or too many rows, a row is invalid, or the server is too busy.
        """
        limits, rows = self.settings.limits, file.rows
        if not rows:
            raise RequestError("The request has no rows; send at least one.")
        if len(rows) > limits.rows:
            raise RequestError(f"A request has at most {limits.rows:,} rows, received {len(rows):,}; split it.", 413)
        call.rows = len(rows)
        outcomes = await deployment.predict(served, rows, call.request_id, limits.answer_s)
        answers: list[Answer] = []
        for number, outcome in enumerate(outcomes, 1):
            if isinstance(outcome, RequestError):
                message = outcome.message if len(rows) == 1 else f"Row {number}: {outcome.message}"
                raise RequestError(message, outcome.status)
            answers.append(outcome)
        answers = file.annotated(answers)
        await self._log_rows(call, deployment.name, served.model, rows, answers)
        return answers

    async def _log_rows(
        self, call: Call, name: str, model: ServedModel, rows: Sequence[Row], answers: Sequence[Answer]
    ) -> None:
        """Log the rows of a request, if its model has a log and chance chooses it."""
        request_log = self.request_logs.get(name)
        if request_log is None:
            return
        is_sampled = request_log.samples()
        if not is_sampled and not self.cache.max_bytes:
            return

        def write() -> None:
            try:
                monitored = [{**answer, MONITORED: model.monitored_values(answer)} for answer in answers]
                call.logged = request_log.encode(model.row_keys, rows, monitored)
            except (ValueError, TypeError, RecursionError) as error:  # such as a text that is not Unicode
                request_log.count_lost(len(rows), error)
                return
            if is_sampled:
                self._write_rows(request_log, call, model)

        if len(rows) > _FEW_ROWS:
            await asyncio.to_thread(write)
        else:
            write()

    def log_cached(self, call: Call, name: str, model: ServedModel) -> None:
        """Log the rows of a request that was answered from the cache, which has them in `call.logged`."""
        request_log = self.request_logs.get(name)
        if request_log is not None and call.logged and request_log.samples():
            self._write_rows(request_log, call, model)

    def _write_rows(self, request_log: RequestLog, call: Call, model: ServedModel) -> None:
        ms = 1000 * (time.perf_counter() - call.started)
        request_log.write(
            call.request_id,
            model.run_id,
            model.title,
            ms,
            call.logged,
            model.checksum,
            model.calibration_checksum,
        )

    async def load(self, name: str, run: str, file: Path | None = None) -> ServedModel:
        """Load a run, or an ONNX file of it, in a thread, one at a time, while the server answers requests.

        Raises:
            UsageError, FileNotFoundError, CheckpointError, DataError: as `load_model`.
        """
        async with self.loading:
            return await asyncio.to_thread(load_model, self.home, self.settings, name, run, file)


def load_model(home: Path, settings: ServerSettings, name: str, run: str, file: Path | None = None) -> ServedModel:
    """Load a run by its id, the beginning of its id, or "last", with its response policy if it can chat; an ONNX file
    of it takes the place of its weights.

    Raises:
        PolicyError: the saved policy is damaged, or names a run that cannot generate responses.
        UsageError, FileNotFoundError, CheckpointError, DataError: as `find_run`, `load_run` and `backend`.
    """
    store = open_store(home)
    try:
        run_id = find_run(store, run).id
        trained = load_run(store, run_id)
        can_chat = not unavailable_reason(trained)
        policy = run_policy(store, run_id, trained.data.schema) if can_chat else None
        writers = Writers(trained, lambda run: load_run(store, find_run(store, run).id))
        if policy is not None:
            writers.load_all(policy)  # the store is closed below
    finally:
        store.close()
    batches = settings.batches
    computed_by = backend(trained, settings.backend, batches, file)
    return ServedModel(
        name,
        with_valid_calibration(trained, computed_by.difference) if file is not None else trained,
        max_rows=batches.max_rows,
        is_exact=batches.is_exact,
        backend=computed_by,
        policy=policy,
        writers=writers,
        explained=open_explainable_variant(trained, file) if file is not None else None,
    )
