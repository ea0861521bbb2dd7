"""The options of a method: those that it takes are obeyed, and others are refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from netloom.core.field_errors import field_errors, summary
from netloom.explain.core.baselines import USUAL
from netloom.explain.core.baselines import Asked as Baseline
from netloom.explain.core.errors import UnknownChoiceError
from netloom.explain.core.explainer import Comparing, Explainer, registry

# What options are called in sentences, and why a method that does not know one cannot obey it.
SPOKEN = {"baseline": "baseline", "n_steps": "number of steps", "node": "layer", "neuron": "neuron"}
# Why a method that does not know an option cannot obey it.
UNUSED = {
    "baseline": "it has no baseline that can be chosen",
    "n_steps": "it does not integrate along a path",
    "node": "it does not explain a layer",
    "neuron": "it does not explain a single neuron",
}


def explainer_of(method: str, options: Mapping[str, Any]) -> Explainer:
    """A method with its options.

    Raises:
        UnknownChoiceError: there is no such method, or it does not take these options.
    """
    found = registry().get(method)
    if found is None:
        raise UnknownChoiceError(f"There is no method {method[:60]!r}; choose one of {', '.join(registry())}.")
    for name in options:
        if name in UNUSED and name not in found.model_fields:
            others = [title for other, title in _titles().items() if name in registry()[other].model_fields]
            raise UnknownChoiceError(
                f"{found.title} does not take a {SPOKEN[name]}: {UNUSED[name]}. Methods that take one: "
                f"{', '.join(others)}."
            )
    try:
        return found.model_validate(dict(options))
    except ValidationError as error:
        errors = field_errors(error, found, "option", found.title)
        raise UnknownChoiceError(f"{found.title}: {summary(errors)}") from None


def taken(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some options that a method takes."""
    explainer = registry().get(method)
    return {key: value for key, value in options.items() if explainer and key in explainer.model_fields}


def baseline_of(explainer: Explainer) -> Baseline:
    """What a method compares with; the usual baseline where it does not compare."""
    return explainer.baseline if isinstance(explainer, Comparing) else USUAL


def written(explainer: Explainer) -> dict[str, Any]:
    """The options as plain values; a baseline of one's own is said to be one."""
    options = explainer.model_dump()
    return options | ({"baseline": "own"} if isinstance(options.get("baseline"), dict) else {})


def _titles() -> dict[str, str]:
    return {name: explainer.title for name, explainer in registry().items()}
