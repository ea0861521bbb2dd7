"""`netloom bench`: how fast Netloom is, as ratios that are measured side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from builder.cli.bench.ratio import Ratio
from builder.cli.command import Command, Context, whole
from builder.cli.text import table

PARTS = ("training", "forward", "check", "canvas")


class Bench(Command):
    """Compares the training loop with hand-written ones, the canvas with another, and both with their budgets."""

    name = "bench"
    summary = "measure training and networks against hand-written PyTorch, the check, and the canvas against another"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repeats", type=whole(1, 1_000), default=9, metavar="N", help="how often (else 9)")
        parser.add_argument("--only", choices=PARTS, help="one part alone")

    def run(self, asked: Namespace, context: Context) -> int:
        from builder.train.device import KEEP_MEMORY

        parts = {"training": _training, "forward": _passes, "check": _check, "canvas": _canvas}
        if asked.only in (None, "training", "forward") and not KEEP_MEMORY.items() <= os.environ.items():
            return self._as_a_worker_runs(asked)
        import torch

        torch.set_num_threads(1)
        value: dict[str, object] = {"threads": 1, "torch": torch.__version__, "repeats": asked.repeats}
        texts = []
        for name in [asked.only] if asked.only else PARTS:
            value[name], text = parts[name](asked.repeats, context)
            texts.append(text)
        context.answer(value, "\n\n".join(texts))
        return 0

    def _as_a_worker_runs(self, asked: Namespace) -> int:
        """Again, in a process that keeps its memory as training's workers do; the loops by hand profit alike."""
        from builder.train.device import KEEP_MEMORY

        command = [sys.executable, "-m", "builder.cli", self.name, "--repeats", str(asked.repeats)]
        command += ["--only", asked.only] if asked.only else []
        command += ["--json"] if asked.json else []
        return subprocess.run(command, env={**os.environ, **KEEP_MEMORY}, check=False).returncode


def _training(repeats: int, context: Context) -> tuple[object, str]:
    from builder.cli.bench.tasks import tasks
    from builder.cli.bench.training import measure_training

    results = []
    for task in tasks():
        context.note(f"Training {task.title} …")
        results.append(measure_training(task, repeats))
    head = ("training throughput", "vs plain loop", "from–to", "vs fused loop", "from–to ")
    rows = [(item.title, *_cells(item.plain), *_cells(item.fused)) for item in results]
    return [asdict(item) for item in results], table(head, rows)


def _passes(repeats: int, context: Context) -> tuple[object, str]:
    from builder.cli.bench.forward import measure_passes

    context.note("Passing data through ResNet-18 and GPT-2 …")
    found = measure_passes(repeats)
    head = ("generated network, of one by hand", "forward", "from–to", "and back", "from–to ")
    rows = [(item.title, *_cells(item.forward), *_cells(item.training)) for item in found]
    return [asdict(item) for item in found], table(head, rows)


def _check(repeats: int, context: Context) -> tuple[object, str]:
    from builder.cli.bench.checking import measure_check

    context.note("Checking large documents …")
    found = measure_check(repeats)
    rows = []
    for item in found:
        rows.append((f"{item.nodes:,} nodes, of {item.budget_s:g} s", *_plain(item.share)))
        rows.append((f"an edit at {item.nodes:,} nodes, of {item.edit_budget_s:g} s", *_plain(item.edit_share)))
    return [asdict(item) for item in found], table(("check", "ratio", "from–to"), rows)


def _canvas(repeats: int, context: Context) -> tuple[object, str]:
    from builder.cli.bench.canvas import BUDGET_BYTES, BUDGET_FRAMES, PEER_NODES, Unmeasured, measure_canvas

    context.note("Editing on the canvas …")
    try:
        found = measure_canvas(repeats)
    except Unmeasured as error:
        return {"unmeasured": str(error)}, str(error)
    rows = [(f"edit at {edit.nodes} nodes, of {edit.budget_ms:g} ms", *_plain(edit.share)) for edit in found.edits]
    rows += [
        (f"streamlit-flow-component at {PEER_NODES} nodes, of ours", *_cells(found.peer)),
        ("edit while a run trains, of an idle one", *_cells(found.training)),
        (f"frames a second in a drag, of {BUDGET_FRAMES}", f"{found.frames / BUDGET_FRAMES:.2f}", ""),
        (f"bytes up per edit, of {BUDGET_BYTES:,}", f"{found.sent / BUDGET_BYTES:.2f}", ""),
    ]
    return asdict(found), table(("canvas", "ratio", "from–to"), rows)


def _cells(found: Ratio) -> tuple[str, str]:
    return f"{found.median:.2f}×", _span(found)


def _plain(found: Ratio) -> tuple[str, str]:
    return f"{found.median:.2f}", _span(found)


def _span(found: Ratio) -> str:
    return f"{found.low:.2f}–{found.high:.2f}"
