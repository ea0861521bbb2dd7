"""From proofs to words: how far an explanation can be trusted."""

from __future__ import annotations

from collections.abc import Iterable

from builder.explain.explanation import LEVELS, Completeness, Faithfulness, Randomised, Remark, Verdict

SURE, LIKELY = 0.05, 0.25
FEWEST_UNITS = 4
# From where on more of what happens is missed than foretold.
UNFAITHFUL = 0.5


def judge(remarks: Iterable[Remark]) -> Verdict:
    """The worst level, and all sentences."""
    listed = list(remarks)
    level = LEVELS[max((LEVELS.index(remark.level) for remark in listed), default=1)]
    return Verdict(level, " ".join(remark.sentence for remark in listed))


def on_completeness(proof: Completeness) -> Remark:
    """How far the parts add up to what they explain."""
    gap = proof.answer - proof.baseline_answer
    if proof.relative_error is None:
        sentence = "The answer for this example is the same as for the baseline, so there is nothing to share out."
        return Remark("caution", sentence)
    shown = f"{_number(proof.sum)} of {_number(gap)}"
    if not proof.promised:
        text = f"Each part was taken away alone; together these effects make {shown} from the baseline to the answer,"
        return Remark("good", f"{text} and the rest lies in how the parts act together.")
    steps = f" with {proof.steps} steps" if proof.steps else ""
    text = f"The parts add up to {shown} from the baseline to the answer (off by {_share(proof.relative_error)}{steps})"
    if proof.word in ("exact", "converged"):
        return Remark("good", f"{text}: {proof.word}.")
    if proof.word == "approximate":
        return Remark("caution", f"{text}, so single parts are approximate.")
    return Remark("poor", f"{text}: unreliable, so its parts cannot be relied on.")


def on_randomised(proof: Randomised) -> Remark:
    """Whether the explanation depends on what the network learned."""
    shown = f"(Spearman {proof.spearman:+.2f} with {proof.draws} networks of shuffled weights)"
    if proof.passed:
        return Remark("good", f"It depends on what the network learned {shown}.")
    return Remark("poor", f"Much of it stays when the network forgets what it learned {shown}: it shows the input.")


def on_faithfulness(proof: Faithfulness | None) -> Remark:
    """How far the parts that are said to matter do, compared with chance."""
    if proof is None:
        return Remark("caution", "There are not two parts to put in order, so chance cannot be compared with.")
    at_least = f"{round(proof.chance * proof.orders)} of {proof.orders} possible orders do as well"
    if proof.units < FEWEST_UNITS:
        text = f"With only {proof.units} parts, chance tells little: {at_least}."
        return Remark("good" if proof.chance <= 0.5 else "caution", text)
    better = f"{_beaten(proof)} of {proof.orders} {'possible' if proof.exhaustive else 'random'} orders"
    if proof.chance <= SURE:
        return Remark("good", f"Taking parts away in its order changes the answer sooner than {better}: faithful.")
    if proof.chance <= LIKELY:
        text = f"Taking parts away in its order changes the answer sooner than {better}: only somewhat faithful."
        return Remark("caution", text)
    text = f"Taking parts away in its order changes the answer sooner than only {better}: hardly better than chance."
    return Remark("poor", text)


def on_infidelity(proof: Faithfulness) -> Remark | None:
    """Whether the parts foretell what leaving several of them out does; nothing where they do, or have no sign."""
    if proof.infidelity is None or proof.units < FEWEST_UNITS or proof.infidelity < UNFAITHFUL:
        return None
    text = f"Their sums hardly foretell what leaving several parts out does (infidelity {proof.infidelity:.2f})"
    return Remark("caution", f"{text}, so parts act together: read the order, not the sizes.")


def _beaten(proof: Faithfulness) -> int:
    as_good = proof.chance * proof.orders if proof.exhaustive else proof.chance * (proof.orders + 1) - 1
    return proof.orders - round(as_good)


def _number(value: float) -> str:
    return f"{value:+.3g}"


def _share(value: float) -> str:
    return f"{value:.2%}" if value < 0.1 else f"{value:.0%}"
