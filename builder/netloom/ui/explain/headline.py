"""What an answer rests on, in one plain sentence for those who have never read a map: which parts, and whether that is
to be believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from netloom.data.preparation.fitting import UNKNOWN_TOKENS
from netloom.data.sequence_pairs import MARKS
from netloom.explain import Explanation
from netloom.explain.core.axes import NODE, Axes
from netloom.explain.core.explainer import registry
from netloom.explain.plots.explanation_plots import kind_of, told_columns
from netloom.modalities.encoding.tokenization import START
from netloom.ui.components.words import plain

MOST_NAMED = 3
# A part is named beside the strongest if it has at least this share of its size; one against it, if it has this.
NEAR, OPPOSED = 0.5, 0.3
DOWN, ACROSS = ("upper", "middle", "lower"), ("left", "middle", "right")
# A picture or a series is looked at in so many pieces to a side; the strongest is only named if it holds this share.
PIECES, STRETCHES, CLEAR = 3, 8, 0.2
ALL = "all"
BEGINNING = "the start of the answer"
OURS = ("the ", "step", "seconds", NODE, ALL)
PLURAL = ("steps", "seconds", "nodes", "all steps", "all nodes", "all moments")
RAISING = ("number", "value", "distance", "raw", "head")


@dataclass(frozen=True)
class Part:
    """A part of the example as people know it, and what it adds."""

    name: str
    value: float


def decided(found: Explanation) -> str:
    """Which parts decided the answer and whether that is to be believed, as Markdown; empty where it names none."""
    method = registry().get(found.method)
    listed = list(_parts(found))
    if method is None or not method.of_answer or not any(part.value for part in listed):
        return ""
    strongest = sorted(listed, key=lambda part: -part.value)
    if not method.signed:
        strongest = sorted((Part(part.name, abs(part.value)) for part in listed), key=lambda part: -part.value)
    helping = _near(strongest)
    against = _against(listed, helping) if method.signed else []
    if helping and against and helping[0].value < OPPOSED * against[0].value:
        helping = []  # next to what speaks against it, it is nothing
    said = _said(found, helping, against, signed=method.signed)
    # What people named themselves keeps its letters as they are.
    begun = f"{said[:1].upper()}{said[1:]}" if said.startswith(OURS) else said
    compared = f", compared with {plain(found.compared)}" if found.compared else ""
    return f"{begun}{compared}. {plain(found.verdict.title)}."


def named(names: Sequence[str]) -> str:
    """Names one after the other, with an "and" before the last."""
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last


def seen(token: str) -> str:
    """A token that can be seen, if it is but a blank or one that the network never met."""
    if token == UNKNOWN_TOKENS[1]:
        return "(unknown)"
    return token if token.strip() else token.replace(" ", "␣").replace("\n", "↵") or "␣"


def answer_text(found: Explanation) -> str:
    """What the network answers, as Markdown that cannot vanish."""
    return plain(seen(found.prediction.text)[:80])


def _said(found: Explanation, helping: Sequence[Part], against: Sequence[Part], *, signed: bool) -> str:
    what = _what(found)
    several, others = (named([part.name for part in parts]) for parts in (helping, against))
    if set(map(partial(kind_of, found), found.attributions)) == {"picture"} and len(found.attributions) == 1:
        several, others = (
            f"{text} of the picture" if text and not text.startswith(ALL) else text for text in (several, others)
        )
    if not signed:
        return f"{several} {_verb('matter', helping)} most for {what}"
    if found.target.kind == "error":
        adds, takes = _verb("add", helping), _verb("take", against)
        more = several and f"{several} {adds} most to {what}"
        less = others and f"{others} {takes} from it" if several else f"{others} {takes} most from {what}"
        return "; ".join(filter(None, (more, less)))
    raising = found.target.kind in RAISING and not found.target.quantity.startswith("the score (logit)")
    for_it, against_it = (
        _verb("raise" if raising else "speak", helping),
        _verb("lower" if raising else "speak", against),
    )
    if raising:
        lowers = f"{others} {against_it} it" if helping else f"{others} {against_it} {what} most"
        return "; ".join(filter(None, (several and f"{several} {for_it} {what} most", others and lowers)))
    if not helping:
        return f"{others} {against_it} most against {what}, and little speaks for it"
    begun = f"{several} {for_it} most for {what}"
    return f"{begun}; {others} {against_it} against it" if against else begun


def _verb(verb: str, parts: Sequence[Part]) -> str:
    return verb if len(parts) > 1 or any(part.name.startswith(PLURAL) for part in parts) else f"{verb}s"


def _what(found: Explanation) -> str:
    target = found.target
    if target.kind == "error":
        return "**the error**"
    name = plain(seen(target.name)[:60])
    if target.kind == "value":
        return f"the value of **{name}**"
    return f"**“{name}”** as the next one" if target.kind == "next_token" else f"**{name}**"


def _near(strongest: Sequence[Part]) -> list[Part]:
    best = [part for part in strongest[:MOST_NAMED] if part.value > 0]
    kept = [part for part in best if part.value >= NEAR * best[0].value]
    return list({part.name: part for part in kept}.values())


def _against(listed: Sequence[Part], helping: Sequence[Part]) -> list[Part]:
    """What speaks against it, as far as it weighs anything beside what speaks for it."""
    mirrored = _near(sorted((Part(part.name, -part.value) for part in listed), key=lambda part: -part.value))
    least = OPPOSED * helping[0].value if helping else 0.0
    known = {part.name for part in helping}
    return [part for part in mirrored if part.value >= least and part.name not in known]


def _parts(found: Explanation) -> Iterator[Part]:
    """All parts of all inputs, each called so that it can be found in the example."""
    listed = [
        (name, kind_of(found, name), part)
        for name, values in found.attributions.items()
        for part in _OF[kind_of(found, name)](found, name, values)
    ]
    several = len(found.attributions) > 1
    fields = {part.name: {one for one, _, other in listed if other.name == part.name} for *_, part in listed}
    for name, kind, part in listed:
        # A column is known by its own name, unless another input has one that is called alike.
        known = part.name == BEGINNING or (kind == "bars" and len(fields[part.name]) == 1)
        where = f" of {plain(name[:40])}" if several and not known else ""
        yield Part(f"{part.name}{where}", part.value)


def _words(found: Explanation, name: str, values: np.ndarray) -> Iterator[Part]:
    labels = found.labels[name]
    letters = all(len(label) <= 1 for label in labels)
    for place, (label, value) in enumerate(zip(labels, values.tolist(), strict=False)):
        if label == MARKS[START]:
            yield Part(BEGINNING, value)
        elif label:
            where = f" (place {place + 1})" if letters else ""
            yield Part(f"“{plain(seen(label)[:30])}”{where}", value)


def _columns(found: Explanation, name: str, values: np.ndarray) -> Iterator[Part]:
    for label, value in zip(told_columns(found, name), values.tolist(), strict=True):
        column, _, cell = label.partition(" = ")
        yield Part(plain(cell if cell.casefold().startswith(column.casefold()) else label), value)


def _places(found: Explanation, name: str, values: np.ndarray) -> Iterator[Part]:
    """A picture (C, H, W) in nine pieces; as a whole, where no piece stands out."""
    pieces = {
        f"the {_place(down, across)}": float(cell.sum())
        for down, row in enumerate(np.array_split(values.sum(0), PIECES, axis=0))
        for across, cell in enumerate(np.array_split(row, PIECES, axis=1))
    }
    yield from _standing_out(pieces, f"{ALL} of the picture")


def _place(down: int, across: int) -> str:
    if down == 1:
        return ACROSS[across]
    return f"{DOWN[down]} {ACROSS[across]}"


def _stretches(found: Explanation, name: str, values: np.ndarray) -> Iterator[Part]:
    """A series (T, …) in stretches of steps, or of time; as a whole, where none stands out. Nodes of a graph are no
    neighbours for being counted one after the other, so each stands for itself."""
    by_step, axes = values.reshape(len(values), -1).sum(1), found.axes.get(name, Axes())
    most = len(by_step) if axes.down == NODE else min(STRETCHES, len(by_step))
    stretches = np.array_split(np.arange(len(by_step)), most)
    pieces = {_stretch(axes, steps[0], steps[-1]): float(by_step[steps].sum()) for steps in stretches}
    yield from _standing_out(pieces, f"{ALL} moments alike" if axes.rate else f"{ALL} {axes.down}s alike")


def _stretch(axes: Axes, first: int, last: int) -> str:
    if axes.rate:
        return f"seconds {first / axes.rate:.3g} to {(last + 1) / axes.rate:.3g}"
    return f"{axes.down} {first}" if first == last else f"{axes.down}s {first} to {last}"


def _standing_out(pieces: dict[str, float], whole: str) -> Iterator[Part]:
    size = sum(map(abs, pieces.values())) or 1.0
    if max(map(abs, pieces.values())) < CLEAR * size:
        yield Part(whole, sum(pieces.values()))
        return
    for name, value in pieces.items():
        yield Part(name, value)


_OF = {"text": _words, "bars": _columns, "picture": _places, "series": _stretches, "layer": _columns}
