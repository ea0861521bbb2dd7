"""`netloom bench`: the speed of Netloom as ratios, measured side by side in one process."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from netloom.cli.bench.defaults import STEPS
from netloom.cli.command import Command, Context, whole
from netloom.cli.text import table
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.cli.bench.ratio import Ratio
    from netloom.cli.bench.run_costs import Cost

PARTS = (
    "training",
    "peers",
    "running",
    "pictures",
    "streaming",
    "forward",
    "check",
    "explaining",
    "canvas",
    "first-picture",
    "serving",
    "imports",
)
# They take too long, or need files, to be measured unless they are named.
_PARTS_BY_NAME = ("pictures", "first-picture", "serving", "imports")
# They are measured with the memory settings of a training worker.
_PARTS_THAT_TRAIN = ("training", "peers", "running", "pictures", "streaming", "forward")


class Bench(Command):
    """Compares training with handwritten loops and other libraries, and the canvas with another one."""

    name = "bench"
    summary = "benchmark training, networks, validation, the canvas and the model server"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--repeats", type=whole(1, 1_000), default=9, metavar="N", help="number of repetitions (default: 9)"
        )
        parser.add_argument("part", nargs="?", choices=PARTS, help="part to run (default: all)")
        parser.add_argument("--only", choices=PARTS, help="same as the argument")
        parser.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="NAME",
            help="with imports: only models whose suite/name contains NAME, such as torchvision/resnet; "
            "with first-picture: only templates whose name contains it; repeatable",
        )
        parser.add_argument(
            "--steps",
            type=whole(1, 10_000),
            default=STEPS,
            metavar="N",
            help=f"with training: optimizer steps of ResNet-18 and of the GPT (default: {STEPS})",
        )
        parser.add_argument(
            "--compile",
            action="store_true",
            help="with training: also compare compiled networks; their compilation takes minutes",
        )
        parser.add_argument(
            "--pictures", type=Path, metavar="FOLDER", help="folder with the four IDX files of MNIST, to train a LeNet"
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.training.device import KEEP_MEMORY

        part = arguments.part or arguments.only
        if part == "pictures" and arguments.pictures is None:
            raise UsageError("Give the folder with the four IDX files of MNIST: --pictures FOLDER.")
        if part in (None, *_PARTS_THAT_TRAIN) and not KEEP_MEMORY.items() <= os.environ.items():
            return self._run_in_process(arguments, part)
        import torch

        torch.set_num_threads(1)
        value: dict[str, object] = {"threads": 1, "torch": torch.__version__, "repeats": arguments.repeats}
        texts = []
        measured = [name for name in PARTS if name not in _PARTS_BY_NAME or (name == "pictures" and arguments.pictures)]
        for name in [part] if part else measured:
            if name == "pictures":
                value[name], text = _pictures(arguments.pictures, context)
            elif name == "training":
                value[name], text = _training(arguments, context)
            elif name == "imports":
                value[name], text = _imports(arguments.model, context)
            elif name == "first-picture":
                value[name], text = _first_pictures(arguments.model, context)
            else:
                value[name], text = _MEASURES[name](arguments.repeats, context)
            texts.append(text)
        context.answer(value, "\n\n".join(texts))
        return 0

    def _run_in_process(self, arguments: Namespace, part: str | None) -> int:
        """Run this command with the allocator settings of a worker; handwritten loops benefit equally."""
        from netloom.training.device import KEEP_MEMORY

        command = [sys.executable, "-m", "netloom.cli", self.name, "--repeats", str(arguments.repeats)]
        command += [part] if part else []
        command += ["--pictures", str(arguments.pictures)] if arguments.pictures else []
        command += ["--steps", str(arguments.steps), *(["--compile"] if arguments.compile else [])]
        command += ["--json"] if arguments.json else []
        return subprocess.run(command, env={**os.environ, **KEEP_MEMORY}, check=False).returncode


def _training(arguments: Namespace, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.tasks import tasks
    from netloom.cli.bench.throughput import measure_training

    results = []
    for task in tasks(arguments.steps):
        context.note(f"Training {task.title} …")
        results.append(measure_training(task, arguments.repeats, compiles=arguments.compile))
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


def _peers(repeats: int, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.peer_libraries import PEERS
    from netloom.cli.bench.tasks import small_mlp
    from netloom.cli.bench.throughput import measure_peers

    context.note("Training the digits MLP with other libraries …")
    results = measure_peers(small_mlp(epochs=20), repeats)
    rows = [
        (item.title, *_times_cells(item.faster), f"{item.promised:g}×" if item.promised else "") for item in results
    ]
    text = table(("speed relative to another library", "times", "from–to", "promised"), rows)
    missing = sorted({peer.package for peer in PEERS} - {peer.package for peer in PEERS if find_spec(peer.package)})
    if missing:
        text += f"\nNot installed: {', '.join(missing)}; install them with pip install -e '.[peers]'."
    return [asdict(item) for item in results], text


def _running(repeats: int, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.run_costs import measure_cost, measure_start
    from netloom.cli.bench.tasks import tasks

    context.note("Training with and without observation …")
    costs = [
        measure_cost(task, min(repeats, 5)) for task in tasks() if task.title in ("digits MLP", "small Transformer")
    ]
    context.note("Starting and resuming runs …")
    start_times = measure_start(min(repeats, 5))
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


def _pictures(folder: Path, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.mnist import ACCURACY, BUDGET_S, measure_pictures

    context.note("Training a LeNet on the images …")
    result = measure_pictures(folder)
    rows = [
        ("accuracy on the test rows", f"{result.accuracy:.4f}", f"{ACCURACY:g}"),
        ("reading, preparing, training and testing, wall-clock time", f"{result.clock_s:.0f} s", f"{BUDGET_S:g} s"),
        ("the same, CPU time", f"{result.cpu_s:.0f} s", ""),
        ("only reading and preparing", f"{result.preparing_cpu_s:.1f} s", ""),
        ("competing processes", f"{result.load:.1f}", ""),
    ]
    return asdict(result), table((f"{result.rows:,} images", "", "promised"), rows)


def _imports(names: list[str], context: Context) -> tuple[object, str]:
    from netloom.cli.bench.imports.case import State
    from netloom.cli.bench.imports.measure import measure_imports, refusals, summary
    from netloom.cli.bench.imports.suites import SUITES

    outcomes, missing = measure_imports(SUITES, names, context.note)
    head = ("models imported", "models", *get_args(State), "share", "promised")
    texts = [table(head, summary(outcomes, SUITES), right=head[1:])]
    if reasons := refusals(outcomes):
        texts.append(table(("not reproduced", "reason"), reasons))
    if missing:
        texts.append(f"Not installed: {', '.join(missing)}; install them with pip install {' '.join(missing)}.")
    value = {"outcomes": [asdict(outcome) for outcome in outcomes], "missing": missing}
    return value, "\n\n".join(texts)


def _measure_passes(repeats: int, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.forward_passes import measure_passes

    context.note("Passing data through ResNet-18 and GPT-2 …")
    results = measure_passes(repeats)
    head = (
        "speed of the generated network relative to a handwritten one",
        "forward",
        "from–to",
        "and backward",
        "from–to ",
    )
    rows = [(item.title, *_times_cells(item.forward), *_times_cells(item.training)) for item in results]
    return [asdict(item) for item in results], table(head, rows)


def _streaming(repeats: int, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.streaming import PROMISED, TIMES, measure_streaming

    context.note(f"Training on data {TIMES} times larger than memory …")
    result = measure_streaming(min(repeats, 5))
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


def _check(repeats: int, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.validation import measure_check

    context.note("Checking large documents …")
    results = measure_check(repeats)
    rows = []
    for item in results:
        rows.append((f"{item.nodes:,} nodes, of {item.budget_s:g} s", *_ratio_cells(item.share)))
        rows.append((f"an edit at {item.nodes:,} nodes, of {item.edit_budget_s:g} s", *_ratio_cells(item.edit_share)))
    return [asdict(item) for item in results], table(("check", "ratio", "from–to"), rows)


def _explaining(repeats: int, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.flow import measure_flow
    from netloom.cli.bench.methods import measure_methods

    context.note("Attribution flow through networks …")
    flow_times = measure_flow(repeats)
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
    costs = measure_methods(min(repeats, 5))
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


def _canvas(repeats: int, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.browser import Unmeasured
    from netloom.cli.bench.canvas import BUDGET_BYTES, BUDGET_FRAMES, PEER_NODES, measure_canvas

    context.note("Editing on the canvas …")
    try:
        result = measure_canvas(repeats)
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


def _first_pictures(models: Sequence[str], context: Context) -> tuple[object, str]:
    from netloom.cli.bench.browser import Unmeasured
    from netloom.cli.bench.first_picture import BUDGET_S, measure_first_pictures
    from netloom.templates import templates

    names = [name for name in templates() if not models or any(part in name for part in models)]
    try:
        pictures = measure_first_pictures(names, context.note)
    except Unmeasured as error:
        return {"unmeasured": str(error)}, str(error)
    rows = [(item.template, f"{item.seconds:.2f} s", f"{item.seconds / BUDGET_S:.2f}") for item in pictures]
    return [asdict(item) for item in pictures], table(
        (f"first attributions, budget {BUDGET_S:g} s", "time", "ratio"), rows
    )


def _serving(repeats: int, context: Context) -> tuple[object, str]:
    from netloom.cli.bench.serving import CLIENTS, measure_serving, missing_peers

    context.note("Serving networks …")
    results = measure_serving(min(repeats, 5))
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


_MEASURES: dict[str, Callable[[int, Context], tuple[object, str]]] = {
    "peers": _peers,
    "running": _running,
    "streaming": _streaming,
    "forward": _measure_passes,
    "check": _check,
    "explaining": _explaining,
    "canvas": _canvas,
    "serving": _serving,
}
