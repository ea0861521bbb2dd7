"""`netloom explain`: the attribution of a prediction, with its evidence."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Command, Context
from netloom.cli.explain_compare import add_comparison_arguments, answer_comparison, is_comparison
from netloom.cli.files import add_force_argument, new_file
from netloom.cli.method_options import add_method_arguments, method_options
from netloom.cli.rows import read_row
from netloom.cli.selection import (
    EXAMPLE_HELP,
    add_example_argument,
    add_model_argument,
    add_run_argument,
    add_seed_argument,
    chosen_example,
    load_trained_run,
)
from netloom.cli.text import number, short, table
from netloom.cli.unused_options import refuse_unused
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    import numpy as np

    from netloom.explain import Explanation
    from netloom.modalities.encoding.rows import Answer
    from netloom.runs import TrainedRun
    from netloom.store import Store

PARTS_SHOWN = 12
# This method attributes to edges, not to parts of the input; see netloom.cli.flow_export.
FLOW = "flow"


class Explain(Command):
    """Explains the prediction of a run for one row, compares explanations, or explains many rows."""

    name = "explain"
    summary = "explain the prediction of a run for one example"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        parser.add_argument(
            "--method",
            metavar="METHOD",
            help="attribution method, such as integrated_gradients, or flow; see --list (default: the first that fits)",
        )
        parser.add_argument(
            "--list", action="store_true", help="list the methods, and why a method does not fit this run"
        )
        add_method_arguments(parser)
        parser.add_argument(
            "--checkpoint", metavar="CHECKPOINT", help="best, last or the number of an epoch (default: that of the run)"
        )
        parser.add_argument(
            "--randomize", action="store_true", help="model randomization test: also compare with randomized weights"
        )
        parser.add_argument("--randomise", dest="randomize", action="store_true", help=SUPPRESS)  # its former name
        add_model_argument(parser)
        add_example_argument(parser, EXAMPLE_HELP)
        parser.add_argument(
            "--file", metavar="FILE", help="custom input: one row as CSV with a header or as JSON; - for standard input"
        )
        parser.add_argument("--target", metavar="CLASS", help="class to explain (default: the predicted class)")
        add_seed_argument(parser, "random seed of sampling and of the checks")
        parser.add_argument(
            "--to",
            metavar="FILE",
            help="write the explanation to a file that ends in .html, .png or .json; for flow: .svg, .csv or .json",
        )
        add_force_argument(parser)
        add_comparison_arguments(parser)

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.cli.flow_export import flow_method
        from netloom.explain import methods
        from netloom.store import open_store

        _refuse_conflicts(arguments)
        if not arguments.over:
            refuse_unused(self, arguments, ["rows"], without="--over")
        if arguments.to is None:
            refuse_unused(self, arguments, ["force"], without="--to")
        write = None if arguments.method == FLOW else _writer(arguments.to)
        to = new_file(arguments.to, force=arguments.force) if arguments.to is not None else None
        store = open_store(context.home)
        trained = load_trained_run(store, arguments.run, arguments.checkpoint or "")
        if arguments.model is not None:
            from netloom.compression.opened_variant import open_explainable_variant

            trained = open_explainable_variant(trained, Path(arguments.model))
        if arguments.list:
            available = [*methods(trained), flow_method(trained)]
            rows = [(item.name, item.title, item.reason or "fits") for item in available]
            text = table(("method", "title", "this run"), rows)
            context.answer([asdict(item) for item in available], f"{text}\n\n{_baselines(trained)}")
            return 0
        example, reason = _example(store, trained, arguments)

        def save(explanation: Explanation) -> None:
            if write is not None and to is not None:
                write(explanation, to)
                context.note(f"Wrote {to}.")

        context.answer(*_answer(store, trained, arguments, example, save))
        if reason:
            context.note(reason)
        return 0


def _answer(
    store: Store,
    trained: TrainedRun,
    arguments: Namespace,
    example: int | dict[str, Any],
    save: Callable[[Explanation], None],
) -> tuple[Any, str]:
    """Explain the example by a method, a comparison or the flow, and return the answer as plain values and as text."""
    from netloom.cli.flow_export import explain_flow
    from netloom.explain import explain
    from netloom.explain.core.options import OPTION_TITLES
    from netloom.explain.core.prediction import calibrated_prediction

    folder = store.artifacts(trained.run.id).local_directory() if trained.run else None
    checkpoint = ", ".join(filter(None, (arguments.checkpoint or trained.project.training.checkpoint, trained.variant)))
    if is_comparison(arguments):
        method, target = _method(trained, arguments.method), _target(trained, arguments.target)
        return answer_comparison(store, trained, arguments, method, example, target)
    if arguments.method == FLOW:
        options = method_options(trained, arguments)
        for name in options.keys() - {"baseline"}:
            raise UsageError(f"The attribution flow does not support {OPTION_TITLES[name]}: it covers all layers.")
        baseline, target = options.get("baseline", "usual"), _target(trained, arguments.target)
        return explain_flow(trained, example, target, folder, checkpoint, arguments.to, baseline)
    explained = explain(
        trained,
        _method(trained, arguments.method),
        example,
        target=_target(trained, arguments.target),
        seed=arguments.seed,
        randomize=arguments.randomize,
        folder=folder,
        checkpoint=checkpoint,
        **method_options(trained, arguments),
    )
    save(explained)
    calibrated = calibrated_prediction(trained, example)
    value = {**explained.as_json(), **({"calibrated": calibrated} if calibrated else {})}
    return value, "\n".join(_explanation_lines(explained, calibrated))


def _baselines(trained: TrainedRun) -> str:
    """Return the values of `--baseline` that fit the inputs of the network."""
    from netloom.explain.core.baselines import offered

    names = [
        f"{baseline.name}:…" if baseline.argument else baseline.name
        for baseline in offered(trained.data, trained.fields)
    ]
    return f"baselines (--baseline): {', '.join([*names, 'file:…'])}"


def _refuse_conflicts(arguments: Namespace) -> None:
    """Refuse options that contradict each other, instead of ignoring one of them.

    Raises:
        UsageError: two options contradict each other.
    """
    conflicts = [f"--{name}" for name in ("example", "file") if arguments.over and getattr(arguments, name) is not None]
    if conflicts:
        raise UsageError(f"--over explains many rows, but {conflicts[0]} selects one; use only one of them.")
    if arguments.model is not None:
        for name in ("checkpoint", "against_checkpoint", "through_training"):
            if getattr(arguments, name):
                raise UsageError(
                    f"--model replaces the weights of the run, so --{name.replace('_', '-')} has no effect."
                )
    if arguments.to and is_comparison(arguments):
        raise UsageError("--to writes a single explanation; use --json for a comparison or many rows.")
    if arguments.randomize and (is_comparison(arguments) or arguments.method == FLOW):
        raise UsageError("--randomize works with a single explanation, and not with flow.")
    if arguments.method == FLOW and is_comparison(arguments):
        raise UsageError("The attribution flow covers a single row and cannot be compared; choose another method.")


def _writer(path: str | None) -> Callable[[Explanation, Path], None] | None:
    """Return the function that writes a file with this ending.

    Raises:
        UsageError: the name does not end in .html, .png or .json.
    """
    from netloom.explain.plots.page import write_html, write_json
    from netloom.explain.plots.raster import write_png

    if path is None:
        return None
    writers = {".html": write_html, ".json": write_json, ".png": write_png}
    write = writers.get(Path(path).suffix.lower())
    if write is None:
        raise UsageError(f"--to {path[:80]!r}: the file must end in .html, .png or .json.")
    return write


def _example(store: Store, trained: TrainedRun, arguments: Namespace) -> tuple[int | dict[str, Any], str]:
    """Return the number of a row of the data, or the raw row of a file, and why it was chosen if it was not given.

    Raises:
        Failure: the file cannot be read.
        UsageError: both are set, or the file does not have exactly one row.
    """
    if arguments.over:
        return 0, ""  # not used: --over has rows of its own
    if arguments.file is None:
        return chosen_example(store, trained, arguments.example)
    if arguments.example is not None:
        raise UsageError("Use either --example or --file; explain takes one example at a time.")
    return read_row(arguments.file, trained.data.preprocess.to_json()), ""


def _method(trained: TrainedRun, name: str | None) -> str:
    """Return the name of the method; without one, the first that fits the network.

    Raises:
        UsageError: there is no such method.
    """
    from netloom.explain import methods

    available = methods(trained)
    if name is None:
        return next(item.name for item in available if item.available)
    if name not in [item.name for item in available]:
        names = ", ".join([*(item.name for item in available), FLOW])
        raise UsageError(f"There is no method {name[:60]!r}; choose one of {names}.")
    return name


def _target(trained: TrainedRun, name: str | None) -> str | int | None:
    if name is None or name in trained.data.schema.target.classes:
        return name
    return int(name) if name.isdecimal() and len(name) < 10 else name


def _explanation_lines(explanation: Explanation, calibrated: Answer) -> list[str]:
    from netloom.explain.core.prediction import calibrated_text

    truth = f", true {explanation.example.target}" if explanation.example.target else ""
    lines = [
        plain(explanation.headline),
        plain(f"row {explanation.example.row}: prediction {explanation.prediction.text}{truth}"),
    ]
    if text := calibrated_text(calibrated):
        lines.append(
            f"calibrated prediction: {plain(text)} (the explanation is that of the network before calibration)"
        )
    lines.append(f"{explanation.verdict.level}: {plain(explanation.verdict.sentence)}")
    for name, values in (*explanation.attributions.items(), *explanation.nodes.items()):
        rows = [(rank, number(value)) for rank, value in largest_parts(values, explanation.labels.get(name, ()))]
        lines += ["", table((short(name), "attribution"), rows, right=("attribution",))]
    if explanation.attention:
        lines += ["", *(f"{layer.name}: {len(layer.weights)} heads" for layer in explanation.attention.layers)]
        if not explanation.attributions:
            lines.append("--json prints all attention weights.")
    return lines


def largest_parts(values: np.ndarray, labels: tuple[str, ...]) -> list[tuple[str, float]]:
    """Return the parts with the largest magnitudes, by name or by index. Padding has no name and is omitted."""
    import numpy as np

    flat = values.ravel()
    is_named = [bool(label) for label in labels] if values.shape == (len(labels),) else [True] * values.size
    largest = [index for index in np.argsort(-np.abs(flat), kind="stable") if is_named[index]][:PARTS_SHOWN]
    return [(_part_name(int(index), values.shape, labels), float(flat[index])) for index in largest]


def _part_name(index: int, shape: tuple[int, ...], labels: tuple[str, ...]) -> str:
    import numpy as np

    coordinates = [int(part) for part in np.unravel_index(index, shape)]
    if len(coordinates) == 1 and coordinates[0] < len(labels):
        return f"{coordinates[0]} {labels[coordinates[0]]}"
    last_coordinate: list[Any] = (
        [labels[coordinates[-1]]] if len(labels) == shape[-1] and len(coordinates) == 2 else [coordinates[-1]]
    )
    return ", ".join(map(str, [*coordinates[:-1], *last_coordinate]))
