"""Verdicts: the results of all checks of an explanation as levels and sentences."""

from __future__ import annotations

from collections.abc import Iterable

from netloom.explain.core.explanation import (
    FAITHFUL_TITLES,
    LEVELS,
    TITLES,
    Completeness,
    CrossCheck,
    Faithfulness,
    Level,
    RandomizationTest,
    Remark,
    Sampling,
    Verdict,
)
from netloom.explain.evidence.model_check import ModelCheck

SURE, LIKELY = 0.05, 0.25
FEWEST_UNITS = 4
# Above this infidelity, more of the change is unexplained than explained.
UNFAITHFUL = 0.5
# The relative standard error up to which estimates are stable, and above which most attributions are noise.
STEADY, UNSTEADY = 0.05, 0.3
# Below this rank correlation two methods contradict each other.
AGREEING = 0.3
FAITHFULNESS = "faithfulness"


def judge(remarks: Iterable[Remark], model: ModelCheck | None = None) -> Verdict:
    """Combine remarks into a verdict: the worst level, all sentences, and a badge that names what was checked.

    Problems of the model itself come first, because an explanation is not better than the model that it explains.
    """
    listed = list(remarks)
    level = _worst(remark.level for remark in listed)
    passed = {remark.check for remark in listed if remark.check and remark.level == "good"}
    badge = TITLES[level]
    if level == "good" and not passed:
        level, badge = "caution", "Not checked"
    elif level == "good":
        badge = FAITHFUL_TITLES[0 if FAITHFULNESS in passed else 1]
    return with_model(Verdict(level, " ".join(remark.sentence for remark in listed), badge), model)


def with_model(verdict: Verdict, model: ModelCheck | None) -> Verdict:
    """Add the problems of the model to a verdict."""
    if model is None or model.passed:
        return verdict
    level = _worst([verdict.level, "caution"])
    return Verdict(level, f"{model.sentence} {verdict.sentence}".strip(), verdict.checked, model.title)


def _worst(levels: Iterable[Level]) -> Level:
    return LEVELS[max((LEVELS.index(level) for level in levels), default=1)]


def on_completeness(proof: Completeness) -> Remark:
    """Judge how closely the attributions sum to the change of the score."""
    gap = proof.score - proof.baseline_score
    if proof.relative_error is None:
        sentence = "The score of this example equals that of the baseline, so there is nothing to attribute."
        return Remark("caution", sentence)
    if proof.by_construction:
        text = "The attributions add up to the change of the score by construction, so completeness proves nothing."
        return Remark("good", text)
    change_text = f"{_number(proof.sum)} of the {_number(gap)} between the baseline and the example"
    if not proof.promised:
        text = f"Each feature was removed separately; these effects sum to {change_text}"
        return Remark("good", f"{text}, and interactions between features account for the rest.")
    steps = f" with {proof.steps} steps" if proof.steps else ""
    text = f"The attributions sum to {change_text} (completeness error {_share(proof.relative_error)}{steps})"
    if proof.word in ("exact", "converged"):
        return Remark("good", f"{text}: {proof.word}.", "completeness")
    if proof.word == "approximate":
        return Remark("caution", f"{text}, so single attributions are approximate.")
    return Remark("poor", f"{text}, so the attributions are unreliable.")


def on_randomization(proof: RandomizationTest) -> Remark:
    """Judge whether the explanation depends on the learned weights."""
    correlation = f"(Spearman {proof.spearman:+.2f} with {proof.draws} networks with shuffled weights)"
    if proof.passed:
        return Remark("good", f"The explanation depends on the learned weights {correlation}.", "randomization")
    return Remark("poor", f"The explanation hardly depends on the learned weights {correlation}: it shows the input.")


def on_faithfulness(proof: Faithfulness | None) -> Remark:
    """Judge how fast the score changes when the top features are removed first, compared with chance."""
    if proof is None:
        return Remark("caution", "There are fewer than two features, so faithfulness cannot be measured.")
    at_least = f"{round(proof.chance * proof.orders)} of {proof.orders} possible orders are as good"
    if proof.units < FEWEST_UNITS:
        text = f"With only {proof.units} features, even the best order may be due to chance: {at_least}."
        return Remark("caution", text)
    better = f"{_orders_beaten(proof)} of {proof.orders} {'possible' if proof.exhaustive else 'random'} orders"
    comparison = "Removing the most important features first changes the score faster than"
    if proof.chance <= SURE:
        return Remark("good", f"{comparison} {better}: faithful.", FAITHFULNESS)
    if proof.chance <= LIKELY:
        return Remark("caution", f"{comparison} {better}: only somewhat faithful.")
    return Remark("poor", f"{comparison} only {better}: hardly better than chance.")


def on_infidelity(proof: Faithfulness) -> Remark | None:
    """Judge whether the attributions predict the joint removal of features; None if they do or have no sign."""
    if proof.infidelity is None or proof.units < FEWEST_UNITS or proof.infidelity < UNFAITHFUL:
        return None
    text = (
        f"The attributions hardly predict the effect of removing several features (infidelity {proof.infidelity:.2f})"
    )
    return Remark("caution", f"{text}, because features interact: trust their order rather than their sizes.")


def on_sampling(proof: Sampling) -> Remark:
    """Judge the sampling error of a method that draws at random."""
    if proof.enumerated:
        return Remark("good", "All coalitions were evaluated, so these Shapley values are exact.", "sampling")
    if proof.standard_error is None:
        return Remark("caution", "The attributions are a single random estimate, so their sampling error is unknown.")
    error_text = (
        f"The attributions are estimated by sampling: the standard error over {proof.repeats} repeats is "
        f"{_share(proof.standard_error)} of the total"
    )
    if proof.standard_error <= STEADY:
        return Remark("good", f"{error_text}.", "sampling")
    if proof.standard_error <= UNSTEADY:
        return Remark("caution", f"{error_text}, so small attributions are not meaningful.")
    return Remark("poor", f"{error_text}, so the attributions are unreliable; take more samples.")


def on_cross_check(proof: CrossCheck) -> Remark:
    """Judge whether a method of another kind ranks the features alike."""
    correlation = f"(rank correlation {proof.spearman:+.2f} over {proof.groups} groups of features)"
    if proof.spearman >= AGREEING:
        return Remark("good", f"{proof.title} agrees {correlation}.", "agreement")
    text = (
        f"{proof.title} disagrees {correlation}: the two methods measure different things here, or one is misleading."
    )
    return Remark("caution", text)


def _orders_beaten(proof: Faithfulness) -> int:
    # Undoes the added order of `chance` = (1 + as_good) / (orders + 1); enumerated orders contain it already.
    as_good = proof.chance * proof.orders if proof.exhaustive else proof.chance * (proof.orders + 1) - 1
    return proof.orders - round(as_good)


def _number(value: float) -> str:
    return f"{value:+.3g}"


def _share(value: float) -> str:
    return f"{value:.2%}" if value < 0.1 else f"{value:.0%}"
