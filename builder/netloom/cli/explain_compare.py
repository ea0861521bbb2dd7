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


def asks_beside(asked: Namespace) -> bool:
    """Whether one of these is asked for."""
    return bool(
        asked.against or asked.against_method or asked.against_checkpoint or asked.through_training or asked.over
    )


def beside(
    store: Store, trained: TrainedRun, asked: Namespace, method: str, example: int | dict[str, Any], target: Any
) -> Answer:
    """The answer, as JSON values and as text. Raises: Failure, ExplainError, CheckpointError."""
    folder = store.artifacts(trained.run.id).local_directory() if trained.run else Path()
    if asked.over:
        return _over(trained, asked, folder, target)
    if asked.through_training:
        return _through(trained, folder, method, example, target, asked)
    return _against(store, trained, folder, asked, method, example, target)


def _against(
    store: Store,
    trained: TrainedRun,
    folder: Path,
    asked: Namespace,
    method: str,
    example: int | dict[str, Any],
    target: Any,
) -> Answer:
    from netloom.explain.core.options import taken
    from netloom.explain.evidence.comparison import Side, side_by_side

    options, second = method_options(trained, asked), asked.against_method or method
    # What only one of two methods takes is obeyed by that one; what neither takes is refused by the first.
    theirs = taken(second, options)
    ours = {name: value for name, value in options.items() if name in taken(method, options) or name not in theirs}
    own = asked.checkpoint or trained.project.training.keep
    other, at = trained, asked.against_checkpoint or own
    place = folder
    if asked.against or asked.against_checkpoint:
        other = find_trained(store, asked.against or asked.run, asked.against_checkpoint or "")
        place = store.artifacts(other.run.id).local_directory() if other.run else folder
        at = asked.against_checkpoint or other.project.training.keep
    found = side_by_side(
        Side(trained, method, ours, folder, own),
        Side(other, second, theirs, place, at),
        example,
        target=target,
        seed=asked.seed,
    )
    return found.as_json(), "\n".join(_lines(found))


def _lines(found: Comparison) -> list[str]:
    lines = [plain(f"{found.first.target.quantity}, row {found.first.example.row}"), found.agreement.sentence]
    for name, one in (("first", found.first), ("second", found.second)):
        compared = f" compared with {one.compared}" if one.compared else ""
        weights = f"{one.checkpoint} weights {one.weights[:8]}"
        said = f"{name}: {one.title}{compared}, {weights}, prediction {one.prediction.text}"
        lines.append(plain(f"{said}; {one.verdict.level}"))
    lines.append("--json prints both explanations and their difference.")
    return lines


def _through(
    trained: TrainedRun, folder: Path, method: str, example: int | dict[str, Any], target: Any, asked: Namespace
) -> Answer:
    from netloom.explain.dataset.training_trajectory import scrub

    options = method_options(trained, asked)
    found = scrub(trained, folder, method, example, target=target, seed=asked.seed, **options)
    rows = [
        (frame.label, plain(frame.explanation.prediction.text), _told(frame.probability),
         number(frame.explanation.answer), _told(frame.agreement.spearman))
        for frame in found.frames
    ]  # fmt: skip
    heads = ("weights", "answer", "probability", "explained number", "agreement with the last")
    text = [plain(found.final.explanation.headline), table(heads, rows)]
    value = [
        {**row, "explanation": frame.explanation.as_json()}
        for row, frame in zip(found.table(), found.frames, strict=True)
    ]
    return {"bounds": found.bounds, "checkpoints": value}, "\n".join(text)


def _told(value: float | None) -> str:
    return "" if value is None else number(value)


def _over(trained: TrainedRun, asked: Namespace, folder: Path, target: Any) -> Answer:
    from netloom.explain.dataset.global_attribution import overall

    found = overall(
        trained,
        asked.over,
        method=asked.method or "",
        target=target,
        rows=asked.rows,
        seed=asked.seed,
        folder=folder,
        **method_options(trained, asked),
    )
    rows = [(plain(part.name), number(part.mean), number(part.signed), str(part.count)) for part in found.parts]
    lines = [plain(found.sentence)]
    if rows:
        lines += ["", table(("part", "mean size", "mean", "times"), rows[:PARTS_SHOWN])]
    if found.maps:
        lines.append("--json prints the mean map of each prediction.")
    return found.as_json(), "\n".join(lines)
