"""Options of explanation methods on the command line: baseline, steps, layer and neuron."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from netloom.cli.command import whole
from netloom.cli.rows import read_row

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

FROM_FILE = "file:"


def add_method_arguments(parser: ArgumentParser) -> None:
    """Declare the options that methods have."""
    parser.add_argument("--node", metavar="PATH", help="layer to explain, such as conv2d_1 or block_1.0.linear_1")
    parser.add_argument(
        "--neuron", metavar="INDEX", help="index of a unit in the output of that layer, such as 3 or 3,0,1"
    )
    parser.add_argument(
        "--baseline",
        metavar="BASELINE",
        help="reference input of the attribution: usual, zero, mean, median, class:NAME, black, white, blur, padding, "
        "row:NUMBER or file:PATH (a custom row); --list names those that fit the input (default: usual)",
    )
    parser.add_argument(
        "--steps",
        metavar="N",
        type=whole(1, 4096),
        help="integration steps from the baseline to the example (default: adaptive)",
    )


def method_options(trained: TrainedRun, arguments: Namespace) -> dict[str, Any]:
    """Return the options on the command line as keyword arguments of `explain`.

    Raises:
        UsageError: the file of a baseline does not have exactly one row.
    """
    values = {
        "node": arguments.node,
        "neuron": arguments.neuron,
        "baseline": arguments.baseline,
        "n_steps": arguments.steps,
    }
    options: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    baseline = options.get("baseline", "")
    if baseline.startswith(FROM_FILE):
        path = baseline.removeprefix(FROM_FILE)
        options["baseline"] = read_row(path, trained.data.preprocess.to_json())
    return options
