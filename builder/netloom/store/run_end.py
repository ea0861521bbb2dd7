"""How a run ended: the cause, by which code decides, and the reason, which users read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

# `pruned`: a trial that was not promising. `lost`: its worker was killed, or its machine does not respond.
EndCause: TypeAlias = Literal["finished", "stopped", "pruned", "failed", "lost"]
# The state of a run by the cause of its end.
STATES: Mapping[EndCause, str] = {
    "finished": "finished",
    "stopped": "stopped",
    "pruned": "stopped",
    "failed": "failed",
    "lost": "failed",
}
# Earlier versions stored only the state and the reason, whose beginning tells these causes apart from others.
_REASONS: tuple[tuple[str, str, EndCause], ...] = (
    ("stopped", "Pruned: ", "pruned"),
    ("failed", "The worker process", "lost"),
    ("failed", "The machine", "lost"),
)


@dataclass(frozen=True)
class RunEnd:
    """The end of a run: its cause, and the reason as a sentence; "" if there is nothing to explain."""

    cause: EndCause
    reason: str = ""

    @property
    def state(self) -> str:
        return STATES[self.cause]


def cause_of(state: str, reason: str = "") -> EndCause | None:
    """Return the cause of the end of a run whose cause is not stored; None if it has not ended."""
    for ended_state, beginning, cause in _REASONS:
        if state == ended_state and reason.startswith(beginning):
            return cause
    return next((cause for cause in STATES if cause == state), None)
