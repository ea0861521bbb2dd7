"""What is to be explained: a trained network, an example, and the arguments of the method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from netloom.compile import input_fields
from netloom.explain.core.baselines import USUAL, BaselineChoice
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.examples import labels, read_example, with_generated_answer
from netloom.explain.core.explanation import Explanation
from netloom.explain.core.quantities.quantity import Settings
from netloom.explain.core.targets import QUANTITIES, TargetLike, choose
from netloom.tasks import task

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Example, Prepared, Schema
    from netloom.document import Project
    from netloom.explain.core.context import ExplanationContext

Progress = Callable[[float], None]
Preview = Callable[[Explanation], None]


class Trained(Protocol):
    """The interface of a trained network."""

    @property
    def project(self) -> Project: ...
    @property
    def model(self) -> nn.Module: ...
    @property
    def data(self) -> Prepared: ...


@dataclass(frozen=True)
class ExplanationRequest:
    """The arguments of `explain`, without the options of the method."""

    method: str
    row_or_raw: int | Mapping[str, Any]
    target: TargetLike = None
    seed: int = 0
    proofs: bool = True
    randomize: bool = False
    folder: Path | None = None
    checkpoint: str = ""
    progress: Progress | None = None
    preview: Preview | None = None
    chosen: Settings = field(default_factory=dict)  # on the validation rows, such as a threshold


def chosen_settings(trained: Trained) -> Settings:
    """Return what was chosen on the validation rows, such as a threshold, if it changes the prediction of this network.

    Only trained runs have it, and it costs an evaluation on these rows.
    """
    quantity = QUANTITIES.get(task(trained.project.training.objective).explained)
    settings: Settings = getattr(trained, "calibration", {}) if quantity and quantity.reads_chosen else {}
    return settings


def build_context(
    project: Project, model: nn.Module, data: Prepared, request: ExplanationRequest, baseline: BaselineChoice = USUAL
) -> tuple[ExplanationContext, Example, torch.Tensor]:
    """Return the context with a private copy of the network, the example for display, and the output (1, …)."""
    from netloom.explain.core.context import ExplanationContext

    inputs, example = read_example(data, request.row_or_raw)
    # The explained tokens are those that the network generates, and not those of the label.
    if data.schema.target.type.is_text:
        inputs, example = with_generated_answer(project, model, data, inputs, example)
    output = network_output(project, model, inputs, data.schema)
    target = choose(request.target, output, data, inputs, project.training, request.chosen)
    context = ExplanationContext(
        project, model, data, inputs, target, baseline, seed=request.seed, progress=request.progress
    )
    context.labels = labels(data, example)
    return context, example, output


def network_output(
    project: Project, model: nn.Module, inputs: Mapping[str, torch.Tensor], schema: Schema | None = None
) -> torch.Tensor:
    """Compute the outputs (N, …) for inputs by field; logits for classifiers.

    Raises:
        ExplainError: The output is not finite.
    """
    import torch

    from netloom.compile.logit_network import with_logits

    model = with_logits(project, model, schema)
    with torch.no_grad():
        outputs = model(*[inputs[name] for name in input_fields(project)])
    if isinstance(outputs, tuple) and task(project.training.objective).joins_outputs:
        outputs = torch.cat([part.flatten(1) for part in outputs], dim=1)
    output: torch.Tensor = outputs[0] if isinstance(outputs, tuple) else outputs
    if not bool(output.isfinite().all()):
        raise ExplainError(
            "The output of the network for this example is not finite (NaN or infinity), so it cannot be explained. "
            "Train the network with a lower learning rate."
        )
    return output
