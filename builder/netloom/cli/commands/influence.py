"""`netloom influence` and `netloom concepts`: influential training examples, and concept activation vectors."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, real, whole
from netloom.cli.selection import (
    EXAMPLE_HELP,
    add_checkpoint_argument,
    add_example_argument,
    add_run_argument,
    add_seed_argument,
    chosen_example,
    load_trained_run,
)
from netloom.cli.text import number, short, table
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.explain.concepts.concept_definition import ConceptDefinition
    from netloom.explain.concepts.concepts import Concepts as Found
    from netloom.explain.influence.influence import Influence as Taught
    from netloom.explain.influence.label_errors import PossibleLabelErrors
    from netloom.explain.influence.tracin import InfluentialRow


class Influence(Command):
    """Lists the training examples that influence a prediction most, or possible label errors."""

    name = "influence"
    summary = "list the most influential training examples, or possible label errors"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        add_example_argument(parser, EXAMPLE_HELP)
        parser.add_argument(
            "--against",
            choices=("answer", "truth"),
            help="label of the explained loss: predicted (answer) or true (truth) (default: answer for classes)",
        )
        parser.add_argument("--suspicious", action="store_true", help="list possible label errors in the training rows")
        parser.add_argument(
            "--count", metavar="N", type=whole(1, 1_000), default=10, help="number of rows (default: 10)"
        )
        add_checkpoint_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.explain.influence.influence import influence
        from netloom.explain.influence.label_errors import find_label_errors
        from netloom.store import open_store

        store = open_store(context.home)
        trained = load_trained_run(store, arguments.run, arguments.checkpoint or "")
        folder = store.artifacts(trained.run.id).local_directory() if trained.run else None
        options: dict[str, Any] = {"folder": folder, "checkpoint": arguments.checkpoint or "", "most": arguments.count}
        if arguments.suspicious:
            suspects = find_label_errors(trained, **options)
            context.answer(suspects.as_json(), "\n".join(_suspect_lines(suspects)))
            return 0
        example, reason = chosen_example(store, trained, arguments.example)
        result = influence(trained, example, against=arguments.against, **options)
        context.answer(result.as_json(), "\n".join(_influence_lines(result)))
        if reason:
            context.note(reason)
        return 0


class Concepts(Command):
    """Tests whether the layers of a run represent a concept, and whether its predictions use it."""

    name = "concepts"
    summary = "test layers for concepts (TCAV)"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        of = parser.add_mutually_exclusive_group(required=True)
        of.add_argument("--class", dest="of_class", metavar="NAME", help="concept: rows of this class or label")
        of.add_argument("--word", metavar="WORD", help="concept: rows with this word")
        of.add_argument(
            "--column",
            metavar="NAME",
            help="concept: rows whose column equals --equals or lies between --low and --high",
        )
        of.add_argument("--rows", metavar="3,8,20-60", help="concept: row numbers")
        parser.add_argument("--equals", metavar="TEXT", default="", help="with --column: value of the column")
        parser.add_argument("--low", metavar="X", type=real, help="with --column: smallest value (default: no limit)")
        parser.add_argument("--high", metavar="X", type=real, help="with --column: largest value (default: no limit)")
        parser.add_argument(
            "--node",
            metavar="PATH",
            action="append",
            default=[],
            help="layer to test; repeatable (default: a few from first to last)",
        )
        parser.add_argument(
            "--target", metavar="CLASS", action="append", default=[], help="class to test; repeatable (default: all)"
        )
        parser.add_argument(
            "--repeats", metavar="N", type=whole(5, 500), default=20, help="number of concept vectors (default: 20)"
        )
        add_seed_argument(parser, "random seed of the rows without the concept")
        add_checkpoint_argument(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.explain.concepts.concepts import concepts
        from netloom.store import open_store

        store = open_store(context.home)
        trained = load_trained_run(store, arguments.run, arguments.checkpoint or "")
        result = concepts(
            trained,
            _concept(arguments),
            nodes=arguments.node,
            targets=arguments.target,
            repeats=arguments.repeats,
            seed=arguments.seed,
            folder=store.artifacts(trained.run.id).local_directory() if trained.run else None,
        )
        context.answer(result.as_json(), "\n".join(_concept_lines(result)))
        return 0


def _concept(arguments: Namespace) -> ConceptDefinition:
    """Return the concept of the arguments.

    Raises:
        UsageError: `--column` has no condition.
    """
    from netloom.explain.concepts.concept_definition import ConceptDefinition, parse_row_numbers

    if arguments.of_class is not None:
        return ConceptDefinition("class", name=arguments.of_class)
    if arguments.word is not None:
        return ConceptDefinition("word", text=arguments.word)
    if arguments.rows is not None:
        return ConceptDefinition("rows", rows=parse_row_numbers(arguments.rows))
    if not arguments.equals and arguments.low is None and arguments.high is None:
        raise UsageError("Give a condition for the column: --equals TEXT, or --low and --high.")
    return ConceptDefinition(
        "column", name=arguments.column, text=arguments.equals, low=arguments.low, high=arguments.high
    )


def _influence_lines(result: Taught) -> list[str]:
    label = {"answer": "the predicted class", "truth": "the true label"}[result.against]
    lines = [
        f"row {result.row}: predicted {plain(result.prediction)}, true {plain(result.label)}; "
        f"training examples that influence {label}",
        f"{result.level}: {result.verdict} By {result.parameters}.",
    ]
    for title, examples in (("supports", result.proponents), ("opposes", result.opponents)):
        lines += ["", title, _example_table(examples, "influence")]
    return lines


def _suspect_lines(errors: PossibleLabelErrors) -> list[str]:
    counts = f"{len(errors.rows):,} of {errors.training_rows:,} training rows."
    return [
        f"{counts} {errors.sentence} By {errors.parameters}.",
        "",
        _example_table(errors.top_rows, "self-influence"),
    ]


def _example_table(examples: tuple[InfluentialRow, ...], title: str) -> str:
    rows = [
        (
            example.row,
            number(example.influence),
            short(example.label, 30),
            short(example.prediction, 30),
            number(example.loss),
        )
        for example in examples
    ]
    return table(("row", title, "label", "prediction", "loss"), rows, right=("row", title, "loss"))


def _concept_lines(concepts: Found) -> list[str]:
    rows = [
        (short(score.title, 30), short(score.target, 20), f"{score.score:.2f}", f"{score.low:.2f}–{score.high:.2f}",
         number(score.p_value), f"{score.accuracy:.2f}", f"{score.strength:+.2f}", score.word)
        for score in concepts.scores
    ]  # fmt: skip
    head = ("layer", "class", "TCAV score", "random", "p", "accuracy", "strength", "verdict")
    counts = (
        f"{len(concepts.rows):,} rows with it (of {concepts.available_rows:,}), {concepts.other_rows:,} without; "
        f"{concepts.repeats} concept vectors"
    )
    sentences = [*([plain(concepts.model)] if concepts.model else []), *(score.sentence for score in concepts.scores)]
    return [f"{plain(concepts.concept)}: {counts}", "", table(head, rows), "", *sentences]
