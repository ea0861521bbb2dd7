"""How a person's own PyTorch module works while it is trained, as far as its program for answering does not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

    from netloom.compile.importers import TrainingFacts

_ATTENTION = "scaled_dot_product_attention"
# These are random in training and are drawn as layers, or their rate is handed on.
_KEPT = (
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
    model: nn.Module, program: ExportedProgram, record: Callable[[], ExportedProgram]
) -> TrainingFacts | None:
    """What differs in a second program that `record` makes of the model in training; None where it cannot be made."""
    from torch import nn

    from netloom.compile.importers import TrainingFacts

    model.train()
    try:
        training = record()
    except Exception:  # people's own code may fail in training in any way, and answers all the same
        return None
    finally:
        model.eval()
    attention_dropout = {
        path: part.dropout for path, part in model.named_modules() if isinstance(part, nn.MultiheadAttention)
    }
    return TrainingFacts(_attention(training), attention_dropout, tuple(_remarks(program, training)))


def _attention(program: ExportedProgram) -> tuple[float, ...]:
    """The dropout of each attention in the order of the program."""
    return tuple(
        float(node.kwargs.get("dropout_p", node.args[4] if len(node.args) > 4 else 0.0))
        for node in program.graph.nodes
        if node.op == "call_function" and _name(node.target) == _ATTENTION
    )


def _remarks(evaluation: ExportedProgram, training: ExportedProgram) -> list[str]:
    remarks = []
    added = _random(training) - _random(evaluation)
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


def _random(program: ExportedProgram) -> Counter[str]:
    import torch

    return Counter(
        name
        for node in program.graph.nodes
        if node.op == "call_function"
        and torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        and (name := _name(node.target)) not in _KEPT
    )


def _name(target: object) -> str:
    return str(target).removeprefix("aten.").split(".")[0].rstrip("_")
