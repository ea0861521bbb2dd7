"""`netloom monitor`: whether the requests to a served model still look like the data of its run."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, Failure, whole
from netloom.cli.selection import find_run, load_trained_run
from netloom.cli.text import drift_table, number, table
from netloom.core.errors import UsageError
from netloom.core.text import counted, plain

if TYPE_CHECKING:
    from netloom.monitoring import LogInfo, MonitorReport
    from netloom.monitoring.alerts import Webhook
    from netloom.monitoring.labeled import ColumnErrors
    from netloom.store import Store

# The exit code if there is an alert; 1 and 2 are failures of the command
ALERT = 3


class Monitor(Command):
    """Checks the request log of a served model."""

    name = "monitor"
    summary = "check the logged requests of a served model for drift and errors"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "model",
            metavar="MODEL|RUN",
            help="name of a served model, or the id of its run, its first characters, or last; netloom serve "
            "--log-requests logs the requests to it",
        )
        parser.add_argument(
            "--window",
            type=whole(1, 100_000),
            default=1_000,
            metavar="N",
            help="number of the most recent predictions that are checked (default: 1000)",
        )
        parser.add_argument(
            "--webhook",
            metavar="URL",
            help="address that gets a POST request with JSON when an alert begins or ends",
        )
        parser.add_argument(
            "--watch",
            type=whole(1, 86_400),
            metavar="SECONDS",
            help="repeat the check after this many seconds, if there are new requests",
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.monitoring.alerts import Webhook
        from netloom.store import open_store

        webhook = Webhook(arguments.webhook) if arguments.webhook else None
        store = open_store(context.home)
        info, run_id = _logged(store, arguments.model)
        report = _check(store, info, run_id, arguments.window, context)
        is_delivered = _notify(store, report, webhook, context)
        stamp = info.stamp
        while arguments.watch:
            time.sleep(arguments.watch)
            info, run_id = _logged(store, arguments.model)
            if info.stamp != stamp:  # otherwise, the report would be the same
                stamp = info.stamp
                report = _check(store, info, run_id, arguments.window, context)
            elif is_delivered:
                continue
            is_delivered = _notify(store, report, webhook, context)
        return ALERT if report.is_alert else 0


def _logged(store: Store, name: str) -> tuple[LogInfo, str]:
    """Return the log that a name of a model or of a run names, and the run: of a model, the one that gave most of the
    last answers.

    Raises:
        UsageError: there is no such log, or several models were served with the run.
    """
    from netloom.monitoring import log_of, logged_models
    from netloom.monitoring.log_reader import recent_run

    info = log_of(store.home, name)
    if info is not None and info.runs:
        return info, recent_run(store.home, name) or info.runs[-1]
    try:
        run_id = find_run(store, name).id
    except UsageError:
        names = ", ".join(repr(item.model) for item in logged_models(store.home)) or "none"
        raise UsageError(
            f"There is neither a request log of a model {name[:60]!r} nor such a run; the logged models are: {names}."
        ) from None
    logs = [item for item in logged_models(store.home) if run_id in item.runs]
    if not logs:
        raise UsageError(
            f"No request to the run {run_id[:8]} is logged; serve it with netloom serve {run_id[:8]} --log-requests 1."
        )
    if len(logs) > 1:
        names = ", ".join(item.model for item in logs)
        raise UsageError(f"The run {run_id[:8]} was served as several models, {names}; give the name of one of them.")
    return logs[0], run_id


def _check(store: Store, info: LogInfo, run_id: str, window: int, context: Context) -> MonitorReport:
    from netloom.core.errors import DataError
    from netloom.monitoring import check

    try:
        report = check(store.home, info.model, load_trained_run(store, run_id), window)
    except DataError as error:
        raise Failure(str(error)) from None
    context.answer(report.as_json(), _text(report))
    return report


def _notify(store: Store, report: MonitorReport, webhook: Webhook | None, context: Context) -> bool:
    """Notify the webhook of a change of state, if there is one. Returns whether nothing is left to deliver."""
    from netloom.monitoring.alerts import notify

    reason = notify(store.home, report, webhook) if webhook is not None else ""
    if reason:
        context.note(
            f"The webhook did not receive the change of state: {plain(reason)}. It is sent again at the next check."
        )
    return not reason


def _text(report: MonitorReport) -> str:
    from netloom.monitoring.check import minute

    lines = [plain(report.sentence), *(f"! {plain(alert)}" for alert in report.alerts[1:])]
    if report.rows:
        time_range = f"{minute(report.since)} to {minute(report.until)}"
        lines.append(f"Model {report.model}, run {report.run[:8]}: {counted(report.rows, 'prediction')}, {time_range}")
    if report.other_rows:
        lines.append(f"Left out {counted(report.other_rows, 'prediction')} of other runs or versions in this time.")
    if report.hidden:
        lines.append(f"The log does not have {', '.join(map(plain, report.hidden))}.")
    if labeled := report.labeled:
        lines.append(f"{labeled.title} on {counted(labeled.rows, 'labeled prediction')}: {labeled.value}")
        if labeled.test_value:
            lines.append(f"{labeled.title} on {counted(labeled.test_rows, 'test row')}: {labeled.test_value}")
            lines += [labeled.difference] if labeled.difference else []
        if labeled.columns:
            lines += ["", _column_table(labeled.columns)]
    if report.curve:
        rows = [
            (
                point.at[:16],
                point.rows,
                "" if point.confidence is None else f"{point.confidence:.1%}",
                number(point.median_ms),
                number(point.slow_ms),
            )
            for point in report.curve[:: max(1, len(report.curve) // 8)]
        ]
        header = ("time (UTC)", "rows", "confidence", "median ms", "95% ms")
        lines += ["", table(header, rows, right=header[1:])]
    if report.drift is not None:
        lines += ["", drift_table(report.drift)]
    return "\n".join(lines)


def _column_table(columns: Sequence[ColumnErrors]) -> str:
    """Return the errors of each column in its unit, on labeled predictions and on test rows."""
    rows = [
        (plain(column.name), *("" if value is None else number(value) for value in values))
        for column in columns
        for values in [(column.mae, column.test_mae, column.rmse, column.test_rmse)]
    ]
    header = ("column", "mean absolute error", "test rows", "RMSE", "test rows")
    return table(header, rows, right=header[1:])
