"""The run monitor: curves, layer statistics, predictions and warnings."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue
from streamlit.testing.v1 import AppTest

from netloom.runs.resources.capacity import waiting_sentence
from netloom.store import Points, RunArtifacts, open_store
from netloom.store.run_summary import RunNotice, SuggestedEdit
from netloom.training.diagnostics import read_history, read_samples
from netloom.training.diagnostics.prediction_cards import CardJson, ExampleJson, packed
from netloom.ui.components.charts.charts import TRAIN, VALIDATION
from netloom.ui.components.curves.curve import Curves, extend, table
from netloom.ui.train.layer_statistics import KINDS, heatmap, lines
from netloom.ui.train.page import run_label
from netloom.ui.train.prediction_history import READABLE, RIGHT, cards
from tests.networks import digits_mlp
from tests.runs.examples import moons
from tests.store.states import put
from tests.training.test_diagnostics import watched


def points(count: int, start: int = 0) -> Points:
    """Batch losses, ten steps and half a second apart, with an epoch loss at every tenth point."""
    steps = [10 * (start + index + 1) for index in range(count)]
    rng = random.Random(start)
    return Points(
        steps,
        [step // 100 for step in steps],
        ["train"] * count,
        ["batch_loss" if step % 100 else "loss" for step in steps],
        [rng.random() + 0.1 for _ in steps],
        [1000 + step / 20 for step in steps],
        start + count,
    )


def test_incremental_curves_equal_a_full_read() -> None:
    whole, parts = Curves(), Curves()
    all_points = points(50)
    extend(whole, all_points)
    for start in range(0, 50, 10):
        part = slice(start, start + 10)
        columns = (
            all_points.step,
            all_points.epoch,
            all_points.split,
            all_points.name,
            all_points.value,
            all_points.at,
        )
        extend(parts, Points(*[column[part] for column in columns], 0))  # type: ignore[call-arg, arg-type]
    assert whole.keys() == parts.keys()
    for key, curve in whole.items():
        assert (curve.steps, curve.values, curve.at) == (parts[key].steps, parts[key].values, parts[key].at)


def test_metrics_table_contains_every_point() -> None:
    curves = Curves()
    all_points = points(30)
    extend(curves, all_points)
    rows = list(csv.DictReader(io.StringIO(table(curves))))
    table_points = sorted((int(row["step"]), row["measure"], float(row["value"])) for row in rows)
    assert table_points == sorted(zip(all_points.step, all_points.name, all_points.value, strict=True))
    assert min(float(row["seconds"]) for row in rows) == 0.0


def test_layer_heatmap_shows_the_recorded_values(home: Path, tmp_path: Path) -> None:
    watched(moons(), home, tmp_path)
    history = read_history(RunArtifacts.in_directory(tmp_path))
    assert history is not None
    values = history.of("gradient")[:, [0, 3, 4]]
    figure = heatmap(history.steps / 11, values, ["a", "b", "b"], KINDS["Gradient"])
    assert np.array(figure.data[0].z) == pytest.approx(np.log10(values.T), abs=1e-3)
    assert len(set(figure.data[0].y)) == 3  # two layers with the same name stay separate rows
    line_chart = lines(history.steps / 11, values, ["a", "b", "c"], KINDS["Gradient"])
    assert [line.name for line in line_chart.data] == ["a", "b", "c"]
    assert list(line_chart.data[2].y) == pytest.approx(values[:, 2].tolist(), rel=1e-3)


def test_prediction_cards_escape_the_text_of_rows() -> None:
    row: ExampleJson = {"row": 3, "text": "<script>alert(1)</script>", "true": "<b>x</b>"}
    html = cards([row], [{"text": "<img src=x onerror=alert(2)>", "share": 0.5}])
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>x" not in html
    assert "&lt;script&gt;" in html


def test_prediction_cards_show_the_prediction_beside_the_target() -> None:
    """Numbers, classes, masks and continued texts; the target is not repeated where the card shows it."""
    mask = packed(np.zeros((2, 2)))
    examples: list[tuple[ExampleJson, CardJson, str]] = [
        (
            {"row": 1, "text": "size: 2", "true": "3", "values": [3.0]},
            {"values": [2.5]},
            f'<div style="opacity:.68">size: 2</div><div>Predicted <b style="{READABLE.format(TRAIN)}">2.5</b> · true '
            f'3 <span style="opacity:.68">(-0.5)</span></div>',
        ),
        (
            {"row": 1, "text": "to", "true": "yes"},
            {"text": "no", "share": 0.5},
            f'<div style="opacity:.68">to</div><div>Predicted <b style="{READABLE.format(VALIDATION)}">no</b> '
            f"<span style='opacity:.68'>50%</span></div><div style=\"opacity:.68\">True: yes</div>",
        ),
        (
            {"row": 1, "text": "to", "true": "yes"},
            {"text": "yes"},
            f'<div style="opacity:.68">to</div><div>Predicted <b style="{READABLE.format(RIGHT)}">yes</b></div>',
        ),
    ]
    for example, prediction, expected in examples:
        number = '<div style="opacity:.68;font-size:.75rem">Row 1</div>'
        assert f">{expected}{number}</div></div>" in cards([example], [prediction])
    assert '<span style="opacity:.68">once</span><b> upon</b>' in cards(
        [{"row": 1, "text": "once", "true": ""}], [{"text": " upon"}]
    )
    masks = cards(
        [{"row": 1, "picture": mask, "true": "x", "truth": {"classes": mask, "names": ["x"]}}],
        [{"classes": mask, "names": ["x"]}],
    )
    assert [masks.count(f">{title}</figcaption>") for title in ("Input", "True", "Predicted")] == [1, 1, 1]
    assert "True: x" not in masks
    assert "figcaption" not in cards([{"row": 1, "picture": mask, "true": "x"}], [{"text": "x"}])  # a single image


def _tabs(folder: str) -> None:
    from pathlib import Path

    from netloom.store import RunArtifacts
    from netloom.ui.train.layer_statistics import layer_statistics
    from netloom.ui.train.prediction_history import prediction_history

    layer_statistics(RunArtifacts.in_directory(Path(folder)), "run", 20)
    prediction_history(RunArtifacts.in_directory(Path(folder)), "run")


def _alerts(project_id: str, notice: str) -> None:
    from netloom.editing.live import Live
    from netloom.store import open_store
    from netloom.store.run_summary import RunNotice
    from netloom.ui.train.alerts import alerts

    alerts(Live(open_store(), project_id), [RunNotice.model_validate_json(notice)])


def test_warning_has_a_button_that_applies_its_edit_once(home: Path) -> None:
    store = open_store(home)
    project_id = store.create_project(digits_mlp())
    edit: dict[str, JsonValue] = {
        "kind": "update",
        "network": "main",
        "node": "linear_2",
        "initialization": {"method": "xavier_uniform"},
    }
    notice = RunNotice(
        code="x",
        severity="warning",
        message="A <b> *bold* claim.",
        fix="Mend it.",
        where="",
        nodes=(),
        step=7,
        epoch=0,
        edit=SuggestedEdit(title="Initialize *it*", edit=edit),
    )
    arguments = {"project_id": project_id, "notice": notice.model_dump_json()}
    page = AppTest.from_function(_alerts, kwargs=arguments, default_timeout=60).run()
    assert "\\*bold\\*" in page.warning[0].value
    assert "step 7" in page.warning[0].value
    assert [button.label for button in page.button] == ["Initialize \\*it\\*"]
    page.button[0].click().run()
    assert not page.exception
    assert not page.button, "the document already has the change"
    initialization = store.load(project_id).project.initialization("main", "linear_2")
    assert initialization is not None
    assert initialization.method == "xavier_uniform"
    gone = notice.model_copy(update={"edit": SuggestedEdit(title="Initialize", edit={**edit, "node": "removed"})})
    arguments["notice"] = gone.model_dump_json()
    assert not AppTest.from_function(_alerts, kwargs=arguments, default_timeout=60).run().button


def test_layer_statistics_and_prediction_history_render(home: Path, tmp_path: Path) -> None:
    """Without data, with a run, at an earlier epoch, and with every kind of statistic."""
    empty = AppTest.from_function(_tabs, kwargs={"folder": str(tmp_path / "none")}, default_timeout=60).run()
    assert not empty.exception
    assert len(empty.caption) == 2
    watched(digits_mlp(epochs=3, device="cpu"), home, tmp_path)
    page = AppTest.from_function(_tabs, kwargs={"folder": str(tmp_path)}, default_timeout=60).run()
    assert not page.exception
    assert page.select_slider[0].value == 3
    before = page.select_slider[0].proto.id
    page.select_slider[0].set_value(1).run()
    assert page.select_slider[0].value == 1
    page.run()
    assert page.select_slider[0].proto.id == before  # a new widget would lose the keyboard focus
    assert page.select_slider[0].value == 1
    samples = read_samples(RunArtifacts.in_directory(tmp_path))
    assert samples is not None
    for name in KINDS:
        page.button_group[0].set_value([name]).run()
        assert not page.exception, name


def test_zero_gradient_leaves_a_gap_on_the_log_axis() -> None:
    values = np.array([[1.0, 0.5], [0.0, 0.25], [2.0, 0.1]])
    figure = lines(np.arange(3.0), values, ["first", "last"], KINDS["Gradient"])
    assert figure.data[0].y == (1.0, None, 2.0)
    assert figure.layout.yaxis.dtick == "D2"  # within two powers of ten, the ticks include 2 and 5
    wide = lines(np.arange(3.0), values * [[1.0, 1e-4]], ["first", "last"], KINDS["Gradient"])
    assert wide.layout.yaxis.dtick == 1


def test_run_label_has_the_state_of_ended_runs_alone(home: Path) -> None:
    store = open_store(home)
    run = store.create_run(store.create_project(moons()), moons())
    assert run_label(run).split(" · ")[0] == "Moons"
    assert "running" not in run_label(run), "it may be queued or paused by the time the list is opened"
    put(store, run.id, "stopped")
    assert "stopped" in run_label(store.run(run.id))


def test_waiting_run_names_what_is_ahead_and_when_it_starts(home: Path) -> None:
    store, project = open_store(home), moons()
    key = store.create_project(project)
    first, second, third = (store.create_run(key, project, title) for title in ("First", "Second", "Third"))
    assert waiting_sentence(store, first) == "It starts in a moment."
    put(store, first.id, "running", summary={"eta_s": 200.0})
    assert waiting_sentence(store, second) == (
        "Ahead: First (3 min 20 s left). It is expected to start in about 3 min 20 s."
    )
    assert waiting_sentence(store, third) == (
        "Ahead: First (3 min 20 s left), Second (queued). It starts in 3 min 20 s at the earliest."
    )
    put(store, first.id, "running", summary={})
    assert waiting_sentence(store, second).endswith("It starts by itself when a place to train becomes free.")
    put(store, first.id, "paused")
    assert "paused" in waiting_sentence(store, second)


def test_metrics_of_several_outputs_begin_with_the_leading_metric_of_each(home: Path) -> None:
    store = open_store(home)
    run = store.create_run(store.create_project(moons()), moons(), "Several")
    app = AppTest.from_function(_two_outputs_page, args=(run.id,), default_timeout=60).run()
    assert not app.exception
    assert [item.label for item in app.metric] == ["Loss", "Accuracy (shape)", "Accuracy (color)"]
    assert [item.value for item in app.metric] == ["0.75", "80.0%", "40.0%"]
    captions = " ".join(item.value for item in app.caption)
    assert "baseline" in captions
    assert "95% CI:" not in captions  # there are no intervals


def _two_outputs_page(run_id: str) -> None:
    from netloom.training import Evaluation, Reference
    from netloom.training.objectives.evaluation import OutputEvaluation
    from netloom.ui.shell import session
    from netloom.ui.train.results import test_metrics

    names = {"shape": 0.8, "color": 0.4}
    outputs: list[OutputEvaluation] = [
        {
            "name": name,
            "objective": "Classification",
            "weight": 1.0,
            "metrics": {"loss": 0.5, "accuracy": accuracy},
            "classes": ("a", "b"),
            "confusion": None,
            "report": None,
            "residuals": None,
            "separation": None,
        }
        for name, accuracy in names.items()
    ]
    metrics = {"loss": 0.75}
    for name, accuracy in names.items():
        metrics |= {f"loss ({name})": 0.5, f"accuracy ({name})": accuracy}
    evaluation = Evaluation("test", 10, metrics, outputs=outputs, reference=Reference("Majority class", {"loss": 1.0}))
    test_metrics(session.store().run(run_id), evaluation)
