"""The searchable settings of a document, and the document with assigned values.

A path is training.learning_rate, data.validation, main.linear_1.units (network, node, parameter), or
block.parameters.width. A search space maps each path to {low, high, log, step} or {choices}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias, get_args

import annotated_types

from netloom.core.text import natural
from netloom.document import DataChoice, DocumentError, Edit, EditError, Project, Training, apply
from netloom.document.former_names import present_path
from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES
from netloom.document.rl_settings import Agent
from netloom.layers import FormField, ParameterError, form, registry
from netloom.store.sweeps import ParameterSpace
from netloom.tasks import tasks
from netloom.tasks.unread_settings import unread_settings
from netloom.validation.project_check import refit_edits

MAX_PATHS = 50
MAX_CHOICES = 1_000
POINTS = 5
_NAMED = {"optimizer": tuple(OPTIMIZERS), "schedule": tuple(SCHEDULES)}
_HIDDEN = (
    *("initial_weights", "objective", "device", "dataset", "options", "compile", "cuda_graphs"),
    *("folds", "fold", "split", "epochs"),
)
_KINDS = ("int", "float", "bool", "choice")
# A search space as a user writes it, before validation.
Space: TypeAlias = Mapping[str, Mapping[str, Any]]
# The values of a trial, by path.
Assignment: TypeAlias = dict[str, Any]


class SpaceError(ValueError):
    """An invalid search space; the message is one sentence."""


@dataclass(frozen=True)
class Parameter:
    """A searchable setting of a document: its path, its current value, and a default range."""

    path: str
    title: str
    value: Any
    proposal: ParameterSpace


def searchable(project: Project) -> list[Parameter]:
    """Return all settings that a sweep can search, derived from the declarations of the document and of its layers."""
    parameters = [*_section("training", project.training, Training), *_agent(project.training)]
    parameters += _section("data", project.data, DataChoice)
    for name, network in project.networks.items():
        for key, value in network.parameters.items():
            title = f"{name}: {key}"
            parameters.append(Parameter(f"{name}.parameters.{key}", title, value, _around(value, None)))
        for key in sorted(network.nodes, key=natural):
            parameters += _node(project, name, key)
    return parameters


def check_space(project: Project, space: Space) -> dict[str, ParameterSpace]:
    """Return a validated search space.

    Raises:
        SpaceError: it is empty, has an unknown path, or an invalid range.
    """
    if not isinstance(space, Mapping) or not space:
        raise SpaceError(
            'A search space must be a JSON object such as {"training.learning_rate": {"low": 0.001, "high": 1}}.'
        )
    if len(space) > MAX_PATHS:
        raise SpaceError(f"A sweep searches at most {MAX_PATHS} parameters, received {len(space)}.")
    specs: dict[str, ParameterSpace] = {}
    for written_path, spec in space.items():
        path = present_path(str(written_path))
        current = value_of(project, path)
        if not isinstance(spec, Mapping):
            raise SpaceError(f"{path} must be an object with low and high, or with choices, received {spec!r:.60}.")
        specs[path] = (
            _choices(path, spec) if "choices" in spec else _range(path, spec, _is_whole(project, path, current))
        )
    return specs


def value_of(project: Project, path: str) -> Any:
    """Return the value at a path.

    Raises:
        SpaceError: there is no such path.
    """
    first, _, path_in_section = path.partition(".")
    if first in ("training", "data"):
        value: Any = getattr(project, first).model_dump(mode="json")
        for part in path_in_section.split("."):
            # A section can contain optional settings, which have no value until one is set.
            if not isinstance(value, dict) or (part not in value and "." not in path_in_section):
                names = ", ".join(getattr(project, first).model_dump())
                raise SpaceError(f"There is no {path!r} in this document; {first} has {names}.")
            value = value.get(part)
        return value
    if first not in project.networks:
        sections = ", ".join(["training", "data", *project.networks])
        raise SpaceError(f"There is no {path!r} in this document; a path begins with one of {sections}.")
    network = project.networks[first]
    second, _, name = path_in_section.partition(".")
    if second == "parameters" and name in network.parameters:
        return network.parameters[name]
    node = network.nodes.get(second)
    if node is None:
        raise SpaceError(f"There is no node {second!r} in the network {first!r} for {path!r}.")
    field = _field(node.type, name)
    if field is None:
        names = ", ".join(item.name for item in form(registry()[node.type])) if node.type in registry() else ""
        raise SpaceError(f"{second} has no parameter {name!r}; it has {names or 'none'}.")
    return node.params.get(name, field.default)


def edit(project: Project, assigned: Assignment, home: Path | None = None) -> Edit:
    """Return the single edit that assigns values in a document.

    Args:
        project: The document.
        assigned: The values by their paths, such as `training.learning_rate` or `data.fold`.
        home: The data folder. With it, the network follows a change of the data: another fold has other training rows,
            which can have other categories or words.

    Raises:
        DataError: the data cannot be read.
    """
    sections: dict[str, dict[str, Any]] = {}
    exposed: dict[str, dict[str, Any]] = {}
    nodes: list[dict[str, Any]] = []
    for path, value in assigned.items():
        first, _, path_in_section = present_path(path).partition(".")
        second, _, name = path_in_section.partition(".")
        if first in ("training", "data"):
            section = sections.setdefault(first, {})
            if name:
                current = getattr(project, first).model_dump(mode="json")[second]
                section.setdefault(second, dict(current))[name] = value
            else:
                section[second] = value
        elif second == "parameters":
            exposed.setdefault(first, dict(project.networks[first].parameters))[name] = value
        else:
            nodes.append({"kind": "set", "network": first, "node": second, "params": {name: value}})
    edits = [{"kind": "project", **sections}] if sections else []
    edits += [{"kind": "parameters", "network": name, "values": values} for name, values in exposed.items()]
    batch: Edit = {"kind": "batch", "edits": [*edits, *nodes]}
    if home is None or "data" not in sections:
        return batch
    return {"kind": "batch", "edits": [*batch["edits"], *refit_edits(apply(project, batch), home)]}


def assign(project: Project, assigned: Assignment, home: Path | None = None) -> Project:
    """Return the document with assigned values, as `edit` does.

    Raises:
        DataError: the data cannot be read.
        SpaceError: a value is invalid for its path.
    """
    try:
        return apply(project, edit(project, assigned, home))
    except (EditError, DocumentError, ParameterError) as error:
        raise SpaceError(str(error)) from None


def grid(space: Mapping[str, ParameterSpace]) -> list[Assignment]:
    """Return every combination of values; the last parameter changes fastest. Ranges are divided into `points` values,
    by default 5.

    Raises:
        SpaceError: there are too many combinations.
    """
    axes = [points(spec) for spec in space.values()]
    size = math.prod(map(len, axes))
    if size > 100_000:
        raise SpaceError(f"This grid has {size:,} combinations; take fewer points, or another sampler.")
    return [dict(zip(space, values, strict=True)) for values in product(*axes)]


def points(spec: ParameterSpace) -> list[Any]:
    """Return the values of one parameter in a grid."""
    if "choices" in spec:
        return list(spec["choices"])
    low, high, count = spec["low"], spec["high"], int(spec.get("points", POINTS))
    if spec.get("step"):
        count = min(MAX_CHOICES, int((high - low) / spec["step"] + 1e-9) + 1)  # 0.3 / 0.1 is 2.9999999999999996
        values = [low + spec["step"] * index for index in range(count)]
    elif count == 1:
        values = [low]
    elif spec.get("log"):
        values = [low * (high / low) ** (index / (count - 1)) for index in range(count)]
    else:
        values = [low + (high - low) * index / (count - 1) for index in range(count)]
    # Several points of a narrow range can round to the same integer.
    return list(dict.fromkeys(round(value) for value in values)) if spec.get("whole") else values


def _section(name: str, value: Any, declaration: type) -> list[Parameter]:
    parameters = []
    unread = _unread(value) if isinstance(value, Training) else ()
    for field in form(declaration) if name != "training" else _training_fields():
        if field.name in (*_HIDDEN, *unread) or (field.kind not in _KINDS and field.name not in _NAMED):
            continue
        current = getattr(value, field.name)
        if field.name in _NAMED:
            proposal: ParameterSpace = {"choices": list(_NAMED[field.name])}
        else:
            proposal = _proposal(field, current)
        parameters.append(Parameter(f"{name}.{field.name}", f"{name.capitalize()}: {field.label}", current, proposal))
    return parameters


def _unread(training: Training) -> set[str]:
    """Return the settings that the objective does not use, so that searching them would have no effect."""
    task = tasks().get(training.objective)
    if task is None:
        return set()
    unread = unread_settings(training)
    return unread | (
        {"gradient_accumulation_steps"} if task.environment or task.alternating or task.paired_views else set()
    )


def _rl_settings(training: Training) -> tuple[str, ...]:
    task = tasks().get(training.objective)
    return task.rl_settings if task else ()


def _agent(training: Training) -> list[Parameter]:
    """Return the settings that the agent of the objective uses; empty without an agent."""
    fields = {field.name: field for field in form(Agent)}
    parameters = []
    for name in _rl_settings(training):
        value = getattr(training.agent, name)
        parameters.append(
            Parameter(f"training.agent.{name}", f"Agent: {fields[name].label}", value, _proposal(fields[name], value))
        )
    return parameters


def _training_fields() -> list[FormField]:
    """Return the fields of the training section that a form can show, without nested ones."""
    return [field for name in Training.model_fields if (field := _form_field(name)) is not None]


def _form_field(name: str) -> FormField | None:
    """Return the form field of a training setting; None if a form cannot show it.

    Each setting is asked about by itself, as `form` refuses a model with a single field that it cannot show.
    """
    from pydantic import create_model

    info = Training.model_fields[name]
    model = create_model("One", **{name: (info.annotation, info)})  # type: ignore[call-overload]
    try:
        field = form(model)[0]
    except TypeError:
        return None
    # The bounds of an optional field are inside its annotation.
    inner = [item for part in get_args(info.annotation) for item in getattr(part, "__metadata__", ())]
    for bound in (bound for item in inner for bound in getattr(item, "metadata", ())):
        if isinstance(bound, (annotated_types.Gt, annotated_types.Ge)):
            low: Any = bound.gt if isinstance(bound, annotated_types.Gt) else bound.ge
            field = replace(field, minimum=low, exclusive_minimum=isinstance(bound, annotated_types.Gt))
        elif isinstance(bound, annotated_types.Le):
            high: Any = bound.le
            field = replace(field, maximum=high)
    return field


def _node(project: Project, network: str, key: str) -> list[Parameter]:
    node = project.networks[network].nodes[key]
    layer = registry().get(node.type)
    if layer is None or node.type in ("Input", "Output"):
        return []
    parameters = []
    for field in form(layer):
        value = node.params.get(field.name, field.default)
        if (field.kind in _KINDS and not isinstance(value, str | None)) or field.kind == "choice":
            title = f"{network}: {node.title or key} {field.label.lower()}"
            parameters.append(Parameter(f"{network}.{key}.{field.name}", title, value, _proposal(field, value)))
    return parameters


def _field(kind: str, name: str) -> FormField | None:
    layer = registry().get(kind)
    return next((item for item in form(layer) if item.name == name), None) if layer else None


def _proposal(field: FormField, value: Any) -> ParameterSpace:
    if field.kind == "bool":
        return {"choices": [False, True]}
    if field.kind == "choice":
        return {"choices": list(field.choices)}
    return _around(value, field)


def _around(value: Any, field: FormField | None) -> ParameterSpace:
    """Return a range around a number, within the bounds of its declaration."""
    low_bound = field.minimum if field and field.minimum is not None else -math.inf
    high_bound = field.maximum if field and field.maximum is not None else math.inf
    is_integer = field.kind == "int" if field else isinstance(value, int)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
        small = max(0.0, low_bound)
        if field and field.exclusive_minimum and not is_integer:
            return {"low": 0.01, "high": min(high_bound, 1.0), "log": True}
        high = min(high_bound, 10 if is_integer else 0.5 if high_bound <= 1 else 1.0)
        return {"low": int(small), "high": int(high), "whole": True} if is_integer else {"low": small, "high": high}
    if is_integer:
        low, high = max(low_bound, 1, value // 4), min(high_bound, value * 4)
        return {"low": int(low), "high": int(high), "log": value >= 8, "whole": True}
    if high_bound <= 1 and value >= 0.01:  # a share, such as a dropout rate: linear over all its values
        low = max(0.0, low_bound)
        return {"low": 0.05 if field and field.exclusive_minimum and low == 0 else low, "high": min(0.9, high_bound)}
    # Rounded to two digits, because a tenth of 0.00001 is inexact in binary, and values from a search have many digits.
    below, above = (float(f"{value * factor:.2g}") for factor in (0.1, 10))
    return {"low": max(low_bound, below), "high": min(high_bound, above), "log": True}


def _is_whole(project: Project, path: str, current: Any) -> bool:
    first, _, path_in_section = path.partition(".")
    if first in ("training", "data"):
        of_agent = first == "training" and path_in_section.startswith("agent.")
        fields = form(Agent) if of_agent else _training_fields() if first == "training" else form(DataChoice)
        return any(item.name == path_in_section.removeprefix("agent.") and item.kind == "int" for item in fields)
    second, _, name = path_in_section.partition(".")
    node = project.networks[first].nodes.get(second)
    field = _field(node.type, name) if node else None
    return field.kind == "int" if field else isinstance(current, int) and not isinstance(current, bool)


def _choices(path: str, spec: Mapping[str, Any]) -> ParameterSpace:
    choices = spec["choices"]
    if not isinstance(choices, (list, tuple)) or not 0 < len(choices) <= MAX_CHOICES:
        raise SpaceError(f"{path}: choices must be a list of 1 to {MAX_CHOICES:,} values, received {choices!r:.60}.")
    try:
        written = [json.dumps(choice, allow_nan=False) for choice in choices]
    except (TypeError, ValueError):
        raise SpaceError(f"{path}: choices must be JSON values.") from None
    return {"choices": [json.loads(text) for text in dict.fromkeys(written)]}


def _range(path: str, spec: Mapping[str, Any], is_integer: bool) -> ParameterSpace:
    allowed = ("low", "high", "log", "step", "points", "whole")
    unknown = [str(key) for key in spec if key not in allowed]
    if unknown:
        raise SpaceError(f"{path}: {unknown[0]!r} is not known; a range has low, high, log, step and points.")
    low: Any = spec.get("low")
    high: Any = spec.get("high")
    if not _number(low) or not _number(high):
        raise SpaceError(f"{path} needs low and high as numbers, or choices, received {dict(spec)!r:.80}.")
    if not low < high:
        raise SpaceError(f"{path}: low must be below high, received {low} and {high}.")
    if spec.get("log") and low <= 0:
        raise SpaceError(f"{path}: on a logarithmic scale, low must be above 0, received {low}.")
    checked_range: ParameterSpace = {"low": low, "high": high, "log": bool(spec.get("log", False)), "whole": is_integer}
    if is_integer:
        checked_range |= {"low": round(low), "high": round(high)}
    for key in ("step", "points"):
        if spec.get(key) is not None:
            if not _number(spec[key]) or spec[key] <= 0 or (key == "points" and spec[key] > MAX_CHOICES):
                raise SpaceError(f"{path}: {key} must be a number above 0, received {spec[key]!r:.40}.")
            checked_range[key] = spec[key]
    if checked_range["log"] and "step" in checked_range:
        raise SpaceError(f"{path}: a logarithmic scale has no step; use points for a grid.")
    return checked_range


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
