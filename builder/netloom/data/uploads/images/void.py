"""The questions about void pixels, which have no class."""

from __future__ import annotations

from netloom.data.mask_values import VOID
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.upload_kind import Answers, Question

# Final when the data is added, because the classes and their names follow from them
_SWITCH = Question("void", "Void pixels", "switch", "Whether pixels of the void value have no class, and count neither "
                   "in the loss nor in metrics", optional=True, when_added=True,
                   empty="if 255 occurs beside class indices")  # fmt: skip
_VALUE = Question("void_value", "Void value", "whole", "The value of void pixels; that of a color is 0xRRGGBB as a "
                  "decimal number", low=-(2**31), high=0xFF_FF_FF, default=VOID, when_added=True)  # fmt: skip
VOID_QUESTIONS = [_SWITCH, _VALUE]


def chosen_void(answers: Answers, inferred: int | None) -> int | None:
    """Return the value of void pixels; None if every value is a class.

    `inferred` is the value that masks seem to have.
    """
    chosen = Chosen(answers)
    wanted, value = chosen.optional_switch(_SWITCH.name), chosen.whole(_VALUE.name)
    if value != VOID:
        return None if wanted is False else value
    return inferred if wanted is None else value if wanted else None
