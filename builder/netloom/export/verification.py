"""Compare the network in a file with the network in the app, on test rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import zip_longest
from typing import TYPE_CHECKING

from netloom.export.format import Batch, ExportError, Format, Trained

if TYPE_CHECKING:
    import torch
    from torch import nn

# Batches of five and of one: a file with a fixed batch size, or one that mixes examples, fails on one of them.
ROWS = 10
SIZES = (5, 1)


def difference(kind: Format, trained: Trained, content: bytes) -> float:
    """Return the largest difference between an output of the file and that of the app, as `largest_difference`.

    Raises:
        ExportError: The file cannot be loaded or run.
    """

    def outputs_of(batches: list[Batch]) -> list[Batch]:
        try:
            return kind.answers(content, batches)
        except ExportError:
            raise
        except Exception as error:  # other runtimes raise exceptions of their own
            raise ExportError(f"{kind.title}: the file was written, but it does not run: {cause(error)}.") from error

    return largest_difference(trained, outputs_of)


def largest_difference(trained: Trained, outputs_of: Callable[[list[Batch]], list[Batch]], count: int = ROWS) -> float:
    """Return the largest difference between an output that `outputs_of` computes for `count` test rows and that of the
    app; infinite if the shapes differ.

    It is relative to the largest output of the app for a batch if that exceeds 1, because float32 has seven significant
    digits.
    """
    inputs = sample(trained, count)
    # A network that computes each row by itself has other outputs in a batch.
    sizes = (1,) if getattr(trained.model, "is_row_by_row", False) else SIZES
    batches = [
        tuple(value[start : start + size] for value in inputs) for size in sizes for start in range(0, count, size)
    ]
    pairs = zip(run(trained.model, batches), outputs_of(batches), strict=True)
    return max(
        distance(actual, expected_tensor)
        for expected_batch, output_batch in pairs
        # A missing or an additional output is infinitely far off.
        for expected_tensor, actual in zip_longest(expected_batch, output_batch)
    )


def sample(trained: Trained, count: int) -> Batch:
    """Return the inputs of the first `count` test rows, or of other rows if there is no test split, repeated if there
    are fewer, in the order of the arguments."""
    rows = next(part for name in ("test", "validation", "train") if len(part := trained.data.split[name]))
    chosen = rows.repeat(-(-count // len(rows)))[:count]
    return tuple(trained.data.inputs[name][chosen] for name in trained.fields)


def run(network: nn.Module, batches: list[Batch]) -> list[Batch]:
    """Return the outputs of a network for batches, each a tuple with one tensor per output."""
    import torch

    with torch.no_grad():
        outputs = [network(*batch) for batch in batches]
    return [tuple(answer) if isinstance(answer, (tuple, list)) else (answer,) for answer in outputs]


def cause(error: BaseException) -> str:
    """Return the root cause of an error on one line, without a period, as the end of a sentence."""
    from netloom.core.text import plain

    while error.__cause__ is not None:
        error = error.__cause__
    lines = [plain(line) for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return (text if len(text) <= 240 else text[:239] + "…").rstrip(".")


def distance(actual: torch.Tensor | None, expected: torch.Tensor | None) -> float:
    """Return the largest relative difference; infinite if the shapes differ or only one of two values is finite."""
    if actual is None or expected is None or actual.shape != expected.shape:
        return math.inf
    actual, expected = actual.detach().double(), expected.detach().double()
    is_equal = (actual == expected) | (actual.isnan() & expected.isnan())
    differences = (actual - expected).abs().masked_fill(is_equal, 0.0).nan_to_num(nan=math.inf, posinf=math.inf)
    finite = expected[expected.isfinite()].abs()
    return float(differences.max()) / max(1.0, float(finite.max()) if len(finite) else 1.0) if len(differences) else 0.0
