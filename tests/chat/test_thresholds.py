"""Thresholds from validation rows, held against exhaustive search and against dialogues."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netloom.chat import (
    Dialogue,
    PolicyError,
    ThresholdLimits,
    default_policy,
    intent_target,
    propose_thresholds,
    understand,
)
from netloom.chat.outcomes import Outcomes, outcomes
from netloom.chat.policy import Fallback
from netloom.chat.thresholds import AMBIGUITIES, automation_curve, choose
from netloom.core.errors import UsageError
from netloom.runs import TrainedRun, fit_here
from netloom.templates import templates
from netloom.training.streaming import evaluation_rows

OUTSIDE = ("weather",)


@pytest.fixture(scope="module")
def assistant() -> TrainedRun:
    project = templates()["commands_joint"].project
    training = project.training.model_copy(update={"epochs": 2, "device": "cpu"})
    return fit_here(project.model_copy(update={"training": training}))


def random_outcomes(seed: int, rows: int = 60) -> Outcomes:
    """Messages whose confidence says something about whether they are right, with ties."""
    generator = np.random.default_rng(seed)
    confidence = generator.beta(4, 2, rows).round(2)
    is_outside = generator.random(rows) < 0.3
    is_right = (generator.random(rows) < confidence) & ~is_outside
    margin = (confidence * generator.random(rows)).round(2)
    return Outcomes("validation", confidence, margin, generator.random(rows) < 0.9, is_right, is_outside, True)


def allowed(part: Outcomes, limits: ThresholdLimits, confidence: float, ambiguity: float) -> int:
    """The number of accepted messages of a pair; -1 if it breaks a limit."""
    accepted = part.is_candidate & (part.confidence >= confidence) & (part.margin >= ambiguity)
    error = (~part.is_right)[accepted].mean() if accepted.any() else 0.0
    recall = (~accepted)[part.is_outside].mean()
    is_allowed = (limits.max_error is None or error <= limits.max_error) and (
        limits.min_recall is None or recall >= limits.min_recall
    )
    return int(accepted.sum()) if is_allowed else -1


@pytest.mark.parametrize(
    "limits", [ThresholdLimits(0.1), ThresholdLimits(0.25), ThresholdLimits(None, 0.6), ThresholdLimits(0.3, 0.9)]
)
def test_no_pair_that_keeps_the_limits_accepts_more(limits: ThresholdLimits) -> None:
    for seed in range(25):
        part = random_outcomes(seed)
        chosen = choose(part, limits)
        pairs = [(float(level), ambiguity) for level in np.unique(part.confidence) for ambiguity in AMBIGUITIES]
        best = max(allowed(part, limits, *pair) for pair in pairs)
        assert (chosen is None) == (best <= 0)
        if chosen is not None:
            assert allowed(part, limits, *chosen) == best
            assert part.measured(*chosen).automation == pytest.approx(best / 60)


def test_measures_are_those_of_dialogues(assistant: TrainedRun) -> None:
    """Each message of the split begins a dialogue of its own."""
    policy = default_policy(intent_target(assistant.data.schema).classes, (), OUTSIDE)
    fallback = Fallback(confidence=0.45, confirm_from=0.3, ambiguity=0.2, out_of_scope=OUTSIDE)
    policy = policy.model_copy(update={"fallback": fallback})
    rows = evaluation_rows(assistant.data, "test").tolist()
    messages = [str(assistant.data.row(row)["text"]) for row in rows]
    accepted = np.array([Dialogue(policy).respond(item).intent for item in understand(assistant, messages)])
    truth = np.array([assistant.data.target_text(row).split(" ")[0].strip(",:;") for row in rows])
    known = intent_target(assistant.data.schema).classes
    assert set(truth) <= set(known)

    measured = outcomes(assistant, "test", OUTSIDE).measured(fallback.confidence, fallback.ambiguity)
    is_accepted, is_outside = accepted != "", np.isin(truth, OUTSIDE)
    assert 0 < is_accepted.sum() < len(rows)
    assert measured.automation == pytest.approx(is_accepted.mean())
    assert measured.error == pytest.approx((accepted != truth)[is_accepted].mean())
    assert measured.in_scope_accuracy == pytest.approx((accepted == truth)[~is_outside].mean())
    assert measured.out_of_scope_recall == pytest.approx((~is_accepted)[is_outside].mean())


def test_a_proposal_is_chosen_on_validation_and_measured_on_test_rows(assistant: TrainedRun) -> None:
    report = propose_thresholds(assistant, OUTSIDE, ThresholdLimits(0.05, 0.6), (0.6, 0.1))
    proposal = report.proposal
    assert proposal is not None
    assert proposal.test is not None
    known = outcomes(assistant, "validation", OUTSIDE)
    assert choose(known, ThresholdLimits(0.05, 0.6)) == (proposal.confidence, proposal.ambiguity)
    assert (proposal.validation.error or 0) <= 0.05
    assert (proposal.validation.out_of_scope_recall or 0) >= 0.6
    unseen = outcomes(assistant, "test", OUTSIDE)
    assert proposal.test == unseen.measured(proposal.confidence, proposal.ambiguity)
    assert [part.split for part in report.now] == ["validation", "test"]
    fallback = proposal.applied_to(Fallback(confirm_from=1.0, confidence=1.0))
    assert fallback.confirm_from == fallback.confidence == proposal.confidence


def test_curve_ends_at_the_share_of_messages_that_can_be_accepted() -> None:
    part = random_outcomes(1)
    curve = automation_curve(part, 0.0)
    assert curve is not None
    assert curve.coverage[-1] == pytest.approx(part.is_candidate.mean())
    assert curve.risk[-1] == pytest.approx((~part.is_right)[part.is_candidate].mean())


def test_impossible_limits_are_refused_in_words(assistant: TrainedRun) -> None:
    for limits, message in (
        (ThresholdLimits(None, None), "Set a limit"),
        (ThresholdLimits(1.5), "from 0 to below 1"),
        (ThresholdLimits(0.1, 1.5), "above 0, up to 1"),
        (ThresholdLimits(None, 0.6), "No validation row is out of scope"),
    ):
        with pytest.raises(UsageError, match=message):
            propose_thresholds(assistant, (), limits, (0.6, 0.1))
    everything = intent_target(assistant.data.schema).classes
    report = propose_thresholds(assistant, everything, ThresholdLimits(0.1), (0.6, 0.1))
    assert report.proposal is None
    assert "does not predict an intent in scope" in report.reason


def test_policies_of_runs_are_checked(assistant: TrainedRun, tmp_path: Path) -> None:
    from netloom.chat import checked_policy, dumps
    from netloom.store import open_store

    with pytest.raises(PolicyError, match=r"a\.json: intents\.a: the run does not have this intent.* more"):
        checked_policy(dumps(default_policy(["a"])).encode(), assistant.data.schema, open_store(tmp_path), "a.json")
