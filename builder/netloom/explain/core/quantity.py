"""What a kind of explained quantity does: find the number that is asked for, compute it, and write the prediction."""

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


class Quantity:
    """A kind of number that is explained. `kind` is what a `Target` holds of it.

    `is_error`: lower is better. `reads_all_outputs`: several outputs of the network stand side by side. `is_distance`:
    whether it is small enough is decided on the validation rows.
    """

    kind: ClassVar[TargetQuantity]
    is_error: ClassVar[bool] = False
    reads_all_outputs: ClassVar[bool] = False
    is_distance: ClassVar[bool] = False
    has_position: ClassVar[bool] = False  # one of the steps that the network reads
    in_data_units: ClassVar[bool] = False  # not in those in which the network predicts it

    def is_score(self, target: Target) -> bool:
        """Whether it is a logit, and not a number with a meaning of its own."""
        return target.quantity.startswith(LOGIT)

    def phrase(self, target: Target, name: str) -> str:
        """The explained number within a sentence, as Markdown; `name` is that of the target, escaped."""
        return f"the score of **{name}**" if self.is_score(target) else f"**{name}**"

    def request(self, target: Target) -> TargetChoice:
        """What to ask for to get the same number again for another example."""
        return target.index

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        """What a person can ask for by name, beside the classes of the target."""
        return ()

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        """The target that was asked for, or else the one that the network predicts, for the output of one example.

        Raises:
            ExplainError: there is no such class, output, token or position.
        """
        raise NotImplementedError

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        """The explained number (N,) of each row of an output (N, …)."""
        return output[:, target.index]

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        """The prediction for one example in words, with probabilities."""
        raise NotImplementedError


def index_of(choice: TargetChoice, names: tuple[str, ...], kind: str) -> int:
    """The number of a class, label, output or action that is asked for by name or number.

    Raises:
        ExplainError: there is none.
    """
    if isinstance(choice, int) and 0 <= choice < len(names):
        return choice
    if isinstance(choice, str) and choice in names:
        return names.index(choice)
    if isinstance(choice, str) and choice.isdecimal() and int(choice) < len(names):
        return int(choice)
    listed = ", ".join(names[:20])
    raise UnknownChoiceError(
        f"There is no {kind} {str(choice)[:60]!r}; choose one of {listed}, or its number from 0 to {len(names) - 1}."
    )


def probabilities_by_name(names: Iterable[str], shares: torch.Tensor) -> dict[str, float]:
    """Names with their shares (classes,)."""
    return {name: float(share) for name, share in zip(names, shares, strict=True)}
