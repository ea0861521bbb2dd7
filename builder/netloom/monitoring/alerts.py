"""Alerts: whether the state of a model has changed, and a webhook that is notified."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from netloom.core.errors import UsageError
from netloom.document import write_bytes
from netloom.monitoring.http_client import ask, is_http_address
from netloom.monitoring.labeled import MIN_LABELS
from netloom.monitoring.log_files import log_folder

if TYPE_CHECKING:
    from pathlib import Path

    from netloom.monitoring.check import MonitorReport

TRIES, TIMEOUT_S, PAUSE_S = 3, 5.0, 1.0
_TOO_MANY = 429
_FILE = "alert.json"
OK, ALERT = "ok", "alert"


@dataclass(frozen=True)
class Webhook:
    """An address that receives alerts as JSON in a POST request."""

    url: str

    def __post_init__(self) -> None:
        if not is_http_address(self.url):
            raise UsageError("--webhook takes an address that begins with http:// or https:// and names a host.")

    def send(self, value: Mapping[str, Any]) -> str:
        """Send JSON, with further tries after failures that can pass. Returns "", or why it was not delivered."""
        reason = ""
        for number in range(TRIES):
            if number:
                time.sleep(PAUSE_S * 2 ** (number - 1))
            answer = ask(self.url, value, timeout_s=TIMEOUT_S)
            reason = answer.problem
            if not reason or (400 <= answer.status < 500 and answer.status != _TOO_MANY):
                break
        return reason


def notify(home: Path, report: MonitorReport, webhook: Webhook) -> str:
    """Notify a webhook when the state has changed since its last notification. Returns "", or why it was not delivered;
    the next call tries again then, with the same `alert_id`.

    A check that says nothing, because there are too few rows, changes nothing.
    """
    has_labels = report.labeled is not None and report.labeled.rows >= MIN_LABELS
    if report.drift is None and not has_labels and not report.is_alert:
        return ""
    path = log_folder(home, report.model) / _FILE
    states = _states(path)
    # Addresses of webhooks are often secret
    name = hashlib.sha256(webhook.url.encode()).hexdigest()[:16]
    last, state = states.get(name, {"state": OK}), ALERT if report.is_alert else OK
    if last["state"] == state:
        if "pending" in last:  # the change that could not be delivered is over
            _save(path, {**states, name: {"state": state}})
        return ""
    alert_id = last.get("pending") or secrets.token_hex(8)
    # Before the request, so that a check after a killed one sends the change with the same identifier
    _save(path, {**states, name: {"state": last["state"], "pending": alert_id}})
    reason = webhook.send(_message(report, state, alert_id))
    if not reason:
        _save(path, {**states, name: {"state": state}})
    return reason


def _states(path: Path) -> dict[str, dict[str, str]]:
    """Return by webhook what it knows: the state, and the `alert_id` of a change that could not be delivered."""
    try:
        value: dict[str, dict[str, str]] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value


def _save(path: Path, states: Mapping[str, Mapping[str, str]]) -> None:
    write_bytes(path, json.dumps(states).encode())


def _message(report: MonitorReport, state: str, alert_id: str) -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "state": state,
        "model": report.model,
        "run": report.run,
        "sentence": report.sentence,
        "alerts": list(report.alerts),
        "rows": report.rows,
        "since": report.since,
        "at": datetime.now(UTC).isoformat(),
    }
