"""How each proof measurement affects the verdict."""

from __future__ import annotations

from dataclasses import replace

from netloom.explain.core.explanation import Faithfulness
from netloom.explain.evidence.verdict import FEWEST_UNITS, judge, on_faithfulness, on_infidelity

FAITHFUL = Faithfulness(
    units=20,
    orders=39,
    deletion=0.1,
    deletion_chance=0.5,
    insertion=0.9,
    insertion_chance=0.5,
    gain=0.8,
    gain_chance=0.0,
    chance=0.025,
    exhaustive=False,
    fractions=(0.0, 1.0),
    curves={},
    infidelity=0.1,
)


def test_high_infidelity_lowers_the_verdict_to_caution() -> None:
    assert on_infidelity(FAITHFUL) is None
    assert on_infidelity(replace(FAITHFUL, infidelity=None)) is None, "unsigned attributions predict no change"
    assert on_infidelity(replace(FAITHFUL, infidelity=0.9, units=FEWEST_UNITS - 1)) is None, (
        "there are too few segments"
    )
    remark = on_infidelity(replace(FAITHFUL, infidelity=0.98))
    assert remark is not None
    assert "infidelity 0.98" in remark.sentence
    both = judge([on_faithfulness(FAITHFUL), remark])
    assert both.level == "caution", "although its ranking is faithful"
    assert judge([on_faithfulness(FAITHFUL)]).level == "good"
