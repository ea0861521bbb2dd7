"""`netloom bench`: the speed of Netloom as ratios, measured side by side in one process."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from netloom.cli.bench.defaults import STEPS
from netloom.cli.bench.parts import PARTS
from netloom.cli.command import Command, Context, whole
from netloom.core.errors import UsageError


class Bench(Command):
    """Compares training with handwritten loops and other libraries, and the canvas with another one."""

    name = "bench"
    summary = "benchmark training, networks, validation, the canvas and the model server"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--repeats", type=whole(1, 1_000), default=9, metavar="N", help="number of repetitions (default: 9)"
        )
        parser.add_argument("part", nargs="?", choices=list(PARTS), help="part to run (default: all)")
        parser.add_argument("--only", choices=list(PARTS), help="same as the argument")
        parser.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="NAME",
            help="with imports: only models whose suite/name contains NAME, such as torchvision/resnet; "
            "with first-picture and try-it: only templates whose name contains it; repeatable",
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
            "--device",
            choices=("cpu", "cuda"),
            default="cpu",
            help=f"hardware for {', '.join(name for name, part in PARTS.items() if part.on_gpu)} (default: cpu)",
        )
        parser.add_argument(
            "--pictures", type=Path, metavar="FOLDER", help="folder with the four IDX files of MNIST, to train a LeNet"
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.training.speed.device import KEEP_MEMORY

        part = arguments.part or arguments.only
        if part == "pictures" and arguments.pictures is None:
            raise UsageError("Give the folder with the four IDX files of MNIST: --pictures FOLDER.")
        names = [part] if part else _default_parts(arguments)
        _check_device(arguments.device, names)
        if any(PARTS[name].trains for name in names) and not KEEP_MEMORY.items() <= os.environ.items():
            return self._run_in_process(arguments, part)
        import torch

        torch.set_num_threads(1)
        value: dict[str, object] = {
            "threads": 1,
            "torch": torch.__version__,
            "device": _device_name(arguments.device),
            "repeats": arguments.repeats,
        }
        texts = []
        for name in names:
            value[name], text = PARTS[name].measure(arguments, context)
            texts.append(text)
        context.answer(value, "\n\n".join(texts))
        return 0

    def _run_in_process(self, arguments: Namespace, part: str | None) -> int:
        """Run this command with the allocator settings of a worker; handwritten loops benefit equally."""
        from netloom.training.speed.device import KEEP_MEMORY

        command = [sys.executable, "-m", "netloom.cli", self.name, "--repeats", str(arguments.repeats)]
        command += [part] if part else []
        command += ["--device", arguments.device]
        command += ["--pictures", str(arguments.pictures)] if arguments.pictures else []
        command += ["--steps", str(arguments.steps), *(["--compile"] if arguments.compile else [])]
        command += ["--json"] if arguments.json else []
        return subprocess.run(command, env={**os.environ, **KEEP_MEMORY}, check=False).returncode


def _default_parts(arguments: Namespace) -> list[str]:
    """Return the parts that are measured if none is named: on a GPU, those of them that use it."""
    defaults = [name for name, part in PARTS.items() if part.is_default and (arguments.device == "cpu" or part.on_gpu)]
    return [*defaults, "pictures"] if arguments.pictures else defaults


def _check_device(device: str, names: list[str]) -> None:
    from netloom.training.speed.device import choose

    if device == "cpu":
        return
    if on_cpu := [name for name in names if not PARTS[name].on_gpu]:
        raise UsageError(f"{on_cpu[0]} is measured on the CPU only; leave out --device {device}.")
    try:
        choose(device)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _device_name(device: str) -> str:
    """Return "cpu", or the name of the GPU, such as "NVIDIA H100 80GB HBM3"."""
    import torch

    return device if device == "cpu" else torch.cuda.get_device_name()
