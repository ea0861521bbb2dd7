"""The response policy of a chatbot: what it answers to each intent, and what it does without a clear one.

A policy is data. Responses are templates, in which only `{slot}` is replaced, by the text of a filled slot.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError

from netloom.core.errors import UsageError
from netloom.core.field_errors import field_errors, summary
from netloom.core.yaml_text import read_yaml, write_yaml
from netloom.data.tables.intents_json import example_intents
from netloom.document.base_model import Frozen

PLACEHOLDER = re.compile(r"\{([^{}]{1,64})\}")
MAX_BYTES = 2 * 2**20
MAX_INTENT = 400  # a class of the data can be a long text
MESSAGE = "message"  # the only entry of `intents` for a run without intents: the answer to each message
MAX_GENERATED = 400  # tokens of a response
MAX_EARLIER_TURNS = 20
# Beginnings of messages such as "and tomorrow?", with the words before a value that some runs do not count to it
CONTINUATIONS = (
    *("and", "and on", "and at", "and in", "and for", "and to", "and from", "also"),
    *("what about", "how about", "and what about", "and how about"),
)
OPENING = "You asked about"  # of the default answer to an intent
Text = Annotated[str, Field(min_length=1, max_length=2_000)]
MAX_KIND = 64  # letters of the kind of an entity, and of a slot
Name = Annotated[str, Field(min_length=1, max_length=MAX_KIND)]
Intent = Annotated[str, Field(min_length=1, max_length=MAX_INTENT)]
Share = Annotated[float, Field(ge=0, le=1)]
# Why YAML has another value than the text that a person sees
UNQUOTED = " In YAML, a text such as 1e3, true or null needs quotes."


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


class Generation(Frozen):
    """A response that a run generates from the message: the text that follows it, or the answer to it.

    `run` is the id of a finished run, or the beginning of it; "" is the run of the policy. `earlier_turns` is the
    maximum number of earlier requests with their responses that the run reads before the message, as far as its input
    has room for them. Below, the settings of `netloom.runs.prediction.sampling.Sampling`, and the maximum number of
    tokens.
    """

    run: Annotated[str, Field(max_length=64)] = ""
    earlier_turns: Annotated[int, Field(ge=0, le=MAX_EARLIER_TURNS)] = 8
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8
    top_k: Annotated[int, Field(ge=0, le=1_000)] = 0
    top_p: Annotated[float, Field(ge=0.01, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, le=10**6)] = 0
    length: Annotated[int, Field(ge=1, le=MAX_GENERATED)] = 60


class IntentPolicy(Frozen):
    """The answers to an intent. They take turns; those with a `{slot}` that is not filled are left out. With
    `generate`, a run generates the answer instead.

    `follow_ups` maps an intent to the one that it means directly after this one, such as yes to confirm_order. With
    `hand_over`, a person takes over after the response.
    """

    responses: tuple[Text, ...] = ()
    generate: Generation | None = None
    slots: tuple[Slot, ...] = ()
    follow_ups: dict[Intent, Intent] = Field(default_factory=dict)
    hand_over: bool = False


class Fallback(Frozen):
    """What happens without a clear intent.

    Below `confidence`, an intent is not accepted: from `confirm_from` on, the bot asks whether it is meant; below that,
    it asks the user to rephrase. After `max_failures` such turns in a row, a person takes over. Two intents whose
    confidences differ by less than `ambiguity` are offered as a choice. Intents in `out_of_scope` are never accepted.
    With `generate`, a run answers instead of the text `rephrase`. A message of a text in `continuations` and of values
    of the last intent continues that intent, even if the run predicts another one.
    """

    confidence: Share = 0.6
    confirm_from: Share = 0.3
    ambiguity: Share = 0.1
    max_failures: Annotated[int, Field(ge=1, le=10)] = 2
    out_of_scope: tuple[Intent, ...] = ()
    confirm: Text = "Do you mean: {intent}?"
    choose: Text = "Which do you mean: {first} or {second}?"
    generate: Generation | None = None
    rephrase: Text = "I did not understand that. Could you say it in other words?"
    outside: Text = "I cannot help with that."
    handed_over: Text = "I am connecting you with a person."
    yes: tuple[Text, ...] = ("yes", "yeah", "yep", "correct", "right", "sure", "ok", "okay", "exactly")
    no: tuple[Text, ...] = ("no", "nope", "wrong", "not", "neither", "none")
    continuations: tuple[Text, ...] = CONTINUATIONS


class Policy(Frozen):
    """The response policy of a chatbot, by intent. For a run without intents, `MESSAGE` is the only one."""

    intents: dict[Intent, IntentPolicy]
    fallback: Fallback = Fallback()
    greeting: Annotated[str, Field(max_length=2_000)] = ""

    @property
    def generations(self) -> dict[str, Generation]:
        """The responses that runs generate, by intent; that of the fallback by ""."""
        every = {name: intent.generate for name, intent in self.intents.items()} | {"": self.fallback.generate}
        return {name: generation for name, generation in every.items() if generation is not None}


# The classes that are validated separately, by the title in pydantic's errors
_PARTS = {part.__name__: part for part in (Policy, Fallback, IntentPolicy, Slot, Generation)}


def default_policy(
    intents: Sequence[str], entities: Sequence[str] = (), out_of_scope: Sequence[str] = (), opening: str = OPENING
) -> Policy:
    """Return a policy that answers each intent with its name after an opening, as a start for people to edit."""
    answers = {name: default_answer(name, entities, opening) for name in intents if name not in out_of_scope}
    return Policy(intents=answers, fallback=Fallback(out_of_scope=tuple(out_of_scope)))


def default_answer(intent: str, entities: Sequence[str] = (), opening: str = OPENING) -> IntentPolicy:
    """Return an answer with the name of the intent, and an optional slot for each kind of entity."""
    slots = tuple(Slot(name=kind, entities=(kind,), required=False) for kind in entities)
    name = readable(intent).replace("{", "").replace("}", "")  # braces in a name are not slots
    return IntentPolicy(responses=(f"{opening}: {name}.",), slots=slots)


def message_answer(entities: Sequence[str]) -> IntentPolicy:
    """Return an answer of a run without intents to each message, with an optional slot for each kind of entity."""
    slots = tuple(Slot(name=kind, entities=(kind,), required=False) for kind in entities)
    return IntentPolicy(responses=("Noted.",), slots=slots)


def with_out_of_scope(policy: Policy, out_of_scope: Sequence[str], entities: Sequence[str] = ()) -> Policy:
    """Return a policy that refuses these intents. Those that it refused before get a default answer."""
    fallback = policy.fallback
    again = {name: default_answer(name, entities) for name in fallback.out_of_scope if name not in out_of_scope}
    intents = {name: intent for name, intent in policy.intents.items() if name not in out_of_scope}
    refused = fallback.model_copy(update={"out_of_scope": tuple(out_of_scope)})
    return policy.model_copy(update={"intents": {**intents, **again}, "fallback": refused})


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"\w+", text.lower())


def readable(intent: str) -> str:
    """Return the name of an intent for people: book_flight becomes book flight."""
    return intent.replace("_", " ").strip() or intent


def loads(text: str | bytes) -> Policy:
    """Return a policy from JSON or YAML. JSON begins with a brace. Intents with patterns and responses, as in
    intents.json of chatbots, are a policy, too.

    Raises:
        PolicyError: it is not valid.
    """
    if len(text) > MAX_BYTES:
        raise PolicyError(f"The policy has {len(text):,} bytes; at most {MAX_BYTES:,} are allowed.")
    try:
        plain = text if isinstance(text, str) else text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PolicyError("The policy is not UTF-8; save it as UTF-8.") from None
    is_yaml = not plain.lstrip().startswith("{")
    if is_yaml:
        try:
            plain = json.dumps(read_yaml(plain))
        except ValueError as error:
            raise PolicyError(f"The policy is neither a JSON object nor valid YAML: {error}.") from None
    try:
        return Policy.model_validate_json(_from_intents(plain) or plain)
    except ValidationError as error:
        is_number = is_yaml and error.errors()[0]["type"] == "string_type"
        raise PolicyError(f"{invalid(error)}{UNQUOTED if is_number else ''}") from None


def _from_intents(text: str) -> str:
    """Return the policy of a file of intents with patterns and responses, as JSON; "" if the text is not one."""
    try:
        intents = example_intents(json.loads(text))
    except (ValueError, RecursionError):
        return ""
    answers = {
        intent.name: {"responses": intent.responses} if intent.responses else default_answer(intent.name).model_dump()
        for intent in intents
    }
    return json.dumps({"intents": answers}) if answers else ""


def invalid(error: ValidationError) -> str:
    """Return the first thing that is wrong with a policy or a part of it, as a sentence with its place."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return f"The policy is not valid JSON: {first['ctx']['error']}."
    return summary(field_errors(error, _PARTS.get(error.title, Policy), owner="the policy"), "The policy", limit=1)


def dumps(policy: Policy) -> str:
    """Return a policy as JSON that `loads` reads."""
    return json.dumps(_plain(policy), indent=2, ensure_ascii=False) + "\n"


def dumps_yaml(policy: Policy) -> str:
    """Return a policy as YAML that `loads` reads."""
    return write_yaml(_plain(policy))


def _plain(policy: Policy) -> dict[str, Any]:
    return policy.model_dump(mode="json", exclude_none=True)


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with the values of its `{placeholders}`; unknown ones stay."""
    return PLACEHOLDER.sub(lambda match: str(values.get(match[1], match[0])), template)
