"""The drift of rows from the data of a run: tables, images and texts, with and without an injected shift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
import torch

from netloom.data import DataError, add_file
from netloom.document import DataChoice, updated
from netloom.drift import DriftReport, compare
from netloom.drift.multivariate import domain_classifier, mmd
from netloom.runs import TrainedRun, fit_here
from netloom.runs.prediction.embeddings import features, last_linear
from netloom.tasks.answers import confidence_of
from netloom.templates import templates
from netloom.templates.starting import fit
from tests.cli.conftest import Console, Trained

COUNT = 300


def table(random: np.random.Generator, count: int, shift: float = 0.0, share: float = 0.3) -> pd.DataFrame:
    x, group = random.normal(size=count), random.random(count) < share
    noise = random.normal(size=count)
    return pd.DataFrame(
        {
            "x": x + shift,
            "noise": np.where(random.random(count) < 0.1, np.nan, noise),
            "group": np.where(group, "a", "b"),
            "label": np.where(x + group > 0.3, "yes", "no"),
        }
    )


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    frame = frame.astype(object).where(frame.notna(), None)
    return frame.drop(columns="label").to_dict("records")  # type: ignore[return-value]


def trained_on(
    home: Path, content: bytes, template: str, target: str, columns: dict[str, Any] | None = None
) -> TrainedRun:
    info = add_file(content, "rows.csv", home, target=target)
    data = DataChoice(dataset=info.name, options={"columns": columns} if columns else {})
    fitted = fit(templates()[template].project, data, "Rows", home)
    assert fitted is not None
    training = updated(fitted.project.training, {"epochs": 2})
    return fit_here(fitted.project.model_copy(update={"training": training}), home)


@pytest.fixture(scope="module")
def on_table(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    frame = table(np.random.default_rng(0), 1_500)
    return trained_on(tmp_path_factory.mktemp("table"), frame.to_csv(index=False).encode(), "breast_cancer", "label")


def drifted(report: DriftReport) -> set[str]:
    return {drift.name for drift in report.quantities if drift.is_drift}


def test_rows_in_the_order_of_their_classes_do_not_alarm(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    frame = table(random, 4_000).sort_values("label")
    run = trained_on(tmp_path, frame.to_csv(index=False).encode(), "breast_cancer", "label")
    held_out = np.concatenate([run.data.split[name].numpy() for name in ("validation", "test")])
    assert len(held_out) > 1_000  # more than are predicted
    report = compare(run, [run.data.row(int(index)) for index in random.choice(held_out, 700, replace=False)])
    assert not report.is_drift, report.quantities[0]


def test_rows_of_the_same_distribution_rarely_alarm(on_table: TrainedRun) -> None:
    random = np.random.default_rng(1)
    alarms = sum(compare(on_table, rows_of(table(random, COUNT))).is_drift for _ in range(12))
    assert alarms <= 3  # more than 3 of 12 has a probability of 0.2% at a rate of 5%


def test_injected_shifts_are_found_and_named(on_table: TrainedRun) -> None:
    random = np.random.default_rng(2)
    moved = compare(on_table, rows_of(table(random, COUNT, shift=0.5)))
    assert {"x", "prediction"} <= drifted(moved)
    assert not {"group", "noise"} & drifted(moved)
    assert "most of all x (mean " in moved.sentence
    doubled = compare(on_table, rows_of(table(random, COUNT, share=0.6)))
    assert "group" in drifted(doubled)
    lost = table(random, COUNT)
    lost.loc[: COUNT // 2, "noise"] = np.nan
    assert drifted(compare(on_table, rows_of(lost))) == {"noise is missing"}


def test_report_names_all_columns_once(on_table: TrainedRun) -> None:
    report = compare(on_table, rows_of(table(np.random.default_rng(3), COUNT)))
    names = [drift.name for drift in report.quantities]
    assert sorted(names) == ["confidence", "group", "noise", "noise is missing", "prediction", "x"]
    separations = [(part.test, part.subject, part.reference, part.rows) for part in report.separations]
    assert separations == [
        ("Domain classifier", "whole rows", 450, COUNT),
        ("Domain classifier", "embeddings of the network", 450, COUNT),
        ("MMD", "outputs of the network", 450, COUNT),
        ("MMD", "embeddings of the network", 450, COUNT),
    ]
    assert report.rows == COUNT


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_sentence_and_json_count_all_tests(on_table: TrainedRun, shift: float) -> None:
    report = compare(on_table, rows_of(table(np.random.default_rng(2), COUNT, shift)))
    value: dict[str, Any] = dict(report.as_json())
    tests = "4 multivariate tests"
    verdicts = {key: [part["is_drift"] for part in value[key]] for key in ("quantities", "separations")}
    assert verdicts["separations"] == [part.p < 0.05 for part in report.separations]
    assert value["is_drift"] is any(verdicts["quantities"] + verdicts["separations"]) is bool(shift)
    if shift:
        assert report.sentence.startswith(f"{sum(verdicts['quantities'])} of 6 quantities drifted, ")
        assert report.sentence.endswith(f", and {sum(verdicts['separations'])} of {tests} detected drift.")
    else:
        assert report.sentence == f"No drift found in {COUNT} rows by tests of 6 quantities and {tests}."


def test_a_single_multivariate_test_is_singular(on_table: TrainedRun) -> None:
    report = compare(on_table, rows_of(table(np.random.default_rng(2), COUNT)), hidden=["x"])
    assert len(report.separations) == 1
    assert report.sentence.endswith(" quantities and 1 multivariate test.")


def test_too_few_rows_are_refused(on_table: TrainedRun) -> None:
    with pytest.raises(DataError, match="at least 30 rows, received 3"):
        compare(on_table, rows_of(table(np.random.default_rng(3), 3)))


def test_changed_vocabulary_of_texts_is_found(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    words = [f"word{index}" for index in range(60)]

    def texts(count: int, vocabulary: list[str]) -> list[str]:
        return [" ".join(random.choice(vocabulary, random.integers(5, 12))) for _ in range(count)]

    labels = random.choice(["yes", "no"], 1_000)
    frame = pd.DataFrame({"text": texts(1_000, words), "label": labels})
    trained = trained_on(tmp_path, frame.to_csv(index=False).encode(), "intents_lstm", "label")
    same, other = texts(200, words), texts(200, [*words[:30], "new", "unseen"])
    (field,) = trained.fields
    name = next(item for item in trained.data.fields if item.name == field).source_column or field
    assert not drifted(compare(trained, [{name: text} for text in same]))
    assert f"{field}: unknown tokens" in drifted(compare(trained, [{name: text} for text in other]))


def test_gamma_of_images_is_found_by_the_command(console: Console, digits: Trained, tmp_path: Path) -> None:
    import json

    from netloom.api import load_run

    run = load_run(home=digits.home)
    images = [np.asarray(run.data.row(int(row))["image"]) for row in run.data.split["test"][:150]]
    top = max(float(image.max()) for image in images)
    for gamma, expected in ((1.0, False), (0.5, True)):
        path = tmp_path / f"{gamma}.json"
        path.write_text(json.dumps([{"image": (top * (image / top) ** gamma).tolist()} for image in images]))
        answer = console("drift", "last", path, "--home", digits.home, "--json")
        assert answer.code == 0, answer.err
        assert answer.value["is_drift"] is expected
        brightness = next(item for item in answer.value["quantities"] if item["name"].endswith("brightness"))
        assert brightness["is_drift"] is expected


def other_words(row: dict[str, Any]) -> dict[str, Any]:
    """A text in which a tenth of the words, those with certain checksums, are new."""
    return {"text": " ".join(f"new{word}" if crc32(word.encode()) % 10 == 0 else word for word in row["text"].split())}


def brighter(row: dict[str, Any]) -> dict[str, Any]:
    """An image of 4-bit pixels with a gamma of 0.8."""
    return {"image": 16 * (np.asarray(row["image"]) / 16) ** 0.8}


@pytest.mark.long
@pytest.mark.parametrize(
    ("template", "shifted", "name"),
    [("intents_lstm", other_words, "text: unknown tokens"), ("digits_cnn", brighter, "image: brightness")],
)
def test_shifts_of_texts_and_images_are_found_in_most_samples(
    template: str, shifted: Callable[[dict[str, Any]], dict[str, Any]], name: str
) -> None:
    project = templates()[template].project
    run = fit_here(project.model_copy(update={"training": updated(project.training, {"epochs": 2})}))
    held_out = [run.data.row(int(row)) for split in ("validation", "test") for row in run.data.split[split]]
    found, alarms, seeds, count = 0, 0, 20, 1_000
    for seed in range(seeds):
        rows = [held_out[row] for row in np.random.default_rng(seed).choice(len(held_out), count)]
        found += name in drifted(compare(run, [shifted(row) for row in rows], seed))
        alarms += compare(run, rows, seed).is_drift
    assert found >= 0.95 * seeds
    assert alarms <= 3  # more than 3 of 20 has a probability of 1.6% at a rate of 5%


def test_rotated_images_are_found_by_their_embeddings_only(digits: Trained) -> None:
    """A rotation keeps brightness, contrast and sharpness, so that no test of the inputs shows it."""
    from netloom.api import load_run

    run = load_run(home=digits.home)
    rows = [run.data.row(int(row)) for row in run.data.split["test"][:150]]
    report = compare(run, [{"image": np.rot90(row["image"], axes=(1, 2)).copy()} for row in rows])
    assert min(drift.p for drift in report.quantities if drift.name.startswith("image")) == 1
    embedded = [part for part in report.separations if part.subject == "embeddings of the network"]
    assert [part.test for part in embedded] == ["Domain classifier", "MMD"]
    assert max(part.p for part in embedded) < 0.05
    assert embedded[0].statistic > 0.9
    count = sum(part.is_drift for part in report.separations)
    assert report.sentence.endswith(f"{count} of 4 multivariate tests detected drift.")
    assert not compare(run, rows).is_drift


def test_embeddings_of_the_same_distribution_rarely_alarm(on_table: TrainedRun) -> None:
    random, count, tries = np.random.default_rng(8), 150, 40
    rows = rows_of(table(random, 1_000))
    inputs = {on_table.fields[0]: torch.cat([on_table.data.encode(row)[on_table.fields[0]] for row in rows])}
    layer = last_linear(on_table, inputs)
    assert layer is not None
    embeddings = features(on_table, layer, inputs)
    alarms = {"mmd": 0, "classifier": 0}
    for _ in range(tries):
        first, second = np.split(embeddings[random.choice(len(rows), 3 * count, replace=False)], [2 * count])
        alarms["mmd"] += mmd(first, second).p < 0.05
        alarms["classifier"] += domain_classifier(first, second).p < 0.05
    # Three standard errors of a rate of 5%
    assert max(alarms.values()) <= tries * 0.05 + 3 * np.sqrt(tries * 0.05 * 0.95), alarms


def test_network_without_a_last_linear_layer_says_so(on_table: TrainedRun) -> None:
    class Sum(torch.nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.stack([values.sum(1), -values.sum(1)], 1)

    run = replace(on_table, model=Sum())
    run.__dict__["scorer"] = run.model
    report = compare(run, rows_of(table(np.random.default_rng(9), 60)))
    assert report.note == "The network does not end in a Linear layer, so there are no embeddings to compare."
    assert [part.subject for part in report.separations] == ["whole rows", "outputs of the network"]


def test_dependent_rows_get_a_note(home: Path) -> None:
    random = np.random.default_rng(5)
    values = np.cumsum(random.normal(size=400))
    table = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=400, freq="h"), "value": values})
    info = add_file(
        table.to_csv(index=False).encode(), "walk.csv", home, kind="series", options={"window": 8, "horizon": 1}
    )
    fitted = fit(templates()["sine"].project, DataChoice(dataset=info.name), "Walk", home)
    assert fitted is not None
    project = fitted.project.model_copy(update={"training": updated(fitted.project.training, {"epochs": 0})})
    trained = fit_here(project, home)
    report = compare(trained, [trained.data.row(int(row)) for row in trained.data.split["test"]])
    assert "depend on each other" in report.note


def test_dates_and_codes_are_compared_as_a_client_sends_them(tmp_path: Path) -> None:
    """A row has a date and not its parts, and the number 3 and not 3.0."""
    random, count = np.random.default_rng(7), 900
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 600, count), "D")
    frame = pd.DataFrame({"code": random.choice([1, 2, 3], count), "day": days.strftime("%Y-%m-%d")})
    frame["label"] = np.where(frame["code"] > 1, "yes", "no")
    trained = trained_on(tmp_path, frame.to_csv(index=False).encode(), "breast_cancer", "label")
    rows = rows_of(frame.sample(300, random_state=1))
    report = compare(trained, rows)
    assert not report.is_drift, report.sentence
    assert {"code", "day (month)"} <= {drift.name for drift in report.quantities}
    later = [{**row, "day": row["day"].replace("2024", "2025")} for row in rows]
    assert "day (days)" in drifted(compare(trained, later))


def test_independent_rows_get_no_note(on_table: TrainedRun) -> None:
    assert compare(on_table, rows_of(table(np.random.default_rng(6), COUNT))).note == ""


def test_confidence_in_a_set_of_labels_is_that_of_the_least_sure_one() -> None:
    shares = {"circle": 0.02, "square": 0.9}
    assert confidence_of({"prediction": ["square"], "probabilities": shares}) == pytest.approx(0.9)
    assert confidence_of({"prediction": [], "probabilities": {"circle": 0.02}}) == pytest.approx(0.98), (
        "sure of no label"
    )
    assert confidence_of({"prediction": "square", "probabilities": shares}) == 0.9
    assert confidence_of({"prediction": "circle", "probabilities": shares}) == 0.02, "by a tuned threshold"
    assert confidence_of({"prediction": 3.5}) is None
    assert confidence_of({"prediction": ["square"], "probabilities": shares, "confidence": 0.5}) == 0.5


def test_other_spellings_of_the_same_values_are_not_drift(tmp_path: Path) -> None:
    random, towns = np.random.default_rng(2), np.array(["x", "y", "z"])
    frame = pd.DataFrame(
        {
            "paid": random.random(240) < 0.5,
            "open": random.random(240) < 0.5,
            "tags": ["|".join(sorted({str(random.choice(towns)), str(random.choice(towns))})) for _ in range(240)],
            "code": random.integers(0, 4, 240),
            "size": random.normal(size=240).round(3),
        }
    )
    frame["label"] = np.where(frame["size"] > 0, "yes", "no")
    columns: dict[str, Any] = {"open": {"kind": "category"}, "tags": {"kind": "set"}, "code": {"kind": "category"}}
    run = trained_on(tmp_path, frame.to_csv(index=False).encode(), "breast_cancer", "label", columns)
    sent = [
        {
            **row,
            "paid": bool(row["paid"]),
            "open": str(row["open"]).lower(),
            "tags": row["tags"].split("|")[::-1],
            "code": f"{row['code']}.0",
            "size": str(row["size"]),
        }
        for row in rows_of(frame)
    ]
    report = compare(run, sent)
    assert not report.is_drift, report.sentence
