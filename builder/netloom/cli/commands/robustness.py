"""`netloom robustness`: the accuracy of a run under adversarial attacks."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from netloom.cli.command import Command, Context, whole
from netloom.cli.selection import (
    add_checkpoint_argument,
    add_example_argument,
    add_run_argument,
    add_seed_argument,
    load_trained_run,
)
from netloom.cli.text import number, short, table
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.explain.robustness.robustness import Robustness

MAX_ROWS = 100_000


class Robust(Command):
    """Attacks rows of the data with gradient-based perturbations (FGSM or PGD)."""

    name = "robustness"
    summary = "measure the robustness of predictions to adversarial attacks"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument("--method", choices=("fgsm", "pgd"), default="fgsm", help="attack (default: fgsm)")
        parser.add_argument(
            "--rows", metavar="N", type=whole(1, MAX_ROWS), default=200, help="number of rows (default: 200)"
        )
        parser.add_argument(
            "--split", choices=("train", "validation", "test"), default="test", help="split of the rows (default: test)"
        )
        parser.add_argument(
            "--strengths", metavar="X,X,…", help="attack strengths, such as 0.01,0.05,0.1 (default: by the input)"
        )
        add_example_argument(parser, "attack only this row, and find the smallest change of its prediction")
        parser.add_argument("--output", metavar="NAME", default="", help="output to attack (default: the first)")
        add_checkpoint_argument(parser)
        add_seed_argument(parser, "random seed of the rows")

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.explain.core.explanation import as_plain
        from netloom.explain.robustness.robustness import find_adversarial_example, robustness
        from netloom.store import open_store

        store = open_store(context.home)
        trained = load_trained_run(store, arguments.run, arguments.checkpoint or "")
        if arguments.example is not None:
            attack = find_adversarial_example(trained, arguments.example, arguments.method, output=arguments.output)
            if attack.min_strength is None:
                change, strength = "no change up to", attack.max_strength
            else:
                change, strength = "smallest change of the prediction:", attack.min_strength
            line = f"row {attack.row}: {attack.before.text} becomes {attack.after.text}; {change}"
            context.answer(as_plain(attack), plain(f"{line} {number(strength)} {attack.unit}"))
            return 0
        result = robustness(
            trained,
            arguments.method,
            split=arguments.split,
            rows=arguments.rows,
            strengths=_strengths(arguments.strengths),
            seed=arguments.seed,
            output=arguments.output,
            folder=store.artifacts(trained.run.id).local_directory() if trained.run else None,
            checkpoint=arguments.checkpoint or trained.project.training.checkpoint,
        )
        context.answer(asdict(result), _text(result))
        return 0


def _strengths(text: str | None) -> tuple[float, ...]:
    """Parse numbers with commas between them.

    Raises:
        UsageError: a part is not a number.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(f"--strengths takes numbers such as 0.01,0.05,0.1, received {str(text)[:40]!r}.") from None


def _text(result: Robustness) -> str:
    classes = [name for name in result.by_class if len(result.by_class) <= 12]
    head = ("strength", result.measure, "random noise", *map(short, classes))
    rows = [
        tuple(
            map(
                number,
                (
                    strength,
                    result.scores[index],
                    result.random_scores[index],
                    *(result.by_class[name][index] for name in classes),
                ),
            )
        )
        for index, strength in enumerate(result.strengths)
    ]
    lines = [
        f"{result.title} on {result.rows} {result.split} rows; strength in {result.unit}",
        table(head, rows, right=head),
    ]
    if result.half_strength is not None:
        lines.append(f"Half of the initial value ({result.measure}) is left at {number(result.half_strength)}.")
    return "\n".join([*lines, f"{result.verdict.level}: {result.verdict.sentence}"])
