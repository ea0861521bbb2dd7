"""What does not fit together in a policy, or does not fit a run, as values with their place in the policy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from netloom.chat.policy import PLACEHOLDER, IntentPolicy, Policy, Slot, words
from netloom.core.field_errors import FieldError, field_errors

MAX_LISTED = 20


@dataclass(frozen=True)
class Problem:
    """A problem at a place of a policy: a `part` of an intent, or of the fallback if `intent` is empty.

    Without a part, the problem is that of the whole intent, or of the whole policy.
    """

    message: str
    intent: str = ""
    part: str = ""

    def __str__(self) -> str:
        """The message after its place, such as `intents.greet.follow_ups: there is no intent 'thank'.`"""
        path = f"intents.{self.intent}" if self.intent else "fallback" if self.part else "intents"
        return f"{path}{f'.{self.part}' if self.part else ''}: {self.message}"


def problems(policy: Policy, intents: Collection[str], kinds: Collection[str]) -> Iterator[Problem]:
    """Yield the problems of a policy for a run with these intents that recognizes entities of these kinds."""
    for name in sorted(set(policy.intents) - set(intents)):
        yield Problem(f"the run does not have this intent; it has {_listed(intents)}.", name)
    for name in sorted(set(intents) - set(policy.intents) - set(policy.fallback.out_of_scope)):
        yield Problem(f"there is no answer to the intent {name!r}; add one, or list it in fallback.out_of_scope.")
    slots = {slot.name for intent in policy.intents.values() for slot in intent.slots}
    for name, intent in policy.intents.items():
        yield from _response_problems(name, intent, slots)
        yield from _slot_problems(name, intent, kinds)
        for after, meant in intent.follow_ups.items():
            for intent_name in (after, meant):
                if intent_name not in policy.intents:
                    yield Problem(f"there is no intent {intent_name!r}.", name, "follow_ups")
    yield from _fallback_problems(policy, intents)


def value_problems(policy: Policy) -> Iterator[Problem]:
    """Yield the values that are missing or too long, in a policy that was changed without validation."""
    try:
        Policy.model_validate(policy.model_dump())
    except ValidationError as error:
        yield from map(_value_problem, field_errors(error, Policy, owner="the policy"))


def _value_problem(error: FieldError) -> Problem:
    """Return the error of a field at its place, such as "the name of slot 2 must not be empty"."""
    is_intent = error.path[0] == "intents"
    part, *inner = map(str, error.path[2 if is_intent else -1 :])
    name = part.replace("_", " ")
    if inner and inner[0].isdecimal():
        item = f"{name.removesuffix('s')} {int(inner[0]) + 1}"
        name = f"the {inner[-1].replace('_', ' ')} of {item}" if inner[1:] else item
    return Problem(replace(error, path=(name,)).sentence(), str(error.path[1]) if is_intent else "", part)


def generation_problems(policy: Policy, obstacle: Callable[[str], str]) -> Iterator[Problem]:
    """Yield the problems of responses that runs generate; `obstacle` returns why a run cannot, or ""."""
    for intent, generation in policy.generations.items():
        if reason := obstacle(generation.run):
            yield Problem(f"{reason[:1].lower()}{reason[1:]}", intent, "generate")


def _response_problems(name: str, intent: IntentPolicy, slots: Collection[str]) -> Iterator[Problem]:
    if intent.generate is not None:
        if intent.responses:
            yield Problem("responses and generate exclude each other; remove one of them.", name, "responses")
        return
    if not intent.responses:
        yield Problem("add at least one response, or set generate.", name, "responses")
        return
    required = {slot.name for slot in intent.slots if slot.required}
    if not any(set(PLACEHOLDER.findall(text)) <= required for text in intent.responses):
        yield Problem("add a response without optional slots, for when they are not filled.", name, "responses")
    for index, text in enumerate(intent.responses):
        for slot in PLACEHOLDER.findall(text):
            if slot not in slots:
                known = ", ".join(sorted(slot.name for slot in intent.slots)) or "none"
                yield Problem(f"there is no slot {slot!r}; this intent has {known}.", name, f"responses[{index}]")


def _slot_problems(name: str, intent: IntentPolicy, kinds: Collection[str]) -> Iterator[Problem]:
    names = [slot.name for slot in intent.slots]
    for twice in sorted({slot for slot in names if names.count(slot) > 1}):
        yield Problem(f"there are {names.count(twice)} slots {twice!r}; give each its own name.", name, "slots")
    for slot in intent.slots:
        for kind in _unknown(slot, kinds):
            known = f"it recognizes {_listed(kinds)}" if kinds else "it recognizes none"
            hint = "without entities, the whole answer fills the slot"
            yield Problem(f"the run does not recognize entities {kind!r}: {known}; {hint}.", name, "slots")


def _unknown(slot: Slot, kinds: Collection[str]) -> Sequence[str]:
    return [kind for kind in slot.entities if kind not in kinds]


def _fallback_problems(policy: Policy, intents: Collection[str]) -> Iterator[Problem]:
    fallback = policy.fallback
    if fallback.confirm_from > fallback.confidence:
        yield Problem("must be at most fallback.confidence.", part="confirm_from")
    for part, texts in (("yes", fallback.yes), ("no", fallback.no), ("continuations", fallback.continuations)):
        for text in texts:
            if not words(text):
                yield Problem(f"{text!r} has no letters or digits, so no message can be recognized by it.", part=part)
    for name in fallback.out_of_scope:
        if name not in intents:
            yield Problem(f"the run does not have the intent {name!r}.", part="out_of_scope")
        elif name in policy.intents:
            yield Problem(f"the intent {name!r} also has an answer; remove one of the two.", part="out_of_scope")


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:MAX_LISTED])
