"""The response policy of a chatbot: what it answers to each intent, and what it does without a clear one.

A policy is data. Responses are templates, in which only `{slot}` is replaced, by the text of a filled slot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError

from netloom.core.errors import UsageError
from netloom.document.base_model import Frozen

PLACEHOLDER = re.compile(r"\{([^{}]{1,64})\}")
MAX_BYTES = 2 * 2**20
Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]


class PolicyError(UsageError):
    """A policy is invalid; the message names the place in it, what is wrong and what was expected."""


class Slot(Frozen):
    """A value that an intent needs, such as a date.

    It is filled by entities of the kinds in `entities`; without kinds, by the whole answer to its question.
    """

    name: Name
    question: Text = "Could you tell me more?"
    entities: tuple[Name, ...] = ()
    required: bool = True


class IntentPolicy(Frozen):
    """The answers to an intent. They take turns; those with a `{slot}` that is not filled are left out.

    `follow_ups` maps an intent to the one that it means directly after this one, such as yes to confirm_order. With
    `hand_over`, a person takes over after the response.
    """

    responses: tuple[Text, ...]
    slots: tuple[Slot, ...] = ()
    follow_ups: dict[Name, Name] = Field(default_factory=dict)
    hand_over: bool = False


class Fallback(Frozen):
    """What happens without a clear intent.

    Below `confidence`, an intent is not accepted: from `confirm_from` on, the bot asks whether it is meant; below that,
    it asks the user to rephrase. After `max_failures` such turns in a row, a person takes over. Two intents whose
    confidences differ by less than `ambiguity` are offered as a choice. Intents in `out_of_scope` are never accepted.
    """

    confidence: Share = 0.6
    confirm_from: Share = 0.3
    ambiguity: Share = 0.1
    max_failures: Annotated[int, Field(ge=1, le=10)] = 2
    out_of_scope: tuple[Name, ...] = ()
    confirm: Text = "Do you mean: {intent}?"
    choose: Text = "Which do you mean: {first} or {second}?"
    rephrase: Text = "I did not understand that. Could you say it in other words?"
    outside: Text = "I cannot help with that."
    handed_over: Text = "I am connecting you with a person."
    yes: tuple[Text, ...] = ("yes", "yeah", "yep", "correct", "right", "sure", "ok", "okay", "exactly")
    no: tuple[Text, ...] = ("no", "nope", "wrong", "not", "neither", "none")


class Policy(Frozen):
    """The response policy of a chatbot, by intent."""

    intents: dict[Name, IntentPolicy]
    fallback: Fallback = Fallback()
    greeting: Annotated[str, Field(max_length=2_000)] = ""

    def problems(self, intents: Collection[str]) -> Iterator[str]:
        """Yield what does not fit together, given the intents of a run, as sentences."""
        for name in sorted(set(self.intents) - set(intents)):
            yield f"intents.{name}: the run does not have this intent; it has {', '.join(sorted(intents)[:20])}."
        for name in sorted(set(intents) - set(self.intents) - set(self.fallback.out_of_scope)):
            yield f"intents: there is no answer to the intent {name!r}; add one, or list it in fallback.out_of_scope."
        slots = {slot.name for policy in self.intents.values() for slot in policy.slots}
        for name, policy in self.intents.items():
            if not policy.responses:
                yield f"intents.{name}.responses: add at least one response."
            own = {slot.name for slot in policy.slots}
            always = [text for text in policy.responses if set(PLACEHOLDER.findall(text)) <= _required(policy.slots)]
            if policy.responses and not always:
                yield f"intents.{name}.responses: add a response without optional slots, for when they are not filled."
            for place, text in enumerate(policy.responses):
                for slot in PLACEHOLDER.findall(text):
                    if slot not in slots:
                        known = ", ".join(sorted(own)) or "none"
                        yield f"intents.{name}.responses[{place}]: there is no slot {slot!r}; this intent has {known}."
            for after, meant in policy.follow_ups.items():
                for intent in (after, meant):
                    if intent not in self.intents:
                        yield f"intents.{name}.follow_ups: there is no intent {intent!r}."
        if self.fallback.confirm_from > self.fallback.confidence:
            yield "fallback.confirm_from: must be at most fallback.confidence."


def _required(slots: Sequence[Slot]) -> set[str]:
    return {slot.name for slot in slots if slot.required}


def default_policy(intents: Sequence[str], entities: Sequence[str] = (), out_of_scope: Sequence[str] = ()) -> Policy:
    """Return a policy that answers each intent with its name, as a start for people to edit."""
    slots = tuple(Slot(name=kind, entities=(kind,), required=False) for kind in entities)
    answers = {
        name: IntentPolicy(responses=(f"You asked about: {readable(name)}.",), slots=slots)
        for name in intents
        if name not in out_of_scope
    }
    return Policy(intents=answers, fallback=Fallback(out_of_scope=tuple(out_of_scope)))


def readable(intent: str) -> str:
    """Return the name of an intent for people: book_flight becomes book flight."""
    return intent.replace("_", " ").strip() or intent


def loads(text: str | bytes) -> Policy:
    """Return a policy from JSON.

    Raises:
        PolicyError: it is not valid.
    """
    if len(text) > MAX_BYTES:
        raise PolicyError(f"The policy has {len(text):,} bytes; at most {MAX_BYTES:,} are allowed.")
    try:
        return Policy.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "policy"
        raise PolicyError(f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}.") from None


def dumps(policy: Policy) -> str:
    """Return a policy as JSON that `loads` reads."""
    return json.dumps(policy.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with the values of its `{placeholders}`; unknown ones stay."""
    return PLACEHOLDER.sub(lambda match: str(values.get(match[1], match[0])), template)
