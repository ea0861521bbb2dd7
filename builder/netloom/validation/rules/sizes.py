"""The resources that a network needs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import psutil

from netloom.validation.context import Context
from netloom.validation.facts import MOST, Totals
from netloom.validation.issue import Issue
from netloom.validation.rule import Rule, Stage

# Each layer costs about 50 µs per step even if it computes next to nothing.
MAX_LAYERS = 100_000


@cache
def _memory_bytes() -> int:
    total: int = psutil.virtual_memory().total
    return total


class Memory(Rule):
    """Training fits into the memory of this machine."""

    stage = Stage.RESOURCES
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        available = _memory_bytes()
        if totals.memory_bytes > available:
            about = "more than" if totals.memory_bytes >= MOST else "about"
            yield context.issue(
                "memory",
                f"Training needs {about} {totals.memory_bytes / 2**30:,.1f} GiB ({totals.parameters:,} parameters, "
                f"batches of {context.project.training.batch_size}), but this machine has {available / 2**30:,.1f} "
                "GiB; reduce the batch size or the size of layers.",
                training_only=True,
            )


class Repeated(Rule):
    """The number of layers, with all repetitions and steps, does not exceed the limit."""

    stage = Stage.RESOURCES
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        if totals.layers > MAX_LAYERS:
            yield context.issue(
                "layers",
                f"With all repetitions, this network has more than {MAX_LAYERS:,} consecutive layers; lower the "
                "repetitions of its networks.",
            )
        elif totals.calls > MAX_LAYERS:
            yield context.issue(
                "layers",
                f"With all steps along an axis, this network runs {totals.calls:,} consecutive layers, but at most "
                f"{MAX_LAYERS:,} are possible; shorten the sequences, for example with a stride, or use fewer layers "
                "in each step.",
            )


class Trainable(Rule):
    """The network has trainable weights."""

    stage = Stage.RESOURCES
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        complete = len(context.measured) == len(context.network.nodes) > 0
        if complete and totals.trainable == 0:
            message = "This network has no trainable weights: add a layer with weights, or unfreeze one."
            yield context.issue("nothing_to_learn", message, training_only=True)
