"""What a custom PyTorch module does in training only, which its exported program for evaluation does not contain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netloom.core.torch_internals import dispatch_mode, leaves

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.export import ExportedProgram

    from netloom.compile.importers import TrainingFacts

_ATTENTION = "scaled_dot_product_attention"
# Operations that are random in training and are imported as layers with their rate, so they need no remark.
_IMPORTED_RANDOM_OPERATIONS = (
    "dropout",
    "feature_dropout",
    "alpha_dropout",
    "native_dropout",
    _ATTENTION,
    "lstm",
    "gru",
    "rnn_tanh",
    "rnn_relu",
)


def training_facts(
    model: nn.Module,
    example_inputs: tuple[torch.Tensor, ...],
    program: ExportedProgram,
    record: Callable[[], ExportedProgram],
) -> TrainingFacts | None:
    """Return what differs when `record` exports the model in training mode; None if that export fails."""
    from torch import nn

    from netloom.compile.importers import TrainingFacts

    model.train()
    try:
        # An export takes a hundred times as long as a call of the model, so it is left out where it adds nothing.
        training = program if _trains_as_evaluated(model, example_inputs, program) else record()
    except Exception:  # custom code may fail in training mode in any way; its evaluation mode is enough to import it
        return None
    finally:
        model.eval()
    attention_dropout = {
        path: part.dropout for path, part in model.named_modules() if isinstance(part, nn.MultiheadAttention)
    }
    return TrainingFacts(
        _attention_dropouts(training), attention_dropout, tuple(_training_differences(program, training))
    )


def _trains_as_evaluated(model: nn.Module, example_inputs: tuple[torch.Tensor, ...], program: ExportedProgram) -> bool:
    """Return whether the model, in training mode, draws no random numbers and has the outputs of the program."""
    import torch

    class RandomOperations(dispatch_mode()):  # type: ignore[misc]
        """Notes whether an operation draws random numbers."""

        called = False

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.called |= torch.Tag.nondeterministic_seeded in func.tags
            return func(*args, **(kwargs or {}))

    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}  # normalizations change their statistics
    try:
        with torch.no_grad(), RandomOperations() as random_operations:
            outputs = torch.func.functional_call(model, buffers, example_inputs)
    except Exception:  # the custom code fails, or has a loop as an operator, which the context does not support
        return False
    return not random_operations.called and len(leaves(outputs)) == len(program.graph_signature.user_outputs)


def _attention_dropouts(program: ExportedProgram) -> tuple[float, ...]:
    """Return the dropout rate of each attention, in the order of the program."""
    return tuple(
        # The arguments are (query, key, value, attn_mask, dropout_p, …); the export writes them by name or by position.
        float(node.kwargs.get("dropout_p", node.args[4] if len(node.args) > 4 else 0.0))
        for node in program.graph.nodes
        if node.op == "call_function" and _operation_name(node.target) == _ATTENTION
    )


def _training_differences(evaluation: ExportedProgram, training: ExportedProgram) -> list[str]:
    remarks = []
    added = _random_operations(training) - _random_operations(evaluation)
    if added:
        names = ", ".join(f"{name} ({count}×)" if count > 1 else name for name, count in sorted(added.items()))
        remarks.append(
            f"In training, the module draws random numbers ({names}) but not in evaluation. This is not "
            "imported; add a layer for it, such as Sampling or Gaussian noise, before you train further."
        )
    output_counts = [len(program.graph_signature.user_outputs) for program in (evaluation, training)]
    if output_counts[0] != output_counts[1]:
        remarks.append(
            f"In training, the module gives {output_counts[1]} outputs, and {output_counts[0]} in evaluation; only the "
            "latter are imported."
        )
    return remarks


def _random_operations(program: ExportedProgram) -> Counter[str]:
    import torch

    return Counter(
        name
        for node in program.graph.nodes
        if node.op == "call_function"
        and torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        and (name := _operation_name(node.target)) not in _IMPORTED_RANDOM_OPERATIONS
    )


def _operation_name(target: object) -> str:
    # "aten.dropout_.default", the in-place variant, counts as "dropout".
    return str(target).removeprefix("aten.").split(".")[0].rstrip("_")
