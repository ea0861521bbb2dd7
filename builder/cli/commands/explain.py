"""`netloom explain`: why a run's network answers an example as it does, and how far that can be trusted."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.cli.choose import find_trained
from builder.cli.command import USAGE, Command, Context, Failure, whole
from builder.cli.text import number, short, table
from builder.text import plain

if TYPE_CHECKING:
    import numpy as np

    from builder.explain import Explanation
    from builder.train import TrainedRun

PARTS_SHOWN = 12


class Explain(Command):
    """Explains one row of the run's data."""

    name = "explain"
    summary = "explain a run's answer to one example"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN")
        parser.add_argument("--method", metavar="M", help="such as integrated_gradients (else the first that fits)")
        parser.add_argument(
            "--list", action="store_true", help="list the methods, and for this run why one does not fit"
        )
        parser.add_argument(
            "--node", metavar="PATH", help="the layer to look at, such as conv2d_1 or block_1.0.linear_1"
        )
        parser.add_argument("--neuron", metavar="PLACE", help="one number of that layer, such as 3 or 3,0,1")
        parser.add_argument("--checkpoint", choices=("best", "last"), help="the weights (else those that the run uses)")
        parser.add_argument("--randomise", action="store_true", help="also compare with networks of shuffled weights")
        parser.add_argument("--example", metavar="I", type=whole(0, 2**63 - 1), help="a row (else the first of test)")
        parser.add_argument("--target", metavar="CLASS", help="the class to explain (else the network's answer)")
        parser.add_argument("--seed", metavar="S", type=whole(0, 2**31 - 1), default=0, help="the seed of the proofs")

    def run(self, asked: Namespace, context: Context) -> int:
        from builder.explain import explain, methods
        from builder.store import open_store

        store = open_store(context.home)
        trained = find_trained(store, asked.run, asked.checkpoint or "")
        if asked.list:
            found = methods(trained)
            rows = [(item.name, item.title, item.reason or "fits") for item in found]
            context.answer([asdict(item) for item in found], table(("method", "title", "this run"), rows))
            return 0
        example = int(trained.data.split["test"][0]) if asked.example is None else asked.example
        explained = explain(
            trained,
            _method(trained, asked.method),
            example,
            target=_target(trained, asked.target),
            seed=asked.seed,
            randomise=asked.randomise,
            folder=Path(store.run_folder(trained.run.id)) if trained.run else None,
            checkpoint=asked.checkpoint or trained.project.training.keep,
            **{name: value for name in ("node", "neuron") if (value := getattr(asked, name)) is not None},
        )
        context.answer(explained.as_json(), "\n".join(_lines(explained)))
        return 0


def _method(trained: TrainedRun, wanted: str | None) -> str:
    """A method's name.

    Raises:
        Failure: there is none of this name.
    """
    from builder.explain import methods

    known = methods(trained)
    if wanted is None:
        return next(item.name for item in known if item.available)
    if wanted not in [item.name for item in known]:
        names = ", ".join(item.name for item in known)
        raise Failure(f"There is no method {wanted[:60]!r}; choose one of {names}.", code=USAGE)
    return wanted


def _target(trained: TrainedRun, wanted: str | None) -> str | int | None:
    if wanted is None or wanted in trained.data.schema.target.classes:
        return wanted
    return int(wanted) if wanted.isdecimal() and len(wanted) < 10 else wanted


def _lines(found: Explanation) -> list[str]:
    truth = f", truth {found.example.target}" if found.example.target else ""
    lines = [
        f"{found.title} of {plain(found.target.quantity)}",
        plain(f"row {found.example.row}: answer {found.prediction.text}{truth}"),
        f"{found.verdict.level}: {plain(found.verdict.sentence)}",
    ]
    for name, values in (*found.attributions.items(), *found.nodes.items()):
        rows = [(place, number(value)) for place, value in _parts(values, found.labels.get(name, ()))]
        lines += ["", table((short(name), "part"), rows, right=("part",))]
    if found.attention:
        lines += ["", *(f"{layer.name}: {len(layer.weights)} heads" for layer in found.attention.layers)]
        if not found.attributions:
            lines.append("--json gives all attention weights.")
    return lines


def _parts(values: np.ndarray, labels: tuple[str, ...]) -> list[tuple[str, float]]:
    """The parts that weigh most, by name, or by their place in the array."""
    import numpy as np

    flat = values.ravel()
    order = np.argsort(-np.abs(flat), kind="stable")[:PARTS_SHOWN]
    return [(_place(int(index), values.shape, labels), float(flat[index])) for index in order]


def _place(index: int, shape: tuple[int, ...], labels: tuple[str, ...]) -> str:
    import numpy as np

    place = [int(part) for part in np.unravel_index(index, shape)]
    if len(place) == 1 and place[0] < len(labels):
        return f"{place[0]} {labels[place[0]]}" if labels[place[0]] else f"{place[0]} (padding)"
    last: list[Any] = [labels[place[-1]]] if len(labels) == shape[-1] and len(place) == 2 else [place[-1]]
    return ", ".join(map(str, [*place[:-1], *last]))
