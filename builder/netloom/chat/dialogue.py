"""A dialogue: applies a policy to understood messages, turn by turn.

The state is plain data, so that a server can store a session, and a page can show it. Filled slots are carried over:
one that was filled for an earlier intent fills a slot of the same name. A message that has an entity of the last intent
continues that intent if it has no clear intent, or if it says nothing else, as "and tomorrow?" does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from netloom.chat.policy import (
    MAX_EARLIER_TURNS,
    MESSAGE,
    PLACEHOLDER,
    Fallback,
    Generation,
    IntentPolicy,
    Policy,
    Slot,
    filled,
    readable,
    words,
)
from netloom.chat.understanding import MAX_LETTERS, Entity, Understanding
from netloom.core.errors import UsageError
from netloom.core.plain_json import JsonObject

MAX_VALUE = 500  # letters of a slot, so that a server can keep many dialogues
# A request with the response to it
Answered = tuple[str, str]
# The response to a message after the earlier requests, the oldest first
Write = Callable[[Generation, str, Sequence[Answered]], str]
Event = Literal["reply", "ask_slot", "ask_which", "confirm", "rephrase", "out_of_scope", "hand_over"]
_Failure = Event | Literal["rejected"]  # a "no" to an offered intent


@dataclass(frozen=True)
class Turn:
    """An answer of the bot: `event` says what it does, `intent` is the accepted intent, "" if there is none.

    `confidence` is None for a run without intents. `slots` are all filled slots after the turn. `generated` is whether
    a run wrote the response.
    """

    message: str
    response: str
    event: Event
    intent: str
    confidence: float | None
    slots: dict[str, str]
    generated: bool = False


@dataclass
class State:
    """The state of a dialogue between two turns.

    `waiting` is what the last turn asked for: the value of `slot`, a choice between the intents in `offered`, whether
    the one in `offered` is meant, or nothing. `pending` are the kinds and texts of the entities of the message
    that it asked about, and `asked` is its text, after those of earlier questions about the same intent. `history` are
    the last answered requests, for runs that generate responses; a question of the bot is not one of them.
    """

    intent: str = ""
    slots: dict[str, str] = field(default_factory=dict)
    waiting: Literal["", "slot", "choice", "confirmation"] = ""
    slot: str = ""
    offered: tuple[str, ...] = ()
    pending: tuple[tuple[str, str], ...] = ()
    asked: str = ""
    failures: int = 0
    handed_over: bool = False
    answered: dict[str, int] = field(default_factory=dict)
    history: tuple[Answered, ...] = ()


class Dialogue:
    """A dialogue with its turns. `state` can be saved with `as_json` and given to another dialogue.

    Args:
        state: The state to go on from, which is copied: a turn that fails does not change it.
        write: Returns a generated response, such as `Writers.write`.
    """

    def __init__(self, policy: Policy, state: State | None = None, write: Write | None = None) -> None:
        self.policy, self.state, self._write = policy, deepcopy(state) if state else State(), write
        self.turns: list[Turn] = []
        self._forget_unknown()

    def _forget_unknown(self) -> None:
        """Forget what the state refers to that the policy does not have, because it was edited since the last turn.
        Filled slots stay."""
        state, intents = self.state, self.policy.intents
        if state.intent not in intents:
            state.intent = ""
        has_slot = state.intent and any(slot.name == state.slot for slot in intents[state.intent].slots)
        if (state.waiting == "slot" and not has_slot) or not set(state.offered) <= intents.keys():
            state.waiting, state.slot, state.offered, state.pending, state.asked = "", "", (), (), ""

    def as_json(self) -> JsonObject:
        return asdict(self.state)

    def respond(self, understanding: Understanding) -> Turn:
        """Return the answer to a message, and move on. Once a person has taken over, all turns say so.

        Raises:
            UsageError: a response cannot be generated. What `write` raises is raised, too.
        """
        if self.state.handed_over:
            turn = self._turn(understanding, self.policy.fallback.handed_over, "hand_over", "")
            self.turns.append(turn)
            return turn
        topics = self._topics()
        intent, failure = self._decide(understanding)
        meant = self.state.offered if failure in ("ask_which", "confirm") else (intent,)
        is_same = not topics.isdisjoint(meant)
        request = self._request(understanding.message) if is_same else understanding.message
        self.state.asked = ""
        if not failure and intent in self.state.offered:
            # The values of the message that was asked about, such as "Rome?" before "Do you mean: weather?"
            pending = tuple(Entity(kind, text, 0, 0) for kind, text in self.state.pending)
            understanding = replace(understanding, entities=(*understanding.entities, *pending))
        turn = self._fail(failure, understanding, request) if failure else self._follow(intent, understanding, request)
        if not self.state.waiting:
            answered = (request[:MAX_VALUE], turn.response[:MAX_VALUE])
            self.state.history = (*map(_pair, self.state.history), answered)[-MAX_EARLIER_TURNS:]
        self.turns.append(turn)
        return turn

    def _topics(self) -> set[str]:
        """Return the intents that the last question was about."""
        if self.state.waiting == "slot":
            return {self.state.intent}
        return set(self.state.offered) if self.state.waiting else set()

    def _request(self, message: str) -> str:
        """Return the text that a run answers: the message that was asked about, and what the answer adds to it."""
        state, choices = self.state, [*map(readable, self.state.offered), *self.policy.fallback.yes, "1", "2"]
        if state.asked and state.waiting != "slot" and words(message) in map(words, choices):
            return state.asked
        return " ".join(filter(None, (state.asked, message)))[:MAX_LETTERS]

    def _decide(self, understanding: Understanding) -> tuple[str, _Failure | Literal[""]]:
        """Return the intent of a message with "", or what happens without one."""
        if not understanding.ranking:
            return MESSAGE, ""
        state, fallback = self.state, self.policy.fallback
        top, confidence = self._meant(understanding.intent), understanding.confidence
        is_known = top in self.policy.intents
        is_accepted = not understanding.abstains and not understanding.is_unknown
        is_clear = is_known and confidence >= fallback.confidence and is_accepted
        if state.waiting in ("choice", "confirmation"):
            chosen = self._chosen(understanding.message, is_clear and top not in state.offered)
            if chosen is not None:
                return chosen, "" if chosen else "rejected"
        is_new = is_clear and not self._is_continuation(understanding)
        if (
            state.intent in self.policy.intents
            and (state.waiting == "slot" or not is_new)
            and self._continues(understanding, is_new)
        ):
            return state.intent, ""
        if understanding.is_unknown:
            return "", "rephrase"
        if understanding.intent in fallback.out_of_scope and confidence >= fallback.confidence:
            return "", "out_of_scope"
        candidates = [(name, share) for name, share in understanding.ranking if name in self.policy.intents]
        shares = [share for _, share in candidates]
        if len(shares) > 1 and shares[0] - shares[1] < fallback.ambiguity and shares[0] >= fallback.confirm_from:
            state.offered = (candidates[0][0], candidates[1][0])
            return "", "ask_which"
        if is_clear:
            return top, ""
        if is_known and confidence >= fallback.confirm_from:
            state.offered = (top,)
            return "", "confirm"
        return "", "rephrase"

    def _meant(self, intent: str) -> str:
        """Return the intent that this one means after the last one."""
        last = self.policy.intents.get(self.state.intent)
        return last.follow_ups.get(intent, intent) if last else intent

    def _is_continuation(self, understanding: Understanding) -> bool:
        """Return whether a message consists of a text such as "and" and of values alone, such as "and tomorrow?". The
        intent that a run predicts for it is a guess, however confident the run is."""
        remaining = words(understanding.message)
        for word in (word for entity in understanding.entities for word in words(entity.text)):
            if word in remaining:
                remaining.remove(word)
        return remaining in [words(text) for text in self.policy.fallback.continuations]

    def _continues(self, understanding: Understanding, is_new: bool) -> bool:
        """Return whether a message gives the last intent a value, rather than starting another intent. `is_new` is
        whether it clearly has an intent of its own."""
        slots = self.policy.intents[self.state.intent].slots
        kinds = {kind for slot in slots for kind in slot.entities}
        has_value = any(entity.kind in kinds for entity in understanding.entities)
        if self.state.waiting != "slot":
            return has_value
        asked = next((slot for slot in slots if slot.name == self.state.slot), None)
        # The answer to a question without kinds can be anything, unless the message clearly has another intent.
        takes_any = asked is not None and not asked.entities
        has_new_intent = is_new and self._meant(understanding.intent) != self.state.intent
        return (has_value or takes_any) and not has_new_intent

    def _chosen(self, message: str, is_whole_message: bool) -> str | None:
        """Return the offered intent that a message chooses, "" if it rejects them, None if it says something else.

        A message that clearly has another intent, such as "no, book a flight", is an answer only if it has no further
        words.
        """
        message_words, offered = words(message), self.state.offered
        for number, name in enumerate(offered, 1):
            if words(readable(name)) == message_words or (len(offered) > 1 and message_words == [str(number)]):
                return name
        fallback = self.policy.fallback
        if len(offered) == 1 and any(_answers(message_words, text, is_whole_message) for text in fallback.yes):
            return offered[0]
        return "" if any(_answers(message_words, text, is_whole_message) for text in fallback.no) else None

    def _follow(self, intent: str, understanding: Understanding, request: str) -> Turn:
        """Fill the slots of an intent, and answer, or ask for the first one that is missing. A run reads `request`."""
        state, policy = self.state, self.policy.intents[intent]
        answered_slot = state.slot if state.waiting == "slot" and state.intent == intent else ""
        state.intent, state.waiting, state.offered, state.pending, state.failures = intent, "", (), (), 0
        self._fill(policy, understanding, answered_slot)
        missing = next((slot for slot in policy.slots if slot.required and slot.name not in state.slots), None)
        if missing is not None:
            state.waiting, state.slot, state.asked = "slot", missing.name, request[:MAX_VALUE]
            return self._turn(understanding, missing.question, "ask_slot", intent)
        state.slot = ""
        event: Event = "hand_over" if policy.hand_over else "reply"
        state.handed_over = policy.hand_over
        if policy.generate is not None:
            return self._generated(policy.generate, understanding, request, event, intent)
        return self._turn(understanding, self._response(intent, policy), event, intent)

    def _fill(self, policy: IntentPolicy, understanding: Understanding, answered_slot: str) -> None:
        remaining = list(understanding.entities)
        # The slot that was asked for comes first: two slots can take the same kind, such as two cities.
        for slot in sorted(policy.slots, key=lambda slot: slot.name != answered_slot):
            entity = next((entity for entity in remaining if entity.kind in slot.entities), None)
            if entity is not None and (slot.name == answered_slot or not _shares_kind(slot, policy, self.state)):
                self.state.slots[slot.name] = entity.text[:MAX_VALUE]
                remaining.remove(entity)
            elif slot.name == answered_slot and not slot.entities:
                self.state.slots[slot.name] = understanding.message.strip()[:MAX_VALUE]

    def _response(self, intent: str, policy: IntentPolicy) -> str:
        used = {text: set(PLACEHOLDER.findall(text)) for text in policy.responses}
        usable = [text for text in policy.responses if used[text] <= self.state.slots.keys()]
        if not usable:
            return self.policy.fallback.rephrase
        # Those that mention the most slots take turns.
        most = max(len(used[text]) for text in usable)
        responses = [text for text in usable if len(used[text]) == most]
        count = self.state.answered.get(intent, 0)
        self.state.answered[intent] = count + 1
        return filled(responses[count % len(responses)], self.state.slots)

    def _fail(self, failure: _Failure, understanding: Understanding, request: str) -> Turn:
        """Ask again, or hand over after too many failures."""
        state, fallback = self.state, self.policy.fallback
        event: Event = "rephrase" if failure == "rejected" else failure
        state.failures += 1
        if state.failures > fallback.max_failures:
            state.failures, state.waiting, state.handed_over = 0, "", True
            return self._turn(understanding, fallback.handed_over, "hand_over", "")
        question = _question(event, fallback, state.offered)
        state.waiting = {"ask_which": "choice", "confirm": "confirmation"}.get(event, "")  # type: ignore[assignment]
        if state.waiting:
            state.pending = tuple((entity.kind, entity.text[:MAX_VALUE]) for entity in understanding.entities)
            state.asked = request[:MAX_VALUE]
        else:
            state.offered, state.pending = (), ()
        if failure == "rephrase" and fallback.generate is not None:
            return self._generated(fallback.generate, understanding, request, event, "")
        return self._turn(understanding, question, event, "")

    def _generated(
        self, generation: Generation, understanding: Understanding, request: str, event: Event, intent: str
    ) -> Turn:
        """Return a turn whose response a run generates from a request.

        Raises:
            UsageError: nothing can generate responses here. What `write` raises is raised, too.
        """
        if self._write is None:
            raise UsageError("This policy has generated responses, which cannot be computed here.")
        earlier = [_pair(answered) for answered in self.state.history][-generation.earlier_turns :]
        response = self._write(generation, request, earlier if generation.earlier_turns else ())
        return replace(self._turn(understanding, response, event, intent), generated=True)

    def _turn(self, understanding: Understanding, response: str, event: Event, intent: str) -> Turn:
        confidence = understanding.confidence if understanding.ranking else None
        known = intent if understanding.ranking else ""  # not `MESSAGE`
        return Turn(understanding.message, response, event, known, confidence, dict(self.state.slots))


def _pair(answered: Sequence[str]) -> Answered:
    """Return a request with its response, which are a list in a state from JSON."""
    request, response = answered
    return request, response


def _question(event: Event, fallback: Fallback, offered: tuple[str, ...]) -> str:
    names = [readable(name) for name in offered]
    if event == "ask_which":
        return filled(fallback.choose, {"first": names[0], "second": names[1]})
    if event == "confirm":
        return filled(fallback.confirm, {"intent": names[0]})
    return fallback.outside if event == "out_of_scope" else fallback.rephrase


def _shares_kind(slot: Slot, policy: IntentPolicy, state: State) -> bool:
    """Return whether an earlier slot that takes the same kinds is still empty, and is filled first."""
    before = policy.slots[: policy.slots.index(slot)]
    return any(
        set(earlier_slot.entities) & set(slot.entities) and earlier_slot.name not in state.slots
        for earlier_slot in before
    )


def _answers(message_words: list[str], text: str, is_whole: bool) -> bool:
    """Return whether a message, as words, begins with an answer such as "that is right", or is the answer."""
    answer = words(text)
    return bool(answer) and (message_words if is_whole else message_words[: len(answer)]) == answer
