"""The comparisons of `netloom explain`: two explanations, one explanation across checkpoints, and a global explanation
over many rows."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import UNLIMITED, whole
from netloom.cli.method_options import method_options
from netloom.cli.selection import load_trained_run
from netloom.cli.text import number, table
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.explain.comparison import Comparison
    from netloom.runs import TrainedRun
    from netloom.store import Store

Answer = tuple[Any, str]
ROW_CHOICES = ("test", "validation", "train", "worst")
PARTS_SHOWN = 15


def add_comparison_arguments(parser: ArgumentParser) -> None:
    """Declare the options of comparisons."""
    parser.add_argument("--against", metavar="RUN", help="compare with the explanation of another run")
    parser.add_argument("--against-method", metavar="METHOD", help="compare with another method")
    parser.add_argument(
        "--against-checkpoint",
        metavar="CHECKPOINT",
        help="compare with another checkpoint: best, last or the number of an epoch",
    )
    parser.add_argument("--through-training", action="store_true", help="explain across all checkpoints")
    parser.add_argument(
        "--over", choices=ROW_CHOICES, help="global explanation over a split, or over the rows with the greatest loss"
    )
    parser.add_argument(
        "--rows", metavar="N", type=whole(1, UNLIMITED), help="with --over: maximum number of rows, sampled with --seed"
    )


def is_comparison(arguments: Namespace) -> bool:
    """Return whether the arguments ask for a comparison or a global explanation."""
    return bool(
        arguments.against
        or arguments.against_method
        or arguments.against_checkpoint
        or arguments.through_training
        or arguments.over
    )


def answer_comparison(
    store: Store, trained: TrainedRun, arguments: Namespace, method: str, example: int | dict[str, Any], target: Any
) -> Answer:
    """Return the comparison as plain values for JSON, and as text.

    Raises:
        Failure: a run has no weights.
        ExplainError: a method or an option does not fit.
        CheckpointError: there is no such checkpoint.
    """
    folder = store.artifacts(trained.run.id).local_directory() if trained.run else Path()
    if arguments.over:
        return _over_rows(trained, arguments, folder, target)
    if arguments.through_training:
        return _through_training(trained, folder, method, example, target, arguments)
    return _against_network(store, trained, folder, arguments, method, example, target)


def _against_network(
    store: Store,
    trained: TrainedRun,
    folder: Path,
    arguments: Namespace,
    method: str,
    example: int | dict[str, Any],
    target: Any,
) -> Answer:
    from netloom.explain.comparison import Side, explain_and_compare
    from netloom.explain.core.options import supported_options

    options, second_method = method_options(trained, arguments), arguments.against_method or method
    # An option that only one of the two methods has applies to that method alone. One that neither has goes to the
    # first, which then refuses it with a sentence.
    second_options = supported_options(second_method, options)
    first_options = {
        name: value
        for name, value in options.items()
        if name in supported_options(method, options) or name not in second_options
    }
    checkpoint = arguments.checkpoint or trained.project.training.checkpoint
    other_run, other_checkpoint = trained, arguments.against_checkpoint or checkpoint
    other_folder = folder
    if arguments.against or arguments.against_checkpoint:
        other_run = load_trained_run(store, arguments.against or arguments.run, arguments.against_checkpoint or "")
        other_folder = store.artifacts(other_run.run.id).local_directory() if other_run.run else folder
        other_checkpoint = arguments.against_checkpoint or other_run.project.training.checkpoint
    comparison = explain_and_compare(
        Side(trained, method, first_options, folder, checkpoint),
        Side(other_run, second_method, second_options, other_folder, other_checkpoint),
        example,
        target=target,
        seed=arguments.seed,
    )
    return comparison.as_json(), "\n".join(_comparison_lines(comparison))


def _comparison_lines(comparison: Comparison) -> list[str]:
    lines = [
        plain(f"{comparison.first.target.quantity}, row {comparison.first.example.row}"),
        comparison.agreement.sentence,
    ]
    for position, explanation in (("first", comparison.first), ("second", comparison.second)):
        compared = f" compared with {explanation.baseline}" if explanation.baseline else ""
        weights = f"{explanation.checkpoint} weights {explanation.weights[:8]}"
        summary = f"{position}: {explanation.title}{compared}, {weights}, prediction {explanation.prediction.text}"
        lines.append(plain(f"{summary}; {explanation.verdict.level}"))
    lines.append("--json prints both explanations and their difference.")
    return lines


def _through_training(
    trained: TrainedRun, folder: Path, method: str, example: int | dict[str, Any], target: Any, arguments: Namespace
) -> Answer:
    from netloom.explain.dataset.training_trajectory import explain_trajectory

    options = method_options(trained, arguments)
    trajectory = explain_trajectory(trained, folder, method, example, target=target, seed=arguments.seed, **options)
    rows = [
        (frame.label, plain(frame.explanation.prediction.text), _number_cell(frame.probability),
         number(frame.explanation.score), _number_cell(frame.agreement.spearman))
        for frame in trajectory.frames
    ]  # fmt: skip
    header = ("checkpoint", "prediction", "probability", "score", "correlation with the last")
    text = [plain(trajectory.final.explanation.headline), table(header, rows)]
    value = [
        {**row, "explanation": frame.explanation.as_json()}
        for row, frame in zip(trajectory.table(), trajectory.frames, strict=True)
    ]
    return {"bounds": trajectory.bounds, "checkpoints": value}, "\n".join(text)


def _number_cell(value: float | None) -> str:
    return "" if value is None else number(value)


def _over_rows(trained: TrainedRun, arguments: Namespace, folder: Path, target: Any) -> Answer:
    from netloom.explain.dataset.global_attribution import global_attribution

    attribution = global_attribution(
        trained,
        arguments.over,
        method=arguments.method or "",
        target=target,
        rows=arguments.rows,
        seed=arguments.seed,
        folder=folder,
        **method_options(trained, arguments),
    )
    rows = [(plain(part.name), number(part.mean), number(part.signed), str(part.count)) for part in attribution.parts]
    lines = [plain(attribution.sentence)]
    if rows:
        lines += ["", table(("part", "mean size", "mean", "times"), rows[:PARTS_SHOWN])]
    if attribution.maps:
        lines.append("--json prints the mean map of each prediction.")
    return attribution.as_json(), "\n".join(lines)
