"""What `netloom explain` tells beside a single answer: two explanations held against each other, the same one with the
weights of each checkpoint, and what the network goes by over many rows."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.method_options import method_options
from netloom.cli.selection import find_trained
from netloom.cli.text import number, table
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.explain.evidence.comparison import Comparison
    from netloom.runs import TrainedRun
    from netloom.store import Store

Answer = tuple[Any, str]
WHICH = ("test", "validation", "train", "worst")
PARTS_SHOWN = 15


def beside_arguments(parser: ArgumentParser) -> None:
    """The options that ask for one of these."""
    parser.add_argument("--against", metavar="RUN", help="compare with the explanation of another run")
    parser.add_argument("--against-method", metavar="M", help="compare with another method")
    parser.add_argument(
        "--against-checkpoint", metavar="C", help="compare with another checkpoint: best, last or an epoch"
    )
    parser.add_argument("--through-training", action="store_true", help="explain across all checkpoints")
    parser.add_argument(
        "--over", choices=WHICH, help="global explanation over a split, or over the rows with the greatest loss"
    )
    parser.add_argument(
        "--rows", metavar="N", type=int, help="with --over: maximum number of rows, sampled with --seed"
    )


def asks_beside(arguments: Namespace) -> bool:
    """Whether one of these is asked for."""
    return bool(
        arguments.against
        or arguments.against_method
        or arguments.against_checkpoint
        or arguments.through_training
        or arguments.over
    )


def beside(
    store: Store, trained: TrainedRun, arguments: Namespace, method: str, example: int | dict[str, Any], target: Any
) -> Answer:
    """The answer, as JSON values and as text. Raises: Failure, ExplainError, CheckpointError."""
    folder = store.artifacts(trained.run.id).local_directory() if trained.run else Path()
    if arguments.over:
        return _over(trained, arguments, folder, target)
    if arguments.through_training:
        return _through(trained, folder, method, example, target, arguments)
    return _against(store, trained, folder, arguments, method, example, target)


def _against(
    store: Store,
    trained: TrainedRun,
    folder: Path,
    arguments: Namespace,
    method: str,
    example: int | dict[str, Any],
    target: Any,
) -> Answer:
    from netloom.explain.core.options import taken
    from netloom.explain.evidence.comparison import Side, side_by_side

    options, second_method = method_options(trained, arguments), arguments.against_method or method
    # What only one of two methods takes is obeyed by that one; what neither takes is refused by the first.
    second_options = taken(second_method, options)
    first_options = {
        name: value for name, value in options.items() if name in taken(method, options) or name not in second_options
    }
    checkpoint = arguments.checkpoint or trained.project.training.keep
    other_run, other_checkpoint = trained, arguments.against_checkpoint or checkpoint
    other_folder = folder
    if arguments.against or arguments.against_checkpoint:
        other_run = find_trained(store, arguments.against or arguments.run, arguments.against_checkpoint or "")
        other_folder = store.artifacts(other_run.run.id).local_directory() if other_run.run else folder
        other_checkpoint = arguments.against_checkpoint or other_run.project.training.keep
    comparison = side_by_side(
        Side(trained, method, first_options, folder, checkpoint),
        Side(other_run, second_method, second_options, other_folder, other_checkpoint),
        example,
        target=target,
        seed=arguments.seed,
    )
    return comparison.as_json(), "\n".join(_lines(comparison))


def _lines(comparison: Comparison) -> list[str]:
    lines = [
        plain(f"{comparison.first.target.quantity}, row {comparison.first.example.row}"),
        comparison.agreement.sentence,
    ]
    for position, explanation in (("first", comparison.first), ("second", comparison.second)):
        compared = f" compared with {explanation.compared}" if explanation.compared else ""
        weights = f"{explanation.checkpoint} weights {explanation.weights[:8]}"
        summary = f"{position}: {explanation.title}{compared}, {weights}, prediction {explanation.prediction.text}"
        lines.append(plain(f"{summary}; {explanation.verdict.level}"))
    lines.append("--json prints both explanations and their difference.")
    return lines


def _through(
    trained: TrainedRun, folder: Path, method: str, example: int | dict[str, Any], target: Any, arguments: Namespace
) -> Answer:
    from netloom.explain.dataset.training_trajectory import scrub

    options = method_options(trained, arguments)
    trajectory = scrub(trained, folder, method, example, target=target, seed=arguments.seed, **options)
    rows = [
        (frame.label, plain(frame.explanation.prediction.text), _told(frame.probability),
         number(frame.explanation.answer), _told(frame.agreement.spearman))
        for frame in trajectory.frames
    ]  # fmt: skip
    header = ("weights", "answer", "probability", "explained number", "agreement with the last")
    text = [plain(trajectory.final.explanation.headline), table(header, rows)]
    value = [
        {**row, "explanation": frame.explanation.as_json()}
        for row, frame in zip(trajectory.table(), trajectory.frames, strict=True)
    ]
    return {"bounds": trajectory.bounds, "checkpoints": value}, "\n".join(text)


def _told(value: float | None) -> str:
    return "" if value is None else number(value)


def _over(trained: TrainedRun, arguments: Namespace, folder: Path, target: Any) -> Answer:
    from netloom.explain.dataset.global_attribution import overall

    attribution = overall(
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
