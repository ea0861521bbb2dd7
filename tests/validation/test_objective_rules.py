"""Requirements of objectives on data and Outputs, with messages that state the fix."""

from __future__ import annotations

import pytest

from netloom.data import Schema, TargetSpec
from netloom.document import Project, apply
from netloom.document.loss_settings import Head
from netloom.tasks import student_task, tasks
from netloom.validation import analyze
from tests.validation.documents import BOTH, LABELS, TEN, TWO, heads, net, pairs, schema

DUPLICATES = TargetSpec("class", "label", ("duplicate", "not duplicate"))


def error_messages(document: Project, schema: Schema) -> list[str]:
    return [issue.message for issue in analyze(document, schema).errors]


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (net(1, "binary_classification"), schema(TWO)),
        (net(3, "multi_label"), schema(LABELS)),
        (heads(3, 1), schema(BOTH)),
        (heads(16, 16, objective="siamese"), pairs(TWO)),
        (heads(16, 16, objective="siamese", similar_class="first"), pairs(DUPLICATES)),
        (net(10, "distillation", teacher="run:" + "1" * 8 + "-1111-1111-1111-" + "1" * 12), schema(TEN)),
        (net(12, "contrastive", augment=({"kind": "crop"},)), schema(TEN)),
    ],
)
def test_matching_data_and_outputs_raise_no_errors(document: Project, found: Schema) -> None:
    assert error_messages(document, found) == []


@pytest.mark.parametrize(
    ("document", "found", "sentence"),
    [
        (net(1, "binary_classification"), schema(TEN), "two classes, but the target digit of the data has 10"),
        (net(2, "binary_classification"), schema(TWO), "one logit for the two classes of the data needs"),
        (net(2, "multi_label"), schema(LABELS), "the 3 labels of the data need"),
        (net(3, "multi_label"), schema(TEN), "needs data whose target is labels, any number of which apply"),
        (net(3, "classification"), schema(LABELS), "but the target of this data is labels"),
        (heads(3), schema(BOTH), "need one Output each, in this order; this network has 1"),
        (heads(3, 2), schema(BOTH), "the target area of the data needs"),
        (heads(3, 1, outputs={"weight": Head()}), schema(BOTH), "no such target; it has shape, area"),
        (heads(3, 1, outputs={"area": Head(objective="classification")}), schema(BOTH), "supports regression, but"),
        (heads(3, 1, outputs={"shape": Head(objective="binary_classification")}), schema(BOTH), "target shape has 3"),
        (heads(16, 8, objective="siamese"), schema(TWO), "the same length"),
        (heads(16, 16, objective="siamese"), schema(TWO), "Choose data with two such inputs"),
        (heads(16, objective="siamese"), schema(TWO), "two Outputs"),
        (heads(4, 4, objective="siamese"), schema(TEN), "similar and dissimilar pairs"),
        (heads(16, 16, objective="siamese"), pairs(DUPLICATES), "Set the class of similar pairs to first"),
        (heads(16, 8, objective="contrastive"), schema(TWO), "one Output"),
        (net(12, "contrastive"), schema(TEN), "no augmentation is set"),
        (net(1, "ranking"), schema(TargetSpec("number", "stars", shape=(1,))), "a user and an item"),
        (net(10, "distillation"), schema(TEN), "needs a teacher"),
    ],
)
def test_mismatched_data_and_outputs_raise_errors(document: Project, found: Schema, sentence: str) -> None:
    messages = error_messages(document, found)
    assert any(sentence in message for message in messages), messages


def test_fixes_correct_output_widths_and_the_objective() -> None:
    document, data_schema = heads(7, 7), schema(BOTH)
    for _ in range(2):
        issue = next(issue for issue in analyze(document, data_schema).errors if issue.code == "width")
        assert issue.fix is not None
        document = apply(document, issue.fix.edit)
    assert error_messages(document, data_schema) == []
    wrong = net(10, "binary_classification")
    (first,) = [issue for issue in analyze(wrong, schema(TEN)).errors if issue.code == "objective"]
    assert first.fix is not None
    assert error_messages(apply(wrong, first.fix.edit), schema(TEN)) == []


def test_output_settings_on_a_single_target_do_not_name_missing_targets() -> None:
    messages = error_messages(heads(3, outputs={"area": Head()}), schema(TEN))
    assert any("needs data whose target is several targets side by side" in message for message in messages)
    assert not any("no such target" in message for message in messages)


def test_only_supported_tasks_can_teach() -> None:
    assert student_task("classification") == student_task("distillation") == "distillation"
    assert student_task("detection") == student_task("detector_distillation") == "detector_distillation"
    assert not student_task("regression")
    assert not student_task("")
    learners = {name for name, task in tasks().items() if task.learns_from_teacher}
    assert {task.student for task in tasks().values()} - {""} == learners
