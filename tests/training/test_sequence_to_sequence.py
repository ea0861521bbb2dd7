"""Sequence to sequence: loss, greedy decoding against a slow loop, and what teacher forcing would hide."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from netloom.cli.commands.runs import evaluation_lines as lines_of
from netloom.data import Prepared, prepare
from netloom.data.builtin.dates import FORMS, written_date
from netloom.data.sequence_pairs import DECODER_INPUT, Pairs
from netloom.document import DataChoice, Project, Training, apply
from netloom.explain import explain
from netloom.modalities.encoding.field_encoder import field_encoder
from netloom.modalities.encoding.rows import encode_rows
from netloom.modalities.encoding.tags import IGNORE
from netloom.modalities.encoding.text_fields import TokenState, write, written
from netloom.modalities.encoding.tokenization import END, PAD, START, UNKNOWN
from netloom.runs import TrainedRun, evaluate, fit_here, predict
from netloom.store import Run
from netloom.store.run_summary import RunSummary
from netloom.templates import templates
from netloom.training import OBJECTIVES, Evaluation
from netloom.training.trainer import Callback
from netloom.validation import validate
from tests.explain.models import untrained_run as fresh
from tests.networks import chain
from tests.runs.examples import Recorder, loop

TEXTS = OBJECTIVES["seq2seq"]


def short_template(name: str, **training: Any) -> Project:
    """A template with a shorter training."""
    project = templates()[name].project
    short = Training(**{**project.training.model_dump(), "device": "cpu", **training})
    return project.model_copy(update={"training": short})


@cache
def half_trained() -> TrainedRun:
    """A network whose answers are partly right and partly wrong."""
    return fit_here(short_template("dates_gru", epochs=4))


@cache
def half_trained_evaluation() -> Evaluation:
    return evaluate(half_trained())


def answer_token_by_token(run: TrainedRun, row: int) -> str:
    """The answer to one row, generated token by token with a full forward pass each time."""
    field = run.data.token_field(DECODER_INPUT)
    text = ""
    for index in range(field.length):
        decoder_input = [START, *(field.vocabulary.index(letter) for letter in text)]
        decoder_input += [PAD] * (field.length - len(decoder_input))
        with torch.no_grad():
            inputs = {"text": run.data.inputs["text"][row : row + 1], DECODER_INPUT: torch.tensor([decoder_input])}
            token = int(run.model(*[inputs[name] for name in run.fields])[0, index].argmax())
        if token == END:
            break
        text += field.vocabulary[token]
    return text


def test_seq2seq_loss_is_the_mean_over_answer_tokens() -> None:
    target = torch.tensor([[3, 2, IGNORE], [1, IGNORE, IGNORE]])
    output = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))
    by_hand = 0.0
    for row, place in ((0, 0), (0, 1), (1, 0)):
        line = [math.exp(value) for value in output[row, place].tolist()]
        by_hand -= math.log(line[int(target[row, place])] / sum(line)) / 3
    assert float(TEXTS.loss(output, target)) == pytest.approx(by_hand, rel=1e-5)
    other = output.clone()
    other[target == IGNORE] = 1e3
    scores = TEXTS.scores(other, target)
    assert scores.count == 3
    assert float(scores.sums["loss"]) / 3 == pytest.approx(by_hand, rel=1e-5)
    right = sum(int(output[row, place].argmax()) == int(target[row, place]) for row, place in ((0, 0), (0, 1), (1, 0)))
    assert int(scores.sums["accuracy"]) == right


def test_date_phrases_match_strptime() -> None:
    known = {
        "{day} {month} {year}": "%d %B %Y",
        "{day} {short} {year}": "%d %b %Y",
        "{month} {day}, {year}": "%B %d, %Y",
        "{day}.{number}.{year}": "%d.%m.%Y",
        "{day}/{number}/{year}": "%d/%m/%Y",
        "{weekday}, {day} {month} {year}": "%A, %d %B %Y",
        "{weekday} {day}.{number}.{year}": "%A %d.%m.%Y",
    }
    assert set(known) < set(FORMS)
    days = [date.fromordinal(number) for number in range(date(1990, 1, 1).toordinal(), 738_000, 41)]
    for form, code in known.items():
        for day in days:
            assert datetime.strptime(written_date(day, form), code).date() == day
            # strptime does not check the weekday.
            assert written_date(day, form).startswith(day.strftime("%A")) == ("weekday" in form)
    assert written_date(date(2022, 3, 3), "{month} {nth}, {spoken}") == "March 3rd, twenty twenty two"
    assert (
        written_date(date(1999, 5, 31), "the {ordinal} of {month}, {spoken}")
        == "the thirty-first of May, nineteen ninety nine"
    )
    assert written_date(date(2005, 5, 20), "{ordinal} {nth} {spoken}") == "twentieth 20th twenty oh five"
    assert written_date(date(2012, 5, 12), "{ordinal} {nth} {spoken}") == "twelfth 12th twenty twelve"
    assert written_date(date(2000, 5, 21), "{ordinal} {nth} {spoken}") == "twenty-first 21st two thousand"


@pytest.mark.long
def test_dates_split_has_no_answer_leakage_or_truncation() -> None:
    data = half_trained().data
    assert isinstance(data.raw, Pairs)
    answers = [{data.target_text(row) for row in rows.tolist()} for rows in data.split.values()]
    assert not answers[2] & (answers[0] | answers[1])
    assert len(set(data.raw.texts)) == len(data.raw.texts)
    assert not (data.inputs["text"] == UNKNOWN).any()
    for row in data.split["test"].tolist():
        target = data.target[row]
        assert written(data.token_field(DECODER_INPUT).vocabulary, target.tolist()) == data.raw.answers[row]
        assert data.inputs[DECODER_INPUT][row].tolist() == [START, *target[:-1].tolist()]
        assert (data.inputs["text"][row] != PAD).sum() == len(data.example(row).tokens)


def test_answers_are_padded_and_end_with_end_token() -> None:
    raw = Pairs(
        name="text", target=np.arange(3), target_kind="sequence", texts=["a", "b", "c"], answers=["xy", "", "xyz"]
    )
    _, fitted = raw.fits(np.array([0, 1]))
    assert isinstance(fitted, TokenState)
    assert (fitted.length, fitted.vocabulary[4:]) == (3, ["x", "y"])
    x, y = 4, 5
    # The third answer is longer than any training answer, so it is truncated and has no end token.
    assert raw.answered(field_encoder(fitted)).tolist() == [[x, y, END], [END, IGNORE, IGNORE], [x, y, UNKNOWN]]
    rows = [raw.row(0), raw.row(1), {"text": "nothing is written yet"}]
    encoded = encode_rows({"fields": [fitted]}, rows)[DECODER_INPUT]
    assert encoded.tolist() == [[START, x, y], [START, PAD, PAD], [START, PAD, PAD]]
    assert [written(fitted.vocabulary, line) for line in ([x, END, y], [END], [x, y, x])] == ["x", "", "xyx"]


def test_greedy_decoding_picks_the_most_likely_token() -> None:
    prefixes = []

    def scores(so_far: np.ndarray) -> np.ndarray:
        """Row 0 counts up and ends; row 1 repeats a token."""
        prefixes.append(so_far.copy())
        following = np.stack([np.where(so_far[0] == 6, END, np.maximum(so_far[0] + 1, 4)), np.full(4, 5)])
        one_hot: np.ndarray = np.eye(8)[following.astype(int)]
        return one_hot

    assert write(4, 2, scores).tolist() == [[4, 5, 6, END], [5, 5, 5, 5]]
    assert [prefix[0].tolist() for prefix in prefixes[:3]] == [
        [START, PAD, PAD, PAD],
        [START, 4, PAD, PAD],
        [START, 4, 5, PAD],
    ]
    ending = write(4, 1, lambda so_far: np.eye(8)[np.full((1, 4), END)])
    assert ending.tolist() == [[END, PAD, PAD, PAD]]


def test_exact_match_equals_token_by_token_decoding() -> None:
    run = half_trained()
    evaluation = half_trained_evaluation()
    rows = run.data.split["test"]
    answers = {row: answer_token_by_token(run, row) for row in rows[:30].tolist()}
    (first_rows, all_rows) = (
        evaluate(TrainedRun(run.project, run.source, run.model, with_test_rows(run.data, rows[:30]))),
        evaluation,
    )
    exact = sum(answer == run.data.raw.row(row)[DECODER_INPUT] for row, answer in answers.items()) / len(answers)
    assert 0 < exact < 1
    assert first_rows.metrics["exact_match"] == pytest.approx(exact)
    assert all_rows.report is not None
    exact_rows = [bool(line["exact"]) for line in all_rows.report]
    assert exact_rows == sorted(exact_rows)
    for line in first_rows.report or []:
        row = int(line["row"] or 0)
        assert line["answered"] == answers[row]
        assert line["expected"] == run.data.raw.row(row)[DECODER_INPUT]
    assert {item.row: item.predicted for item in first_rows.worst}.items() <= answers.items()
    raw = [{"text": run.data.row(row)["text"]} for row in answers]  # from the source text only
    assert [answer["prediction"] for answer in predict(run, raw)] == list(answers.values())
    json.dumps(evaluation.as_json(), allow_nan=False)


def test_command_line_lists_generated_answers() -> None:
    evaluation = half_trained_evaluation()
    assert evaluation.report
    lines = "\n".join(
        lines_of(cast(Run, SimpleNamespace(title="Dates", id="1", summary=RunSummary())), evaluation)
    ).splitlines()
    first = evaluation.report[0]
    (shown,) = [line for line in lines if line and line.split()[0] == f"{first['row']:,}"][:1]
    assert str(first["expected"]) in shown
    assert str(first["answered"]) in shown
    assert shown.endswith("no")


def with_test_rows(data: Prepared, rows: torch.Tensor) -> Prepared:
    """The data with only these test rows."""
    return replace(data, split={**data.split, "test": rows})


@pytest.mark.long
def test_bidirectional_decoder_fails_at_exact_match() -> None:
    """A decoder that reads the answer in both directions copies its input, and cannot generate an answer."""
    field = prepare(DataChoice(dataset="dates", options={"rows": 300})).schema.inputs[-1]
    peeking = chain(
        ("Input", field.parameters()),
        ("Embedding", {"vocabulary": field.vocabulary, "dim": 16}),
        ("GRU", {"hidden_size": 16, "bidirectional": True}),
        ("Linear", {"units": field.vocabulary}),
        data=DataChoice(dataset="dates", options={"rows": 300}),
        training=Training(objective="seq2seq", epochs=12, batch_size=16, learning_rate=0.02, device="cpu"),
    )
    metrics = evaluate(fit_here(peeking)).metrics
    assert metrics["token_accuracy"] > 0.9
    assert metrics["exact_match"] < 0.05


def test_explanation_targets_the_generated_answer() -> None:
    run = half_trained()
    rows = run.data.split["test"].tolist()
    wrong = next(row for row in rows if answer_token_by_token(run, row) != run.data.target_text(row))
    for example in (wrong, {"text": run.data.row(wrong)["text"]}):
        explanation = explain(run, "occlusion", example, target={"position": 2})
        assert explanation.prediction.text == explanation.example.answer == answer_token_by_token(run, wrong)
        assert (explanation.target.position, explanation.target.name) == (2, answer_token_by_token(run, wrong)[2])
        assert explanation.labels[DECODER_INPUT][:2] == ("⟨start⟩", answer_token_by_token(run, wrong)[0])
        assert explanation.attributions["text"].shape == run.data.schema.inputs[0].shape


def test_cross_attention_maps_answer_to_source() -> None:
    run = half_trained()
    row = int(run.data.split["test"][0])
    maps = explain(run, "attention", row).attention
    assert maps is not None
    (layer,) = maps.layers
    source, decoder_input = run.data.schema.inputs
    assert layer.weights.shape == (2, decoder_input.shape[0], source.shape[0])
    np.testing.assert_allclose(layer.weights.sum(-1), 1.0, atol=1e-6)
    assert layer.query_labels == ("⟨start⟩", *answer_token_by_token(run, row)[: decoder_input.shape[0] - 1])
    tokens = run.data.example(row).tokens
    assert layer.key_labels[: len(tokens)] == tokens
    assert not any(layer.key_labels[len(tokens) :])
    assert layer.weights[..., len(tokens) :].max() == 0.0  # the mask hides the padding


def test_transformer_attention_maps_have_matching_tokens() -> None:
    run = fresh(short_template("dates_transformer"))
    maps = explain(run, "attention", int(run.data.split["test"][0])).attention
    assert maps is not None
    source_length, answer_length = (spec.shape[0] for spec in run.data.schema.inputs)
    assert [layer.weights.shape[1:] for layer in maps.layers] == [
        (source_length, source_length),
        (answer_length, answer_length),
        (answer_length, source_length),
    ]
    words, letters = maps.layers[0].query_labels, maps.layers[1].query_labels
    assert letters[0] == "⟨start⟩"
    assert [(layer.query_labels, layer.key_labels) for layer in maps.layers] == [
        (words, words),
        (letters, letters),
        (letters, words),
    ]
    assert maps.rollout is not None
    assert maps.rollout.shape == (source_length + answer_length,) * 2
    np.testing.assert_allclose(maps.rollout.sum(-1), 1.0, atol=1e-6)


@pytest.mark.parametrize("name", ["dates_gru", "dates_transformer"])
def test_loss_falls_and_resume_equals_uninterrupted_run(name: str, home: Path) -> None:
    data = DataChoice(dataset="dates", options={"rows": 800})
    document = short_template(name, epochs=2).model_copy(update={"data": data})
    whole = loop(document, home)
    before = whole.evaluate("validation")["loss"]
    whole.fit(Callback())
    assert whole.evaluate("validation")["loss"] < 0.8 * before
    first = loop(document, home)
    first.fit(Recorder(stop_at=20))
    checkpoint = first.checkpoint()
    second = loop(document, home)
    second.resume(checkpoint, first.best.weights)
    second.fit(Callback())
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[key])


def test_wrong_task_or_output_width_is_reported() -> None:
    right, schema = short_template("dates_gru"), half_trained().data.schema
    assert not validate(right, schema)
    other = right.model_copy(update={"training": Training(objective="classification")})
    (issue,) = [issue for issue in validate(other, schema) if issue.code == "objective"]
    assert "needs data whose target is classes, but the target of this data is a text" in issue.message
    assert issue.fix is not None
    assert apply(other, issue.fix.edit).training.objective == "seq2seq"
    narrow = apply(right, {"kind": "set", "node": "linear_2", "params": {"units": 9}})
    (issue,) = [issue for issue in validate(narrow, schema) if issue.severity == "error"]
    assert (issue.code, issue.node) == ("width", "output_1")
    assert "(N, 11, 15)" in issue.message
    assert issue.fix is not None
    assert not validate(apply(narrow, issue.fix.edit), schema)
    moons_project = chain(("Input", {"kind": "vector", "shape": [2]}), ("Linear", {"units": 2}),
                    data=DataChoice(dataset="moons"), training=Training(objective="seq2seq"))  # fmt: skip
    messages = [issue.message for issue in validate(moons_project, prepare(DataChoice(dataset="moons")).schema)]
    assert any(
        "target is a text as the answer, but the target of this data is classes" in message for message in messages
    )
