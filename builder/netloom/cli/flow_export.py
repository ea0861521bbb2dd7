"""`netloom explain --method flow`: the share of each edge in the score, as text, JSON, CSV or an SVG drawing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.text import number, table
from netloom.core.errors import UsageError
from netloom.core.plain_json import JsonObject
from netloom.core.text import plain
from netloom.explain import Method
from netloom.explain.core.explainer import LAYERS
from netloom.explain.flow.attribution_flow import METHOD, SUMMARY, TITLE, URL, Flow, flow, unavailable_reason

if TYPE_CHECKING:
    from netloom.explain.core.baselines import BaselineChoice
    from netloom.explain.core.targets import TargetLike
    from netloom.runs import TrainedRun

ENDINGS = (".csv", ".svg", ".json")


def flow_method(trained: TrainedRun) -> Method:
    """Return the flow as an entry of the list of methods."""
    reason = unavailable_reason(trained)
    return Method(METHOD, TITLE, SUMMARY, URL, not reason, reason, LAYERS)


def explain_flow(
    trained: TrainedRun,
    example: int | Mapping[str, Any],
    target: TargetLike,
    folder: Path | None,
    checkpoint: str,
    to: str | None,
    baseline: BaselineChoice,
) -> tuple[JsonObject, str]:
    """Compute the attribution flow, and write it to the file `to` if that is set.

    Returns:
        The flow as plain values for JSON, and as text.

    Raises:
        UsageError: the file name does not end in .csv, .svg or .json.
    """
    if to is not None and Path(to).suffix.lower() not in ENDINGS:
        raise UsageError(f"--to {to[:80]!r}: a flow is written to a file that ends in .csv, .svg or .json.")
    flow_result = flow(trained, example, target=target, baseline=baseline, folder=folder, checkpoint=checkpoint)
    if to is not None:
        _write(trained, flow_result, Path(to))
    return flow_result.as_json(), "\n".join(_lines(flow_result))


def _write(trained: TrainedRun, flow: Flow, path: Path) -> None:
    import json

    from netloom.document import write_bytes
    from netloom.explain.plots.flow import flow_csv, flow_svg

    writers = {
        ".csv": lambda: flow_csv(flow),
        ".svg": lambda: flow_svg(trained.project, flow),
        ".json": lambda: json.dumps(flow.as_json(), indent=2),
    }
    write_bytes(path, writers[path.suffix.lower()]().encode())


def _lines(flow: Flow) -> list[str]:
    rows = [
        (
            f"{edge.path}: " * bool(edge.path) + edge.source,
            edge.target,
            "" if edge.value is None else number(edge.value),
        )
        for edge in flow.edges
    ]
    return [
        plain(flow.headline),
        plain(f"row {flow.row}: prediction {flow.prediction.text}"),
        f"{flow.verdict.level}: {plain(flow.verdict.sentence)}",
        "",
        table(("from", "to", "flow"), rows, right=("flow",)),
    ]
