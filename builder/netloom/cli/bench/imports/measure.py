"""Imports each model of a suite, compares its outputs with the original, trains it for a step and exports it again."""

from __future__ import annotations

import gc
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, get_args

from netloom.cli.bench.imports.case import ImportCase, ImportSuite, NotExportedError, Outcome, Reference, State

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.compile.importers import ImportedModel

TOLERANCE = 1e-5
_OTHER_PARAMETERS = "number of trained parameters:"


def measure_imports(
    suites: Iterable[ImportSuite], names: Sequence[str], note: Callable[[str], None]
) -> tuple[list[Outcome], list[str]]:
    """Import the models of the installed suites, only those whose name contains one of `names` if there are any.

    Returns:
        The outcomes, and the names of the packages that are not installed.
    """
    outcomes: list[Outcome] = []
    missing = []
    for suite in suites:
        if find_spec(suite.package) is None:
            missing.append(suite.package)
            continue
        for case in suite.cases():
            if names and not any(name in f"{suite.name}/{case.name}" for name in names):
                continue
            outcome = measure_case(suite.name, case)
            note(f"{suite.name}/{outcome.name}: {outcome.state}{outcome.reason and f': {outcome.reason}'}")
            outcomes.append(outcome)
            gc.collect()  # models refer to themselves, and large ones would fill the memory
    return outcomes, missing


def measure_case(suite: str, case: ImportCase) -> Outcome:
    """Import one model and compare it with its original."""
    from netloom.compile.importers import UnreadableModelError

    start = time.perf_counter()
    state: State
    difference = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries whose models these are
        try:
            imported, reference = case.load()
            reason, difference = compare(imported, reference)
            state = ("remarked" if _is_remarked(imported, reason) else "wrong") if reason else "reproduced"
        except UnreadableModelError as error:
            state, reason = "refused", str(error)
        except NotExportedError as error:
            state, reason = "not exported", str(error)
        except Exception as error:  # a model that ends in a traceback is a mistake, whatever it raises
            state, reason = "wrong", f"{type(error).__name__}: {error}"[:300]
    return Outcome(suite, case.name, state, reason, difference, time.perf_counter() - start)


def compare(imported: ImportedModel, reference: Reference) -> tuple[str, float]:
    """Return what differs between an imported network and its original, and the largest relative difference."""
    import torch

    from netloom.compile import module

    network = module(imported.project)
    network.load_state_dict(imported.weights)
    with torch.no_grad():
        result = network.eval()(*reference.inputs)
    outputs = list(result) if isinstance(result, tuple) else [result]
    if len(outputs) != len(reference.outputs):
        return f"it has {len(outputs)} outputs instead of {len(reference.outputs)}", 0.0
    differences = [_difference(mine, original) for mine, original in zip(outputs, reference.outputs, strict=True)]
    largest = max(differences)
    if not largest <= TOLERANCE:
        return f"its outputs differ by {largest:.1e}", largest
    count = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    if reference.parameters is not None and count != reference.parameters:
        return f"{_OTHER_PARAMETERS} {count:,} instead of {reference.parameters:,}", largest
    return _trains(network, reference.inputs) or _exports(network, reference.inputs), largest


def _is_remarked(imported: ImportedModel, reason: str) -> bool:
    """Whether only the number of parameters differs, and a remark of the import says why."""
    from netloom.compile.importers.imported_model import UNTIED
    from netloom.compile.importers.torch_export.unused_parameters import IN_COMPUTED_WEIGHTS

    causes = (UNTIED, IN_COMPUTED_WEIGHTS)
    return reason.startswith(_OTHER_PARAMETERS) and any(c in remark for c in causes for remark in imported.remarks)


def _difference(mine: torch.Tensor, original: torch.Tensor) -> float:
    """The largest difference, relative to the largest value; the batch is axis 1 here and may be another one there."""
    import torch

    for axis in range(mine.dim()):
        moved = mine.movedim(0, axis)
        if moved.shape == original.shape:
            known = torch.isfinite(original)
            if not torch.equal(known, torch.isfinite(moved)):
                return float("nan")
            distance = (moved.double() - original.double())[known].abs().max() if known.any() else torch.zeros(())
            return float(distance / original[known].double().abs().max().clamp_min(1e-6)) if known.any() else 0.0
    return float("inf")


def _trains(network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> str:
    """What prevents a step of training, or ""."""
    import torch

    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        return ""
    network.eval()  # batch normalization of a single example of 1×1 has no variance in training mode
    result = network(*inputs)
    outputs = [part for part in (result if isinstance(result, tuple) else [result]) if part.requires_grad]
    torch.autograd.backward([part.square().mean() for part in outputs])
    before = [parameter.detach().clone() for parameter in parameters]
    torch.optim.SGD(parameters, 1e-3).step()
    changed = any(not torch.equal(old, new) for old, new in zip(before, parameters, strict=True))
    return "" if changed else "a step of training changes nothing"


def _exports(network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> str:
    """What prevents another export, or ""."""
    import torch

    try:
        torch.export.export(network, inputs)
    except Exception as error:  # torch.export raises exceptions of any class
        return f"it cannot be exported again ({str(error).splitlines()[0][:120]})"
    return ""


def refusals(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """The models that are not reproduced, with the reasons."""
    return [
        (f"{outcome.suite}/{outcome.name}", f"{outcome.state}: {outcome.reason}")
        for outcome in outcomes
        if outcome.state != "reproduced"
    ]


def summary(outcomes: Sequence[Outcome], suites: Sequence[ImportSuite]) -> list[tuple[str, ...]]:
    """Rows of a table: per suite the numbers of models by state, and the promised share."""
    rows = []
    for suite in suites:
        states = Counter(outcome.state for outcome in outcomes if outcome.suite == suite.name)
        total = sum(states.values())
        if total:
            counts = (str(states[state]) for state in get_args(State))
            share = states["reproduced"] / total
            rows.append((suite.title, str(total), *counts, f"{share:.0%}", f"{suite.promised:.0%}"))
    return rows
