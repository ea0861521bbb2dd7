"""`netloom train --find-rate`: rates that were tried, and the one to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.cli.command import Context, Failure

if TYPE_CHECKING:
    from netloom.document import Project


def find_rate(project: Project, context: Context) -> int:
    """Try learning rates on a project's data, in this process.

    Raises:
        Failure: there is nothing to try.
    """
    from netloom.data import DataError, prepare
    from netloom.runs import lr_finder
    from netloom.training.errors import TrainingError

    why = lr_finder.refusal(project)
    if why:
        raise Failure(why)
    context.note("Running an LR range test on the training rows.")
    try:
        found = lr_finder.find_rate(project, prepare(project.data, context.home))
    except (DataError, TrainingError, ValueError) as error:
        raise Failure(str(error)) from None
    best = found.suggested
    value = {"suggested": best, "rates": found.rates, "losses": found.losses}
    now = f"; the document uses {project.training.learning_rate:g}"
    told = (
        f"The loss decreases fastest at {best:g}{now}."
        if best
        else f"The loss does not decrease at any learning rate{now}."
    )
    context.answer(value, told)
    return 0
