"""The headline of an explanation: the most important features and the result of the checks in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from netloom.core.text import escape
from netloom.data.sequence_pairs import MARKS
from netloom.explain import Explanation
from netloom.explain.core.explainer import method_facts
from netloom.explain.core.parts.axes import Axes
from netloom.explain.core.targets import quantity_of
from netloom.explain.plots.explanation_plots import PlotKind, column_labels, plot_kind
from netloom.modalities.encoding.tokenization import START
from netloom.modalities.fields.text import UNKNOWN_TOKENS
from netloom.ui.components.words import region_name

MAX_NAMED = 3
# A feature is named beside the strongest if it has at least this share of its size; one of the other sign, if it has
# this.
NEAR, OPPOSED = 0.5, 0.3
# An image is divided into this many rows and columns, and a series into this many spans; the strongest is named only
# if it has this share of the whole.
GRID, SPANS, CLEAR = 3, 8, 0.2
START_TOKEN = "the start token"


@dataclass(frozen=True)
class Feature:
    """A feature of the example with its display name and its attribution.

    Attributes:
        plural: Whether the name is plural.
        given: Whether the name is from the data, so that it is not capitalized at the start of a sentence.
        unique: Whether the name is clear without its field.
    """

    name: str
    value: float
    plural: bool = False
    given: bool = False
    unique: bool = False

    def verb(self, verb: str) -> str:
        return verb if self.plural else f"{verb}s"


def headline(explanation: Explanation) -> str:
    """Return the most important features and the result of the checks as Markdown; "" if no feature stands out."""
    method = method_facts().get(explanation.method)
    features = list(_features(explanation))
    if method is None or not method.explains_score or not any(feature.value for feature in features):
        return ""
    if not method.signed:
        by_size = sorted((_with_value(feature, abs(feature.value)) for feature in features), key=_descending)
        return _sentence(explanation, _near(by_size), [], signed=False)
    increasing = _near(sorted(features, key=_descending))
    decreasing = _opposing(features, increasing)
    if increasing and decreasing and increasing[0].value < OPPOSED * decreasing[0].value:
        increasing = []  # negligible beside what decreases the score
    return _sentence(explanation, increasing, decreasing, signed=True)


def listed(names: Sequence[str]) -> str:
    """Return an enumeration of names, with an "and" before the last."""
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last


def visible(token: str) -> str:
    """Return a visible form of a token, also of whitespace and unknown tokens."""
    if token == UNKNOWN_TOKENS[1]:
        return "(unknown)"
    return token if token.strip() else token.replace(" ", "␣").replace("\n", "↵") or "␣"


def prediction_text(explanation: Explanation) -> str:
    """Return the prediction as escaped Markdown with visible whitespace."""
    return escape(visible(explanation.prediction.text)[:80])


def _descending(feature: Feature) -> float:
    return -feature.value


def _with_value(feature: Feature, value: float) -> Feature:
    return Feature(feature.name, value, feature.plural, feature.given, feature.unique)


def _sentence(
    explanation: Explanation, increasing: Sequence[Feature], decreasing: Sequence[Feature], *, signed: bool
) -> str:
    text = _relation(explanation, increasing, decreasing) if signed else _importance(explanation, increasing)
    if not (increasing or decreasing)[0].given:
        text = f"{text[:1].upper()}{text[1:]}"
    baseline = f" (compared with {escape(explanation.baseline)})" if explanation.baseline else ""
    return f"{text}{baseline}. {escape(explanation.verdict.title)}."


def _importance(explanation: Explanation, features: Sequence[Feature]) -> str:
    return f"{_names(explanation, features)} {_verb('matter', features)} most for {_target(explanation)}"


def _relation(explanation: Explanation, increasing: Sequence[Feature], decreasing: Sequence[Feature]) -> str:
    target = _target(explanation)
    lower = f"{_names(explanation, decreasing)} {_verb('decrease', decreasing)}"
    if not increasing:
        return f"{lower} {target} most, and no feature increases it as much"
    text = f"{_names(explanation, increasing)} {_verb('increase', increasing)} {target} most"
    return f"{text}; {lower} it" if decreasing else text


def _names(explanation: Explanation, features: Sequence[Feature]) -> str:
    names = listed([feature.name for feature in features])
    kinds = [plot_kind(explanation, name) for name in explanation.attributions]
    is_plural = any(feature.plural for feature in features)
    return f"{names} of the image" if kinds == [PlotKind.IMAGE] and names and not is_plural else names


def _verb(verb: str, features: Sequence[Feature]) -> str:
    return verb if len(features) > 1 else features[0].verb(verb) if features else ""


def _target(explanation: Explanation) -> str:
    target = explanation.target
    return quantity_of(target).phrase(target, escape(visible(target.name)[:60]))


def _near(features: Sequence[Feature]) -> list[Feature]:
    """Return the first of sorted features and those of similar size, each name once."""
    positive = [feature for feature in features[:MAX_NAMED] if feature.value > 0]
    near = [feature for feature in positive if feature.value >= NEAR * positive[0].value]
    return list({feature.name: feature for feature in near}.values())


def _opposing(features: Sequence[Feature], increasing: Sequence[Feature]) -> list[Feature]:
    """Return the features that decrease the score, unless they are negligible beside those that increase it."""
    mirrored = _near(sorted((_with_value(feature, -feature.value) for feature in features), key=_descending))
    least = OPPOSED * increasing[0].value if increasing else 0.0
    increasing_names = {feature.name for feature in increasing}
    return [feature for feature in mirrored if feature.value >= least and feature.name not in increasing_names]


def _features(explanation: Explanation) -> Iterator[Feature]:
    """Yield the features of all inputs, each with a name that identifies it in the example."""
    features = [
        (field, feature)
        for field, values in explanation.attributions.items()
        for feature in _FEATURES[plot_kind(explanation, field)](explanation, field, values)
    ]
    fields: dict[str, set[str]] = {}
    for field, feature in features:
        fields.setdefault(feature.name, set()).add(field)
    several = len(explanation.attributions) > 1
    for field, feature in features:
        # A column is known by its own name, unless another input has one of the same name.
        is_unambiguous = feature.name == START_TOKEN or (feature.unique and len(fields[feature.name]) == 1)
        suffix = f" of {escape(field[:40])}" if several and not is_unambiguous else ""
        yield Feature(f"{feature.name}{suffix}", feature.value, feature.plural, feature.given)


def _tokens(explanation: Explanation, field: str, values: np.ndarray) -> Iterator[Feature]:
    labels = explanation.labels[field]
    letters = all(len(label) <= 1 for label in labels)
    for position, (label, value) in enumerate(zip(labels, values.tolist(), strict=False)):
        if label == MARKS[START]:
            yield Feature(START_TOKEN, value)
        elif label:
            position_text = f" (position {position + 1})" if letters else ""
            yield Feature(f"“{escape(visible(label)[:30])}”{position_text}", value, given=True)


def _columns(explanation: Explanation, field: str, values: np.ndarray) -> Iterator[Feature]:
    for label, value in zip(column_labels(explanation, field), values.tolist(), strict=True):
        column, _, cell = label.partition(" = ")
        # "Class = Class 3" would name the column twice.
        name = cell if cell.casefold().startswith(column.casefold()) else label
        yield Feature(escape(name), value, given=True, unique=True)


def _regions(explanation: Explanation, field: str, values: np.ndarray) -> Iterator[Feature]:
    """Yield the nine regions of an image (C, H, W), or the whole image if no region stands out."""
    regions = [
        Feature(f"the {region_name(row, column)}", float(cell.sum()))
        for row, cells in enumerate(np.array_split(values.sum(0), GRID, axis=0))  # (C, H, W) -> (H, W)
        for column, cell in enumerate(np.array_split(cells, GRID, axis=1))
    ]
    yield from _standing_out(regions, "all regions of the image")


def _spans(explanation: Explanation, field: str, values: np.ndarray) -> Iterator[Feature]:
    """Yield spans of a series (T, …), or the whole series if none stands out.

    Nodes of a graph with adjacent numbers are not neighbors, so each node is a separate feature.
    """
    by_step, axes = values.reshape(len(values), -1).sum(1), explanation.axes.get(field, Axes())
    count = len(by_step) if axes.is_graph else min(SPANS, len(by_step))
    spans = [
        Feature(_span(axes, steps[0], steps[-1]), float(by_step[steps].sum()), axes.rate > 0 or len(steps) > 1)
        for steps in np.array_split(np.arange(len(by_step)), count)
    ]
    yield from _standing_out(spans, "all time points" if axes.rate else f"all {axes.down}s")


def _span(axes: Axes, first: int, last: int) -> str:
    if axes.rate:
        return f"seconds {first / axes.rate:.3g} to {(last + 1) / axes.rate:.3g}"
    return f"{axes.down} {first}" if first == last else f"{axes.down}s {first} to {last}"


def _standing_out(features: Iterable[Feature], text_name: str) -> Iterator[Feature]:
    features = list(features)
    size = sum(abs(feature.value) for feature in features) or 1.0
    if max(abs(feature.value) for feature in features) < CLEAR * size:
        yield Feature(text_name, sum(feature.value for feature in features), plural=True)
        return
    yield from features


_FEATURES = {
    PlotKind.TEXT: _tokens,
    PlotKind.BARS: _columns,
    PlotKind.IMAGE: _regions,
    PlotKind.SERIES: _spans,
}
