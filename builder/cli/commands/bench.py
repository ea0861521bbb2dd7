"""`netloom bench`: how fast Netloom is, as ratios that are measured side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from builder.cli.command import Command, Context, Failure, whole
from builder.cli.text import table

PARTS = ("training", "check")


class Bench(Command):
    """Compares the training loop with hand-written ones, and the check with its budget."""

    name = "bench"
    summary = "measure training against hand-written PyTorch, and the check of a large document"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repeats", type=whole(1, 1_000), default=9, metavar="N", help="how often (else 9)")
        parser.add_argument("--only", choices=PARTS, help="one part alone")

    def run(self, asked: Namespace, context: Context) -> int:
        from builder.train.device import KEEP_MEMORY

        if asked.only != PARTS[1] and not KEEP_MEMORY.items() <= os.environ.items():
            return self._as_a_worker_runs(asked)
        import torch

        from builder.cli.bench.checking import NODES, measure_check
        from builder.cli.bench.tasks import tasks
        from builder.cli.bench.training import measure_training

        torch.set_num_threads(1)
        value: dict[str, object] = {"threads": 1, "torch": torch.__version__, "repeats": asked.repeats}
        lines = []
        if asked.only in (None, PARTS[0]):
            results = []
            for task in tasks():
                context.note(f"Training {task.title} …")
                results.append(measure_training(task, asked.repeats))
            head = ("training throughput", "vs plain loop", "from–to", "vs fused loop", "from–to ")
            rows = [
                (
                    item.title,
                    f"{item.plain.median:.2f}×",
                    f"{item.plain.low:.2f}–{item.plain.high:.2f}",
                    f"{item.fused.median:.2f}×",
                    f"{item.fused.low:.2f}–{item.fused.high:.2f}",
                )
                for item in results
            ]
            lines += [table(head, rows), ""]
            value["training"] = [asdict(item) for item in results]
        if asked.only in (None, PARTS[1]):
            context.note(f"Checking {NODES} nodes …")
            check = measure_check(asked.repeats)
            lines.append(
                f"check of {check.nodes} nodes: {check.share.median:.2f} of the budget of {check.budget_s:g} s "
                f"({check.share.low:.2f}–{check.share.high:.2f})"
            )
            value["check"] = asdict(check)
        if not lines:
            raise Failure("Nothing was measured.")
        context.answer(value, "\n".join(lines).strip("\n"))
        return 0

    def _as_a_worker_runs(self, asked: Namespace) -> int:
        """Again, in a process that keeps its memory as training's workers do; the loops by hand profit alike."""
        from builder.train.device import KEEP_MEMORY

        command = [sys.executable, "-m", "builder.cli", self.name, "--repeats", str(asked.repeats)]
        command += ["--only", asked.only] if asked.only else []
        command += ["--json"] if asked.json else []
        return subprocess.run(command, env={**os.environ, **KEEP_MEMORY}, check=False).returncode
