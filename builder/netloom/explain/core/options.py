"""Options of methods: supported ones are applied, and all others are rejected with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from netloom.core.field_errors import field_errors, summary
from netloom.core.plain_json import JsonObject
from netloom.explain.core.baselines import USUAL, BaselineChoice
from netloom.explain.core.errors import UnknownChoiceError
from netloom.explain.core.explainer import BaselineExplainer, Explainer, method_facts, registry

# The names of options in sentences.
OPTION_TITLES = {"baseline": "baseline", "n_steps": "number of steps", "node": "layer", "neuron": "neuron"}
# Why a method does not support an option.
UNSUPPORTED_REASONS = {
    "baseline": "it has no baseline that can be chosen",
    "n_steps": "it does not integrate along a path",
    "node": "it does not explain a layer",
    "neuron": "it does not explain a single neuron",
}


def explainer_of(method: str, options: Mapping[str, Any]) -> Explainer:
    """Return a method with its options.

    Raises:
        UnknownChoiceError: The method does not exist, or does not support the options.
    """
    explainer = registry().get(method)
    if explainer is None:
        raise UnknownChoiceError(f"There is no method {method[:60]!r}; choose one of {', '.join(registry())}.")
    for name in options:
        if name in UNSUPPORTED_REASONS and name not in explainer.model_fields:
            titles = [title for other_name, title in _titles().items() if name in registry()[other_name].model_fields]
            raise UnknownChoiceError(
                f"{explainer.title} does not take a {OPTION_TITLES[name]}: {UNSUPPORTED_REASONS[name]}. Methods that "
                f"take one: {', '.join(titles)}."
            )
    try:
        return explainer.model_validate(dict(options))
    except ValidationError as error:
        errors = field_errors(error, explainer, "option", explainer.title)
        raise UnknownChoiceError(f"{explainer.title}: {summary(errors)}") from None


def supported_options(method: str, options: Mapping[str, Any]) -> JsonObject:
    """Return the options that a method supports."""
    facts = method_facts().get(method)
    return {key: value for key, value in options.items() if facts and key in facts.settings}


def baseline_of(explainer: Explainer) -> BaselineChoice:
    """Return the baseline of a method; the usual one if it has none."""
    return explainer.baseline if isinstance(explainer, BaselineExplainer) else USUAL


def plain_options(explainer: Explainer) -> JsonObject:
    """Return the options as plain values; a custom baseline is replaced by a label."""
    options = explainer.model_dump()
    return options | ({"baseline": "own"} if isinstance(options.get("baseline"), dict) else {})


def _titles() -> dict[str, str]:
    return {name: explainer.title for name, explainer in registry().items()}
