"""A custom PyTorch module, imported from the current folder, run once, and recorded as an exported program."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Failure
from netloom.cli.custom_module_training import training_facts
from netloom.core.errors import UsageError
from netloom.core.text import first_line, plain
from netloom.core.torch_internals import RECORDING_LOGGERS, correct_lstm_states

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.compile.importers import TrainingFacts

EXAMPLES = "example_inputs"
_OBJECT_NAME = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)")
_SHAPE = re.compile(r"(?P<shape>[1-9]\d{0,6}(x[1-9]\d{0,6}){0,5})(:(?P<kind>int|float|bool))?")
_INPUT_HELP = "give a shape for each with --input, such as --input 1x3x224x224 or --input 1x64:int for whole numbers"


def names_python_object(text: str) -> bool:
    """Return whether an argument names a Python object, such as `models:make`, and not a file."""
    return _OBJECT_NAME.fullmatch(text) is not None and not Path(text).exists()


def record(text: str, shapes: list[str], target: Path) -> tuple[str, TrainingFacts | None]:
    """Import the module that `text` names, export it with `torch.export`, and write the program to `target`.

    Returns:
        The name of the module's class, and how the module differs in training; None if that cannot be recorded.

    Raises:
        Failure: the object cannot be imported, is not a module, or cannot be exported.
        UsageError: `text` or a shape is wrong, or the inputs are not known.
    """
    model, inputs = _load_module(text)
    example_inputs = tuple(_example_input(shape) for shape in shapes) or inputs
    if not example_inputs:
        raise UsageError(f"{text} does not define its inputs (it has no {EXAMPLES}); {_INPUT_HELP}.")
    return type(model).__name__, write_program(model, example_inputs, target, text)


def write_program(
    model: nn.Module, example_inputs: tuple[torch.Tensor, ...], target: Path, title: str
) -> TrainingFacts | None:
    """Export a module in evaluation mode and write the program to `target`.

    Returns:
        How the module differs in training; None if that cannot be recorded.

    Raises:
        Failure: torch.export cannot record the module; `title` names it in the message.
    """
    import torch

    model.eval()
    # torch.export prints the whole graph of a model that it cannot record.
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # about internals of torch.export, which users cannot change
        for name in RECORDING_LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        program = _export_program(model, example_inputs, title)
        torch.export.save(program, target)
        return training_facts(model, example_inputs, program, lambda: _export_program(model, example_inputs, title))


def _export_program(model: nn.Module, example_inputs: tuple[torch.Tensor, ...], text: str) -> Any:
    """Return the exported program, with a dynamic batch dimension if the module allows one."""
    import torch

    correct_lstm_states()
    # torch.export specializes a dimension of size 1, so a batch of one is repeated before its axis is marked dynamic:
    # https://docs.pytorch.org/docs/stable/export.html
    if all(value.dim() > 0 for value in example_inputs) and len({value.shape[0] for value in example_inputs}) == 1:
        batched_inputs = tuple(torch.cat([value] * (3 if value.shape[0] == 1 else 1)) for value in example_inputs)
        shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in batched_inputs)
        with contextlib.suppress(Exception):  # some modules fix their batch size; the export below reports other errors
            return torch.export.export(model, batched_inputs, dynamic_shapes=shapes)
    try:
        return torch.export.export(model, example_inputs)
    except Exception as error:  # custom code and the export raise exceptions of any class
        raise Failure(f"torch.export cannot export {text} with these inputs: {first_line(error, 300)}") from None


def _load_module(text: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """Return the module that `text` names, and the `example_inputs` that belong to it.

    Raises:
        Failure: the import or the call fails, or the object is not a module.
        UsageError: there is no such object.
    """
    import torch
    from torch import nn

    match = _OBJECT_NAME.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a Python object; write module:function, such as models:make.")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    value: Any
    try:
        value = importlib.import_module(match["module"])
    except ModuleNotFoundError as error:
        raise UsageError(f"There is no module {error.name!r} in {folder} or among the installed packages.") from None
    except Exception as error:
        raise Failure(f"{match['module']} fails while it is imported: {_describe_error(error)}") from None
    examples = getattr(value, EXAMPLES, None)
    for part in match["name"].split("."):
        if not hasattr(value, part):
            raise UsageError(f"{match['module']} has no attribute {match['name']!r}.")
        value = getattr(value, part)
        examples = getattr(value, EXAMPLES, examples)
    try:
        value = value if isinstance(value, nn.Module) else value() if callable(value) else value
        examples = getattr(value, EXAMPLES, examples)
        examples = examples() if callable(examples) else examples
    except Exception as error:
        raise Failure(f"{text} fails when it is called without arguments: {_describe_error(error)}") from None
    if not isinstance(value, nn.Module):
        raise Failure(f"{text} must be or return a torch.nn.Module, but it gives a {type(value).__name__}.")
    examples = (examples,) if isinstance(examples, torch.Tensor) else examples
    if examples is not None and (
        not isinstance(examples, tuple | list) or any(not isinstance(part, torch.Tensor) for part in examples)
    ):
        raise Failure(f"{EXAMPLES} of {text} must be a tensor or a tuple of tensors.")
    return value, tuple(examples or ())


def _describe_error(error: Exception) -> str:
    return plain(f"{type(error).__name__}: {error}")[:300]


def _example_input(text: str) -> torch.Tensor:
    """Return a tensor of zeros for a shape such as `1x3x224x224`, or of integers for `1x64:int`."""
    import torch

    match = _SHAPE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text[:60]!r} is not a shape; write the lengths of its axes, such as 1x3x224x224 or 1x64:int."
        )
    shape = [int(part) for part in match["shape"].split("x")]
    if torch.Size(shape).numel() > 2**27:
        raise UsageError(f"{text[:60]!r} is too large for an example.")
    if match["kind"] in ("int", "bool"):
        return torch.zeros(shape, dtype=torch.long if match["kind"] == "int" else torch.bool)
    return torch.zeros(shape)
