"""The parts of the benchmark: what each measures, and the table that shows it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, get_args

from netloom.cli.command import Context
from netloom.cli.text import table

if TYPE_CHECKING:
    from netloom.cli.bench.ratio import Ratio
    from netloom.cli.bench.run_costs import Cost


class Part(NamedTuple):
    """A part of the benchmark.

    Attributes:
        measure: returns the results as JSON and as text.
        is_default: whether it is measured unless another part is named; the others take long, or need files.
        trains: whether it is measured with the memory settings of a training worker.
        on_gpu: whether it is also measured on a GPU.
    """

    measure: Callable[[Namespace, Context], tuple[object, str]]
    is_default: bool = True
    trains: bool = False
    on_gpu: bool = False


def _training(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.tasks import tasks
    from netloom.cli.bench.throughput import measure_training

    results = []
    for task in tasks(arguments.steps):
        context.note(f"Training {task.title} …")
        results.append(measure_training(task, arguments.repeats, compiles=arguments.compile, device=arguments.device))
    head = ("training throughput", "vs plain loop", "from–to", "vs best loop", "from–to ", "best loop", "losses")
    rows = [
        (
            item.title,
            *_times_cells(item.plain),
            *_times_cells(item.best),
            item.best_name,
            " and ".join(f"{loss:.4g}" for loss in item.losses),
        )
        for item in results
    ]
    return [asdict(item) for item in results], table(head, rows, right=head[1:5])


def _peers(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.peer_libraries import PEERS
    from netloom.cli.bench.tasks import small_mlp
    from netloom.cli.bench.throughput import measure_peers

    context.note("Training the digits MLP with other libraries …")
    results = measure_peers(small_mlp(epochs=20), arguments.repeats, arguments.device)
    rows = [
        (item.title, *_times_cells(item.faster), f"{item.promised:g}×" if item.promised else "") for item in results
    ]
    text = table(("speed relative to another library", "times", "from–to", "promised"), rows)
    missing = sorted({peer.package for peer in PEERS} - {peer.package for peer in PEERS if find_spec(peer.package)})
    if missing:
        text += f"\nNot installed: {', '.join(missing)}; install them with pip install -e '.[peers]'."
    return [asdict(item) for item in results], text


def _running(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.run_costs import measure_cost, measure_start
    from netloom.cli.bench.tasks import tasks

    context.note("Training with and without observation …")
    costs = [
        measure_cost(task, min(arguments.repeats, 5))
        for task in tasks()
        if task.title in ("digits MLP", "small Transformer")
    ]
    context.note("Starting and resuming runs …")
    start_times = measure_start(min(arguments.repeats, 5))
    parts = [(f"{item.title}: {name}", share) for item in costs for name, share in _parts(item)]
    rows = [
        (name, f"{share.median:.1%}", f"{share.low:.1%}–{share.high:.1%}", "" if "weights" in name else "2%")
        for name, share in parts
    ]
    for name, ratio, promised in (
        ("time to the first point, relative to importing torch", start_times.first_point, "1× + 2 s"),
        ("the same in wall-clock time", start_times.first_point_clock, ""),
        ("time from resume to the next point, relative to importing torch", start_times.resumed, "1× + 2 s"),
        ("the same in wall-clock time", start_times.resumed_clock, ""),
    ):
        rows.append((name, f"{ratio.median:.2f}×", f"{ratio.low:.2f}–{ratio.high:.2f}", promised))
    value = {"cost": [asdict(item) for item in costs], "start": asdict(start_times)}
    return value, table(("a run with default settings", "takes", "from–to", "promised"), rows)


def _parts(item: Cost) -> list[tuple[str, Ratio]]:
    return [
        ("curves and heartbeat", item.recorded),
        ("layer statistics", item.observed),
        ("checkpoints during the run", item.saved),
    ]


def _pictures(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.mnist import ACCURACY, BUDGET_S, measure_pictures

    context.note("Training a LeNet on the images …")
    result = measure_pictures(arguments.pictures)
    rows = [
        ("accuracy on the test rows", f"{result.accuracy:.4f}", f"{ACCURACY:g}"),
        ("reading, preparing, training and testing, wall-clock time", f"{result.clock_s:.0f} s", f"{BUDGET_S:g} s"),
        ("the same, CPU time", f"{result.cpu_s:.0f} s", ""),
        ("only reading and preparing", f"{result.preparing_cpu_s:.1f} s", ""),
        ("competing processes", f"{result.load:.1f}", ""),
    ]
    return asdict(result), table((f"{result.rows:,} images", "", "promised"), rows)


def _imports(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.imports.case import State
    from netloom.cli.bench.imports.measure import measure_imports, refusals, summary
    from netloom.cli.bench.imports.suites import SUITES

    outcomes, missing = measure_imports(SUITES, arguments.model, context.note)
    head = ("models imported", "models", *get_args(State), "share", "promised")
    texts = [table(head, summary(outcomes, SUITES), right=head[1:])]
    if reasons := refusals(outcomes):
        texts.append(table(("not reproduced", "reason"), reasons))
    if missing:
        texts.append(f"Not installed: {', '.join(missing)}; install them with pip install {' '.join(missing)}.")
    value = {"outcomes": [asdict(outcome) for outcome in outcomes], "missing": missing}
    return value, "\n\n".join(texts)


def _forward(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.forward_passes import measure_passes

    context.note("Passing data through ResNet-18 and GPT-2 …")
    results = measure_passes(arguments.repeats, arguments.device)
    head = (
        "time of the generated network relative to a handwritten one",
        "forward",
        "from–to",
        "and backward",
        "from–to ",
    )
    rows = [(item.title, *_times_cells(item.forward), *_times_cells(item.training)) for item in results]
    return [asdict(item) for item in results], table(head, rows)


def _streaming(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.streaming import PROMISED, TIMES, measure_streaming

    context.note(f"Training on data {TIMES} times larger than memory …")
    result = measure_streaming(min(arguments.repeats, 5), device=arguments.device)
    head = (
        f"{result.data_bytes / 2**20:,.0f} MiB of data in {result.memory_bytes / 2**20:,.0f} MiB",
        "speed",
        "from–to",
    )
    rows = [
        (f"throughput relative to data in memory, wall-clock time, at least {PROMISED:g}", *_times_cells(result.speed)),
        ("throughput relative to data in memory, CPU time", *_times_cells(result.processor)),
    ]
    return asdict(result), table(head, rows)


def _check(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.validation import measure_check

    context.note("Checking large documents …")
    results = measure_check(arguments.repeats)
    rows = []
    for item in results:
        rows.append((f"{item.nodes:,} nodes, of {item.budget_s:g} s", *_ratio_cells(item.share)))
        rows.append((f"an edit at {item.nodes:,} nodes, of {item.edit_budget_s:g} s", *_ratio_cells(item.edit_share)))
    return [asdict(item) for item in results], table(("check", "ratio", "from–to"), rows)


def _explaining(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.flow import measure_flow
    from netloom.cli.bench.methods import measure_methods

    context.note("Attribution flow through networks …")
    flow_times = measure_flow(arguments.repeats)
    head = ("attribution flow", "takes", "Captum, layer by layer", "times", "from–to")
    rows = [
        (
            f"{item.title}: {item.layers} layers, {item.steps} steps",
            f"{item.flow_ms:.0f} ms",
            f"{item.captum_ms:.0f} ms",
            *_times_cells(item.faster),
        )
        for item in flow_times
    ]
    context.note("Explaining by each method …")
    costs = measure_methods(min(arguments.repeats, 5))
    texts = [table(head, rows)]
    for network in dict.fromkeys(cost.network for cost in costs):
        top = (f"methods on {network}, in forward and backward passes", "takes", "with checks", "rows", "Captum", " ")
        lines = [
            (
                cost.title,
                f"{cost.passes.median:.1f}",
                f"{cost.proven.median:.0f}",
                f"{cost.rows:,}",
                *(_times_cells(cost.captum) if cost.captum else ("–", "")),
            )
            for cost in costs
            if cost.network == network
        ]
        texts.append(table(top, lines))
    texts.append(
        "Captum: its time relative to the method's time; – if Captum has no such method or does not support the "
        "network. Captum's layer-wise relevance propagation has no rule for global average pooling and would not "
        "support the CNN, so it gets the ε rule for it, as in the method."
    )
    value = {"flow": [asdict(item) for item in flow_times], "methods": [asdict(cost) for cost in costs]}
    return value, "\n\n".join(texts)


def _canvas(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.browser import Unmeasured
    from netloom.cli.bench.canvas import BUDGET_BYTES, BUDGET_FRAMES, PEER_NODES, measure_canvas

    context.note("Editing on the canvas …")
    try:
        result = measure_canvas(arguments.repeats)
    except Unmeasured as error:
        return {"unmeasured": str(error)}, str(error)
    rows = [
        (f"edit at {edit.nodes} nodes, of {edit.budget_ms:g} ms", *_ratio_cells(edit.share)) for edit in result.edits
    ]
    rows += [
        (f"streamlit-flow-component at {PEER_NODES} nodes, of ours", *_times_cells(result.peer)),
        ("edit while a run trains, relative to an idle server", *_times_cells(result.training)),
        (f"frames per second in a drag, budget {BUDGET_FRAMES}", f"{result.frames / BUDGET_FRAMES:.2f}", ""),
        (f"bytes sent per edit, budget {BUDGET_BYTES:,}", f"{result.sent / BUDGET_BYTES:.2f}", ""),
    ]
    return asdict(result), table(("canvas", "ratio", "from–to"), rows)


def _first_pictures(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.browser import Unmeasured
    from netloom.cli.bench.first_picture import BUDGET_S, measure_first_pictures
    from netloom.templates import templates

    parts = arguments.model
    names = [name for name in templates() if not parts or any(part in name for part in parts)]
    try:
        pictures = measure_first_pictures(names, context.note)
    except Unmeasured as error:
        return {"unmeasured": str(error)}, str(error)
    rows = [(item.template, f"{item.seconds:.2f} s", f"{item.seconds / BUDGET_S:.2f}") for item in pictures]
    return [asdict(item) for item in pictures], table(
        (f"first attributions, budget {BUDGET_S:g} s", "time", "ratio"), rows
    )


def _live_predictions(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.browser import Unmeasured
    from netloom.cli.bench.live_prediction import BUDGET_MS, measure_live_predictions
    from netloom.templates import templates

    parts = arguments.model
    names = [name for name in templates() if not parts or any(part in name for part in parts)]
    try:
        times = measure_live_predictions(names, arguments.repeats, context.note)
    except Unmeasured as error:
        return {"unmeasured": str(error)}, str(error)
    head = (f"prediction after an edit, budget {BUDGET_MS} ms", "edit", "median", "largest", "ratio")
    rows = [
        (item.template, item.edit, "no prediction", "", "")
        if item.median_ms is None
        else (
            item.template,
            item.edit,
            f"{item.median_ms:.0f} ms",
            f"{item.largest_ms:.0f} ms",
            f"{item.median_ms / BUDGET_MS:.2f}",
        )
        for item in times
    ]
    return [asdict(item) for item in times], table(head, rows, right=head[2:])


def _serving(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.serving import CLIENTS, measure_serving, missing_peers

    context.note("Serving networks …")
    results = measure_serving(min(arguments.repeats, 5))
    head = (
        f"server, {CLIENTS} clients",
        "network",
        "per second",
        "p99",
        "CPU each",
        "CPU",
        "from–to",
        "ours",
        "from–to ",
        "our p99",
        " ",
    )
    rows = [
        (
            item.server,
            item.network,
            f"{item.per_second:,.0f}",
            f"{item.p99_ms:.1f} ms",
            f"{item.cpu_ms:.3f} ms",
            *_times_cells(item.cheaper),
            *_times_cells(item.faster),
            *_times_cells(item.p99),
        )
        for item in results
    ]
    text = table(head, rows, right=head[2:])
    if missing := missing_peers():
        text += f"\nNot installed: {', '.join(missing)}; install them with pip install -e '.[peers]'."
    return [asdict(item) for item in results], text


def _times_cells(ratio: Ratio) -> tuple[str, str]:
    return f"{ratio.median:.2f}×", _range(ratio)


def _ratio_cells(ratio: Ratio) -> tuple[str, str]:
    return f"{ratio.median:.2f}", _range(ratio)


def _range(ratio: Ratio) -> str:
    return f"{ratio.low:.2f}–{ratio.high:.2f}"


PARTS = {
    "training": Part(_training, trains=True, on_gpu=True),
    "peers": Part(_peers, trains=True, on_gpu=True),
    "running": Part(_running, trains=True),
    "pictures": Part(_pictures, is_default=False, trains=True),
    "streaming": Part(_streaming, trains=True, on_gpu=True),
    "forward": Part(_forward, trains=True, on_gpu=True),
    "check": Part(_check),
    "explaining": Part(_explaining),
    "canvas": Part(_canvas),
    "first-picture": Part(_first_pictures, is_default=False),
    "try-it": Part(_live_predictions, is_default=False),
    "serving": Part(_serving, is_default=False),
    "imports": Part(_imports, is_default=False),
}
