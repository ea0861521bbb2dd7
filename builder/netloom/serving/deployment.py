"""A name with the versions behind it: the current one, the one before, and a canary or a shadow.

A request keeps the version that it started with, so that a new version replaces the current one without a failed
request. A version that nobody refers to any more is collected with its thread.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from netloom.serving.errors import RequestError
from netloom.serving.metrics import Metrics
from netloom.serving.models.batching import Batcher
from netloom.serving.models.comparison import Agreement, Traffic, difference_of_means
from netloom.serving.models.served_model import Outcome, Row, ServedModel
from netloom.serving.server_settings import BatchSettings
from netloom.training.uncertainty import difference_of_shares

_MAX_REMEMBERED = 100_000  # requests whose outcome can still be reported


@dataclass(frozen=True)
class Served:
    """A version that answers requests, with its queue and its counts."""

    model: ServedModel
    batcher: Batcher
    traffic: Traffic


class Deployment:
    """The versions behind one name. Only the event loop changes it."""

    def __init__(self, model: ServedModel, settings: BatchSettings, metrics: Metrics) -> None:
        self.name, self._settings, self._metrics = model.name, settings, metrics
        self.current = self._served(model)
        self.previous: Served | None = None
        self.canary: Served | None = None
        self.canary_share = 0.0
        self.shadow: Served | None = None
        self.agreement: Agreement | None = None
        self._random = random.Random()
        self._answered_by: OrderedDict[str, Served] = OrderedDict()
        self._background: set[asyncio.Task[None]] = set()

    @property
    def versions(self) -> list[Served]:
        """The versions that a client can name."""
        return [served for served in (self.current, self.canary, self.shadow, self.previous) if served is not None]

    def choose(self, version: str = "") -> Served:
        """Return the version that answers a request: the named one, or by chance the canary.

        Raises:
            RequestError: there is no such version.
        """
        if version:
            chosen = next((served for served in self.versions if served.model.version == version), None)
            if chosen is None:
                names = ", ".join(served.model.version for served in self.versions)
                raise RequestError(f"The model {self.name!r} has no version {version[:60]!r}; it has {names}.", 404)
            return chosen
        if self.canary is not None and self._random.random() < self.canary_share:
            return self.canary
        return self.current

    async def predict(self, served: Served, rows: Sequence[Row], request_id: str, timeout_s: float) -> list[Outcome]:
        """Return the answer of each row, or why it cannot be encoded.

        Raises:
            RequestError: too many rows wait, or the answer takes too long.
        """
        start, is_error = time.perf_counter(), True
        try:
            async with asyncio.timeout(timeout_s):
                outcomes = await served.batcher.predict(rows)
            is_error = any(isinstance(outcome, RequestError) for outcome in outcomes)
        except TimeoutError:
            raise RequestError(
                f"The answer took longer than {timeout_s:g} s; send fewer rows.", 503, timeout_s
            ) from None
        finally:
            served.traffic.add(len(rows), time.perf_counter() - start, is_error=is_error)
        self.remember(request_id, served)
        if self.shadow is not None and served is self.current:
            task = asyncio.create_task(self._compare(self.shadow, rows, outcomes))
            self._background.add(task)
            task.add_done_callback(self._background.discard)
        return outcomes

    def remember(self, request_id: str, served: Served) -> None:
        """Remember the version that answered a request while there is a canary, for `report_outcome`."""
        if self.canary is not None:
            self._answered_by[request_id] = served
            while len(self._answered_by) > _MAX_REMEMBERED:
                self._answered_by.popitem(last=False)

    def report_outcome(self, request_id: str, value: float) -> str:
        """Count the outcome of an earlier request, once, and return the version that had answered it.

        Raises:
            RequestError: the request is not known.
        """
        served = self._answered_by.pop(request_id, None)
        if served is None:
            raise RequestError(
                f"The request {request_id[:60]!r} is not known: the server remembers the requests while there is a "
                "canary, and each outcome counts once.",
                404,
            )
        served.traffic.add_outcome(value)
        return served.model.version

    def replace(self, model: ServedModel) -> None:
        """Let another version answer from now on; the current one can be restored by `rollback`.

        A canary or a shadow of this version ends: a canary would go on answering after a rollback.
        """
        self.previous, self.current = self.current, self._served(model)
        if self.canary is not None and self.canary.model.version == model.version:
            self.set_canary(None)
        if self.shadow is not None and self.shadow.model.version == model.version:
            self.set_shadow(None)
        self._restart_comparison()

    def rollback(self) -> None:
        """Exchange the current version and the one before.

        Raises:
            RequestError: there was none before.
        """
        if self.previous is None:
            raise RequestError(f"The model {self.name!r} has no previous version to return to.", 409)
        self.current, self.previous = self.previous, self.current
        self._restart_comparison()

    def set_canary(self, model: ServedModel | None, share: float = 0.0) -> None:
        """Let another version answer a share of the requests, from 0 to 1; None ends that."""
        self.canary, self.canary_share = (self._served(model), share) if model is not None else (None, 0.0)
        self._answered_by.clear()
        if model is not None:  # both count from the same moment
            self.current = _without_counts(self.current)

    def set_shadow(self, model: ServedModel | None) -> None:
        """Let another version also compute the requests, without answering them; None ends that."""
        self.shadow = self._served(model) if model is not None else None
        self.agreement = Agreement(model.version, model.task.answer_text) if model is not None else None

    def comparison(self) -> dict[str, Any]:
        """Return the counts of the versions, and the differences with 95% confidence intervals."""
        current = self.current.traffic
        value: dict[str, Any] = {"model": self.name, "current": current.as_json(), "canary": None, "shadow": None}
        if self.canary is not None:
            canary = self.canary.traffic
            failures = (current.errors, current.requests), (canary.errors, canary.requests)
            value["canary"] = {
                **canary.as_json(),
                "share": self.canary_share,
                "error_share": difference_of_shares(*failures),
                "outcome": difference_of_means(current, canary),
            }
        if self.agreement is not None:
            value["shadow"] = self.agreement.as_json()
        return value

    async def finish(self) -> None:
        """Wait until all queues are empty."""
        for served in self.versions:
            await served.batcher.finish()

    def _served(self, model: ServedModel) -> Served:
        return Served(model, Batcher(model, self._settings, self._metrics), Traffic(model.version))

    def _restart_comparison(self) -> None:
        """Count anew: the counts so far compare the canary and the shadow with another version."""
        self.current = _without_counts(self.current)
        self._answered_by.clear()
        if self.canary is not None:
            self.canary = _without_counts(self.canary)
        if self.shadow is not None:
            self.agreement = Agreement(self.shadow.model.version, self.shadow.model.task.answer_text)

    async def _compare(self, shadow: Served, rows: Sequence[Row], outcomes: list[Outcome]) -> None:
        agreement = self.agreement
        if agreement is None:
            return
        try:
            # Its columns can be others, or be read in another way
            file = await asyncio.to_thread(shadow.model.reader.read, list(rows))
            shadow_outcomes = await shadow.batcher.predict(file.rows)
        except RequestError:  # its queue is full; a shadow must not slow down the others
            agreement.dropped += len(rows)
            return
        except Exception as error:  # of the network of the shadow, whatever it is; the current version has answered
            agreement.add_failure(len(rows), error)
            return
        agreement.add(outcomes, shadow_outcomes)


def _without_counts(served: Served) -> Served:
    return replace(served, traffic=Traffic(served.model.version))
