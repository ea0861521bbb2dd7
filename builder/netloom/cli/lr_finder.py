"""`netloom train --find-rate`: the LR range test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.cli.command import Context, Failure

if TYPE_CHECKING:
    from netloom.document import Project


def find_rate(project: Project, context: Context) -> int:
    """Run an LR range test on the data of a project, in this process. Returns the exit code.

    Raises:
        Failure: the task of the project has no LR range test, or the data or the training fails.
    """
    from netloom.data import DataError, prepare
    from netloom.runs import lr_finder
    from netloom.training.errors import TrainingError

    refusal = lr_finder.refusal(project)
    if refusal:
        raise Failure(refusal)
    context.note("Running an LR range test on the training rows.")
    try:
        result = lr_finder.find_rate(project, prepare(project.data, context.home))
    except (DataError, TrainingError, ValueError) as error:
        raise Failure(str(error)) from None
    suggested = result.suggested
    value = {"suggested": suggested, "rates": result.rates, "losses": result.losses}
    current = f"; the document uses {project.training.learning_rate:g}"
    text = (
        f"The loss decreases fastest at {suggested:g}{current}."
        if suggested
        else f"The loss does not decrease at any learning rate{current}."
    )
    context.answer(value, text)
    return 0
