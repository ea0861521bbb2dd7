"""Explained quantities: how each kind selects its number, computes it, and describes the prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from netloom.document import Training
from netloom.explain.core.errors import UnknownChoiceError
from netloom.explain.core.explanation import Prediction, Target, TargetQuantity

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

LOGIT = "the score (logit)"
TargetChoice = int | str | Mapping[str, Any] | None
Inputs = Mapping[str, "torch.Tensor"]
Settings = Mapping[str, float]  # what an objective chose on the validation rows


class Quantity:
    """A kind of explained number; `kind` is its name in a `Target`.

    `is_error`: lower is better. `reads_all_outputs`: the outputs of the network are concatenated. `is_distance`: a
    threshold on it is tuned on the validation rows.
    """

    kind: ClassVar[TargetQuantity]
    is_error: ClassVar[bool] = False
    reads_all_outputs: ClassVar[bool] = False
    is_distance: ClassVar[bool] = False
    has_position: ClassVar[bool] = False  # a position of the input sequence
    reads_chosen: ClassVar[bool] = False  # what was chosen on the validation rows changes the prediction
    in_data_units: ClassVar[bool] = False  # rather than in the normalized units of the network

    default_name: ClassVar[str] = "Default output"  # the target that is explained unless another is chosen by name

    def is_score(self, target: Target) -> bool:
        """Return whether it is a logit rather than a number with units."""
        return target.quantity.startswith(LOGIT)

    def phrase(self, target: Target, name: str) -> str:
        """Return the explained number for use in a sentence, as Markdown; `name` is the escaped name of the target."""
        return f"the score of **{name}**" if self.is_score(target) else f"**{name}**"

    def request(self, target: Target) -> TargetChoice:
        """Return the target choice that selects the same number for another example."""
        return target.index

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        """Return the names that can be chosen, beside the classes of the target."""
        return ()

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        """Return the chosen target, or the predicted one, for the output (1, …) of one example.

        Raises:
            ExplainError: The class, output, token or position does not exist.
        """
        raise NotImplementedError

    def predicted_choice(self, output: torch.Tensor, chosen: Settings) -> TargetChoice:
        """Return the target that is predicted with what was `chosen` on the validation rows, such as a threshold; None
        for the default of `choose`."""
        return None

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        """Return the explained number (N,) of each row of an output (N, …)."""
        return output[:, target.index]

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        """Return the prediction for one example in words, with probabilities.

        `chosen` is what was chosen on the validation rows, such as a threshold.
        """
        raise NotImplementedError


def index_of(choice: TargetChoice, names: tuple[str, ...], kind: str) -> int:
    """Return the index of a class, label, output or action that is chosen by name or index.

    Raises:
        ExplainError: It does not exist.
    """
    if isinstance(choice, int) and 0 <= choice < len(names):
        return choice
    # Names precede numbers, because classes may be called "3".
    if isinstance(choice, str) and choice in names:
        return names.index(choice)
    if isinstance(choice, str) and choice.isdecimal() and int(choice) < len(names):
        return int(choice)
    listed = ", ".join(names[:20])
    raise UnknownChoiceError(
        f"There is no {kind} {str(choice)[:60]!r}; choose one of {listed}, or its number from 0 to {len(names) - 1}."
    )


def probabilities_by_name(names: Iterable[str], shares: torch.Tensor) -> dict[str, float]:
    """Return names with their probabilities (classes,)."""
    return {name: float(share) for name, share in zip(names, shares, strict=True)}
