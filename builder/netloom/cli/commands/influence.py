"""`netloom influence` and `netloom concepts`: what taught a run its answer, and which concepts it knows and uses."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context, whole
from netloom.cli.selection import find_trained
from netloom.cli.text import number, short, table
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.explain.concepts.concepts import Concepts as Found
    from netloom.explain.concepts.concepts import Wanted
    from netloom.explain.influence.influence import Influence as Taught
    from netloom.explain.influence.influence import Lesson, Suspects


class Influence(Command):
    """Names rows of the training data."""

    name = "influence"
    summary = "list the most influential training examples, or possible label errors"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN")
        parser.add_argument(
            "--example", metavar="I", type=whole(0, 2**63 - 1), help="row to explain (default: the first test row)"
        )
        parser.add_argument(
            "--against",
            choices=("answer", "truth"),
            help="label whose loss is explained (default: the predicted class)",
        )
        parser.add_argument("--suspicious", action="store_true", help="list possible label errors in the training rows")
        parser.add_argument(
            "--count", metavar="N", type=whole(1, 1_000), default=10, help="number of rows (default: 10)"
        )
        parser.add_argument(
            "--checkpoint", choices=("best", "last"), help="checkpoint (default: the one that the run uses)"
        )

    def run(self, asked: Namespace, context: Context) -> int:
        from netloom.explain.influence.influence import influence, suspects
        from netloom.store import open_store

        store = open_store(context.home)
        trained = find_trained(store, asked.run, asked.checkpoint or "")
        folder = store.artifacts(trained.run.id).local_directory() if trained.run else None
        known: dict[str, Any] = {"folder": folder, "checkpoint": asked.checkpoint or "", "most": asked.count}
        if asked.suspicious:
            ranked = suspects(trained, **known)
            context.answer(ranked.as_json(), "\n".join(_ranking(ranked)))
            return 0
        example = int(trained.data.split["test"][0]) if asked.example is None else asked.example
        found = influence(trained, example, against=asked.against, **known)
        context.answer(found.as_json(), "\n".join(_taught(found)))
        return 0


class Concepts(Command):
    """Looks for a concept in a run's layers."""

    name = "concepts"
    summary = "test layers for concepts (TCAV)"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN")
        of = parser.add_mutually_exclusive_group(required=True)
        of.add_argument("--class", dest="of_class", metavar="NAME", help="concept: rows of this class or label")
        of.add_argument("--word", metavar="WORD", help="concept: rows with this word")
        of.add_argument(
            "--column",
            metavar="NAME",
            help="concept: rows whose column equals --equals or lies between --low and --high",
        )
        of.add_argument("--rows", metavar="3,8,20-60", help="concept: row numbers")
        parser.add_argument("--equals", metavar="TEXT", default="", help="with --column")
        parser.add_argument("--low", metavar="X", type=float, help="with --column")
        parser.add_argument("--high", metavar="X", type=float, help="with --column")
        parser.add_argument("--node", metavar="PATH", action="append", default=[], help="layer to test; repeatable")
        parser.add_argument("--target", metavar="CLASS", action="append", default=[], help="class to test; repeatable")
        parser.add_argument(
            "--repeats", metavar="N", type=whole(5, 500), default=20, help="number of concept vectors (default: 20)"
        )
        parser.add_argument(
            "--seed",
            metavar="S",
            type=whole(0, 2**31 - 1),
            default=0,
            help="random seed of the random rows (default: 0)",
        )
        parser.add_argument(
            "--checkpoint", choices=("best", "last"), help="checkpoint (default: the one that the run uses)"
        )

    def run(self, asked: Namespace, context: Context) -> int:
        from netloom.explain.concepts.concepts import concepts
        from netloom.store import open_store

        store = open_store(context.home)
        trained = find_trained(store, asked.run, asked.checkpoint or "")
        found = concepts(
            trained,
            _wanted(asked),
            nodes=asked.node,
            targets=asked.target,
            repeats=asked.repeats,
            seed=asked.seed,
            folder=store.artifacts(trained.run.id).local_directory() if trained.run else None,
        )
        context.answer(found.as_json(), "\n".join(_concepts(found)))
        return 0


def _wanted(asked: Namespace) -> Wanted:
    """The concept that is asked for.

    Raises:
        UsageError: of a column nothing is said.
    """
    from netloom.explain.concepts.concepts import Wanted, numbers

    if asked.of_class is not None:
        return Wanted("class", name=asked.of_class)
    if asked.word is not None:
        return Wanted("word", text=asked.word)
    if asked.rows is not None:
        return Wanted("rows", rows=numbers(asked.rows))
    if not asked.equals and asked.low is None and asked.high is None:
        raise UsageError("Give a condition for the column: --equals TEXT, or --low and --high.")
    return Wanted("column", name=asked.column, text=asked.equals, low=asked.low, high=asked.high)


def _taught(found: Taught) -> list[str]:
    said = {"answer": "the predicted class", "truth": "the true answer"}[found.against]
    lines = [
        f"row {found.row}: predicted {plain(found.answer)}, true {plain(found.label)}; "
        f"training examples that influence {said}",
        f"{found.level}: {found.verdict} By {found.looked_by}.",
    ]
    for title, lessons in (("supports", found.lessons_for), ("opposes", found.lessons_against)):
        lines += ["", title, _lessons(lessons, "influence")]
    return lines


def _ranking(found: Suspects) -> list[str]:
    first = f"{len(found.rows):,} of {found.training_rows:,} training rows. {found.sentence} By {found.looked_by}."
    return [first, "", _lessons(found.first, "self-influence")]


def _lessons(lessons: tuple[Lesson, ...], title: str) -> str:
    rows = [
        (one.row, number(one.influence), short(one.label, 30), short(one.says, 30), number(one.loss)) for one in lessons
    ]
    return table(("row", title, "label", "says", "loss"), rows, right=("row", title, "loss"))


def _concepts(found: Found) -> list[str]:
    rows = [
        (short(one.title, 30), short(one.target, 20), f"{one.score:.2f}", f"{one.low:.2f}–{one.high:.2f}",
         number(one.p), f"{one.accuracy:.2f}", f"{one.strength:+.2f}", one.word)
        for one in found.scores
    ]  # fmt: skip
    head = ("layer", "answer", "score", "random", "p", "accuracy", "strength", "verdict")
    counts = (
        f"{len(found.rows):,} rows with it (of {found.found:,}), {found.others:,} without; {found.repeats} directions"
    )
    said = [*([plain(found.model)] if found.model else []), *(one.sentence for one in found.scores)]
    return [f"{plain(found.concept)}: {counts}", "", table(head, rows), "", *said]
