"""The state of the chat per tab, and the keys of its widgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from netloom.chat import Dialogue, Policy, Problem, State, ThresholdReport, Turn, Understanding
from netloom.chat.dialogue import Write
from netloom.jobs import RunWeights
from netloom.ui.components.message_outbox import Inbox
from netloom.ui.components.page_state import PageState, WidgetKey

if TYPE_CHECKING:
    from netloom.chat import ScriptResult
    from netloom.store.artifact_store import Stamp


MAX_HISTORY = 100  # changes that can be undone


@dataclass
class Exchange:
    """A message with the answer to it.

    Attributes:
        corrected: The right intent if a person chose one.
        example: The id of the example that the message with this intent was collected as.
        problem: Why it could not be collected.
    """

    understanding: Understanding
    turn: Turn
    corrected: str = ""
    example: str = ""
    problem: str = ""


@dataclass
class Conversation:
    """The dialogue with a run.

    Attributes:
        waiting: Messages without an answer. A message that is sent while an earlier one is being read ends the script
            that reads it; the next script goes on with both.
        opened: The message whose explanation or correction is shown, by its index.
        written: The response so far, while a run generates it.
        stopped: Whether a person stopped the run, so that the response so far is the response.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    state: State = field(default_factory=State)
    opened: tuple[Literal["why", "correct"], int] | None = None
    written: str = ""
    stopped: bool = False

    def respond(self, policy: Policy, understanding: Understanding, write: Write) -> Exchange:
        """Add the answer to a message, and return both. `write` generates responses; if it fails, nothing changes."""
        dialogue = Dialogue(policy, self.state, write)
        turn = dialogue.respond(understanding)
        self.state = dialogue.state
        self.exchanges.append(Exchange(understanding, turn))
        return self.exchanges[-1]

    @property
    def corrections(self) -> dict[int, str]:
        """The right intents that a person chose, by the index of the message."""
        return {index: exchange.corrected for index, exchange in enumerate(self.exchanges) if exchange.corrected}


@dataclass
class Draft:
    """The policy of a run while a person edits it.

    Attributes:
        stamp: That of the saved file that was read; None if there was none.
        saved: The policy that is saved, or the default one.
        edited: The policy as edited; values that are missing or too long are among its problems.
        used: The last edited one without problems, which answers messages.
        find_problems: Returns the problems of a policy for the run.
        revision: A number that changes when the policy was changed other than by its widgets, which then start anew.
        problems: Those of `edited`.
        damage: Why the saved file is not used; "" if it is, or if there is none.
        notice: Why the last attempt to save it failed; "" if it did not.
        history: The policies before the last changes, the oldest first.
    """

    stamp: Stamp | None
    saved: Policy
    edited: Policy
    used: Policy
    find_problems: Callable[[Policy], list[Problem]]
    revision: int = 0
    problems: list[Problem] = field(default_factory=list)
    damage: str = ""
    notice: str = ""
    history: list[Policy] = field(default_factory=list)

    @property
    def is_changed(self) -> bool:
        """Whether saving would change the saved file."""
        return bool(self.damage) or self.edited != self.saved

    def update(self, policy: Policy) -> None:
        """Take over an edited policy."""
        if policy != self.edited:
            self.history = [*self.history, self.edited][-MAX_HISTORY:]
            self._set(policy)

    def undo(self) -> None:
        """Return to the policy before the last change."""
        self._set(self.history.pop())
        self.revision += 1

    def _set(self, policy: Policy) -> None:
        self.edited, self.problems = policy, self.find_problems(policy)
        if not self.problems:
            self.used = policy

    def refresh(self) -> None:
        """Find the problems again if they depend on other runs, which may have finished or been deleted."""
        if self.edited.generations:
            self.problems = self.find_problems(self.edited)
            if not self.problems:
                self.used = self.edited

    def replace(self, policy: Policy) -> None:
        """Take over a policy that was not edited by the widgets."""
        self.update(policy)
        self.revision += 1

    @property
    def can_be_saved(self) -> bool:
        return self.is_changed and not self.problems

    def of(self, intent: str, part: str) -> list[Problem]:
        """Return the problems of a part of an intent, or of the fallback for the intent ""."""
        return [item for item in self.problems if item.intent == intent and item.part.partition("[")[0] == part]


@dataclass(frozen=True)
class Proposed:
    """Measured thresholds, and the intents that were out of scope."""

    out_of_scope: tuple[str, ...]
    report: ThresholdReport


@dataclass
class ChatState(PageState):
    """What the chat shows, so that it is the same after a visit to another page.

    Attributes:
        conversations: The dialogues, by the weights that answer.
        drafts: The edited policies, by the id of the run.
        proposed: The measured thresholds, by the weights.
        results: The results of the last played dialogues with the label of the run, by the id of the run.
        collected: The right intents of corrected messages, by the id of the run and the message.
        inbox: The messages that the browser sent.
    """

    conversations: dict[RunWeights, Conversation] = field(default_factory=dict)
    drafts: dict[str, Draft] = field(default_factory=dict)
    proposed: dict[RunWeights, Proposed] = field(default_factory=dict)
    results: dict[str, tuple[str, list[ScriptResult]]] = field(default_factory=dict)
    collected: dict[str, dict[str, str]] = field(default_factory=dict)
    inbox: Inbox = field(default_factory=Inbox)

    def conversation(self, weights: RunWeights) -> Conversation:
        return self.conversations.setdefault(weights, Conversation())


class Key(WidgetKey):
    """The keys of the chat's widgets."""

    ADD = "chat add"
    AMBIGUITY = "chat ambiguity"
    CLEAR = "chat clear"
    CONFIDENCE = "chat confidence"
    CONFIRM_FROM = "chat confirm from"
    CORRECT = "chat correct"
    DIALOGUE = "chat-dialogue"
    DOWNLOAD = "chat download"
    EXPLAIN = "chat explain"
    FAILURES = "chat failures"
    FILE = "chat file"
    FOLLOW_UP = "chat follow up"
    GENERATE = "chat generate"
    GENERATION = "chat generation"
    GREETING = "chat greeting"
    HAND_OVER = "chat hand over"
    HEAD = "chat head"
    INTENT = "chat intent"
    KEEP = "chat keep"
    LAYER = "chat layer"
    LIMIT = "chat limit"
    LINES = "chat lines"
    MESSAGE = "chat message"
    OUTSIDE = "chat outside"
    PANEL = "chat panel"
    PLAY = "chat play"
    PLOT = "chat plot"
    PROPOSE = "chat propose"
    REMOVE = "chat remove"
    RESET = "chat reset"
    RESPONSES = "chat responses"
    RESTART = "chat restart"
    RIGHT = "chat right"
    RUN = "chat run"
    SAVE = "chat save"
    SLOT = "chat slot"
    STOP = "chat stop"
    TEST_NAME = "chat test name"
    TEXT = "chat text"
    UNDO = "chat undo"
    USE = "chat use"
    WHY = "chat why"
