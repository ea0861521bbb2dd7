"""The check of a served model, by the command: drift, labels, exit codes and webhooks."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import netloom
from netloom.cli.commands import monitor
from netloom.core.errors import UsageError
from netloom.monitoring import LogSettings, MonitorReport, RequestLog, alerts, check
from netloom.monitoring.alerts import Webhook, notify
from netloom.monitoring.check import RECALIBRATED, answering_run
from netloom.monitoring.log_reader import read_log
from netloom.monitoring.redaction import parse_redaction
from netloom.runs import TrainedRun, load_run
from netloom.runs.prediction.applied_calibration import AppliedCalibration, PartCalibration, Scaling
from netloom.runs.prediction.trained_run import checksum_of
from netloom.store import open_store
from netloom.templates import templates
from tests.cli.conftest import Console
from tests.explain.models import untrained_run
from tests.monitoring.conftest import MODEL, Watched
from tests.networks import with_rows


def test_held_out_rows_give_no_alert_and_name_the_numbers(watched: Watched, console: Console) -> None:
    rows, labels = watched.rows(300)
    watched.log(rows, labels)
    answer = console("monitor", MODEL, "--home", watched.home, "--json", "--window", 250)
    assert answer.code == 0, answer.err
    report = answer.value
    assert report["sentence"].startswith("No drift found in 250 predictions since 20")
    assert report["is_alert"] is False
    assert report["labeled"]["rows"] == 250
    assert abs(report["labeled"]["error"] - report["labeled"]["test_error"]) < 0.1
    assert sum(point["rows"] for point in report["curve"]) == 250
    text = console("monitor", watched.run_id[:8], "--home", watched.home).out
    assert "Accuracy on 300 labeled predictions" in text
    assert "p (Holm)" in text
    assert "embeddings of the network (MMD)" in text
    assert "embeddings of the network (Domain classifier)" in text


def test_moved_rows_and_wrong_predictions_are_alerts(watched: Watched, console: Console) -> None:
    rows, labels = watched.rows(200)
    moved, _ = watched.rows(200, shift=0.5)
    watched.log(moved)
    answer = console("monitor", "last", "--home", watched.home)
    assert answer.code == 3
    assert "quantities drifted" in answer.out
    wrong = [watched.classes[1 - watched.classes.index(label)] for label in labels]
    watched.log(rows, [*labels[:100], *wrong[100:]])
    report = check(watched.home, MODEL, watched.trained, 200)
    assert report.drift is not None
    assert not report.drift.is_drift, report.drift.sentence
    assert report.is_alert
    assert report.sentence.startswith("Accuracy is worse: ")
    assert any("ADWIN" in alert for alert in report.alerts)


@pytest.mark.parametrize(
    ("name", "takes_labels"), [("breast_cancer", True), ("shapes_detector", True), ("digits_vae", False)]
)
def test_a_report_says_whether_labels_measure_the_predictions(name: str, takes_labels: bool, home: Path) -> None:
    trained = untrained_run(with_rows(templates()[name].project, 60))
    assert check(home, MODEL, trained).takes_labels is takes_labels


def test_rows_are_compared_by_the_weights_that_answered_them(watched: Watched) -> None:
    """A run that is resumed after it was served has other weights, with which its predictions would seem to drift."""
    store = open_store(watched.home)
    served = load_run(store, watched.run_id, "last")
    trained = copy.deepcopy(watched.trained)
    with torch.no_grad():
        for weights in trained.model.parameters():
            weights.zero_()
    watched.log(watched.rows(200)[0], served=served)
    drift = check(watched.home, MODEL, trained).drift
    assert drift is not None
    assert not drift.is_drift, drift.sentence
    assert drift.note == ""
    # Predictions of a network that is not saved, such as an ONNX file, are not compared with those of the run
    answering, note = answering_run(watched.home, trained, [])
    assert (answering, note) == (trained, "")
    for fields in ([], ["mean radius"]):
        model, settings = f"lost{len(fields)}", LogSettings(redaction=parse_redaction(fields))
        watched.log(watched.rows(200)[0], served=trained, model=model, settings=settings)
        lost = check(watched.home, model, watched.trained).drift
        assert lost is not None
        assert not lost.is_drift, lost.sentence
        assert "not saved as weights of the run" in lost.note
        assert ("confidence" in {drift.name for drift in lost.quantities}) != bool(fields)


def sharpened(trained: TrainedRun, factor: float) -> TrainedRun:
    """A run whose weights in the last layer are larger, so that it is more confident of the same classes."""
    model = copy.deepcopy(trained.model)
    with torch.no_grad():
        for weights in list(model.parameters())[-2:]:
            weights.mul_(factor)
    return TrainedRun(trained.project, trained.source, model, trained.data, trained.run, trained.applied)


def calibrated(trained: TrainedRun, scale: float) -> TrainedRun:
    part = PartCalibration("softmax", "row", 1, Scaling("temperature", (scale,), (0.0,)))
    return replace(trained, applied=AppliedCalibration(1, "", {"": part}))


def test_answers_of_another_network_of_the_run_are_left_out(watched: Watched, console: Console) -> None:
    """Such as those of a canary that is an ONNX file of the run, and those before a reload."""
    rows, labels = watched.rows(250)
    wrong = [watched.classes[1 - watched.classes.index(label)] for label in labels]
    watched.log(rows[:100], wrong[:100], served=sharpened(watched.trained, 20))
    watched.log(rows[100:], labels[100:])
    report = check(watched.home, MODEL, watched.trained)
    assert report.drift is not None
    assert not report.is_alert, report.alerts
    assert (report.rows, report.other_rows) == (150, 100)
    assert report.labeled is not None
    assert report.labeled.rows == 150
    answer = console("monitor", MODEL, "--home", watched.home)
    assert "Left out 100 predictions of other runs or versions in this time." in answer.out


def test_answers_in_an_older_log_do_not_hide_those_since(watched: Watched) -> None:
    """Such a log does not name the weights that answered."""
    rows, _ = watched.rows(50)
    older = RequestLog(watched.home, MODEL, LogSettings())
    for number, (row, answer) in enumerate(zip(rows, netloom.predict(watched.trained, rows), strict=True)):
        older.write(f"older{number}", watched.run_id, f"{MODEL}/1", 1.5, older.encode(row.keys(), [row], [answer]))
    older.close()
    watched.log(watched.rows(40, seed=1)[0])
    report = check(watched.home, MODEL, watched.trained)
    assert (report.rows, report.other_rows) == (90, 0)


@pytest.mark.parametrize(("then", "now"), [(None, 20.0), (20.0, None), (20.0, 0.05), (20.0, 20.0)])
def test_answers_before_a_new_calibration_do_not_drift(watched: Watched, then: float | None, now: float | None) -> None:
    served, trained = (
        watched.trained if scale is None else calibrated(watched.trained, scale) for scale in (then, now)
    )
    watched.log(watched.rows(150)[0], served=served)
    report = check(watched.home, MODEL, trained)
    assert report.drift is not None
    assert not report.is_alert, report.alerts
    assert {"prediction", "confidence"} <= {drift.name for drift in report.drift.quantities}
    assert (RECALIBRATED in report.drift.note) is (then not in (None, now))


def test_weights_that_answered_are_compared_although_their_calibration_was_replaced(watched: Watched) -> None:
    served = calibrated(load_run(open_store(watched.home), watched.run_id, "last"), 20)
    watched.log(watched.rows(50)[0], served=served)
    rows = read_log(watched.home, MODEL, watched.run_id, 50).rows
    answering, note = answering_run(watched.home, sharpened(watched.trained, 20), rows)
    assert note == RECALIBRATED
    assert checksum_of(answering) == checksum_of(served)


def test_redacted_fields_are_not_compared_and_the_others_are(watched: Watched) -> None:
    settings = LogSettings(redaction=parse_redaction(["mean radius", "mean texture=hash"]))
    for shift, expected in ((0.0, False), (0.6, True)):
        rows, _ = watched.rows(150, shift=shift)
        watched.log(rows, settings=settings, model=f"hidden{expected}")
        report = check(watched.home, f"hidden{expected}", watched.trained)
        assert report.hidden == ("mean radius", "mean texture")
        assert report.drift is not None, report.note
        assert report.drift.is_drift is expected
        names = {drift.name for drift in report.drift.quantities}
        assert "mean area" in names
        assert not names & set(report.hidden)
        assert "cannot compute embeddings" in report.drift.note


def test_few_rows_say_so_and_unknown_models_are_refused(watched: Watched, console: Console) -> None:
    watched.log(watched.rows(5)[0])
    answer = console("monitor", MODEL, "--home", watched.home)
    assert answer.code == 0
    assert "5 predictions are logged so far; a check needs at least 30." in answer.out
    refused = console("monitor", "unknown", "--home", watched.home)
    assert refused.code == 2
    assert "the logged models are: 'cancer'" in refused.err
    watched.log(watched.rows(5)[0], model="second")
    assert "served as several models" in console("monitor", "last", "--home", watched.home).err


def test_watch_checks_again_when_there_are_new_rows(
    watched: Watched, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.log(watched.rows(60)[0])
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            watched.log(watched.rows(60, shift=0.8)[0])
        if len(pauses) == 3:
            raise KeyboardInterrupt

    # Of this module only: other threads of the process sleep, too
    monkeypatch.setattr(monitor, "time", SimpleNamespace(sleep=pause))
    answer = console("monitor", MODEL, "--home", watched.home, "--window", 60, "--watch", 7)
    assert answer.code == 130
    assert pauses == [7, 7, 7]
    assert answer.out.count("No drift found") == 1, "the second look found no new row"
    assert answer.out.count("quantities drifted") == 1


def test_watch_without_new_rows_computes_nothing_and_delivers_what_failed(
    watched: Watched, console: Console, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.log(watched.rows(60, shift=0.8)[0])
    receiver.statuses = [500] * 3
    received: list[int] = []

    def pause(seconds: float) -> None:
        received.append(len(receiver.received))
        if len(received) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(monitor, "time", SimpleNamespace(sleep=pause))
    options = ("--home", watched.home, "--window", 60, "--watch", 7, "--webhook", receiver.url)
    answer = console("monitor", MODEL, *options)
    assert answer.code == 130
    assert answer.out.count("quantities drifted") == 1, "no row was logged after the first check"
    assert received == [3, 4, 4], "three tries that failed, then one that was delivered, then nothing to deliver"
    assert len({body["alert_id"] for _, body in receiver.received}) == 1


class Receiver:
    """A server that receives webhooks, and answers with the given statuses, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.received: list[Any] = []
        self.statuses = list(statuses)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((self.headers["Content-Type"], json.loads(body)))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?secret=abc"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(alerts, "PAUSE_S", 0.01)
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_webhook_is_told_of_each_change_once(watched: Watched, console: Console, receiver: Receiver) -> None:
    def checked(shift: float) -> int:
        watched.log(watched.rows(60, shift=shift)[0])
        options = ("--home", watched.home, "--window", 60, "--webhook", receiver.url)
        return console("monitor", MODEL, *options).code

    assert checked(0.0) == 0
    assert receiver.received == [], "all was well before"
    assert [checked(0.8), checked(0.8)] == [3, 3]
    [(kind, message)] = receiver.received
    assert kind == "application/json"
    assert (message["state"], message["model"], message["run"]) == ("alert", MODEL, watched.run_id)
    assert "drifted" in message["sentence"]
    assert checked(0.0) == 0
    assert [body["state"] for _, body in receiver.received] == ["alert", "ok"]
    assert "secret=abc" not in "".join(path.read_text() for path in watched.home.rglob("alert.json"))


def report_of(watched: Watched, shift: float) -> MonitorReport:
    watched.log(watched.rows(60, shift=shift)[0])
    return check(watched.home, MODEL, watched.trained, 60)


def test_failed_webhooks_are_tried_again_with_the_same_id(watched: Watched, receiver: Receiver) -> None:
    report, webhook = report_of(watched, 0.8), Webhook(receiver.url)
    receiver.statuses = [500] * 3
    assert notify(watched.home, report, webhook) == "it answered with the status 500"
    assert len(receiver.received) == 3
    receiver.statuses = [302, 200]
    assert notify(watched.home, report, webhook) == "", "a redirection is not followed, but tried again"
    assert len({body["alert_id"] for _, body in receiver.received}) == 1
    assert notify(watched.home, report, webhook) == ""
    assert len(receiver.received) == 5
    receiver.statuses = [404]
    assert notify(watched.home, report_of(watched, 0.0), webhook) == "it answered with the status 404"
    assert len(receiver.received) == 6, "a refusal is not tried again"


def test_a_check_that_was_killed_while_it_sent_an_alert_does_not_send_another_one(
    watched: Watched, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, webhook, send = report_of(watched, 0.8), Webhook(receiver.url), Webhook.send

    def killed(self: Webhook, value: Any) -> str:
        send(self, value)
        raise KeyboardInterrupt

    monkeypatch.setattr(Webhook, "send", killed)
    with pytest.raises(KeyboardInterrupt):
        notify(watched.home, report, webhook)
    monkeypatch.setattr(Webhook, "send", send)
    assert [notify(watched.home, report, webhook) for _ in range(2)] == ["", ""]
    first, second = (body["alert_id"] for _, body in receiver.received)
    assert first == second, "the receiver can tell that it is the same alert"


def test_webhooks_of_other_schemes_and_without_a_server_fail_in_words(
    watched: Watched, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("file:///etc/passwd", "ftp://host/x", "javascript:alert(1)", "http://", "http://[", "localhost:8000"):
        with pytest.raises(UsageError, match="begins with http"):
            Webhook(url)
    assert console("monitor", MODEL, "--home", watched.home, "--webhook", "file:///x").code == 2
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(alerts, "PAUSE_S", 0.01)
    assert Webhook("http://127.0.0.1:9/").send({}) == "it cannot be reached (Connection refused)"
